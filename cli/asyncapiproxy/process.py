"""Runs one asynchronous main function as a process: event loop, signals, exit code."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog
import uvloop
from rich.console import Console
from rich.markup import escape

from asynctasks.errors import AsyncApiProxyError, SettingsError
from asynctasks.logs import configure_logging_by_environment

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

USAGE, FAILURE = 2, 1
# Of glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_LARGE_BYTES = 65_536

log = structlog.get_logger(__name__)


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `main` with the event that SIGTERM and SIGINT set; exit by what came of it.

    A second signal ends the process at once.
    """

    async def with_signals() -> None:
        stop = asyncio.Event()

        def on_signal(number: signal.Signals) -> None:
            if stop.is_set():
                log.warning("stopped at once by a second signal")
                sys.stderr.flush()
                # No clean-up on purpose: what was not finished is in the database.
                signal.signal(number, signal.SIG_DFL)
                signal.raise_signal(number)
            log.info("stopping", signal=number.name)
            stop.set()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, on_signal, number)
        await main(stop)

    configure_logging_by_environment()
    _collect_less_often()
    _give_memory_back()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(with_signals())
    except Exception as fault:
        error = known_error(fault)
        if error is None:
            log.critical("stopped by a fault", exc_info=fault)
            sys.exit(FAILURE)
        show_error(error)
        sys.exit(USAGE if isinstance(error, SettingsError) else FAILURE)


def show_error(error: Exception) -> None:
    """One message for a person, without a traceback."""
    Console(stderr=True, highlight=False).print(
        f"[bold red]Error:[/] {escape(str(error))}", soft_wrap=True
    )


def _collect_less_often() -> None:
    """Spare the collector what was imported: looking through it stopped all callers for 40 ms.

    And let it look less often: next to nothing of a request is in a cycle.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def known_error(error: BaseException) -> AsyncApiProxyError | None:
    """The error that we can name, out of its groups; None where any other went with it."""
    if isinstance(error, AsyncApiProxyError):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    members: tuple[BaseException, ...] = error.exceptions  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - isinstance tells no type argument
    errors = [known_error(member) for member in members]
    return None if None in errors else errors[0]


def _give_memory_back() -> None:
    """Have bodies leave the process when they are freed.

    glibc takes each large block that is freed for a sign to keep such ones, up to 32 MiB: half of
    the memory of an attack stayed. Another C library has no such function, and needs none.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _LARGE_BYTES)
