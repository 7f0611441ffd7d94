"""Each test of a client runs on asyncio's own loop and on uvloop, which executors run on."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from asyncexecutor.http.call import HttpClient
from asynctestkit.http_clients import KINDS, Kind, http_client


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    return request.param


@pytest.fixture
async def client(kind: Kind) -> AsyncIterator[HttpClient]:
    async with http_client(kind) as opened:
        yield opened
