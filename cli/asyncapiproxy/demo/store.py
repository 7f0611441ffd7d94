"""The demo Customer API's store: its clients, without the event loop waiting for the disk."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from asyncapiproxy.demo.clients import (
    Call,
    Client,
    Created,
    FinalAnswer,
    answer_of,
    count_created,
    create_clients,
    find_client,
    open_clients,
)
from asyncapiproxy.demo.reports import (
    Report,
    ReportCall,
    cancel_report,
    find_report,
    reported_clients,
    start_report,
)

if TYPE_CHECKING:
    import sqlite3

_T = TypeVar("_T")


class ClientStore:
    """Clients in one SQLite file, used by one thread through one connection.

    Calls that arrive while a transaction runs share the next one, so the way to the thread and back
    is paid per batch, not per call.
    """

    def __init__(self, database: Path) -> None:
        """A store over this file, not opened yet."""
        self._database = database
        self._connection: sqlite3.Connection
        self._thread: ThreadPoolExecutor
        self._waiting: list[tuple[Call, asyncio.Future[FinalAnswer]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Opens the file, and makes it where it is missing."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="demo-clients")
        self._connection = await asyncio.get_running_loop().run_in_executor(
            self._thread, open_clients, self._database
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Finishes what was begun and closes the file."""
        if self._writer is not None:
            await self._writer
        self._thread.shutdown()
        self._connection.close()

    async def create(self, *, email: str, name: str, key: str | None) -> FinalAnswer:
        """The key's final answer where it has one; else a new client, or the email is taken."""
        answer: asyncio.Future[FinalAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append((Call(email, name, key), answer))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name="demo-clients-writer")
        return await answer

    async def answer_of(self, key: str) -> FinalAnswer | None:
        """The final answer that a call with this key was given, if one was."""
        return await self._in_thread(answer_of, key)

    async def find(self, client_id: str) -> Client | None:
        """The client with this id, if there is one."""
        return await self._in_thread(find_client, client_id)

    async def created(self) -> Created:
        """Counts over the whole table: for a look now and then."""
        return await self._in_thread(count_created)

    async def start_report(self, call: ReportCall) -> Report:
        """The report that the call asks for, or the one of its key."""
        return await self._in_thread(start_report, call)

    async def find_report(self, report_id: str) -> Report | None:
        """The report with this id, if there is one."""
        return await self._in_thread(find_report, report_id)

    async def cancel_report(self, report_id: str) -> None:
        """Let the report be made no further."""
        await self._in_thread(cancel_report, report_id)

    async def reported_clients(self) -> list[tuple[str, str, str]]:
        """What a report tells of."""
        return await self._in_thread(reported_clients)

    async def _in_thread(
        self, statement: Callable[..., _T], /, *arguments: str | list[Call] | ReportCall
    ) -> _T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, statement, self._connection, *arguments)

    async def _write(self) -> None:
        try:
            while self._waiting:
                waiting, self._waiting = self._waiting, []
                await self._write_batch(waiting)
        finally:
            self._writer = None

    async def _write_batch(self, waiting: list[tuple[Call, asyncio.Future[FinalAnswer]]]) -> None:
        try:
            answers = await self._in_thread(create_clients, [call for call, _ in waiting])
        except Exception as error:  # noqa: BLE001 - each caller of the rolled back batch raises it
            for _, caller in waiting:
                if not caller.done():
                    caller.set_exception(error)
            return
        for (_, caller), answer in zip(waiting, answers, strict=True):
            if not caller.done():  # a cancelled caller no longer waits
                caller.set_result(answer)
