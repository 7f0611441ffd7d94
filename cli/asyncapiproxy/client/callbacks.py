"""Verifies callbacks, for who receives them: that they are the proxy's, whole, and of now.

By HMAC with what Python brings. Ed25519 needs the extra `callbacks`.
"""

from __future__ import annotations

import binascii
import hmac
import re
import time
from base64 import b64decode, urlsafe_b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple, Protocol, cast

import orjson

from asyncapiproxy.client.callback_event import CallbackEvent, callback_event
from asyncapiproxy.client.errors import CallbackInvalidError, CallbackKeyUnusableError
from asynctasks.callbacks.scheme import (
    ED25519,
    ED25519_BYTES,
    HMAC,
    ID,
    PUBLIC_PREFIX,
    SECRET_BYTES,
    SECRET_PREFIX,
    SIGNATURE,
    TIMESTAMP,
    hmac_of,
    key_bytes,
    signed_content,
)
from asynctasks.json_values import as_array, as_object


class _HasItems(Protocol):
    """Headers as each framework has them, by whatever class."""

    def items(self) -> Iterable[tuple[str, str]]: ...


Headers = _HasItems | Iterable[tuple[str, str]]
JwkSet = Mapping[str, Any]
Keys = str | JwkSet | Iterable[str | JwkSet]
TOLERANCE = timedelta(minutes=5)
_SECONDS = re.compile(r"[0-9]{1,12}")


class _Verifier(NamedTuple):
    """A key of one kind."""

    kind: str
    verifies: Callable[[bytes, bytes], bool]
    """Whether the key has signed the content so."""


def verify_callback(
    headers: Headers, body: bytes | str, keys: Keys, *, tolerance: timedelta = TOLERANCE
) -> CallbackEvent:
    """The event of a callback that one of the keys has signed, no longer ago than the tolerance.

    The body is that of the request to the byte, and not what was read from it. A key is `whsec_…`,
    `whpk_…`, or a JWK Set as the proxy has it at `/.well-known/jwks.json`; of several any will do.
    A delivery that comes once more is as good: it is known by its id. Raises CallbackInvalidError,
    and CallbackKeyUnusableError.
    """
    verifiers = _verifiers(keys)
    given = _given(headers)
    _check_time(given[TIMESTAMP], tolerance)
    if not isinstance(body, bytes | str):  # pyright: ignore[reportUnnecessaryIsInstance] - whatever a program gives
        raise CallbackInvalidError("Expected the body as it came, not what was read from it.")
    # What no text can be is signed by nobody.
    body = body.encode(errors="replace") if isinstance(body, str) else body
    content = signed_content(given[ID], given[TIMESTAMP], body)
    _check_signatures([*_signatures(given[SIGNATURE])], content, verifiers)
    try:
        return callback_event(orjson.loads(body))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CallbackInvalidError("It is signed, but tells of no task's end.") from error


def _check_time(timestamp: str, tolerance: timedelta) -> None:
    if not _SECONDS.fullmatch(timestamp):
        raise CallbackInvalidError(f"{TIMESTAMP}: expected seconds since 1970.")
    age = timedelta(seconds=time.time() - int(timestamp))
    if abs(age) > tolerance:
        told = "ago" if age > timedelta() else "ahead of this machine's clock"
        raise CallbackInvalidError(
            f"It was signed {abs(age).total_seconds():.0f} s {told}: expected "
            f"{tolerance.total_seconds():g} s at most."
        )


def _check_signatures(
    signatures: list[tuple[str, bytes]], content: bytes, verifiers: list[_Verifier]
) -> None:
    fitting = [
        (verifier, signature)
        for verifier in verifiers
        for kind, signature in signatures
        if kind == verifier.kind
    ]
    if not fitting:
        kinds = " or ".join(sorted({verifier.kind for verifier in verifiers}))
        raise CallbackInvalidError(f"{SIGNATURE}: expected a signature of the keys' kind: {kinds}.")
    if not any(verifier.verifies(content, signature) for verifier, signature in fitting):
        raise CallbackInvalidError("No key has signed this id, time and body.")


