"""Private PostgreSQL and RabbitMQ servers for tests, the chaos test and the benchmarks.

Each has a folder and ports of its own and keeps both across restarts, so a test may kill it and
look at what is left. Nothing of the machine's own servers is read or touched.
"""

import atexit
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn, Self

import psutil

START_SECONDS = 60
"""RabbitMQ needs 5 s on two idle cores; a busy machine much longer."""
STOP_SECONDS = 30
POLL_SECONDS = 0.02

DELETE_QUEUES = """
    [rabbit_amqqueue:delete(Queue, false, false, <<"tests">>)
     || Queue <- rabbit_amqqueue:list(<<"/">>),
        string:prefix(element(4, amqqueue:get_name(Queue)), <<%s>>) =/= nomatch].
"""
"""`rabbitmqctl delete_queue` needs a call, thus 0.3 s, for each queue."""


class ServerProgramMissingError(RuntimeError):
    """A server's program is not on this machine; the text says what to install."""


class ServerStartError(RuntimeError):
    """A server ended, or did not answer in time; the text ends with its log."""


class ServerCommandError(RuntimeError):
    """A server's command failed; the text ends with what it printed."""


class GivenServerError(RuntimeError):
    """A server that was given by its URL is not ours to start, stop or command."""


class GivenServer:
    """A server that somebody else runs, named by an environment variable. It can only be used."""

    def __init__(self, url: str, *, variable: str) -> None:
        self.url = url
        self._variable = variable

    def start(self) -> None:
        """Refuses, like all below: a test that does more than use a server starts a private one."""
        self._refuse()

    def stop(self) -> None:
        self._refuse()

    def kill(self) -> None:
        self._refuse()

    def ctl(self, *args: str) -> str:
        self._refuse(*args)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _refuse(self, *_: str) -> NoReturn:
        raise GivenServerError(f"{self._variable} names this server; it is not ours to control")


class PrivateServer(ABC):
    """A server of our own: `with` starts it and leaves nothing of it behind.

    Its processes also end when the thread that called `start` does, however that ends (Linux's
    parent death signal). So start a server that outlives a test from the main thread.
    """

    _graceful_signal = signal.SIGTERM

    def __init__(self, *, kind: str) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"asyncapiproxy-{kind}-"))
        self._log = self._folder / "server.log"
        self._processes: list[subprocess.Popen[bytes]] = []
        """The server itself is the last one."""
        atexit.register(self.close)

    @property
    @abstractmethod
    def url(self) -> str:
        """Where clients connect; the same after a restart."""

    @abstractmethod
    def _launch(self) -> None:
        """Starts the processes and returns once clients are served."""

    @property
    def is_running(self) -> bool:
        return bool(self._processes) and self._processes[-1].poll() is None

    def start(self) -> None:
        """Returns once clients are served, with the data of the run before."""
        if self.is_running:
            return
        self.kill()
        try:
            self._launch()
        except BaseException:
            self.kill()
            raise

    def stop(self) -> None:
        """Asks the server to end in good order, as a restart for maintenance would."""
        if self.is_running:
            server = self._processes[-1]
            server.send_signal(self._graceful_signal)
            server.wait(STOP_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Sends SIGKILL to all its processes, as an out-of-memory kill. They are gone then."""
        kill_families([process.pid for process in self._processes if process.poll() is None])
        for process in self._processes:
            process.wait(STOP_SECONDS)
        self._processes.clear()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """SIGSTOP: its connections stay open, and nothing answers on them."""
        families = [_suspended_family(process.pid) for process in self._processes]
        members = [member for family in families for member in family]
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.suspend()
        try:
            yield
        finally:
            for member in members:
                with suppress(psutil.NoSuchProcess):
                    member.resume()

    def close(self) -> None:
        """Kills the server and removes its data."""
        atexit.unregister(self.close)
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _spawn(self, command: list[str], *, environment: dict[str, str]) -> None:
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                command,
                env=environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for pytest, which ends us in its own order
            )
        self._processes.append(process)

    def _run(self, command: list[str], *, environment: dict[str, str]) -> str:
        done = subprocess.run(
            command,
            env=environment,
            cwd=self._folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ServerCommandError(f"{command} failed:\n{done.stdout}")
        return done.stdout

    def _wait_until(self, is_ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if self._processes[-1].poll() is not None or time.monotonic() > deadline:
                log = self._log.read_text(errors="replace")[-4000:]
                raise ServerStartError(f"{self._processes[-1].args} does not serve:\n{log}")
            time.sleep(POLL_SECONDS)


class PostgresqlServer(PrivateServer):
    """PostgreSQL with its superuser `tests`, trusted on the loopback."""

    _graceful_signal = signal.SIGINT  # "fast shutdown": does not wait for clients to leave

    def __init__(self) -> None:
        self._programs = postgresql_programs()
        super().__init__(kind="postgresql")
        self._port = free_port()
        self._data = self._folder / "data"
        self._environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}

    @property
    def url(self) -> str:
        return f"postgresql://tests@127.0.0.1:{self._port}/postgres"

    def _launch(self) -> None:
        if not self._data.exists():
            self._initialise()
        self._spawn(self._server_command(), environment=self._environment)
        self._wait_until(self._accepts_connections)

    def _initialise(self) -> None:
        user = unprivileged_user()
        if user:
            os.chown(self._folder, user.pw_uid, user.pw_gid)
        initdb = [str(self._programs / "initdb"), "--pgdata", str(self._data), "--username=tests"]
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        self._run([*as_user(user), *initdb, *options], environment=self._environment)

    def _server_command(self) -> list[str]:
        settings = {
            "port": self._port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "max_connections": 300,  # many services with a pool each meet in one chaos test
        }
        postgres = [str(self._programs / "postgres"), "-D", str(self._data)]
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return [*as_user(unprivileged_user()), *ending_with_us(), *postgres, *options]

    def _accepts_connections(self) -> bool:
        command = [str(self._programs / "pg_isready"), "--quiet", "--host=127.0.0.1"]
        return subprocess.call([*command, f"--port={self._port}", "--username=tests"]) == 0


class RabbitmqServer(PrivateServer):
    """RabbitMQ without plugins, its own Erlang cookie and its own epmd (Erlang's name server)."""

    def __init__(self) -> None:
        self._programs = rabbitmq_programs()
        super().__init__(kind="rabbitmq")
        self._port, self._epmd_port, self._distribution_port = (free_port() for _ in range(3))
        self._environment = self._build_environment()
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text("tests")
        cookie.chmod(0o400)  # Erlang refuses a cookie that others may read
        (self._folder / "plugins").write_text("[].")

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self._port}/"

    def ctl(self, *args: str) -> str:
        """What `rabbitmqctl --silent …` prints (0.3 s a call)."""
        if not self.is_running:
            # rabbitmqctl would wait, and start an epmd that nobody ends.
            raise ServerCommandError("rabbitmqctl needs a running server")
        command = [str(self._programs / "rabbitmqctl"), "--silent", *args]
        return self._run(command, environment=self._environment)

    def delete_queues(self, *, prefix: str) -> None:
        """Deletes every queue whose name begins so, whatever it holds and whoever consumes."""
        self.ctl("eval", DELETE_QUEUES % json.dumps(prefix))

    def _launch(self) -> None:
        # Erlang would start an epmd itself, but as a daemon that outlives everything.
        epmd = ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"]
        self._spawn([*ending_with_us(), *epmd], environment=self._environment)
        self._wait_until(lambda: is_listening(self._epmd_port))
        server = str(self._programs / "rabbitmq-server")
        self._spawn([*ending_with_us(), server], environment=self._environment)
        self._wait_until(self._speaks_amqp)

    def _speaks_amqp(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1) as client:
            client.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(client.recv(1))
        return False

    def _build_environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "HOME": folder,  # where Erlang looks for the cookie
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"tests-{self._port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self._port),
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
            "RABBITMQ_CONFIG_FILES": f"{folder}/conf.d",
            "RABBITMQ_ADVANCED_CONFIG_FILE": f"{folder}/advanced.config",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/plugins",
            "RABBITMQ_MNESIA_BASE": f"{folder}/data",
            "RABBITMQ_LOG_BASE": f"{folder}/log",
            "RABBITMQ_LOGS": "-",
            # The start script then becomes the Erlang machine in place of waiting for it, so that
            # signals and the parent death signal reach it.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


def postgresql_programs() -> Path:
    """The folder of the newest PostgreSQL; Debian keeps its server off the PATH."""
    by_version = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"), key=lambda folder: float(folder.parent.name)
    )
    initdb = find_program(
        "initdb", first_in=by_version[::-1], package="postgresql", variable="TEST_DATABASE_URL"
    )
    return initdb.resolve().parent


