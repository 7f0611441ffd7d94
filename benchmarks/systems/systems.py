"""The systems that are compared: how each is started, and the processes that it consists of."""

import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import CalledProcessError

from asynctestkit.ports import free_port_pair
from asynctestkit.process import Process
from asynctestkit.processes import COMMAND, Installation, Service, answers, settings_environment
from benchmarks.machine.bench import Bench
from benchmarks.machine.measure import Running
from benchmarks.machine.programs import has_written, module, redis_server, uvicorn

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
OPERATIONS = (CHECKOUT / "cli" / "asyncapiproxy" / "operations.yaml").read_text()
RIVALS = "benchmarks.systems.rivals"

Start = Callable[[Bench], AbstractContextManager[Running]]


@dataclass(frozen=True, slots=True)
class System:
    """One of those compared."""

    name: str
    does: str
    """What happens for one request, as the document tells it."""
    start: Start
    has_upstream: bool = True


@contextmanager
def ours(
    bench: Bench,
    *,
    proxies: int = 1,
    executors: int = 1,
    proxy_settings: Mapping[str, object] | None = None,
    operations: str = OPERATIONS,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = (str(COMMAND),),
) -> Generator[Running]:
    """AsyncApiProxy on PostgreSQL and RabbitMQ, by its own commands."""
    with bench.database() as url, bench.queue_prefix() as prefix, ExitStack() as stack:
        installation = installed(
            bench, url, prefix, operations=operations, environment=environment, command=command
        )
        started_proxies = [
            stack.enter_context(installation.proxy(f"proxy-{n}", **(proxy_settings or {})))
            for n in range(proxies)
        ]
        started_executors = [
            stack.enter_context(installation.executor(f"executor-{n}")) for n in range(executors)
        ]
        yield Running(
            [proxy.url for proxy in started_proxies],
            {
                "proxy": [proxy.pid for proxy in started_proxies],
                "executor": [executor.pid for executor in started_executors],
                "rabbitmq": bench.rabbitmq_pids,
                "postgresql": bench.postgresql_pids,
            },
        )


def unbatched(bench: Bench) -> AbstractContextManager[Running]:
    """The same with a transaction for each write; see unbatched.py."""
    return ours(bench, command=(sys.executable, str(HERE / "unbatched.py")))


def installed(
    bench: Bench,
    database_url: str,
    prefix: str,
    *,
    operations: str = OPERATIONS,
    environment: Mapping[str, str] | None = None,
    command: Sequence[str] = (str(COMMAND),),
) -> Installation:
    """AsyncApiProxy over this database, migrated, with default settings."""
    installation = Installation(
        bench.folder / prefix,
        database_url=database_url,
        broker_url=bench.rabbitmq.url,
        broker_prefix=prefix,
        operations=operations,
        environment=environment,
        command=command,
    )
    installation.demo_url = bench.upstream.url
    try:
        installation.migrate()
    except CalledProcessError as error:
        raise SystemStartError(f"`asyncapiproxy migrate` failed:\n{error.stderr}") from error
    return installation


@contextmanager
def embedded(bench: Bench, *, operations: str = OPERATIONS) -> Generator[Running]:
    """`asyncapiproxy up`: one process, SQLite."""
    with bench.queue_prefix() as name:
        folder = bench.folder / name
        with up(bench, folder, operations) as service:
            yield Running([service.url], {"up": [service.pid]})


def up(bench: Bench, folder: Path, operations: str) -> Service:
    """The process of `asyncapiproxy up`, not started; its data are in the folder's `data`."""
    folder.mkdir(parents=True)
    operations_file = folder / "operations.yaml"
    operations_file.write_text(operations)
    port = free_port_pair()
    return Service(
        *("up", "--port", str(port), "--data", str(folder / "data")),
        *("--operations", str(operations_file)),
        name="up",
        folder=folder,
        environment={
            "CUSTOMER_API_URL": bench.upstream.url,
            "PYTHONPATH": str(HERE / "handlers"),
            **settings_environment({}),
        },
        is_ready=answers("/ping"),
        url=f"http://127.0.0.1:{port}",
    )


@contextmanager
def original(bench: Bench) -> Generator[Running]:
    """See original_design/README.md."""
    with bench.database() as url, _environment(bench) as environment:
        environment["BENCH_DATABASE_URL"] = url
        folder = bench.folder / environment["BENCH_PREFIX"]
        with (
            uvicorn(
                "benchmarks.systems.original_design.proxy:app",
                name="proxy",
                folder=folder,
                environment=environment,
            ) as proxy,
            module("benchmarks.systems.original_design.executor", folder, environment) as executor,
        ):
            found = {**parts(bench, proxy, executor), "postgresql": bench.postgresql_pids}
            yield Running([proxy.url], found)


@contextmanager
def floor(bench: Bench) -> Generator[Running]:
    """FastAPI and RabbitMQ, and nothing else."""
    with _environment(bench) as environment:
        folder = bench.folder / environment["BENCH_PREFIX"]
        with (
            _front("floor", folder, environment) as proxy,
            module(f"{RIVALS}.floor_worker", folder, environment) as worker,
        ):
            yield Running([proxy.url], parts(bench, proxy, worker))


