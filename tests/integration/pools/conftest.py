"""A pool that is scaled."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from asynctestkit.fake_kube import FakeKube
from asynctestkit.pool_scene import MakeTask, OpenScene, Scene


@pytest.fixture
async def scene(
    postgresql_url: str,
    open_parts: Callable[[str], AbstractAsyncContextManager[Any]],
    new_task: MakeTask,
) -> AsyncIterator[OpenScene]:
    async with open_parts(postgresql_url) as parts:

        def open_scene(*, replicas: int, **scaling: Any) -> Scene:
            return Scene(parts, new_task, FakeKube(replicas=replicas, **scaling))

        yield open_scene
