"""What an operator does when its CustomResourceDefinitions are missing, or go while it works."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from asyncoperator.operator_process import CrdsMissingError, Operator
from asynctasks.operations.new_task import NewTask
from asynctasks.statements.mirroring import Mirroring

ASKING = "shop/mine/uid-1"


class Kube:
    """An API server that serves our definitions, or does not."""

    namespace = "shop"

    def __init__(self) -> None:
        self.serves = True

    async def serves_ours(self) -> bool:
        return self.serves


@pytest.fixture
def kube() -> Kube:
    return Kube()


@pytest.fixture
def operator(parts: Any, kube: Kube) -> Operator:
    connections: Any = SimpleNamespace(database=parts.database)
    rest: Any = None
    fake: Any = kube
    return Operator(rest, rest, connections, fake, rest)


@pytest.fixture
async def task(parts: Any, new_task: Callable[..., NewTask]) -> NewTask:
    """One that an object asked for."""
    made = new_task(asynctask=ASKING)
    await parts.store.add(made)
    return made


async def asks(parts: Any, task: NewTask) -> str | None:
    (row,) = await Mirroring(parts.database).of_ids([task.id])
    return row.asynctask


async def test_without_definitions_it_does_not_start_and_tasks_go_on_without_their_objects(
    parts: Any, kube: Kube, operator: Operator, task: NewTask
):
    kube.serves = False
    with pytest.raises(CrdsMissingError):
        await operator._lead(asyncio.Event())
    assert await asks(parts, task) is None


async def test_what_ends_with_the_definitions_is_told_so_and_tasks_go_on(
    parts: Any,
    kube: Kube,
    operator: Operator,
    task: NewTask,
    monkeypatch: pytest.MonkeyPatch,
):
    async def lose_them(_: object) -> None:
        kube.serves = False
        raise ExceptionGroup("loops", [RuntimeError("no such resource")])

    monkeypatch.setattr(operator, "_run_loops", lose_them)
    with pytest.raises(CrdsMissingError):
        await operator._lead(asyncio.Event())
    assert await asks(parts, task) is None


async def test_what_ends_otherwise_is_told_as_it_is(
    parts: Any, operator: Operator, task: NewTask, monkeypatch: pytest.MonkeyPatch
):
    async def fail(_: object) -> None:
        raise ExceptionGroup("loops", [RuntimeError("something else")])

    monkeypatch.setattr(operator, "_run_loops", fail)
    with pytest.raises(ExceptionGroup, match="loops"):
        await operator._lead(asyncio.Event())
    assert await asks(parts, task) == ASKING
