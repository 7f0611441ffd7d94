"""A caller of another tenant, who asks after everyone's tasks while all is broken.

It knows their ids and their keys, and is to learn nothing by them: whatever it asks of a task is
answered as of an id that never was, a key that is another's makes a task of its own, and what it is
listed are its own.
"""

import asyncio
import random
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import aiohttp
import orjson
from uuid_utils.compat import uuid7

from asynctestkit.chaos.ledger import OUR_OWN_REFUSALS, TYPE_PREFIX, Ledger
from asynctestkit.chaos.system import PROXIES, System
from asynctestkit.chaos.tenants import BLUE

ASK_SECONDS = 0.1
TIMEOUT_SECONDS = 20
WAYS: tuple[tuple[str, str], ...] = (
    ("GET", "/tasks/{id}"),
    ("GET", "/tasks/{id}/response"),
    ("GET", "/tasks/{id}/response?wait=2"),
    ("GET", "/tasks/{id}/operation"),
    ("GET", "/tasks/{id}/events"),
    ("POST", "/tasks/{id}/cancel"),
    ("POST", "/tasks/{id}/retry"),
    ("DELETE", "/tasks/{id}"),
)


@dataclass
class Strangers:
    """What the stranger asked, and what it was told that it should not have been."""

    compared: int = 0
    """How often both were answered, for a task that is another's and for an id that never was."""
    learnt: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """What, and of which task."""
    posted: int = 0

    def faults(self) -> Iterator[tuple[str, str]]:
        """What is wrong, and with which task."""
        yield from self.learnt
        if not self.compared:
            yield "a stranger was never answered", ""


@dataclass(frozen=True)
class Answer:
    """All that an answer tells."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    @property
    def is_refusal(self) -> bool:
        """Whether it says that nobody could say."""
        if self.status != 503:
            return False
        problem = str(orjson.loads(self.body)["type"]).removeprefix(TYPE_PREFIX)
        return problem in OUR_OWN_REFUSALS | {"list-timeout"}


@dataclass(frozen=True)
class Stranger:
    """Asks one thing after the other."""

    system: System
    ledger: Ledger
    found: Strangers
    session: aiohttp.ClientSession
    chance: random.Random

    async def ask(self) -> None:
        """Something, by chance, of a proxy that may be away."""
        others = [entry for entry in self.ledger.entries[-2_000:] if entry.task_id]
        if not others:
            return
        other = self.chance.choice(others)
        with suppress(aiohttp.ClientError, OSError, TimeoutError):
            (ask,) = self.chance.choices((self._after, self._with_key, self._list), (8, 1, 1))
            await ask(str(other.task_id), other.key)

    async def _after(self, task_id: str, _: str | None) -> None:
        method, path = self.chance.choice(WAYS)
        url = self.system.url(self.chance.choice(PROXIES))
        told = await self._told(method, url + path, task_id)
        never = await self._told(method, url + path, str(uuid7()))
        if told.is_refusal or never.is_refusal:
            return
        self.found.compared += 1
        if told != never or told.status != 404:
            self.found.learnt.append((f"{method} {path} told a stranger {told}", task_id))

    async def _with_key(self, _: str, key: str | None) -> None:
        headers = {"Prefer": "respond-async", **({"Idempotency-Key": key} if key else {})}
        self.found.posted += 1
        body = {"email": f"stranger{self.found.posted}@example.com", "name": "Ann"}
        url = f"{self.system.url(self.chance.choice(PROXIES))}/clients"
        async with self.session.post(url, json=body, headers=headers) as answer:
            made = answer.headers.get("task-id")
        if any(entry.task_id == made for entry in self.ledger.entries if made):
            self.found.learnt.append(("a stranger joined it by its key", str(made)))

    async def _list(self, task_id: str, _: str | None) -> None:
        url = self.system.url(self.chance.choice(PROXIES))
        query = {"page_size": "100"}
        if self.chance.random() < 0.5:
            query["page_token"] = task_id
        async with self.session.get(f"{url}/tasks", params=query) as answer:
            if answer.status != 200:
                return
            listed = (await answer.json())["tasks"]
        self.found.learnt += [
            ("a stranger was listed it", task["id"]) for task in listed if task["tenant"] != "blue"
        ]

    async def _told(self, method: str, url: str, task_id: str) -> Answer:
        async with self.session.request(method, url.replace("{id}", task_id)) as answer:
            body = await answer.read()
            headers = [(name, text) for name, text in answer.headers.items() if name != "Date"]
            return Answer(
                answer.status,
                tuple(headers),
                body.replace(task_id.encode(), b"<id>"),
            )


async def call_as_stranger(
    system: System, ledger: Ledger, found: Strangers, stop: asyncio.Event, *, seed: int
) -> None:
    """Ask one thing after the other until `stop`."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout, headers=BLUE) as session,
        asyncio.TaskGroup() as asking,
    ):
        chance = random.Random(f"stranger {seed}")
        stranger = Stranger(system, ledger, found, session, chance)
        while not stop.is_set():
            asking.create_task(stranger.ask())
            await asyncio.sleep(ASK_SECONDS)
