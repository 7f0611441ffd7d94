"""The role by which services use PostgreSQL: it reads and writes our rows, and can do nothing else.

Whoever gets hold of a service's password then cannot change the schema, or reach other databases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from asynctasks.database import words_of
from asynctasks.database_url import user_and_password
from asynctasks.errors import ServiceRoleError
from asynctasks.migrations.tables import TABLES, VERSION_TABLE

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def admit_services(connection: AsyncConnection, service_url: str) -> None:
    """Let the role of this URL use the tables that there are, and make it where it is not there.

    To be called in the migration's transaction, so that one does it at a time. Raises
    ServiceRoleError where the connection's own role may not.
    """
    role, password = user_and_password(service_url)
    owner = await connection.scalar(text("SELECT current_user"))
    if role == owner:
        raise ServiceRoleError(f"The services' role is {role!r}, which owns the tables itself.")
    try:
        await _make_role(connection, role, password)
        tables = ", ".join(f'"{table.__tablename__}"' for table in TABLES)
        for right in (
            "USAGE ON SCHEMA {schema}",
            f"SELECT, INSERT, UPDATE, DELETE ON {tables}",
            f'SELECT ON "{VERSION_TABLE}"',
        ):
            await _run(connection, f"GRANT {right.format(schema='%3$I')} TO %1$I", role, password)
    except DBAPIError as error:
        raise ServiceRoleError(
            f"The services' role {role!r} cannot be made, or given its rights: {words_of(error)}"
        ) from error


async def _make_role(connection: AsyncConnection, role: str, password: str) -> None:
    is_there = await connection.scalar(
        text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :role)"), {"role": role}
    )
    verb = "ALTER" if is_there else "CREATE"
    await _run(connection, f"{verb} ROLE %1$I LOGIN PASSWORD %2$L", role, password)


async def _run(connection: AsyncConnection, template: str, role: str, password: str) -> None:
    """Such a statement takes no parameters: the server itself writes them into it."""
    statement = await connection.scalar(
        text(
            "SELECT format(CAST(:template AS text), CAST(:role AS text), "
            "CAST(:password AS text), current_schema())"
        ),
        {"template": template, "role": role, "password": password},
    )
    assert isinstance(statement, str)
    await connection.exec_driver_sql(statement)
