"""Processes for whole-system tests: whoever starts one here need not end it, and sees its log."""

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import pytest

from processes import LOG_TAIL, Keep, Service
from servers import GivenServer, PostgresqlServer

_kept: list[Service] = []


@pytest.fixture
def keep() -> Iterator[Keep]:
    """For services of one test."""
    yield from _keeping()


@pytest.fixture(scope="module")
def keep_in_module() -> Iterator[Keep]:
    """For services that the tests of a module share."""
    yield from _keeping()


def _keeping() -> Iterator[Keep]:
    ours: list[Service] = []

    def keep(service: Service) -> Service:
        ours.append(service)
        _kept.append(service)
        return service

    try:
        yield keep
    finally:
        for service in ours:
            service.kill()
            _kept.remove(service)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report: pytest.TestReport = yield
    if report.failed:
        report.sections += [(f"log of {each.name}", each.log[-LOG_TAIL:]) for each in _kept]
    return report


@pytest.fixture(scope="module")
def empty_database_url(postgresql_server: PostgresqlServer | GivenServer) -> Iterator[str]:
    """An empty PostgreSQL database for a module: it is for `asyncapiproxy migrate` to fill."""
    name = f"test_{uuid4().hex}"
    asyncio.run(_execute(postgresql_server.url, f'CREATE DATABASE "{name}"'))
    yield urlsplit(postgresql_server.url)._replace(path=f"/{name}").geturl()
    asyncio.run(_execute(postgresql_server.url, f'DROP DATABASE "{name}" WITH (FORCE)'))


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
