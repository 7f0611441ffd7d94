"""Callers that go on calling while something is done to the system, and remember what they got."""

import asyncio
import itertools
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self
from uuid import uuid4

import aiohttp

PATIENCE_SECONDS = 60
AGAIN_SECONDS = 0.5


@dataclass
class Answers:
    """What came of the calls."""

    outcomes: Counter[str] = field(default_factory=Counter[str])
    """HTTP statuses, and the names of errors of the connection."""
    faults: list[str] = field(default_factory=list[str])
    """Calls that were not answered by 201 or 202, with the time."""
    emails: dict[str, str] = field(default_factory=dict[str, str])
    """Of each accepted call the task's id, by its email."""


class SteadyLoad:
    """So many callers, each with a kept connection, one call after the other, until it is left.

    Each call has an idempotency key, as those who must not lose one have. Where `again` is set a
    call that fails is made again until it is answered, with the same key.
    """

    def __init__(
        self, url: str, *, callers: int = 16, pause_seconds: float = 0.05, again: bool = False
    ) -> None:
        self.answers = Answers()
        self._url = url
        self._callers = callers
        self._pause_seconds = pause_seconds
        self._again = again
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        asyncio.run(self._main())

    async def _main(self) -> None:
        timeout = aiohttp.ClientTimeout(total=PATIENCE_SECONDS)
        connector = aiohttp.TCPConnector(limit=0)
        async with (
            aiohttp.ClientSession(self._url, connector=connector, timeout=timeout) as session,
            asyncio.TaskGroup() as tasks,
        ):
            for _ in range(self._callers):
                tasks.create_task(self._caller(session))

    async def _caller(self, session: aiohttp.ClientSession) -> None:
        while not self._stop.is_set():
            email = f"{uuid4().hex}@example.com"
            await self._call_until_accepted(session, email)
            await asyncio.sleep(self._pause_seconds)

    async def _call_until_accepted(self, session: aiohttp.ClientSession, email: str) -> None:
        for pause_seconds in itertools.repeat(AGAIN_SECONDS):
            if await self._call(session, email) or not self._again:
                return
            await asyncio.sleep(pause_seconds)

    async def _call(self, session: aiohttp.ClientSession, email: str) -> bool:
        try:
            async with session.post(
                "/clients",
                json={"email": email, "name": "Ann", "password": "correct horse"},
                headers={"Idempotency-Key": email},
            ) as answer:
                text = await answer.text()
                outcome = str(answer.status)
                task_id = answer.headers.get("Task-Id", "")
                told = f"{dict(answer.headers)} {text[:200]}"
        except (aiohttp.ClientError, TimeoutError) as error:
            outcome, told, task_id = type(error).__name__, str(error), ""
        self.answers.outcomes[outcome] += 1
        accepted = outcome in {"201", "202"}
        if accepted:
            self.answers.emails[email] = task_id
        else:
            self.answers.faults.append(f"{time.strftime('%T')} {outcome} {told}")
        return accepted
