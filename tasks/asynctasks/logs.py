"""Logs: one JSON object a line for machines, coloured text on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Literal

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor

LogFormat = Literal["auto", "json", "console"]

LIBRARIES = {
    "aiormq": logging.CRITICAL,  # tells a lost connection by a traceback; we in one line
    "httpx": logging.WARNING,  # logs each call
    "uvicorn": logging.WARNING,  # tells how it starts and stops; we say where we listen
    "alembic": logging.WARNING,
    "kopf": logging.WARNING,  # tells of each object that it shows us
    "kopf._core.reactor.running": logging.ERROR,  # warns that it hears no signals; we do
}
"""Libraries that say more than a person who runs us can use, and from which level on we listen."""


def configure_logging(*, level: str, log_format: LogFormat) -> None:
    """Send our logs and the libraries' to standard error in one form."""
    as_text = log_format == "console" or (log_format == "auto" and sys.stderr.isatty())
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
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
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
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for logger, lowest in LIBRARIES.items():
        logging.getLogger(logger).setLevel(lowest)
