"""The public keys of an issuer (RFC 7517), as far as we would trust a signature by them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from asynctasks.json_values import as_object

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_KEYS = 100
RSA_BITS = range(2048, 8193)
"""Smaller ones can be broken, larger ones take long to check."""
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_ALGORITHMS: dict[tuple[object, object], tuple[str, ...]] = {
    ("RSA", None): _RSA,
    ("EC", "P-256"): ("ES256",),
    ("EC", "P-384"): ("ES384",),
    ("EC", "P-521"): ("ES512",),
    ("OKP", "Ed25519"): ("EdDSA",),
    ("OKP", "Ed448"): ("EdDSA",),
}
"""By the type of a key and its curve. None of them signs by what the other side knows, too."""
ALGORITHMS = frozenset(name for names in _ALGORITHMS.values() for name in names)
_PUBLIC = ("kty", "crv", "n", "e", "x", "y")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key by which an issuer signs."""

    kid: str | None
    algorithms: tuple[str, ...]
    key: Any
    """The key as `cryptography` has it."""


def signing_keys(document: Any) -> tuple[SigningKey, ...]:
    """The keys of a key set that can be used; others in it may be for other purposes.

    Raises ValueError where it is no key set.
    """
    keys = (as_object(document) or {}).get("keys")
    if not isinstance(keys, list):
        raise ValueError("the key set has no list of keys")  # noqa: TRY004 - of JSON
    listed: list[Any] = keys  # pyright: ignore[reportUnknownVariableType] - of JSON
    return tuple(_usable(listed[:MAX_KEYS]))


def _usable(listed: list[Any]) -> Iterator[SigningKey]:
    for one in listed:
        key = None
        # Whatever is wrong with one of them, the others can be good.
        with suppress(Exception):
            key = _signing_key(as_object(one) or {})
        if key is not None:
            yield key


def _signing_key(members: dict[str, Any]) -> SigningKey | None:
    kid = members.get("kid")
    algorithms = _algorithms(members)
    if not algorithms or not isinstance(kid, str | None):
        return None
    key = jwt.PyJWK({name: members[name] for name in _PUBLIC if name in members}).key
    if isinstance(key, RSAPublicKey) and key.key_size not in RSA_BITS:
        return None
    return SigningKey(kid, algorithms, key)


def _algorithms(members: dict[str, Any]) -> tuple[str, ...]:
    purposes = members.get("key_ops", ["verify"])
    if members.get("use", "sig") != "sig" or not isinstance(purposes, list):
        return ()
    if "verify" not in purposes:
        return ()
    kind, curve = members.get("kty"), members.get("crv")
    if not isinstance(kind, str) or not isinstance(curve, str | None):
        return ()
    fitting = _ALGORITHMS.get((kind, curve), ())
    only = members.get("alg")
    return fitting if only is None else tuple(name for name in fitting if name == only)
