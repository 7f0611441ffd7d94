"""How soon the relay looks again for what it may release."""

from collections.abc import Iterable
from typing import Any, cast

import pytest

from asyncproxy.relay.release import MANY, WAITING_SECONDS, Release
from asynctasks.releases import Progress

USUAL_SECONDS = 10.0


class Releasing:
    """Stands in for Releases: each release comes to the same."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    async def release(self, queues: Iterable[str]) -> Progress:
        del queues
        return self._progress


@pytest.mark.parametrize(
    ("progress", "is_at_once", "seconds"),
    [
        # Many could go and more wait: executors would run these in less than the pause.
        (Progress(released=MANY, waits=True), True, WAITING_SECONDS),
        (Progress(released=MANY - 1, waits=True), False, WAITING_SECONDS),
        (Progress(released=1, waits=True, more_in_seconds=0.1), False, 0.1),
        # Nothing is left.
        (Progress(released=MANY), False, USUAL_SECONDS),
        (Progress(), False, USUAL_SECONDS),
    ],
)
async def test_it_is_looked_again_at_once_where_many_could_go(
    progress: Progress, is_at_once: bool, seconds: float
):
    duty = Release(
        cast("Any", Releasing(progress)), queues=["clients"], interval_seconds=USUAL_SECONDS
    )
    assert await duty.held() is is_at_once
    assert duty.interval_seconds == seconds
