"""Calls the upstream of an operation, by aiohttp (ADR 0003 says why not by httpx)."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import uritemplate
from yarl import URL

from asyncexecutor.failures import (
    ResponseTooLargeError,
    UpstreamTimeoutError,
    UpstreamUnreachableError,
    UpstreamUrlError,
)
from asyncexecutor.runner import Answer
from asynctasks.errors import OperationsFileError
from asynctasks.response import Response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from uuid import UUID

    from asynctasks.operations.operation import Operation, UpstreamCall

CONNECT_SECONDS = 10.0
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


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
        """Raise OperationsFileError where the environment lacks a name that the call uses."""
        arguments = frozenset(operation.arguments.get("properties", {}))
        self._session = session
        self._method = call.method
        self._timeout_seconds = call.timeout_seconds
        self._timeout = aiohttp.ClientTimeout(
            total=call.timeout_seconds, sock_connect=min(CONNECT_SECONDS, call.timeout_seconds)
        )
        self._max_response_bytes = max_response_bytes
        self._in_url = arguments & call.variables
        self._takes_body = call.method in {"POST", "PUT", "PATCH"}

        def value(match: re.Match[str]) -> str:
            name = match[1]
            if name in arguments:
                return match[0]
            if name not in environment:
                raise OperationsFileError(
                    f"{operation.name}: upstream: {name} is neither an argument nor set in the "
                    "environment of this executor"
                )
            return environment[name]

        self._url = uritemplate.URITemplate(_PLACEHOLDER.sub(value, call.url).strip())
        self._headers = {name: _PLACEHOLDER.sub(value, text) for name, text in call.headers.items()}

    async def run(self, task_id: UUID, arguments: dict[str, Any]) -> Answer:
        """See `Runner`."""
        url, headers, body = self._request(task_id, arguments)
        try:
            async with self._session.request(
                self._method,
                url,
                headers=headers,
                data=body,
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
        except aiohttp.InvalidURL as error:
            raise UpstreamUrlError(f"The upstream's URL is not valid: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise UpstreamUnreachableError(
                f"The upstream's connection failed: {_reason(error)}"
            ) from error

    def _request(
        self, task_id: UUID, arguments: dict[str, Any]
    ) -> tuple[URL, dict[str, str], bytes | None]:
        in_url = {name: arguments[name] for name in self._in_url if name in arguments}
        if any(value in {".", ".."} for value in in_url.values() if isinstance(value, str)):
            # Dots stay dots in a template, and the path would climb.
            raise UpstreamUrlError('An argument in the URL may not be "." or "..".')
        headers = {**self._headers, "Idempotency-Key": str(task_id)}
        body = None
        if self._takes_body:
            headers["Content-Type"] = "application/json"
            body = orjson.dumps(
                {name: value for name, value in arguments.items() if name not in self._in_url}
            )
        try:
            return URL(self._url.expand(in_url), encoded=True), headers, body
        except (ValueError, TypeError) as error:
            raise UpstreamUrlError(f"The upstream's URL is not valid: {error}") from error

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
