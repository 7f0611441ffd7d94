"""The Prefer header (RFC 7240): whether and how long a caller wants to wait."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PREFERENCE = re.compile(r'^\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("[^"]*"|[^\s;,]*))?')


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the caller prefers. RFC 7240 §2: what we do not understand is ignored."""

    respond_async: bool = False
    wait_seconds: int | None = None

    def window(self, *, default_seconds: float, max_seconds: float) -> float:
        """How long to hold the connection."""
        if self.wait_seconds is not None:
            return min(self.wait_seconds, max_seconds)
        return 0.0 if self.respond_async else default_seconds

    def applied(self, window: float) -> str | None:
        """The Preference-Applied header: what of it was done (RFC 7240 §3)."""
        applied = [] if not self.respond_async else ["respond-async"]
        if self.wait_seconds is not None:
            applied.append(f"wait={window:g}")
        return ", ".join(applied) or None


def parse_prefer(values: list[str]) -> Preferences:
    """The preferences of all Prefer headers; the first mention of each counts (RFC 7240 §2)."""
    found: dict[str, str] = {}
    for value in values:
        for preference in value.split(","):
            if match := _PREFERENCE.match(preference):
                found.setdefault(match[1].lower(), (match[2] or "").strip('"'))
    wait = found.get("wait", "")
    return Preferences(
        respond_async="respond-async" in found,
        wait_seconds=int(wait[:9]) if wait.isascii() and wait.isdigit() else None,
    )
