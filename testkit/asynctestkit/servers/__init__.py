"""PostgreSQL and RabbitMQ for tests, the chaos test and the benchmarks: our own, or given by a URL.

Our own have a folder and ports of their own and keep both across restarts, so a test may kill one
and look at what is left. Nothing of the machine's own servers is read or touched.
"""

from asynctestkit.servers.given import GivenServer, GivenServerError
from asynctestkit.servers.postgresql import PostgresqlServer
from asynctestkit.servers.private import (
    PrivateServer,
    ServerCommandError,
    ServerProgramMissingError,
)
from asynctestkit.servers.rabbitmq import RabbitmqServer

__all__ = [
    "GivenServer",
    "GivenServerError",
    "PostgresqlServer",
    "PrivateServer",
    "RabbitmqServer",
    "ServerCommandError",
    "ServerProgramMissingError",
]
