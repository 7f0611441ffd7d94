"""How a callback is written, for who sends it and who receives it: the latter has no libraries.

Its signature is one of Standard Webhooks (standardwebhooks.com).
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
from base64 import b64decode, b64encode

TYPE_PREFIX = "dev.asyncapiproxy.task."
"""What each event's type begins with; what follows is the task's final status."""

ID = "webhook-id"
TIMESTAMP = "webhook-timestamp"
SIGNATURE = "webhook-signature"

SECRET_PREFIX = "whsec_"  # noqa: S105 - what a secret begins with
SECRET_BYTES = range(24, 65)
PRIVATE_PREFIX = "whsk_"
PUBLIC_PREFIX = "whpk_"
ED25519_BYTES = 32
"""A private key's, and a public one's (RFC 8032)."""

HMAC = "v1"
"""HMAC-SHA256 by a secret that both sides have."""
ED25519 = "v1a"
"""Ed25519 by a key that only we have."""


def key_bytes(text: str, prefix: str) -> bytes | None:
    """What a key holds that is written with the prefix; None where it is written otherwise."""
    if not text.startswith(prefix):
        return None
    try:
        return b64decode(text.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):  # ValueError: other than ASCII
        return None


def key_text(key: bytes, prefix: str) -> str:
    """A key as it is written."""
    return prefix + b64encode(key).decode()


def signed_content(delivery_id: str, timestamp: str, body: bytes) -> bytes:
    """What is signed: the id, the time in seconds since 1970, and the body to the byte."""
    return b".".join((delivery_id.encode(), timestamp.encode(), body))


def hmac_of(content: bytes, secret: bytes) -> bytes:
    """The signature of the content by a secret."""
    return hmac.digest(secret, content, hashlib.sha256)
