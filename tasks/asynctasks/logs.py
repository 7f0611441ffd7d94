"""Logs: one JSON object a line for machines, coloured text on a terminal."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Literal

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor

LogFormat = Literal["auto", "json", "text"]
_FORMATS: dict[str, LogFormat] = {"json": "json", "text": "text"}

OURS = ("asynctasks", "asyncproxy", "asyncexecutor", "asyncoperator", "asyncapiproxy")
"""`debug` is for these alone: libraries write all they pass on, callers' arguments too."""
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
        structlog.processors.TimeStamper(fmt="iso", utc=True),
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
    for logger, lowest in LIBRARIES.items():
        logging.getLogger(logger).setLevel(lowest)
