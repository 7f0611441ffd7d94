"""Whoever starts a process in a whole-system test need not end it, and sees its log.

A plugin of pytest, named in tests/conftest.py.
"""

from collections.abc import Generator, Iterator

import pytest

from asynctestkit.process import LOG_TAIL
from asynctestkit.processes import Keep, Service

_kept: list[Service] = []


@pytest.fixture
def keep() -> Iterator[Keep]:
    """For services of one test."""
    yield from _keeping()


@pytest.fixture(scope="module")
def keep_in_module() -> Iterator[Keep]:
    """For services that the tests of a module share."""
    yield from _keeping()


@pytest.fixture(scope="session")
def keep_in_session() -> Iterator[Keep]:
    """For services that all tests of a run share."""
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
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        report.sections += [(f"log of {each.name}", each.log[-LOG_TAIL:]) for each in _kept]
    return report
