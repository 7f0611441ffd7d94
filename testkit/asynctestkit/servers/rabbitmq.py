"""A RabbitMQ of our own."""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from asynctestkit.ports import free_port, is_listening
from asynctestkit.process import Process
from asynctestkit.servers.private import PrivateServer, ServerCommandError, find_program

DELETE_QUEUES = """
    [rabbit_amqqueue:delete(Queue, false, false, <<"tests">>)
     || Queue <- rabbit_amqqueue:list(<<"/">>),
        string:prefix(element(4, amqqueue:get_name(Queue)), <<%s>>) =/= nomatch].
"""
"""`rabbitmqctl delete_queue` needs a call, thus 0.3 s, for each queue."""


class RabbitmqServer(PrivateServer):
    """RabbitMQ without plugins, its own Erlang cookie and its own epmd (Erlang's name server)."""

    def __init__(self) -> None:
        self._programs = rabbitmq_programs()
        super().__init__(kind="rabbitmq")
        self._port, self._epmd_port, self._distribution_port = (free_port() for _ in range(3))
        self._environment = self._build_environment()
        cookie = self._folder / ".erlang.cookie"  # its HOME
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
        return self._run(*command, environment=self._environment)

    def delete_queues(self, *, prefix: str) -> None:
        """Deletes every queue whose name begins so, whatever it holds and whoever consumes."""
        self.ctl("eval", DELETE_QUEUES % json.dumps(prefix))

    def _launch(self) -> Iterator[Process]:
        # Erlang would start an epmd itself, but as a daemon that outlives everything.
        epmd = ("epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1")
        yield self._process(*epmd, name="epmd", is_ready=lambda: is_listening(self._epmd_port))
        server = str(self._programs / "rabbitmq-server")
        yield self._process(server, name="rabbitmq", is_ready=self._speaks_amqp)

    def _process(self, *command: str, name: str, is_ready: Callable[[], bool]) -> Process:
        return Process(
            *command,
            name=name,
            folder=self._folder,
            environment=self._environment,
            is_ready=lambda _: is_ready(),
            within=self._within,
        )

    def _speaks_amqp(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1) as client:
            client.sendall(b"AMQP\x00\x00\x09\x01")
            return bool(client.recv(1))
        return False

    def _build_environment(self) -> dict[str, str]:
        folder = str(self._folder)
        return {
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
