"""Where something stands in a trace, as HTTP carries it (W3C Trace Context, level 1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_STATE_CHARACTERS = 512
"""Of a tracestate that is passed on; §3.3.1.5 asks for at least as many."""
MOST_STATE_MEMBERS = 32

_TRACEPARENT = re.compile(
    r"(?P<version>(?!ff)[0-9a-f]{2})"
    r"-(?P<ids>(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})"
    r"(?P<more>-.*)?"
)
_KEY = r"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
_VALUE = r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
_MEMBER = re.compile(f"({_KEY})={_VALUE}")


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace: what comes next is a child of it."""

    traceparent: str
    """In version 00: the trace's id, the span's, and whether it is sampled."""
    tracestate: str | None = None
    """What tracing systems have noted about it, each for itself."""

    @property
    def headers(self) -> dict[str, str]:
        """By which a call tells it."""
        state = {} if self.tracestate is None else {"tracestate": self.tracestate}
        return {"traceparent": self.traceparent, **state}

    @property
    def is_sampled(self) -> bool:
        """Whether whoever came before records its spans."""
        return bool(int(self.traceparent[-1], 16) & 1)

    @property
    def exemplar(self) -> dict[str, str] | None:
        """What a metric tells of it; None where nobody would find it."""
        if not self.is_sampled:
            return None
        return {"trace_id": self.traceparent[3:35], "span_id": self.traceparent[36:52]}


def trace_id_of(traceparent: str | None) -> str | None:
    """The id of the trace that a stored traceparent is part of, by which all of it is found."""
    return None if traceparent is None else traceparent[3:35]


def trace_context(
    traceparent: Sequence[str], tracestate: Sequence[str] = ()
) -> TraceContext | None:
    """The place that the lines of both headers name; None where the first names none.

    A tracestate that is wrong is left out, and of a long one so many members as fit (§3.3, §3.5).
    """
    found = _TRACEPARENT.fullmatch(traceparent[0]) if len(traceparent) == 1 else None
    if found is None:
        return None
    state = _state(",".join(tracestate)) if tracestate else None
    if found["version"] == "00":
        return None if found["more"] else TraceContext(found[0], state)
    # Of a later version only that is known which this one has, too (§4.3).
    sampled = int(found["flags"], 16) & 1
    return TraceContext(f"00-{found['ids']}-{sampled:02x}", state)


def _state(text: str) -> str | None:
    members = [member for part in text.split(",") if (member := part.strip(" \t"))]
    parsed = [_MEMBER.fullmatch(member) for member in members]
    keys = {found[1] for found in parsed if found}
    if len(keys) < len(members) or len(members) > MOST_STATE_MEMBERS:
        return None
    kept: list[str] = []
    size = -1
    for member in members:
        size += len(member) + 1
        if size > MOST_STATE_CHARACTERS:
            break
        kept.append(member)
    return ",".join(kept) or None
