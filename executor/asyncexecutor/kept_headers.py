"""What is kept of the headers of an upstream's answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from asynctasks.operations.response_headers import (
    ANSWERED_VALUE,
    KEPT_BY_DEFAULT,
    MAX_KEPT_HEADER_BYTES,
    MAX_KEPT_HEADERS,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from yarl import URL

    from asyncexecutor.upstream_addresses import UpstreamAddresses
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.upstream_call import UpstreamCall

_ADDRESSES = frozenset({"location", "content-location"})
"""Relative to the URL that was called (RFC 9110 §8.7, §10.2.2). A `Link` may be to anything."""

Headers = tuple[tuple[str, str], ...]
log = structlog.get_logger(__name__)


class KeptHeaders:
    """Chooses from the headers of one operation's answers."""

    def __init__(
        self, operation: Operation, call: UpstreamCall, addresses: UpstreamAddresses
    ) -> None:
        self._operation = operation.name
        self._addresses = addresses
        names = KEPT_BY_DEFAULT.union(name.lower() for name in call.response_headers)
        self._names = frozenset(name.encode() for name in names)

    def of(self, raw: Sequence[tuple[bytes, bytes]], *, called: URL) -> Headers:
        """The headers to keep, in their order, of the answer to a call of this URL."""
        names = self._names
        found = [(name, value) for name, value in raw if name.lower() in names]
        return self._checked(found, _named_by_connection(raw), called) if found else ()

    def _checked(
        self, found: Iterable[tuple[bytes, bytes]], hop_by_hop: set[bytes], called: URL
    ) -> Headers:
        kept: list[tuple[str, str]] = []
        left_out: list[str] = []
        size = 0
        for raw_name, raw_value in found:
            if hop_by_hop and raw_name.lower() in hop_by_hop:
                continue
            name, value = raw_name.decode("ascii"), raw_value.decode("latin-1").strip(" \t")
            if name.lower() in _ADDRESSES:
                value = self._addresses.told(value, called=called)
            grown = size + len(name) + len(value)
            fits = len(kept) < MAX_KEPT_HEADERS and grown <= MAX_KEPT_HEADER_BYTES
            if fits and ANSWERED_VALUE.fullmatch(value):
                kept.append((name, value))
                size = grown
            else:
                left_out.append(name)
        if left_out:
            log.warning(
                "headers of an answer were left out", operation=self._operation, headers=left_out
            )
        return tuple(kept)


def _named_by_connection(raw: Iterable[tuple[bytes, bytes]]) -> set[bytes]:
    """What the answer's Connection says is for the next hop alone (RFC 9110 §7.6.1)."""
    return {
        option.strip().lower()
        for name, value in raw
        if name.lower() == b"connection"
        for option in value.split(b",")
    }
