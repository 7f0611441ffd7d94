"""The call to the upstream that every asynchronous worker makes, by the fastest client: aiohttp."""

import os
from typing import Any

import aiohttp
import orjson

CONCURRENCY = 100
"""Calls at a time in every worker, as an executor of AsyncApiProxy has by default."""


def prefixed(name: str) -> str:
    """A queue's name that no other run uses."""
    return f"{os.environ['BENCH_PREFIX']}.{name}"


class Customer:
    """The upstream, by one session with as many connections as calls."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONCURRENCY),
            timeout=aiohttp.ClientTimeout(total=30),
        )
        self._url = os.environ["CUSTOMER_API_URL"] + "/clients"

    async def create(self, client: dict[str, str]) -> dict[str, Any]:
        """POST the client; the upstream's status and body."""
        headers = {"content-type": "application/json"}
        async with self._session.post(
            self._url, data=orjson.dumps(client), headers=headers
        ) as answer:
            return {"status": answer.status, "body": orjson.loads(await answer.read())}

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()
