"""One SQL statement on a connection of its own, for what is not worth a pool."""

import asyncio
from typing import Any

import asyncpg


def execute(url: str, statement: str, *arguments: object) -> list[Any]:
    """The rows of the statement, which may take as long as it likes."""
    return asyncio.run(_fetch(url, statement, *arguments))


async def _fetch(url: str, statement: str, *arguments: object) -> list[Any]:
    connection = await asyncpg.connect(url)
    try:
        return list(await connection.fetch(statement, *arguments))
    finally:
        await connection.close()
