"""How a task is to be run, as a person types it: times (`90`, `30s`, `5m`, `2h`, `1d`), labels."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)([smhd]?)", re.ASCII)


def seconds_typed(text: str | None, option: str) -> float | None:
    """The seconds; raises BadParameter for what is no time, infinity among it."""
    if text is None:
        return None
    found = _TIME.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(
            "expected seconds, or a time such as 90s, 5m, 2h or 1d", param_hint=option
        )
    return float(found[1]) * _UNITS[found[2]]


def deadline_typed(text: str | None) -> float | datetime | None:
    """Seconds from now, or an instant with its time zone; raises BadParameter."""
    if text is None or _TIME.fullmatch(text.strip()):
        return seconds_typed(text, "--deadline")
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise typer.BadParameter(
            "expected a time such as 90s or 2h, or an instant: 2026-01-31T12:00:00Z",
            param_hint="--deadline",
        )
    return instant


def labels_typed(texts: Sequence[str]) -> dict[str, str]:
    """The labels by name; raises BadParameter. What no label can be is the proxy's to say."""
    labels: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise typer.BadParameter("expected NAME=VALUE", param_hint="--label")
        labels[name] = value
    return labels
