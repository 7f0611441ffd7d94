"""Logs: one JSON object a line for machines, coloured text on a terminal."""

from __future__ import annotations

import logging
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

import orjson
import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor

LogFormat = Literal["auto", "json", "text"]
_FORMATS: dict[str, LogFormat] = {"json": "json", "text": "text"}

OURS = ("asynctasks", "asyncproxy", "asyncexecutor", "asyncoperator", "asyncapiproxy")
"""`debug` is for these alone: libraries write all they pass on, callers' arguments too."""
AUDIT = "audit"
"""The logger of what callers have changed, which no level silences."""
TASKS = "tasks"
"""The logger of how tasks and their attempts end."""
REQUESTS = "requests"
"""The logger of each request, where that is asked for, which no level silences."""
OF_LINES = (AUDIT, TASKS, REQUESTS)
"""Loggers that a busy process writes a line to for each call. Their messages are dicts."""
SHORT_TIME = "%H:%M:%S"
"""On a terminal, where a person reads what happens now."""
LIBRARIES = {
    "aiormq": logging.CRITICAL,  # tells a lost connection by a traceback; we in one line
    "httpx": logging.WARNING,  # logs each call
    "uvicorn": logging.WARNING,  # tells how it starts and stops; we say where we listen
    "alembic": logging.WARNING,
    "kopf": logging.WARNING,  # tells of each object that it shows us
    "kopf._core.reactor.running": logging.ERROR,  # warns that it hears no signals; we do
}
"""Libraries that say more than a person who runs us can use, and from which level on we listen."""


def configure_logging_by_environment() -> None:
    """Before the settings are read, so that no fault can come too early for the log."""
    asked = os.environ.get("ASYNCAPIPROXY_LOG_FORMAT")
    configure_logging(level="info", log_format=_FORMATS.get(asked or "", "auto"))


def configure_logging(*, level: str, log_format: LogFormat) -> None:
    """Send our logs and the libraries' to standard error in one form."""
    as_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _time_stamper(as_text=as_text),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level.upper()),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    # Tracebacks without local variables, which structlog would show: they hold callers' secrets.
    renderers: list[Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                # https://no-color.org
                colors=sys.stderr.isatty() and not os.environ.get("NO_COLOR"),
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
        if as_text
        else [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            structlog.processors.JSONRenderer(),
        ]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    quiet = max(logging.getLevelNamesMapping()[level.upper()], logging.INFO)
    logging.basicConfig(level=quiet, handlers=[handler], force=True)
    for package in OURS:
        logging.getLogger(package).setLevel(level.upper())
    _configure_lines(renderers[-1] if as_text else None)
    logging.getLogger(TASKS).setLevel(level.upper())
    for logger, lowest in LIBRARIES.items():
        logging.getLogger(logger).setLevel(lowest)


def _time_stamper(*, as_text: bool) -> Processor:
    if as_text and sys.stderr.isatty():
        return structlog.processors.TimeStamper(fmt=SHORT_TIME, utc=False)
    return structlog.processors.TimeStamper(fmt="iso", utc=True)


def _configure_lines(as_text: Processor | None) -> None:
    """Straight to standard error: a busy process writes a line for each call."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_LineFormatter(as_text, is_short=sys.stderr.isatty()))
    for name in OF_LINES:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False


_OF_EACH_LINE = logging.LogRecord("", logging.INFO, "", 0, None, (), None).__dict__


class LineRecord(logging.LogRecord):
    """A line of one of OF_LINES. To find out where it was made takes as long as all the rest."""

    def __init__(self, logger: str, told: dict[str, Any], level: int = logging.INFO) -> None:  # pyright: ignore[reportMissingSuperCall]
        own = {"name": logger, "levelno": level, "msg": told, "created": time.time()}
        self.__dict__ = _OF_EACH_LINE | own


class _LineFormatter(logging.Formatter):
    """Makes a line in a fifth of the time that it takes by way of all that other logs may need."""

    def __init__(self, as_text: Processor | None, *, is_short: bool) -> None:
        super().__init__()
        self._as_text = as_text
        self._is_short = is_short

    def format(self, record: logging.LogRecord) -> str:
        told: Any = record.msg
        level = logging.getLevelName(record.levelno).lower()
        at = datetime.fromtimestamp(record.created, UTC)
        line = {**told, "level": level, "logger": record.name, "timestamp": at}
        if self._as_text is None:
            return orjson.dumps(line, option=orjson.OPT_UTC_Z).decode()
        short = at.astimezone().strftime(SHORT_TIME)
        line["timestamp"] = short if self._is_short else at.isoformat().replace("+00:00", "Z")
        return str(self._as_text(None, level, line))
