"""Fetches issuers' keys: in the background, again and again, and kept while an issuer is away.

fetched ──60 s──▶ fetched again          a token by a key that we do not know:
   ▲                   │ fails           fetched again soon, but not more often
   └───────5 s─────────┘                 than every 5 s, whoever makes up such tokens
"""

from __future__ import annotations

import asyncio
import ssl
import time
from functools import cached_property
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import structlog

from asyncproxy.access.metrics import KEYS_FETCHED_TIMESTAMP
from asyncproxy.access.signing_keys import signing_keys
from asynctasks.errors import AsyncApiProxyError
from asynctasks.json_values import as_object

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from asyncproxy.access.authentication import Issuer
    from asyncproxy.access.signing_keys import SigningKey

EVERY_SECONDS = 60.0
LEAST_SECONDS = 5.0
FETCH_SECONDS = 5.0
MAX_ANSWER_BYTES = 1_048_576
DISCOVERY = "/.well-known/openid-configuration"

log = structlog.get_logger(__name__)


class KeysUnavailableError(AsyncApiProxyError):
    """An issuer's keys could not be fetched."""


class IssuerKeys:
    """The keys of one issuer as we last have seen them."""

    def __init__(
        self,
        issuer: Issuer,
        *,
        certificates: str | None = None,
        token_file: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self.keys: tuple[SigningKey, ...] = ()
        """Another object when the issuer has other keys than before."""
        self._source = _KeySource(issuer, certificates=certificates, token_file=token_file)
        self._clock = clock
        self._asked_at = float("-inf")
        self._document: Any = None
        self._is_current = False
        self._fault = ""

    @property
    def is_due(self) -> bool:
        """Whether they should be fetched now."""
        pause_seconds = EVERY_SECONDS if self._is_current else LEAST_SECONDS
        return self._clock() >= self._asked_at + pause_seconds

    def key_for(self, kid: object, algorithm: str) -> SigningKey | None:
        """The one key that may have signed; if we know none, we ask for it soon."""
        found = [
            key
            for key in self.keys
            if algorithm in key.algorithms and (kid is None or key.kid == kid)
        ]
        if len(found) == 1:
            return found[0]
        self._is_current = False
        return None

    async def refresh(self) -> None:
        """Fetch them. Those that we have stay where that fails, which the log says once."""
        self._asked_at = self._clock()
        # Before that is known what it brings: what is asked for meanwhile is asked for again.
        self._is_current = True
        try:
            self._take(await self._source.fetch())
        except KeysUnavailableError as error:
            self._failed(str(error))
        except Exception as error:  # noqa: BLE001 - whatever an issuer answers, no loop ends by it
            self._failed(f"{type(error).__name__}: {error}")

    def _take(self, document: Any) -> None:
        keys = signing_keys(document)
        KEYS_FETCHED_TIMESTAMP.labels(self.issuer.issuer).set_to_current_time()
        if document != self._document or self._fault:
            kids = [key.kid for key in keys]
            tell = log.info if kids else log.warning
            tell("issuer's keys fetched", issuer=self.issuer.issuer, kids=kids)
        if document != self._document:
            self.keys, self._document = keys, document
        self._fault = ""

    def _failed(self, fault: str) -> None:
        self._is_current = False
        if fault != self._fault:
            log.warning(
                "issuer's keys cannot be fetched; those known stay in use",
                issuer=self.issuer.issuer,
                reason=fault,
                known=len(self.keys),
            )
        self._fault = fault


async def refresh_due(issuers: Iterable[IssuerKeys]) -> None:
    """Fetch the keys of those that are due, of all at once."""
    async with asyncio.TaskGroup() as tasks:
        for each in issuers:
            if each.is_due:
                tasks.create_task(each.refresh(), name=f"keys of {each.issuer.issuer}")


class _KeySource:
    """Where the keys of one issuer are, and how one gets there."""

    def __init__(
        self, issuer: Issuer, *, certificates: str | None, token_file: Path | None
    ) -> None:
        self._issuer = issuer
        self._certificates = certificates
        self._token_file = token_file

    async def fetch(self) -> Any:
        """The key set's document; raises KeysUnavailableError."""
        try:
            tls, headers = await asyncio.to_thread(lambda: (self._tls, self._headers()))
            async with (
                asyncio.timeout(FETCH_SECONDS),
                aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(ssl=tls),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers=headers,
                    trust_env=True,
                ) as session,
            ):
                return await self._document(session, await self._place(session))
        except TimeoutError:
            raise KeysUnavailableError(f"no answer within {FETCH_SECONDS:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise KeysUnavailableError(f"{type(error).__name__}: {error}") from error

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """For a thread: to read the system's certificates takes as long as many requests."""
        return ssl.create_default_context(cadata=self._certificates)

    def _headers(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        token = self._token_file.read_text(encoding="ascii").strip()
        return {"Authorization": f"Bearer {token}"}

    async def _place(self, session: aiohttp.ClientSession) -> str:
        """By OpenID Connect Discovery 1.0, §4: it has to be this issuer's own document."""
        if self._issuer.jwks_uri is not None:
            return self._issuer.jwks_uri
        url = self._issuer.issuer.rstrip("/") + DISCOVERY
        found = await self._document(session, url)
        if found.get("issuer") != self._issuer.issuer:
            raise KeysUnavailableError(f"{url} is the document of another issuer")
        place = found.get("jwks_uri")
        secured = ("https://",) if url.startswith("https://") else ("https://", "http://")
        if not isinstance(place, str) or not place.startswith(secured):
            raise KeysUnavailableError(f"{url} has no jwks_uri that begins with https://")
        return place

    async def _document(self, session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
        async with session.get(url, allow_redirects=False) as answer:
            body = await answer.content.read(MAX_ANSWER_BYTES + 1)
            while not answer.content.at_eof() and len(body) <= MAX_ANSWER_BYTES:
                body += await answer.content.read(MAX_ANSWER_BYTES + 1 - len(body))
        if answer.status != 200 or len(body) > MAX_ANSWER_BYTES:  # noqa: PLR2004 - the only good one
            raise KeysUnavailableError(f"{url} answered {answer.status}, {len(body)} bytes")
        document = as_object(orjson.loads(body))
        if document is None:
            raise KeysUnavailableError(f"{url} answered no JSON object")
        return document
