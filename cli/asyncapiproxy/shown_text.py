"""Text as a terminal shows it: what came from elsewhere is shown, never interpreted."""

from __future__ import annotations

from datetime import datetime

from rich.text import Text


def plain(value: str) -> Text:
    """Without markup, and without the control characters that could steer a terminal."""
    return Text(printable(value))


def printable(value: str) -> str:
    """The text, its control characters replaced."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in value
    )


def instant(text: str) -> str:
    """An instant of JSON, for people."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"
