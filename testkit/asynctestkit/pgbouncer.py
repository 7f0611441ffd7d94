"""A private PgBouncer in front of a private PostgreSQL."""

from collections.abc import Iterator

from asynctestkit.ports import free_port, is_listening
from asynctestkit.process import Process
from asynctestkit.servers import PostgresqlServer, PrivateServer
from asynctestkit.servers.postgresql import unprivileged_user
from asynctestkit.servers.private import find_program

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server_port} user=tests
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {server_connections}
max_client_conn = 300
"""


class PgbouncerServer(PrivateServer):
    """Shares `server_connections` connections among its clients, by `session` or `transaction`."""

    def __init__(
        self,
        server: PostgresqlServer,
        *,
        mode: str,
        server_connections: int = 20,
        keeps_statements: bool = True,
    ) -> None:
        """Keep no prepared statements where asked not to, as all did before 1.21."""
        self._program = find_program("pgbouncer", package="pgbouncer", variable="TEST_DATABASE_URL")
        super().__init__(kind="pgbouncer")
        self._port = free_port()
        server_port = server.url.rpartition(":")[2].partition("/")[0]
        configuration = CONFIGURATION.format(
            server_port=server_port,
            port=self._port,
            mode=mode,
            server_connections=server_connections,
        )
        if not keeps_statements and self._can_keep_statements():
            configuration += "max_prepared_statements = 0\n"
        (self._folder / "pgbouncer.ini").write_text(configuration)
        self._folder.chmod(0o755)  # it reads its configuration as another user

    @property
    def url(self) -> str:
        return f"postgresql://tests@127.0.0.1:{self._port}/postgres"

    def _can_keep_statements(self) -> bool:
        version = self._run(str(self._program), "--version").split()[1]
        return tuple(map(int, version.split(".")[:2])) >= (1, 21)

    def _launch(self) -> Iterator[Process]:
        yield Process(
            str(self._program),
            str(self._folder / "pgbouncer.ini"),
            name="pgbouncer",
            folder=self._folder,
            is_ready=lambda _: is_listening(self._port),
            user=unprivileged_user(),
            within=self._within,
        )
