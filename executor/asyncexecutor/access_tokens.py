"""Access tokens for upstreams, by OAuth 2.0 client credentials (RFC 6749 §4.4).

One token serves all attempts of an executor, and one fetch all that wait for it. Tokens and secrets
are in memory only: no row, no log and no error has them.
"""

from __future__ import annotations

import asyncio
import base64
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote_plus, urlencode

import orjson
from yarl import URL

from asyncexecutor.failures import UpstreamAuthError
from asyncexecutor.http.faults import CallFailedError
from asyncexecutor.upstream_connections import tls_context
from asyncexecutor.upstream_faults import failure
from asyncexecutor.upstream_request import Request
from asynctasks.errors import OperationsFileError
from asynctasks.json_values import as_object
from asynctasks.operations.upstream_call import HEADER_PLACEHOLDER

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from asyncexecutor.http.call import HttpAnswer
    from asyncexecutor.upstream_connections import UpstreamConnections
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.upstream_auth import ClientCredentials
    from asynctasks.operations.upstream_call import UpstreamCall, UpstreamTls

FETCH_SECONDS = 10.0
EARLY_SECONDS = 30.0
"""So long before it expires a token is no longer used: a call has to arrive with a good one."""
LEAST_AGE_SECONDS = 1.0
"""A younger token is not given up for a 401: an upstream that refuses all must not have the token
endpoint asked with each attempt."""
MAX_ANSWER_BYTES = 65_536
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")
_ERRORS = frozenset(
    {
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
"""What a token endpoint may say (RFC 6749 §5.2). Any other text of it is not passed on."""


class AccessTokens:
    """The tokens of one executor; operations with the same credentials share one."""

    def __init__(self, connections: UpstreamConnections, environment: Mapping[str, str]) -> None:
        self._connections = connections
        self._environment = environment
        self._known: dict[tuple[ClientCredentials, UpstreamTls | None], AccessToken] = {}

    def of(self, operation: Operation, call: UpstreamCall) -> AccessToken | None:
        """The operation's, if it has any; raises OperationsFileError.

        The environment has to have all that is named.
        """
        if call.auth is None:
            return None
        credentials = call.auth.oauth2
        key = (credentials, call.tls)
        if key not in self._known:
            values = {name: self._filled(text) for name, text in credentials.texts()}
            try:
                request = _request(values, credentials.scopes)
            except ValueError:
                # Without the cause, which quotes the environment.
                place = operation.place("upstream", "auth", "oauth2", "tokenUrl")
                raise OperationsFileError(f"{place}: expected http://… or https://…") from None
            self._known[key] = AccessToken(
                self._connections, request, tls=tls_context(operation, call)
            )
        return self._known[key]

    def _filled(self, text: str) -> str:
        return HEADER_PLACEHOLDER.sub(lambda found: self._environment[found[1]].strip(), text)


@dataclass(slots=True)
class _Failure:
    at: float
    error: str


class AccessToken:
    """One token, fetched when it is first needed and again before it expires."""

    def __init__(
        self,
        connections: UpstreamConnections,
        request: Request,
        *,
        tls: ssl.SSLContext | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connections = connections
        self._request = request
        self._tls = tls
        self._clock = clock
        self._fetching = asyncio.Lock()
        self._token: str | None = None
        self._fetched_at = 0.0
        self._good_until = 0.0
        self._last_failure = _Failure(float("-inf"), "")

    async def current(self) -> str:
        """A token that is good for now; raises UpstreamAuthError."""
        asked_at = self._clock()
        async with self._fetching:
            if self._token is None or self._clock() >= self._good_until:
                # Who fails fails for all that have waited for it.
                if self._last_failure.at >= asked_at:
                    raise UpstreamAuthError(self._last_failure.error)
                await self._renew()
            assert self._token is not None
            return self._token

    def give_up(self, token: str) -> bool:
        """Whether it is worth another call, with another token, that the upstream refused this."""
        if token == self._token:
            if self._clock() - self._fetched_at < LEAST_AGE_SECONDS:
                return False
            self._token = None
        return True

    async def _renew(self) -> None:
        try:
            self._token, lifetime_seconds = await self._fetched()
        except UpstreamAuthError as error:
            self._last_failure = _Failure(self._clock(), str(error))
            raise
        self._fetched_at = self._clock()
        early = min(EARLY_SECONDS, lifetime_seconds / 2)
        self._good_until = self._fetched_at + lifetime_seconds - early

    async def _fetched(self) -> tuple[str, float]:
        try:
            async with (
                asyncio.timeout(FETCH_SECONDS),
                self._connections.send("POST", self._request, tls=self._tls) as answer,
            ):
                status, body = answer.status, await _read(answer)
        except TimeoutError:
            raise UpstreamAuthError(
                f"The token endpoint did not answer within {FETCH_SECONDS:g} s."
            ) from None
        except CallFailedError as error:
            raise UpstreamAuthError(str(failure(error, whose="The token endpoint"))) from None
        return _granted(status, body)


def _request(values: Mapping[str, str], scopes: tuple[str, ...]) -> Request:
    """How a token is asked for; raises ValueError where the URL is none."""
    url = URL(values["tokenUrl"])
    url.origin()
    form = {"grant_type": "client_credentials"}
    if scopes:
        form["scope"] = " ".join(scopes)
    if "audience" in values:
        form["audience"] = values["audience"]
    # Each written as in a form before they are joined (RFC 6749 §2.3.1).
    known_as = f"{quote_plus(values['clientId'])}:{quote_plus(values['clientSecret'])}"
    headers = {
        "Accept": "application/json",
        "Authorization": f"Basic {base64.b64encode(known_as.encode()).decode()}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return Request(url, headers, urlencode(form).encode())


async def _read(answer: HttpAnswer) -> bytes:
    body = b""
    while len(body) <= MAX_ANSWER_BYTES and (chunk := await answer.more()):
        body += chunk
    return body


def _granted(status: int, body: bytes) -> tuple[str, float]:
    """The token and how many seconds it lives, for ever where that is not said (RFC 6749 §5.1)."""
    try:
        members = as_object(orjson.loads(body)) or {}
    except ValueError:
        members = {}
    if status != 200:  # noqa: PLR2004 - the only one of RFC 6749 §5.1
        error = members.get("error")
        reason = f" ({error})" if isinstance(error, str) and error in _ERRORS else ""
        raise UpstreamAuthError(f"The token endpoint answered {status}{reason}.")
    token, kind = members.get("access_token"), members.get("token_type")
    if not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        raise UpstreamAuthError("The token endpoint's answer has no access token.")
    if not (isinstance(kind, str) and kind.lower() == "bearer"):
        raise UpstreamAuthError("The token endpoint's answer has a token that is no bearer token.")
    try:
        # Some write it as text.
        return token, max(0.0, float(members.get("expires_in", "inf")))
    except (TypeError, ValueError):
        return token, float("inf")
