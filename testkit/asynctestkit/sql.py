"""One SQL statement on a connection of its own, and databases made and dropped by such."""

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg


@contextmanager
def new_database(server_url: str, *, template: str = "template1") -> Generator[str]:
    """The URL of a database, a copy of the template, that is dropped at the end."""
    name = f"test_{uuid4().hex}"
    execute(server_url, f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
    try:
        yield urlsplit(server_url)._replace(path=f"/{name}").geturl()
    finally:
        # Force: a test that failed may still be connected.
        execute(server_url, f'DROP DATABASE "{name}" WITH (FORCE)')


def execute(url: str, statement: str, *arguments: object) -> list[Any]:
    """The rows of the statement, which may take as long as it likes."""
    return asyncio.run(_fetch(url, statement, *arguments))


async def _fetch(url: str, statement: str, *arguments: object) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(statement, *arguments))
    finally:
        await connection.close()
