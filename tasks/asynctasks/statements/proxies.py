"""The roster of proxies that share callers' quotas: each says that it is there, and counts all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, delete, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from asynctasks.instants import seconds_from_now
from asynctasks.proxy import ProxyRow

if TYPE_CHECKING:
    from asynctasks.database import Database

GONE_SECONDS = 10.0
"""A proxy that was not seen for as long takes no calls any more."""

proxies = SQLModel.metadata.tables[str(ProxyRow.__tablename__)]


class Proxies:
    """The table of proxies. Every method raises DatabaseUnavailableError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, name: str) -> int:
        """Say that this proxy is there; how many there are with it."""
        async with self._database.write() as connection:
            await connection.execute(_FORGET)
            await connection.execute(_BEAT[connection.dialect.name], {"name": name})
            return await connection.scalar(_COUNT) or 1

    async def leave(self, name: str) -> None:
        """Forget a proxy that has ended."""
        async with self._database.write() as connection:
            await connection.execute(_LEAVE, {"of_name": name})


def _beat(insert: Any) -> Any:
    new = insert(proxies).values(
        name=bindparam("name", type_=proxies.c.name.type), seen_at=seconds_from_now(0.0)
    )
    return new.on_conflict_do_update(
        index_elements=[proxies.c.name], set_={"seen_at": new.excluded.seen_at}
    )


_BEAT = {"postgresql": _beat(postgresql.insert), "sqlite": _beat(sqlite.insert)}
_COUNT = select(func.count()).select_from(proxies)
_LEAVE = delete(proxies).where(proxies.c.name == bindparam("of_name"))
_FORGET = delete(proxies).where(proxies.c.seen_at < seconds_from_now(-GONE_SECONDS))
