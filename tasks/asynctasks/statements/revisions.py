"""The order in which the revisions of operations appeared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from asynctasks.instants import seconds_from_now
from asynctasks.operation_revision import OperationRevisionRow

if TYPE_CHECKING:
    from asynctasks.database import Database
    from asynctasks.operations.operation import Operations


async def register_revisions(database: Database, operations: Operations) -> None:
    """Say that there are these revisions; one that is known keeps its place in the order.

    Before any task of them is accepted or run. Raises DatabaseUnavailableError.
    """
    rows = [
        {"operation": operation.name, "revision": operation.revision}
        # In one order everywhere: two processes that insert the same wait for each other in turn.
        for operation in sorted(operations.values(), key=lambda each: each.name)
    ]
    async with database.write() as connection:
        await connection.execute(_REGISTER[connection.dialect.name], rows)


_revisions = SQLModel.metadata.tables[str(OperationRevisionRow.__tablename__)]


def _register(insert: Any) -> Any:
    return (
        insert(_revisions)
        .values(
            operation=bindparam("operation"),
            revision=bindparam("revision"),
            first_seen_at=seconds_from_now(0.0),
        )
        .on_conflict_do_nothing()
    )


_REGISTER = {"postgresql": _register(postgresql.insert), "sqlite": _register(sqlite.insert)}
