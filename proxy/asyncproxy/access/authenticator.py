"""Tells who calls, by what the request shows.

What a caller shows itself decides, whatever a proxy in front says. In this order:

    Authorization: Bearer …, X-Api-Key   an API key, else a token of an issuer; bad: refused.
                                         Authorization is the upstream's where neither is declared
    the headers of a trusted proxy       from its addresses alone
    nothing                              anonymous, where that is allowed
"""

from __future__ import annotations

import hashlib
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncproxy.access.authentication import API_KEY, AUTHORIZATION
from asyncproxy.access.principal import ANONYMOUS
from asyncproxy.access.refusals import Reason, RefusalLog, refusal
from asyncproxy.access.tokens import SKEW_SECONDS, principal_in, verify
from asyncproxy.access.trusted_headers import HeaderReader
from asyncproxy.problems import UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from asyncproxy.access.access_file import AccessFile
    from asyncproxy.access.issuer_keys import IssuerKeys
    from asyncproxy.access.principal import Principal

LONGEST_TOKEN = 16_384
MAX_VERIFIED = 10_000
"""Tokens that are known to be good; of more the oldest is forgotten, and verified again."""
_AUTHORIZATION, _API_KEY = AUTHORIZATION.lower().encode(), API_KEY.lower().encode()
_TOKEN = re.compile(rb"[A-Za-z0-9._~+/-]+=*")
"""RFC 6750 §2.1."""


@dataclass(frozen=True, slots=True)
class _Verified:
    principal: Principal
    expires_at: int
    issuer: IssuerKeys
    keys: object
    """The issuer's keys at that time: once they change, nothing that they signed is known."""

    @property
    def is_good(self) -> bool:
        return self.keys is self.issuer.keys and time.time() < self.expires_at


class Authenticator:
    """Who calls, by one access file as it stands; another file is another one's."""

    def __init__(self, file: AccessFile, issuers: Mapping[str, IssuerKeys]) -> None:
        """Take the keys of all issuers of the file, by their names."""
        ways = file.authentication
        self._issuers = issuers
        self._api_keys = file.api_keys
        self.headers = None if ways.headers is None else HeaderReader(ways.headers)
        """Who reads what a proxy in front says, where that is declared."""
        self._is_anonymous_allowed = ways.anonymous == "allow"
        self._prefixes = tuple(prefix for _, prefix in ways.prefixes() if prefix)
        self._read = frozenset(
            {_API_KEY, _AUTHORIZATION} if ways.jwt or ways.api_keys else {_API_KEY}
        )
        self._verified: dict[bytes, _Verified] = {}
        self._refusals = RefusalLog()

    def principal_of(self, request: Request) -> Principal:
        """Who calls; raises UnauthenticatedError, whose reason only the log tells."""
        try:
            return self._principal_of(request)
        except UnauthenticatedError as error:
            self._refusals.tell(error, request)
            raise

    def _principal_of(self, request: Request) -> Principal:
        shown = [line for line in request.headers.raw if line[0] in self._read]
        if len(shown) > 1:
            raise refusal(Reason.SEVERAL, f"{len(shown)} of Authorization, X-Api-Key")
        if shown:
            return self._of_proof(*shown[0])
        if self.headers is not None and self.headers.trusts(request.scope):
            principal = self.headers.principal(request)
            if principal is not None:
                self._check_alone(principal, self.headers.prefix)
                return principal
        if self._is_anonymous_allowed:
            return ANONYMOUS
        raise refusal(Reason.NOTHING)

    def _of_proof(self, header: bytes, value: bytes) -> Principal:
        if len(value) > LONGEST_TOKEN:
            raise refusal(Reason.TOO_LONG, f"{len(value)} bytes")
        token = value if header == _API_KEY else _of_bearer(value)
        if not token:
            raise refusal(Reason.UNKNOWN_KEY, "it is empty")
        digest = hashlib.sha256(token).digest()
        if header == _API_KEY:
            return self._of_key(digest)
        known = self._verified.get(digest)
        if known is not None and known.is_good:
            return known.principal
        if digest in self._api_keys or not self._issuers or b"." not in token:
            return self._of_key(digest)
        if not _TOKEN.fullmatch(token):
            raise refusal(Reason.MALFORMED)
        return self._of_token(token.decode(), digest)

    def _of_key(self, digest: bytes) -> Principal:
        """Found by its hash: how long that takes may tell of the hash, and nothing of the key."""
        key = self._api_keys.get(digest)
        if key is None:
            raise refusal(Reason.UNKNOWN_KEY)
        if time.time() >= key.expires_at:
            raise refusal(Reason.ENDED_KEY, key.principal.name)
        return key.principal

    def _of_token(self, token: str, digest: bytes) -> Principal:
        keys, claims = verify(token, self._issuers)
        prefix = keys.issuer.prefix
        principal = principal_in(claims, keys.issuer.claims, prefix=prefix)
        self._check_alone(principal, prefix)
        self._verified.pop(digest, None)
        if len(self._verified) >= MAX_VERIFIED:
            del self._verified[next(iter(self._verified))]
        expires_at = int(claims["exp"]) + SKEW_SECONDS
        self._verified[digest] = _Verified(principal, expires_at, keys, keys.keys)
        return principal

    def _check_alone(self, principal: Principal, prefix: str) -> None:
        """Refuse a name without a prefix that begins as those of another way do."""
        names = () if prefix else (principal.name, *principal.groups)
        if any(name.startswith(self._prefixes) for name in names):
            raise refusal(Reason.CLAIMS, "the name begins with the prefix of another way")


def _of_bearer(value: bytes) -> bytes:
    scheme, _, token = value.partition(b" ")
    if scheme.lower() != b"bearer":
        raise refusal(Reason.SCHEME)
    return token.strip()
