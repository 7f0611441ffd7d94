"""Makes the HTTP call that tells a caller's URL of a task's end, and says what came of it.

The URL is a stranger's. Each try checks it anew against the patterns, looks its host up, checks all
addresses and connects to one of these. No redirect is followed, no credential of ours is shown but
the signature, and of the answer nothing is kept but its status: whoever names a URL learns nothing
of what stands there. Such a call never goes by an egress proxy, which would look the name up by
itself.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from yarl import URL

from asyncexecutor.http.call import Call
from asyncexecutor.http.checked_addresses import CheckedAddresses
from asyncexecutor.http.faults import CallFailedError
from asyncexecutor.http.host_addresses import system_lookup
from asyncexecutor.http.plain_client import PlainClient
from asyncexecutor.upstream import retry_after_seconds
from asyncexecutor.upstream_faults import failure
from asynctasks.callbacks.event import CONTENT_TYPE
from asynctasks.errors import CallbackUrlError
from asynctasks.instants import utc_now
from asynctasks.traces.traces import NO_TRACES

if TYPE_CHECKING:
    import ssl

    from asyncexecutor.http.call import HttpAnswer
    from asyncexecutor.http.host_addresses import Lookup
    from asynctasks.callbacks.addresses import CallableAddresses
    from asynctasks.callbacks.allow import AllowedUrls
    from asynctasks.callbacks.signing import SigningKeys
    from asynctasks.traces.trace_context import TraceContext
    from asynctasks.traces.traces import Traces

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 15.0
"""How long a try may take, from looking the host up to the head of the answer."""
MAX_BODY_BYTES = 16_384
"""So much of an answer's body is taken, and thrown away, before the connection ends."""
BODY_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 86_400.0
"""A receiver may ask for patience, not for ever."""
_ASKS_FOR_TIME = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it."""

    status: int


@dataclass(frozen=True, slots=True)
class Gone:
    """The receiver wants no more of them (410)."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The receiver asks to be called again, but not before so long."""

    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Again:
    """The receiver has not got it, as far as is known."""

    reason: str
    """For people. It quotes neither the URL nor the answer, and names no address."""
    status: int | None = None
    """What was answered, if anything was."""


class CallbackCalls:
    """Makes the calls, over connections that are never used twice."""

    def __init__(
        self,
        keys: SigningKeys,
        urls: AllowedUrls,
        addresses: CallableAddresses,
        *,
        lookup: Lookup = system_lookup,
        tls: ssl.SSLContext | None = None,
        traces: Traces = NO_TRACES,
    ) -> None:
        """`tls` says how https is secured; None for the system's way."""
        self._keys = keys
        self._urls = urls
        self._tls = tls
        self._traces = traces
        self._client = PlainClient(room=lambda: 0, hosts=CheckedAddresses(addresses, lookup=lookup))

    async def make(
        self, url: str, *, delivery_id: str, body: bytes, trace: TraceContext | None = None
    ) -> Delivered | Gone | Wait | Again:
        """One try of one delivery; what goes wrong with it is what is returned."""
        whole = asyncio.timeout(ANSWER_SECONDS)
        try:
            checked = URL(self._urls.checked(url), encoded=True)
            # A path may be the receiver's secret.
            with self._traces.calling(trace, method="POST", url=checked.origin()) as span:
                call = self._call(
                    checked, delivery_id=delivery_id, body=body, trace=span.context or trace
                )
                async with whole:
                    answer = await self._client.send(call, afresh=True)
                span.answered(answer.status)
        except CallbackUrlError as error:
            return Again(str(error))
        except CallFailedError as error:
            return Again(str(failure(error, whose="The receiver")))
        except TimeoutError:
            if whole.expired():
                return Again(f"The receiver did not answer within {ANSWER_SECONDS:g} s.")
            return Again(f"No connection was made within {CONNECT_SECONDS:g} s.")
        async with answer:
            came = _outcome(answer)
            await _throw_away(answer)
        self._client.make_room()
        return came

    def close(self) -> None:
        """End what connections there are."""
        self._client.close()

    def _call(self, url: URL, *, delivery_id: str, body: bytes, trace: TraceContext | None) -> Call:
        signed = self._keys.headers(delivery_id, at=utc_now(), body=body)
        return Call(
            method="POST",
            url=url,
            headers={
                "Content-Type": CONTENT_TYPE,
                **signed,
                **({} if trace is None else trace.headers),
            },
            body=body,
            body_bytes=len(body),
            tls=self._tls,
            proxy=None,
            connect_seconds=CONNECT_SECONDS,
        )


def _outcome(answer: HttpAnswer) -> Delivered | Gone | Wait | Again:
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Delivered(status)
    if status == HTTPStatus.GONE:
        return Gone()
    seconds = retry_after_seconds(answer.headers.get("retry-after"))
    if status in _ASKS_FOR_TIME and seconds is not None:
        return Wait(status, min(seconds, LONGEST_WAIT_SECONDS))
    is_redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    redirects = " Redirects are not followed." if is_redirect else ""
    return Again(f"The receiver answered {status}.{redirects}", status)


async def _throw_away(answer: HttpAnswer) -> None:
    """Take the body where it is short: a receiver cut off meanwhile may believe that it failed."""
    with suppress(CallFailedError, TimeoutError):
        async with asyncio.timeout(BODY_SECONDS):
            left = MAX_BODY_BYTES
            while left > 0 and (taken := await answer.more()):
                left -= len(taken)
