"""What a call of ours consists of, without sending any of it.

A function that decides is a generator: it yields a `Call` and is given its answer, or yields a
`Pause` and is woken after it. Who sends, the synchronous client or the other, runs it to its end.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import httpx

if TYPE_CHECKING:
    from asyncapiproxy.client.request_body import RequestBody

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request of the proxy."""

    method: str
    path: str
    """And the query, encoded."""
    answer_seconds: float
    """How long its answer may take."""
    headers: tuple[tuple[str, bytes], ...] = ()
    body: RequestBody | None = None
    is_streamed: bool = False
    """Whether an answer that is the upstream's is handed on before its body is read."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is to be done for so long."""

    seconds: float


Steps = Generator[Call | Pause, httpx.Response | None, T]
"""What leads to a T. A call that has no answer is told by throwing ProxyUnreachableError in."""


def sent(call: Call) -> Steps[httpx.Response]:
    """The answer to the call, whatever it is."""
    response = yield call
    assert response is not None
    return response
