"""Signs callbacks, and tells by which public keys receivers verify that.

Each key signs each callback. So a receiver verifies by the old one or the new one, as long as both
are set.
"""

from __future__ import annotations

import hashlib
import os
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from asynctasks.callbacks.scheme import (
    ED25519,
    ED25519_BYTES,
    HMAC,
    ID,
    PRIVATE_PREFIX,
    PUBLIC_PREFIX,
    SECRET_BYTES,
    SECRET_PREFIX,
    SIGNATURE,
    TIMESTAMP,
    hmac_of,
    key_bytes,
    key_text,
    signed_content,
)
from asynctasks.json_values import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

MAX_OF_A_KIND = 2
"""The new key and the old one, while keys are rotated."""


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """The keys by which callbacks are signed, of each kind the newest first."""

    secrets: tuple[bytes, ...] = field(default=(), repr=False)
    """Receivers that verify by HMAC know them, too."""
    private_keys: tuple[Ed25519PrivateKey, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Take `whsk_…` and `whsec_…`; raises ValueError, by the place of what is wrong alone."""
        secrets: list[bytes] = []
        private_keys: list[Ed25519PrivateKey] = []
        for number, text in enumerate(texts, 1):
            if (secret := key_bytes(text, SECRET_PREFIX)) and len(secret) in SECRET_BYTES:
                secrets.append(secret)
            elif (private := _private_key(key_bytes(text, PRIVATE_PREFIX))) is not None:
                private_keys.append(private)
            else:
                raise ValueError(
                    f"key {number} is none: expected whsk_ (Ed25519) or whsec_ (HMAC), and behind "
                    "it 32 random bytes in base64, as `openssl rand -base64 32` makes them"
                )
        if max(len(secrets), len(private_keys)) > MAX_OF_A_KIND:
            raise ValueError(
                f"expected {MAX_OF_A_KIND} of each kind at most, the newest first: the key that "
                "signs from now on, and the one that receivers may still have"
            )
        return cls(tuple(secrets), tuple(private_keys))

    def __bool__(self) -> bool:
        return bool(self.secrets or self.private_keys)

    def headers(self, delivery_id: str, *, at: datetime, body: bytes) -> dict[str, str]:
        """What shows that a body is ours, and of now: one try of one delivery."""
        timestamp = str(int(at.timestamp()))
        content = signed_content(delivery_id, timestamp, body)
        signatures = [(HMAC, hmac_of(content, secret)) for secret in self.secrets]
        signatures += [(ED25519, private.sign(content)) for private in self.private_keys]
        return {
            ID: delivery_id,
            TIMESTAMP: timestamp,
            SIGNATURE: " ".join(
                f"{kind},{b64encode(signature).decode()}" for kind, signature in signatures
            ),
        }

    @property
    def public_keys(self) -> tuple[str, ...]:
        """The public keys as `whpk_…`."""
        return tuple(key_text(_public_bytes(it), PUBLIC_PREFIX) for it in self.private_keys)

    def public_jwks(self) -> dict[str, Any]:
        """The public keys as a JWK Set (RFC 7517, RFC 8037)."""
        return {"keys": [_public_jwk(_public_bytes(private)) for private in self.private_keys]}


def new_signing_key() -> str:
    """A fresh random key by which receivers need no secret."""
    return key_text(os.urandom(ED25519_BYTES), PRIVATE_PREFIX)


def _private_key(key: bytes | None) -> Ed25519PrivateKey | None:
    """The key; some write the public one behind it."""
    if key is None or len(key) not in {ED25519_BYTES, 2 * ED25519_BYTES}:
        return None
    private = Ed25519PrivateKey.from_private_bytes(key[:ED25519_BYTES])
    is_whole = key[ED25519_BYTES:] in {b"", _public_bytes(private)}
    return private if is_whole else None


def _public_bytes(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes_raw()


def _public_jwk(public: bytes) -> dict[str, str]:
    members = {"crv": "Ed25519", "kty": "OKP", "x": _base64url(public)}
    # Its name is the digest of just these members in this order (RFC 7638, RFC 8037 §2).
    kid = _base64url(hashlib.sha256(write_json(members)).digest())
    return {**members, "kid": kid, "use": "sig", "alg": "EdDSA"}


def _base64url(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
