"""The callers: a steady rate of posts, of seeded kinds, each noted in the ledger."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from asynctestkit.chaos.ledger import OUR_OWN_REFUSALS, Entry, Ledger
from asynctestkit.chaos.system import PROXIES, System
from asynctestkit.chaos.tenants import RED

GIVE_UP_SECONDS = 75
"""More than any window and its tolerance, so that a late answer is seen, and then judged, late."""
KEYED_TRIES = 40
KINDS = {
    "fast": 38,
    "slow": 14,
    "long": 3,
    "flaky": 9,
    "dropping": 3,
    "refused": 4,
    "failing": 3,
    "huge": 1,
    "cancelled": 7,
    "repeated": 8,
    "leaving": 4,
    "reused": 1,
    "deadline": 3,
    "delayed": 2,
}
"""Of a hundred posts."""
WINDOWS = (0.0, 1.0, 2.0, 10.0, 10.0, 10.0)


@dataclass(frozen=True)
class Post:
    """What one caller is going to ask for, all of it decided by the seed."""

    kind: str
    email: str
    window_seconds: float
    proxy: str
    other_proxy: str
    pause: float
    """0 to 1: where between its bounds a second request of this caller comes."""
    headers: tuple[tuple[str, str], ...] = ()
    key: str | None = None


def posts(seed: int) -> Iterator[Post]:
    """An endless row of posts; equal for equal seeds."""
    rng = random.Random(f"load {seed}")
    number = 0
    while True:
        number += 1
        kind = rng.choices(list(KINDS), weights=list(KINDS.values()))[0]
        proxy, other = rng.sample(PROXIES, 2)
        window = rng.choice(WINDOWS)
        amount = rng.random()
        name = f"s{seed}n{number}"
        behaviour = {
            "slow": f".slow+{0.3 + 3 * amount:.1f}",
            "long": f".slow+{8 + 5 * amount:.1f}",
            "flaky": f".flaky+{1 + round(amount)}",
            "dropping": ".flaky+1.drop",
            "refused": ".fail+404",
            "failing": ".fail+503" if amount < 0.7 else ".drop",
            "huge": ".huge+1",
            "cancelled": f".slow+{2 + 4 * amount:.1f}.flaky+1",
            "repeated": ".slow+0.5" if amount < 0.5 else "",
            "leaving": f".slow+{1 + 2 * amount:.1f}",
            "deadline": ".slow+6" if amount < 0.6 else ".slow+1",
        }.get(kind, "")
        headers: dict[str, str] = (
            {"Prefer": f"wait={window:g}"} if window else {"Prefer": "respond-async"}
        )
        if kind == "deadline":
            headers["Task-Deadline"] = "3"
        if kind == "delayed":
            headers["Task-Delay"] = f"{0.5 + 4 * amount:.1f}"
        key = f"key-{name}" if kind in {"repeated", "reused", "leaving"} else None
        if key:
            headers["Idempotency-Key"] = key
        yield Post(
            kind,
            f"{name}{behaviour}@example.com",
            window,
            proxy,
            other,
            rng.random(),
            tuple(headers.items()),
            key,
        )


class Load:
    """Posts at a rate, however long the answers take."""

    def __init__(self, system: System, ledger: Ledger, *, seed: int, rate: float) -> None:
        self._system = system
        self._ledger = ledger
        self._rate = rate
        self._posts = posts(seed)
        self._callers: set[asyncio.Task[None]] = set()

    async def run(self, stop: asyncio.Event) -> None:
        """Post until `stop`, then return when every caller has had its answer."""
        # No kept connections: a request into one that is just being closed says nothing.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        timeout = aiohttp.ClientTimeout(total=GIVE_UP_SECONDS)
        async with (
            aiohttp.ClientSession(
                connector=connector, timeout=timeout, headers=RED
            ) as self._session,
            asyncio.TaskGroup() as tasks,
        ):
            loop = asyncio.get_running_loop()
            due = loop.time()
            while not stop.is_set():
                tasks.create_task(self._call(next(self._posts)))
                due += 1 / self._rate
                await asyncio.sleep(max(0.0, due - loop.time()))

    async def _call(self, post: Post) -> None:
        follow_ups: dict[str, Callable[[Post], Awaitable[None]]] = {
            "cancelled": self._submit_and_cancel,
            "failing": self._submit_and_retry,
            "repeated": self._submit_twice,
            "reused": self._submit_and_reuse,
            "leaving": self._leave_and_come_again,
        }
        if follow_up := follow_ups.get(post.kind):
            await follow_up(post)
            return
        entry = await self._submit(post, post.proxy)
        if entry.status == 202 and post.pause < 0.2:
            await self._look(post, entry)

    async def _submit(
        self, post: Post, proxy: str, *, action: str = "submit", name: str = "Ann"
    ) -> Entry:
        entry = Entry(
            post.kind,
            action,
            proxy,
            post.window_seconds,
            email=post.email,
            key=post.key,
            sent=dict(post.headers),
        )
        body = {"email": post.email, "name": name, "password": "correct horse"}
        await self._request(entry, "POST", "/clients", json=body, headers=dict(post.headers))
        return entry

    async def _submit_keyed(self, post: Post, proxy: str, action: str) -> Entry:
        """As callers with a key do: again, until there is an answer."""
        entry = await self._submit(post, proxy, action=action)
        for _ in range(KEYED_TRIES - 1):
            if entry.status is not None and entry.problem not in OUR_OWN_REFUSALS:
                break
            await asyncio.sleep(int(entry.headers.get("retry-after", 1)) + post.pause)
            proxy = PROXIES[1 - PROXIES.index(proxy)]
            entry = await self._submit(post, proxy, action=action)
        return entry

    async def _submit_twice(self, post: Post) -> None:
        async def repeat() -> None:
            await asyncio.sleep(post.pause if post.pause > 0.3 else 0)
            await self._submit_keyed(post, post.other_proxy, "repeat")

        async with asyncio.TaskGroup() as both:
            both.create_task(self._submit_keyed(post, post.proxy, "submit"))
            both.create_task(repeat())

    async def _leave_and_come_again(self, post: Post) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(0.1 + post.pause):
                await self._submit(post, post.proxy, action="leave")
        await self._submit_keyed(post, post.other_proxy, "repeat")

    async def _submit_and_reuse(self, post: Post) -> None:
        first = await self._submit_keyed(post, post.proxy, "submit")
        if first.task_id:
            await self._submit(post, post.other_proxy, action="reuse", name="Bob")

    async def _submit_and_cancel(self, post: Post) -> None:
        submitting = asyncio.create_task(self._submit(post, post.proxy))
        entry = await submitting
        if entry.status == 202 and entry.task_id:
            await asyncio.sleep(post.pause * 4)
            proxy = post.other_proxy if post.pause < 0.5 else post.proxy
            cancel = Entry(
                post.kind, "cancel", proxy, 0, email=post.email, asked_task=entry.task_id
            )
            await self._request(cancel, "POST", f"/tasks/{entry.task_id}/cancel")

    async def _submit_and_retry(self, post: Post) -> None:
        entry = await self._submit(post, post.proxy)
        if entry.status in {502, 504} and entry.task_id and post.pause < 0.5:
            retry = Entry(
                post.kind, "retry", post.other_proxy, 0, email=post.email, asked_task=entry.task_id
            )
            await self._request(retry, "POST", f"/tasks/{entry.task_id}/retry")

    async def _look(self, post: Post, accepted: Entry) -> None:
        look = Entry(
            post.kind, "look", post.other_proxy, 5, email=post.email, asked_task=accepted.task_id
        )
        headers = {"Prefer": "wait=5", "If-None-Match": accepted.headers.get("etag", "")}
        await self._request(look, "GET", f"/tasks/{accepted.task_id}", headers=headers)

    async def _request(self, entry: Entry, method: str, path: str, **options: Any) -> None:
        with self._ledger.noting(entry):
            url = self._system.url(entry.proxy) + path
            try:
                async with self._session.request(method, url, **options) as answer:
                    body = await answer.read()
                    headers = {name.lower(): value for name, value in answer.headers.items()}
                    entry.answer(answer.status, headers, body)
            except (aiohttp.ClientError, OSError) as error:
                entry.failure = f"{type(error).__name__}: {error}"