@contextmanager
def faststream(bench: Bench) -> Generator[Running]:
    """FastStream's `request()`."""
    with _environment(bench) as environment:
        folder = bench.folder / environment["BENCH_PREFIX"]
        # The worker declares the queue.
        with (
            module(f"{RIVALS}.faststream_worker", folder, environment) as worker,
            _front("faststream", folder, environment) as proxy,
        ):
            yield Running([proxy.url], parts(bench, proxy, worker))


@contextmanager
def taskiq(bench: Bench) -> Generator[Running]:
    """Taskiq with results in Redis."""
    with _environment(bench) as environment, ExitStack() as stack:
        folder = bench.folder / environment["BENCH_PREFIX"]
        redis = redis_server(folder)
        if redis is None:
            raise SystemMissingError("taskiq's results need a redis-server")
        stack.enter_context(redis)
        environment["BENCH_REDIS_URL"] = redis.url
        command = [
            "worker",
            f"{RIVALS}.taskiq_tasks:broker",
            "--workers=1",
            "--max-async-tasks=100",
        ]
        worker = Process(
            *(str(Path(sys.executable).parent / "taskiq"), *command, "--log-level=INFO"),
            name="worker",
            folder=folder,
            is_ready=has_written("Listening started."),
            environment=environment,
        )
        stack.enter_context(worker)
        proxy = stack.enter_context(_front("taskiq", folder, environment))
        yield Running([proxy.url], {**parts(bench, proxy, worker), "redis": [redis.pid]})


@contextmanager
def celery(bench: Bench) -> Generator[Running]:
    """Celery with `rpc://` results."""
    with _environment(bench) as environment:
        folder = bench.folder / environment["BENCH_PREFIX"]
        command = ["-A", f"{RIVALS}.celery_tasks", "worker", "--pool=threads", "--concurrency=100"]
        worker = Process(
            *(sys.executable, "-m", "celery", *command, "--without-gossip", "--without-mingle"),
            "--loglevel=INFO",
            name="worker",
            folder=folder,
            is_ready=has_written(" ready."),
            environment=environment,
        )
        with worker, _front("celery", folder, environment) as proxy:
            yield Running([proxy.url], parts(bench, proxy, worker))


class SystemStartError(RuntimeError):
    """A system could not be prepared; the text ends with what it printed."""


class SystemMissingError(RuntimeError):
    """A system cannot run on this machine; the text says what it lacks."""


@contextmanager
def _environment(bench: Bench) -> Generator[dict[str, str]]:
    with bench.queue_prefix() as prefix:
        (bench.folder / prefix).mkdir()
        yield {
            "BENCH_PREFIX": prefix,
            "BENCH_BROKER_URL": bench.rabbitmq.url,
            "CUSTOMER_API_URL": bench.upstream.url,
            "PYTHONPATH": str(CHECKOUT),
        }


def _front(name: str, folder: Path, environment: Mapping[str, str]) -> Process:
    return uvicorn(
        f"{RIVALS}.{name}_proxy:app", name="proxy", folder=folder, environment=environment
    )


def parts(bench: Bench, proxy: Process, worker: Process) -> dict[str, list[int]]:
    """Of a system that needs no more than RabbitMQ."""
    return {"proxy": [proxy.pid], "executor": [worker.pid], "rabbitmq": bench.rabbitmq_pids}


SYSTEMS = {
    system.name: system
    for system in (
        System(
            "original",
            "The seed's design: ORM session and INSERT, a reply queue declared, consumed and "
            "deleted, publish; executor: SELECT by the ORM, httpx, UPDATE, reply. Two commits.",
            original,
        ),
        System(
            "ours",
            "`asyncapiproxy proxy`, `executor`: JSON Schema, INSERT, publish to a quorum queue; "
            "claim, upstream call, finish, reply. Three commits, shared by concurrent requests.",
            ours,
        ),
        System(
            "embedded",
            "`asyncapiproxy up`: the same in one process, SQLite (synchronous = FULL), queue in "
            "memory.",
            embedded,
        ),
        System(
            "taskiq",
            "kiq, worker calls the upstream, result to Redis, `wait_result` polls each 5 ms "
            "(default 200 ms). Classic queue. Nothing is kept.",
            taskiq,
        ),
        System(
            "faststream",
            "`broker.request()` by Direct Reply-to, one at a time by its own lock; the worker "
            "calls the upstream. Nothing is kept.",
            faststream,
        ),
        System(
            "celery",
            "`.delay().get()` on `rpc://` in 100 threads; 100 worker threads call the upstream by "
            "urllib3. Nothing is kept.",
            celery,
        ),
        System(
            "floor",
            "FastAPI and aio-pika, one reply queue for the process; the worker answers at once. "
            "No database, no upstream.",
            floor,
            has_upstream=False,
        ),
    )
}
