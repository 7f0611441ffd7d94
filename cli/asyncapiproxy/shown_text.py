"""Text as a terminal shows it: what came from elsewhere is shown, never interpreted."""

from __future__ import annotations

from datetime import UTC, datetime

from rich.table import Table
from rich.text import Text


def facts_table() -> Table:
    """For facts, each a name and what is told; long ones are folded."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column(overflow="fold")
    return facts


def list_table(*titles: str) -> Table:
    """For a line each; what stands below these titles is never folded."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, no_wrap=True)
    return table


def plain(value: str) -> Text:
    """Without markup, and without the control characters that could steer a terminal."""
    return Text(printable(value))


def printable(value: str) -> str:
    """The text, its control characters replaced; lines may end as Windows and HTTP end them."""
    return "".join(
        c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for c in value.replace("\r\n", "\n")
    )


def instant(text: str) -> str:
    """An instant of JSON, for people."""
    return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%S} UTC"


def age(text: str, *, now: datetime | None = None) -> str:
    """How long ago an instant of JSON was, in one word: `12s`, `3m`, `5h`, `2d`."""
    return in_short(((now or datetime.now(UTC)) - datetime.fromisoformat(text)).total_seconds())


def in_short(seconds: float) -> str:
    """A time in one word, in the largest unit of which there are two or more."""
    whole = max(0, int(seconds))
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if whole >= 2 * length:
            return f"{whole // length}{unit}"
    return f"{whole}s"


def due(text: str, *, now: datetime | None = None) -> str:
    """An instant of JSON that is to come, and in how long: `in 12s, 2026-11-24 10:48:30 UTC`."""
    left = (datetime.fromisoformat(text) - (now or datetime.now(UTC))).total_seconds()
    return f"in {in_short(left)}, {instant(text)}" if left >= 1 else f"now, {instant(text)}"
