"""One call, and what both clients promise to do with it."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator, Mapping, Sequence
    from typing import Self

    from yarl import URL

BODILESS = frozenset(
    {HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
)
"""The statuses of answers that have no body, whatever their headers say (RFC 9112 §6.3)."""


@dataclass(slots=True)
class Call:
    """One call as it goes out, and by which way."""

    method: str
    url: URL
    headers: Mapping[str, str]
    """With several lines of one name where it is a multidict that has several."""
    body: bytes | AsyncGenerator[bytes] | None
    body_bytes: int
    tls: ssl.SSLContext | None
    """How https is secured; None for the system's way."""
    proxy: URL | None
    """The egress proxy by which it goes."""
    connect_seconds: float


class HttpAnswer(Protocol):
    """An answer whose head is there, and whose body may still come. Left, it frees its connection.

    A connection whose answer was not received to its end is closed.
    """

    @property
    def status(self) -> int:
        """Never an interim one but 101, after which it is no HTTP any more."""
        ...

    @property
    def raw_headers(self) -> Sequence[tuple[bytes, bytes]]:
        """As they came, in their order, without the spaces around their values."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By their names in whatever case; of several of one name the first."""
        ...

    @property
    def body_bytes(self) -> int:
        """How long the body says that it is; 0 where there is none, or it does not say."""
        ...

    async def more(self) -> bytes:
        """What has come of the body since, as soon as that is anything; empty at its end.

        No more is read than is taken. Raises CallFailedError.
        """
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *_: object) -> None: ...


class HttpClient(Protocol):
    """What makes calls over connections that it keeps."""

    async def send(self, call: Call, *, afresh: bool) -> HttpAnswer:
        """The answer's head. `afresh` says that no kept connection will do, if that can be said.

        Raises CallFailedError, and TimeoutError where no connection was made in time.
        """
        ...


def is_plain(call: Call) -> bool:
    """Whether the plain client can make it: directly, and with a body that is at hand."""
    return (
        call.proxy is None
        and (call.body is None or isinstance(call.body, bytes))
        and call.url.scheme in {"http", "https"}
    )
