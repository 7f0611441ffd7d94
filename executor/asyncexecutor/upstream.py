"""Calls the upstream of an operation."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from multidict import CIMultiDict

from asyncexecutor.attempt_bodies import ResponseBody
from asyncexecutor.failures import (
    UpstreamResponseUnreadableError,
    UpstreamTimeoutError,
)
from asyncexecutor.http.faults import CallFailedError
from asyncexecutor.kept_headers import KeptHeaders
from asyncexecutor.runner import Answer, is_storable_status
from asyncexecutor.upstream_addresses import UpstreamAddresses, target_of_same_origin
from asyncexecutor.upstream_connections import CONNECT_SECONDS, tls_context
from asyncexecutor.upstream_faults import failure
from asyncexecutor.upstream_request import RequestTemplate
from asynctasks.response import Response
from asynctasks.traces.traces import NO_TRACES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from yarl import URL

    from asyncexecutor.access_tokens import AccessTokens
    from asyncexecutor.attempt_bodies import ResponsePlace
    from asyncexecutor.http.call import HttpAnswer
    from asyncexecutor.runner import Attempt
    from asyncexecutor.upstream_connections import UpstreamConnections
    from asyncexecutor.upstream_request import Request
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.upstream_call import UpstreamCall
    from asynctasks.traces.traces import Traces

MAX_FOLLOWED = 5
FOLLOWED = frozenset({HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT})
ELSEWHERE = frozenset(range(300, 400)) - {HTTPStatus.NOT_MODIFIED}
"""The statuses by which an upstream says that the answer is at another address."""


class Upstream:
    """The upstream of one operation."""

    def __init__(
        self,
        operation: Operation,
        call: UpstreamCall,
        connections: UpstreamConnections,
        tokens: AccessTokens,
        *,
        environment: Mapping[str, str],
        max_response_bytes: int,
        traces: Traces = NO_TRACES,
    ) -> None:
        """Raise OperationsFileError with all that the environment lacks or spoils."""
        self._connections = connections
        self._traces = traces
        self._method = call.method
        self._request = RequestTemplate(operation, call, environment)
        self._kept_headers = KeptHeaders(
            operation, call, UpstreamAddresses(operation, call, environment)
        )
        self._token = tokens.of(operation, call)
        self._tls = tls_context(operation, call)
        self._redirects = call.redirects
        self._timeout_seconds = call.timeout_seconds
        self._connect_seconds = min(CONNECT_SECONDS, call.timeout_seconds)
        self._max_response_bytes = call.max_response_bytes or max_response_bytes

    async def run(self, attempt: Attempt) -> Answer:
        """See `Runner`."""
        request = self._request.request(attempt)
        return await self._exchange(self._method, request, attempt, attempt.response_place)

    async def ask(
        self, method: str, attempt: Attempt, url: URL, *, place: ResponsePlace | None = None
    ) -> Answer:
        """The answer to a further call for the attempt, by another method at another address.

        To another origin go none of the operation's headers, tokens and certificates. Raises as
        `run` does.
        """
        request = self._request.further(attempt, url)
        return await self._exchange(method, request, attempt, place)

    def url(self, attempt: Attempt) -> URL:
        """What an attempt calls; raises UpstreamUrlError."""
        return self._request.url(attempt)

    async def _exchange(
        self, method: str, request: Request, attempt: Attempt, place: ResponsePlace | None
    ) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._authorized(method, request, place)
        except TimeoutError as error:
            raise UpstreamTimeoutError(
                f"The upstream did not answer within {self._timeout_seconds:g} s."
            ) from error
        except CallFailedError as error:
            if attempt.body is not None and attempt.body.fault is not None:
                raise attempt.body.fault from None
            raise failure(error) from None

    async def _authorized(
        self, method: str, request: Request, place: ResponsePlace | None
    ) -> Answer:
        """The answer, asked for a second time where the upstream refuses the token."""
        shown = self._token
        if shown is None or not request.is_own:
            return await self._called(method, request, place)
        token = await shown.current()
        answer = await self._called(method, _bearing(request, token), place)
        if answer.response.status != HTTPStatus.UNAUTHORIZED or not shown.give_up(token):
            return answer
        return await self._called(method, _bearing(request, await shown.current()), place)

    async def _called(
        self, method: str, request: Request, place: ResponsePlace | None, *, followed: int = 0
    ) -> Answer:
        with self._traces.calling(request.trace, method=method, url=request.url) as span:
            async with self._connections.send(
                method,
                request.in_trace(span.context or request.trace),
                tls=self._tls if request.is_own else None,
                connect_seconds=self._connect_seconds,
            ) as answer:
                span.answered(answer.status)
                target = None
                if self._redirects == "follow" and followed < MAX_FOLLOWED:
                    target = _target(answer, request.url)
                if target is None:
                    return await self._answer(answer, request.url, place)
        redirected = replace(request, url=target)
        return await self._called(method, redirected, place, followed=followed + 1)

    async def _answer(self, answer: HttpAnswer, called: URL, place: ResponsePlace | None) -> Answer:
        if not is_storable_status(answer.status):
            raise UpstreamResponseUnreadableError(
                f"The upstream answered {answer.status}, which ends no exchange (RFC 9110 §15)."
            )
        body, blob = await self._read(answer, place)
        response = Response(
            answer.status,
            _content_type(answer),
            body,
            self._kept_headers.of(answer.raw_headers, called=called),
            blob=blob,
        )
        return Answer(
            response,
            retry_after_seconds(answer.headers.get("retry-after")),
            leads_elsewhere=self._redirects != "answer" and answer.status in ELSEWHERE,
            headers=answer.headers,
        )

    async def _read(
        self, answer: HttpAnswer, place: ResponsePlace | None
    ) -> tuple[bytes, str | None]:
        body = ResponseBody(place, max_bytes=self._max_response_bytes, status=answer.status)
        body.expect(answer.body_bytes)
        while chunk := await answer.more():
            await body.add(chunk)
        return await body.finish()


def _bearing(request: Request, token: str) -> Request:
    headers = CIMultiDict(request.headers)
    headers["Authorization"] = f"Bearer {token}"
    return replace(request, headers=headers)


def _target(answer: HttpAnswer, called: URL) -> URL | None:
    """Where the same call is to be made instead (RFC 9110 §15.4.8, §15.4.9)."""
    location = answer.headers.get("location")
    if answer.status not in FOLLOWED or location is None:
        return None
    return target_of_same_origin(location, called=called)


def retry_after_seconds(header: str | None) -> float | None:
    """Retry-After (RFC 9110 §10.2.3) as seconds; None where it says nothing we can use."""
    if not header:
        return None
    if header.isascii() and header.isdigit():
        return float(header)
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _content_type(answer: HttpAnswer) -> str:
    given = answer.headers.get("content-type", "application/octet-stream")
    return given if given.isascii() and given.isprintable() else "application/octet-stream"