def _given(headers: Headers) -> dict[str, str]:
    """The three headers, by their names in small letters."""
    items = getattr(headers, "items", None)
    pairs = cast("Iterable[tuple[str, str]]", headers if items is None else items())
    found: dict[str, str] = {}
    for given, value in pairs:
        name = given.lower()
        if name in found:
            raise CallbackInvalidError(f"{name}: expected it once.")
        if name in {ID, TIMESTAMP, SIGNATURE}:
            found[name] = value
    for name in (ID, TIMESTAMP, SIGNATURE):
        if not found.get(name) or not found[name].isascii():
            raise CallbackInvalidError(f"{name}: expected such a header, in ASCII.")
    return found


def _signatures(header: str) -> Iterator[tuple[str, bytes]]:
    """Each signature with its kind; what is none may be of a kind to come."""
    for each in header.split():
        kind, _, written = each.partition(",")
        with suppress(binascii.Error, ValueError):
            yield kind, b64decode(written, validate=True)


def _verifiers(keys: Keys) -> list[_Verifier]:
    is_one = isinstance(keys, str | Mapping)
    several = cast("Iterable[str | JwkSet]", (keys,) if is_one else keys)
    found = [verifier for number, key in enumerate(several, 1) for verifier in _of_key(key, number)]
    if not found:
        raise CallbackKeyUnusableError("There is no key: expected one at least.")
    return found


def _of_key(key: str | JwkSet, number: int) -> list[_Verifier]:
    if isinstance(key, Mapping):
        return [_ed25519(public) for public in _public_keys(key, number)]
    secret = key_bytes(key, SECRET_PREFIX)
    if secret is not None and len(secret) in SECRET_BYTES:
        return [_Verifier(HMAC, partial(_is_hmac, secret))]
    public = key_bytes(key, PUBLIC_PREFIX)
    if public is not None and len(public) == ED25519_BYTES:
        return [_ed25519(public)]
    raise CallbackKeyUnusableError(
        f"Key {number} is none: expected whsec_… or whpk_…, in base64, or a JWK Set."
    )


def _public_keys(jwks: JwkSet, number: int) -> list[bytes]:
    """The Ed25519 keys of a set, in which others may be for other purposes (RFC 8037)."""
    found: list[bytes] = []
    for jwk in as_array(jwks.get("keys")) or []:
        members = as_object(jwk) or {}
        is_ours = (members.get("kty"), members.get("crv")) == ("OKP", "Ed25519")
        if is_ours and members.get("use", "sig") == "sig":
            with suppress(binascii.Error, ValueError, TypeError):
                found.append(urlsafe_b64decode(members.get("x", "") + "="))
    if not found or any(len(public) != ED25519_BYTES for public in found):
        raise CallbackKeyUnusableError(
            f"Key {number} is none: expected a JWK Set with Ed25519 keys, as the proxy has it at "
            "/.well-known/jwks.json."
        )
    return found


def _is_hmac(secret: bytes, content: bytes, signature: bytes) -> bool:
    return hmac.compare_digest(hmac_of(content, secret), signature)


def _ed25519(public: bytes) -> _Verifier:
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - of an extra
        from cryptography.hazmat.primitives.asymmetric.ed25519 import (  # noqa: PLC0415 - likewise
            Ed25519PublicKey,
        )
    except ImportError as error:
        raise CallbackKeyUnusableError(
            "Public keys need cryptography: pip install 'asyncapiproxy[callbacks]'"
        ) from error
    key = Ed25519PublicKey.from_public_bytes(public)

    def verifies(content: bytes, signature: bytes) -> bool:
        try:
            key.verify(signature, content)
        except InvalidSignature:
            return False
        return True

    return _Verifier(ED25519, verifies)