def rabbitmq_programs() -> Path:
    """The folder of RabbitMQ's own scripts.

    Debian's `/usr/sbin/rabbitmq-server` is a wrapper around them that insists on /var/lib/rabbitmq.
    """
    server = find_program(
        "rabbitmq-server",
        first_in=[Path("/usr/lib/rabbitmq/bin")],
        package="rabbitmq-server",
        variable="TEST_BROKER_URL",
    )
    return server.parent


def find_program(name: str, *, first_in: list[Path], package: str, variable: str) -> Path:
    """Searches the folders, then the PATH.

    Raises rather than skips: a test that did not run proves nothing.
    """
    folders = [*map(str, first_in), os.environ["PATH"]]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise ServerProgramMissingError(
            f"`{name}` is not on this machine: install it (Debian: apt-get install {package}), "
            f"or, for tests that only use a server, name one in {variable}"
        )
    return Path(found)


def free_port() -> int:
    """A free loopback port below those of outgoing connections (Linux: 32768 and up).

    Among those, a client that reconnects to a dead server's port can be given that very port for
    its own end, is then connected to itself, and keeps the server from coming back.
    """
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("no free port between 20000 and 32000")


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on this loopback port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def unprivileged_user() -> pwd.struct_passwd | None:
    """Whom PostgreSQL, which refuses root, runs as. None: as ourselves."""
    if os.geteuid() != 0:
        return None
    known = {user.pw_name: user for user in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]


def as_user(user: pwd.struct_passwd | None) -> list[str]:
    """The start of a command that runs the rest as this user, in the same process."""
    if user is None:
        return []
    return ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]


def ending_with_us() -> list[str]:
    """The start of a command that the kernel kills when we die (on Linux).

    It comes after `as_user`, because a change of user clears the parent death signal.
    """
    return ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []


def kill_families(pids: list[int]) -> None:
    """Kills these processes and all below them. Returns once they are gone."""
    victims = [member for pid in pids for member in _suspended_family(pid)]
    for victim in victims:
        with suppress(psutil.NoSuchProcess):
            victim.kill()
    deadline = time.monotonic() + STOP_SECONDS
    while not all(map(_is_dead, victims)):
        if time.monotonic() > deadline:
            raise RuntimeError(f"still there after SIGKILL: {victims}")
        time.sleep(POLL_SECONDS)


def _suspended_family(pid: int) -> list[psutil.Process]:
    """The process, stopped so that it starts no further child, and its descendants."""
    process = psutil.Process(pid)
    process.suspend()
    return [process, *process.children(recursive=True)]


def _is_dead(process: psutil.Process) -> bool:
    # A zombie is dead; who should collect it (a container's process 1) may never do so.
    try:
        return process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
