"""Receivers of callbacks, each with a habit of its own, and what came to them.

Each takes a delivery once, by its `webhook-id`, as receivers are told to do.
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Literal, get_args

from aiohttp import web

from asyncapiproxy import CallbackEvent, CallbackInvalidError, verify_callback
from asynctasks.callbacks.signing import SigningKeys, new_signing_key
from asynctestkit.inside import serving_app
from asynctestkit.ports import free_port

Habit = Literal["steady", "down", "slow", "redirecting", "resetting", "moving"]
HABITS: tuple[Habit, ...] = get_args(Habit)
NAME = "moving.chaos.test"
HOST, OTHER_HOST = "127.0.0.1", "127.0.0.2"
NETWORKS = "127.0.0.0/16"
FORBIDDEN_HOST = "127.1.0.1"
"""In none of these networks."""
UP_SECONDS = 8.0
"""After that the next delivery finds one that goes away."""
AWAY_SECONDS = 7.0
"""Longer than the first wait of a delivery, which so finds it away once more."""
SLOW_SECONDS = 1.0
LATE_SECONDS = 16.0
"""Longer than a try may take."""
RESET = struct.pack("ii", 1, 0)
"""To linger for no time at all: what closes a socket resets its connection."""


class Receivers:
    """One of each habit, and what they know; they trust nothing that is not signed."""

    def __init__(self, folder: Path) -> None:
        self.key = new_signing_key()
        """By which the installation is to sign."""
        self.names_file = folder / "names"
        """To which address the name of the one that moves leads."""
        self.accepted: dict[str, CallbackEvent] = {}
        """What was taken, once for each `webhook-id`."""
        self.came = Counter[Habit]()
        """How often each was called."""
        self.repeats = 0
        """How often one was told what it had taken already."""
        self.unfit: list[str] = []
        """What is wrong with what came."""
        self.astray: list[str] = []
        """Places to which nothing may be sent, and something came."""
        self._ports = {habit: free_port() for habit in HABITS}
        self._trap_port = free_port()
        self._bodies: dict[str, bytes] = {}
        self._departures: dict[Habit, asyncio.Event] = {}
        self._public_keys = SigningKeys.of([self.key]).public_jwks()
        self._lead_to(HOST)

    def url(self, habit: Habit) -> str:
        host = NAME if habit == "moving" else HOST
        return f"http://{host}:{self._ports[habit]}/{habit}"

    @property
    def allowed(self) -> str:
        """The URLs that may be called, the one to which redirects lead among them."""
        return ",".join([*map(self.url, HABITS), self._trap])

    @property
    def _trap(self) -> str:
        return f"http://{HOST}:{self._trap_port}/trap"

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        """Be there, each as it uses to, for as long as it is entered."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            for habit in ("steady", "slow", "redirecting", "resetting"):
                app, port = self._app(habit), self._ports[habit]
                await stack.enter_async_context(serving_app(app, port=port))
            for host, port in ((HOST, self._trap_port), (FORBIDDEN_HOST, self._ports["moving"])):
                note = partial(self._note_astray, f"{host}:{port}")
                await stack.enter_async_context(await asyncio.start_server(note, host, port))
            going = [
                tasks.create_task(self._come_and_go("down", [HOST])),
                tasks.create_task(self._come_and_go("moving", [HOST, OTHER_HOST])),
            ]
            yield
            for each in going:
                each.cancel()

    async def _come_and_go(self, habit: Habit, hosts: Iterable[str]) -> None:
        for host in cycle(hosts):
            async with serving_app(self._app(habit), host=host, port=self._ports[habit]):
                if habit == "moving":
                    self._lead_to(host)
                await asyncio.sleep(UP_SECONDS)
                departure = self._departures[habit] = asyncio.Event()
                await departure.wait()
                if habit == "moving":
                    self._lead_to(FORBIDDEN_HOST)
            await asyncio.sleep(AWAY_SECONDS)

    def _lead_to(self, host: str) -> None:
        new = self.names_file.with_suffix(".new")
        new.write_text(f"{NAME} {host}\n")
        new.rename(self.names_file)

    def _app(self, habit: Habit) -> web.Application:
        app = web.Application()
        app.router.add_post(f"/{habit}", partial(self._answer, habit))
        return app

    async def _answer(self, habit: Habit, request: web.Request) -> web.StreamResponse:
        self.came[habit] += 1
        body = await request.read()
        try:
            event = verify_callback(request.headers, body, self._public_keys)
        except CallbackInvalidError as error:
            self.unfit.append(f"{habit}: {error}")
            return web.Response(status=400)
        is_first = event.id not in self._bodies
        self._check(event, request.headers["Webhook-Id"], body)
        if is_first and (departure := self._departures.pop(habit, None)):
            departure.set()
            return _reset(request)
        if is_first and habit == "redirecting":
            raise web.HTTPTemporaryRedirect(self._trap)
        is_odd = self.came[habit] % 2 == 1
        if is_first and habit == "resetting" and is_odd:
            return _reset(request)
        self.repeats += event.id in self.accepted
        self.accepted[event.id] = event
        if is_first and habit == "resetting":
            return _reset(request)  # it has taken it, and the answer is lost
        if habit == "slow":
            await asyncio.sleep(LATE_SECONDS if is_first and is_odd else SLOW_SECONDS)
        return web.Response(status=204)

    def _check(self, event: CallbackEvent, webhook_id: str, body: bytes) -> None:
        if event.id != webhook_id:
            self.unfit.append(f"the event {event.id} came as {webhook_id}")
        if self._bodies.setdefault(event.id, body) != body:
            self.unfit.append(f"{event.id} came with another body")

    async def _note_astray(
        self, where: str, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.astray.append(where)
        writer.close()


def _reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, RESET
    )
    request.transport.abort()
    return web.Response()  # which nobody gets
