"""Calls the upstream of an operation, by aiohttp (ADR 0003 says why not by httpx)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import aiohttp

from asyncexecutor.failures import (
    ResponseTooLargeError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
    UpstreamUrlError,
)
from asyncexecutor.runner import Answer
from asyncexecutor.upstream_request import RequestTemplate
from asynctasks.response import Response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from uuid import UUID

    from asynctasks.operations.operation import Operation, UpstreamCall

CONNECT_SECONDS = 10.0


@asynccontextmanager
async def upstream_session(*, connections: int) -> AsyncGenerator[aiohttp.ClientSession]:
    """One pool for all upstreams: as many connections as there can be attempts at a time.

    It keeps no cookies: what an upstream sets for one caller is not for the next.
    """
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=connections),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={
            "User-Agent": f"AsyncApiProxy/{version('asyncapiproxy')}",
            # So that max_response_bytes bounds what is read, not what it unpacks to.
            "Accept-Encoding": "identity",
        },
    ) as session:
        yield session


class Upstream:
    """The upstream of one operation."""

    def __init__(
        self,
        operation: Operation,
        call: UpstreamCall,
        session: aiohttp.ClientSession,
        *,
        environment: Mapping[str, str],
        max_response_bytes: int,
    ) -> None:
        """Raise OperationsFileError with all that the environment lacks or spoils."""
        self._session = session
        self._method = call.method
        self._request = RequestTemplate(operation, call, environment)
        self._timeout_seconds = call.timeout_seconds
        self._timeout = aiohttp.ClientTimeout(
            total=call.timeout_seconds, sock_connect=min(CONNECT_SECONDS, call.timeout_seconds)
        )
        self._max_response_bytes = max_response_bytes

    async def run(self, task_id: UUID, arguments: dict[str, Any]) -> Answer:
        """See `Runner`."""
        request = self._request.request(task_id, arguments)
        try:
            async with self._session.request(
                self._method,
                request.url,
                headers=request.headers,
                data=request.body,
                # A redirect is an answer: who called may follow it.
                allow_redirects=False,
                timeout=self._timeout,
            ) as answer:
                response = Response(answer.status, _content_type(answer), await self._read(answer))
                asks = answer.headers.get("retry-after")
                return Answer(response, retry_after_seconds(asks))
        except TimeoutError as error:
            raise UpstreamTimeoutError(
                f"The upstream did not answer within {self._timeout_seconds:g} s."
            ) from error
        except (aiohttp.InvalidURL, UnicodeError):
            # Without the cause: its text holds the URL, and so secrets and arguments.
            raise UpstreamUrlError("The host is none that can be asked for.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnreachableError(
                f"The upstream's connection failed: {_reason(error)}"
            ) from error

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        if (answer.content_length or 0) > self._max_response_bytes:
            raise self._too_large(answer)
        body = bytearray()
        async for chunk in answer.content.iter_any():
            body += chunk
            if len(body) > self._max_response_bytes:
                raise self._too_large(answer)
        return bytes(body)

    def _too_large(self, answer: aiohttp.ClientResponse) -> ResponseTooLargeError:
        return ResponseTooLargeError(
            f"The upstream answered {answer.status} with more than "
            f"{self._max_response_bytes} bytes, the most that is kept."
        )


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


def _reason(error: Exception) -> str:
    """The class tells what happened; its text may hold the URL, and so arguments."""
    return {
        "ClientConnectorDNSError": "its name was not found.",
        "ClientConnectorError": "it was refused.",
        "ServerDisconnectedError": "it was closed before an answer came.",
        "ClientPayloadError": "it was closed in the middle of the answer.",
    }.get(type(error).__name__, f"{type(error).__name__}.")


def _content_type(answer: aiohttp.ClientResponse) -> str:
    given = answer.headers.get("content-type", "application/octet-stream")
    return given if given.isascii() and given.isprintable() else "application/octet-stream"
