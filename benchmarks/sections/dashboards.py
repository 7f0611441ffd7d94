"""`dashboards`: pages of the dashboard that stay open, each asking what its own script asks."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp

from asyncproxy import dashboard_page
from benchmarks.machine.bench import Bench, console
from benchmarks.machine.cpu import cpu_times, used
from benchmarks.machine.fill import add_finished
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table
from benchmarks.systems.systems import installed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence

    from benchmarks.machine.cpu import CpuTimes

    OpenPage = Callable[[int], Coroutine[None, None, None]]

MOST_DASHBOARDS, QUICK_DASHBOARDS = 50, 10
MOST_TASKS, QUICK_TASKS = 5_000, 500
MOST_SHARE = 0.05
SPREAD = 0.2
"""As `polling.js` has it, the share of a pause by which pauses differ: here each browser's own."""
KEPT_SECONDS = 300
"""Chromium keeps a connection for so long."""
SCRIPTS = Path(dashboard_page.__file__).parent / "dashboard"
OVERVIEW = ("/queues", "/limits", "/ping", "/tasks?status=failed&page_size=5")
TASKS = ("/tasks?page_size=25",)
HEADERS = {
    "Accept": "*/*",
    "Accept-Language": "en-GB,en;q=0.9",
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Sec-Ch-Ua": '"Chromium";v="141", "Not?A_Brand";v="8"',
    "Sec-Ch-Ua-Mobile": "?0",
    "Sec-Ch-Ua-Platform": '"Linux"',
    "Sec-Fetch-Dest": "empty",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Site": "same-origin",
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/141.0.0.0 Safari/537.36",
}
"""Of Chromium's `fetch` with `cache: "no-store"`."""


@dataclass(frozen=True, slots=True)
class Opened:
    """One page, opened by all."""

    page: str
    asked: int
    """Answers in that time; of events, those of streams."""
    share: dict[str, float]
    """Of one core, by part, beyond what it takes while nobody looks."""
    others: dict[str, int]
    """Answers that were no 200."""


@dataclass(frozen=True, slots=True)
class Dashboards:
    """What open dashboards cost."""

    dashboards: int
    tasks: int
    seconds: float
    """How long each page was measured."""
    idle_share: dict[str, float]
    """Of one core, by part, while nobody looks."""
    pages: list[Opened]


def _run(bench: Bench, asked: Asked) -> Dashboards:
    dashboards = QUICK_DASHBOARDS if asked.quick else MOST_DASHBOARDS
    tasks = QUICK_TASKS if asked.quick else MOST_TASKS
    seconds = asked.seconds or (4 if asked.quick else 60)
    with bench.database() as url, bench.queue_prefix() as prefix:
        installation = installed(bench, url, prefix)
        add_finished(bench, url, since=1, until=tasks)
        with installation.proxy() as proxy, installation.executor():
            parts = {"proxy": [proxy.pid], "postgresql": bench.postgresql_pids}
            crowd = _Crowd(proxy.url, dashboards)
            idle, pages = asyncio.run(_measured(crowd, parts, seconds=seconds))
    return Dashboards(dashboards, tasks, seconds, idle, pages)


async def _measured(
    crowd: _Crowd, parts: dict[str, list[int]], *, seconds: float
) -> tuple[dict[str, float], list[Opened]]:
    followed = await crowd.submit()
    idle = await _share(parts, seconds / 2)
    pages: list[Opened] = []
    for name, warm_seconds, open_page in (
        ("Overview", _every_seconds("overview"), crowd.looking("overview", OVERVIEW)),
        ("Tasks", _every_seconds("tasks"), crowd.looking("tasks", TASKS)),
        ("Task, followed", 1.0, crowd.following(followed)),
    ):
        async with crowd.opened(open_page):
            await asyncio.sleep(min(warm_seconds * (1 + SPREAD), seconds))
            crowd.answers.clear()
            share = await _share(parts, seconds)
            others = {status: n for status, n in crowd.answers.items() if status != "200"}
            beyond = {part: share[part] - idle[part] for part in parts}
            pages.append(Opened(name, crowd.answers.total(), beyond, others))
        console.print(f"  {pages[-1]}")
    return idle, pages


async def _share(parts: dict[str, list[int]], seconds: float) -> dict[str, float]:
    before: CpuTimes = cpu_times(parts)
    began = time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - began
    return {name: ns / 1e9 / took for name, ns in used(before, cpu_times(parts)).items()}


