"""Verifies a token of an issuer (RFC 7519, RFC 8725) and tells whose it is."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import jwt
import orjson

from asyncproxy.access.metrics import SIGNATURE_CHECKS
from asyncproxy.access.principal import Principal
from asyncproxy.access.refusals import Reason, quoted, refusal
from asyncproxy.access.signing_keys import ALGORITHMS
from asynctasks.json_values import as_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from asyncproxy.access.authentication import Claims
    from asyncproxy.access.issuer_keys import IssuerKeys
    from asyncproxy.access.signing_keys import SigningKey

SKEW_SECONDS = 30
"""What our clock and the issuer's may differ by."""
LONGEST_NAME = 256
MOST_GROUPS = 256
"""Each is compared with each pattern of the rules, at each request."""
_REASONS: dict[type[jwt.PyJWTError], Reason] = {
    jwt.ExpiredSignatureError: Reason.EXPIRED,
    jwt.ImmatureSignatureError: Reason.NOT_YET_VALID,
    jwt.InvalidAudienceError: Reason.AUDIENCE,
    jwt.MissingRequiredClaimError: Reason.CLAIMS,
}


def verify(token: str, issuers: Mapping[str, IssuerKeys]) -> tuple[IssuerKeys, dict[str, Any]]:
    """Whose the token is, and what it says; raises UnauthenticatedError."""
    header, claims = _unverified(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise refusal(Reason.ALGORITHM, quoted(algorithm))
    named = claims.get("iss")
    keys = issuers.get(named) if isinstance(named, str) else None
    if keys is None:
        raise refusal(Reason.UNKNOWN_ISSUER, quoted(named))
    key = keys.key_for(kid, algorithm)
    if key is None:
        raise refusal(Reason.NO_SIGNING_KEY, f"{keys.issuer.issuer}: {quoted(kid)}")
    SIGNATURE_CHECKS.inc()
    if not _is_signed(token, algorithm, key):
        raise refusal(Reason.SIGNATURE, keys.issuer.issuer)
    return keys, _claims(token, keys, key)


def _is_signed(token: str, algorithm: str, key: SigningKey) -> bool:
    """Whether the key has signed it.

    `jwt.decode` asks that again, and spends 1 to 4 ms on each long token before it does: too much
    for one that anybody can make up.
    """
    signed, _, signature = token.rpartition(".")
    return jwt.get_algorithm_by_name(algorithm).verify(signed.encode(), key.key, _bytes(signature))


def _claims(token: str, keys: IssuerKeys, key: SigningKey) -> dict[str, Any]:
    try:
        return jwt.decode(
            token,
            key.key,
            algorithms=key.algorithms,
            audience=keys.issuer.audiences,
            issuer=keys.issuer.issuer,
            leeway=SKEW_SECONDS,
            options={"require": ["exp", "iss", "aud"]},
        )
    except jwt.PyJWTError as error:
        reason = _REASONS.get(type(error), Reason.MALFORMED)
        raise refusal(reason, f"{keys.issuer.issuer}: {type(error).__name__}") from error


def principal_in(claims: Mapping[str, Any], declared: Claims, *, prefix: str) -> Principal:
    """Who the token's bearer is; raises UnauthenticatedError."""
    groups: Any = None if declared.groups is None else claim_at(claims, declared.groups)
    listed: list[Any] = groups if isinstance(groups, list) else [groups]  # pyright: ignore[reportUnknownVariableType] - of JSON
    tenant = None if declared.tenant is None else claim_at(claims, declared.tenant)
    return Principal(
        name=prefix + checked_name(claim_at(claims, declared.principal), Reason.CLAIMS),
        tenant="" if tenant is None else checked_name(tenant, Reason.CLAIMS),
        groups=checked_groups(
            [each for each in listed if each is not None], Reason.CLAIMS, prefix=prefix
        ),
    )


def checked_groups(names: Sequence[object], reason: Reason, *, prefix: str) -> frozenset[str]:
    """The groups of these names; raises UnauthenticatedError."""
    if len(names) > MOST_GROUPS:
        raise refusal(reason, f"expected {MOST_GROUPS} groups at most, not {len(names)}")
    return frozenset(prefix + checked_name(each, reason) for each in names)


def checked_name(value: object, reason: Reason) -> str:
    """The name, which can stand in a row, in a log and in a rule; raises UnauthenticatedError."""
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_NAME:
        raise refusal(reason, f"expected a name of 1 to {LONGEST_NAME} characters")
    if not value.isprintable() or value != value.strip():
        raise refusal(reason, "expected a name that can be printed")
    return value


def claim_at(claims: Mapping[str, Any], place: str) -> Any:
    """What stands there: in the member of this name, or where a JSON Pointer leads."""
    if not place.startswith("/"):
        return claims.get(place)
    found: Any = claims
    for part in place.split("/")[1:]:
        found = (as_object(found) or {}).get(part.replace("~1", "/").replace("~0", "~"))
    return found


def _unverified(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What its head and its claims say; its signature can be read, too."""
    try:
        header, claims, signature = token.split(".")
        _bytes(signature)
        read = as_object(orjson.loads(_bytes(header))), as_object(orjson.loads(_bytes(claims)))
    except ValueError as error:
        raise refusal(Reason.MALFORMED, "no JSON Web Token") from error
    if read[0] is None or read[1] is None:
        raise refusal(Reason.MALFORMED, "no JSON Web Token")
    return read[0], read[1]


def _bytes(segment: str) -> bytes:
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
