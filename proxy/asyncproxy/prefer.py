"""The Prefer header (RFC 7240): whether and how long a caller wants to wait."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED = r'"(?:[^"\\]|\\.)*+"'
_ITEM = re.compile(rf'(?:{_QUOTED}?|[^,"])++')
"""One preference of the list: a comma in quotes does not end it."""
_PREFERENCE = re.compile(
    rf"\s*+(?P<name>{_NAME})\s*+(?:=\s*+(?P<value>{_QUOTED}|{_NAME}|)\s*+)?(?:;.*)?", re.DOTALL
)
"""Possessive, so that no header takes more than one pass."""

REDIRECT_SECONDS = 30
"""Long, since clients follow so many redirects and no more, yet below the idle time-out of the
proxies on the way."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the caller prefers. RFC 7240 §2: what we do not understand is ignored."""

    respond_async: bool = False
    wait_seconds: int | None = None
    redirect: bool = False
    """Rather than by a 202 the caller wants to be led to the answer by 303. It is our own."""

    def window(self, *, default_seconds: float, max_seconds: float) -> float:
        """How long to hold the connection."""
        if self.wait_seconds is not None:
            return min(self.wait_seconds, max_seconds)
        return 0.0 if self.respond_async else default_seconds

    def redirect_wait_seconds(self, *, is_default: bool, max_seconds: float) -> int | None:
        """How long the address waits to which the caller is led by 303; None for a 202.

        Who asks for `respond-async` alone knows what a 202 is.
        """
        if not (self.redirect or (is_default and not self.respond_async)):
            return None
        seconds = int(min(self.wait_seconds or REDIRECT_SECONDS, max_seconds))
        return seconds if seconds > 0 else None

    def applied(self, window: float) -> str | None:
        """The Preference-Applied header: what of it was done (RFC 7240 §3)."""
        applied = [] if not self.respond_async else ["respond-async"]
        if self.redirect:
            applied.append("redirect")
        if self.wait_seconds is not None:
            applied.append(f"wait={int(window)}")  # delta-seconds: whole ones
        return ", ".join(applied) or None


def parse_prefer(values: list[str]) -> Preferences:
    """The preferences of all Prefer headers; the first mention of each counts (RFC 7240 §2)."""
    found: dict[str, str] = {}
    for value in values:
        for item in _ITEM.findall(value):
            if match := _PREFERENCE.fullmatch(item):
                found.setdefault(match["name"].lower(), _unquoted(match["value"] or ""))
    return Preferences(
        # An empty value is the same as none (RFC 7240 §2); any other is not one we know.
        respond_async=found.get("respond-async") == "",
        wait_seconds=_delta_seconds(found.get("wait", "")),
        redirect=found.get("redirect") == "",
    )


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def _delta_seconds(text: str) -> int | None:
    """Digits (RFC 9110 §10.2.3), however many; so many of them are only a very long time."""
    if not (text.isascii() and text.isdigit()):
        return None
    return int(text.lstrip("0")[:9] or "0")