@dataclass
class _Crowd:
    """Browsers with one page each, which all of them see."""

    url: str
    number: int
    answers: Counter[str] = field(default_factory=Counter[str])

    async def submit(self) -> list[str]:
        """The paths of as many tasks that do not finish meanwhile."""
        headers = {"Prefer": "respond-async", "Task-Delay": "86400"}
        paths: list[str] = []
        async with aiohttp.ClientSession(self.url, headers=headers) as session:
            for n in range(self.number):
                body = {"email": f"open-{n}@example.com", "name": "Ann"}
                async with session.post("/clients", json=body) as answer:
                    assert answer.status == 202, await answer.text()
                    paths.append(f"/tasks/{(await answer.json())['id']}")
        return paths

    @asynccontextmanager
    async def opened(self, open_page: OpenPage) -> AsyncGenerator[None]:
        """All have the page open."""
        async with asyncio.TaskGroup() as group:
            pages = [
                group.create_task(open_page(number), name=f"dashboard {number}")
                for number in range(self.number)
            ]
            yield
            for page in pages:
                page.cancel()

    def looking(self, script: str, paths: Sequence[str]) -> OpenPage:
        """A page that asks for all of these again and again."""
        every_seconds = _every_seconds(script)

        async def look(number: int) -> None:
            part = number / self.number
            await asyncio.sleep(every_seconds * part)
            async with self._browser() as session:
                while True:
                    await asyncio.gather(*(self._ask(session, path) for path in paths))
                    await asyncio.sleep(every_seconds * (1 - SPREAD / 2 + SPREAD * part))

        return look

    def following(self, paths: Sequence[str]) -> OpenPage:
        """A page of one of these tasks, told of it by events."""

        async def follow(number: int) -> None:
            path = paths[number]
            async with self._browser() as session:
                await self._ask(session, path)
                while True:
                    async with session.get(f"{path}/events") as answer:
                        if answer.status != HTTPStatus.OK:
                            self.answers[str(answer.status)] += 1
                        async for line in answer.content:
                            self.answers["200"] += line == b"\n"

        return follow

    async def _ask(self, session: aiohttp.ClientSession, path: str) -> None:
        async with session.get(path) as answer:
            await answer.read()
            self.answers[str(answer.status)] += 1

    def _browser(self) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=6, keepalive_timeout=KEPT_SECONDS)
        timeout = aiohttp.ClientTimeout(total=None)
        return aiohttp.ClientSession(
            self.url, connector=connector, headers=HEADERS, timeout=timeout
        )


def _every_seconds(script: str) -> float:
    """How often the page looks, as its script says."""
    text = (SCRIPTS / f"{script}.js").read_text()
    said = re.search(r"^const SECONDS = (\d+);$", text, re.MULTILINE)
    assert said is not None, script
    return float(said[1])


def _tables(measured: Dashboards) -> Iterator[tuple[str, Table]]:
    title = f"{measured.dashboards} open dashboards, {measured.tasks:,} tasks"
    table = Table(title, ["page", "answers a second", "CPU of the proxy, of a core", "PostgreSQL"])
    for one in measured.pages:
        rate = f"{one.asked / measured.seconds:.1f}"
        table.rows.append(
            [one.page, rate, f"{one.share['proxy']:.1%}", f"{one.share['postgresql']:.1%}"]
        )
    idle = measured.idle_share
    table.rows.append(
        ["none (not in the others)", "", f"{idle['proxy']:.1%}", f"{idle['postgresql']:.1%}"]
    )
    yield "dashboards", table


def _promises(measured: Dashboards | None) -> Iterator[Promise]:
    text = "50 open dashboards, on any page: ≤ 5 % of a core in one proxy"
    if not measured:
        yield Promise(text)
        return
    dearest = max(measured.pages, key=lambda one: one.share["proxy"])
    share = dearest.share["proxy"]
    # A proxy that cannot answer costs less.
    are_answered = not any(one.others for one in measured.pages)
    is_whole = measured.dashboards == MOST_DASHBOARDS and are_answered
    shown = f"{share:.1%} ({dearest.page})"
    yield Promise(text, shown, share <= MOST_SHARE if is_whole else None)


def _faults(measured: Dashboards) -> Iterator[str]:
    for one in measured.pages:
        if one.others:
            yield f"dashboards: {one.page}: {one.asked} answers, {one.others}"


DASHBOARDS = Section(
    name="dashboards",
    results=Dashboards,
    run=_run,
    tables=_tables,
    promises=_promises,
    faults=_faults,
    is_usual=False,
)
