"""Encrypts what is secret at rest: arguments by Fernet, AES-128-CBC with HMAC-SHA256.

And headers by AES-SIV (RFC 5297), which takes a seventh of its time: an operation that forwards
them seals them for each call, be there a secret among them or not.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from asynctasks.errors import SealedArgumentsError, SealingKeyMissingError, SettingsError
from asynctasks.json_values import read_json, write_json
from asynctasks.kept_key import kept_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path as FilePath

    from asynctasks.operations.write_only import Path

NONCE_BYTES = 16
Header = tuple[str, str]
"""A name and a value, as one line of a request has them."""
HOW_TO_MAKE_A_KEY = (
    "make one with `asyncapiproxy sealing-key` and set ASYNCAPIPROXY_SEALING_KEYS to it"
)


class Sealing:
    """Seals with the first key and unseals with any, so that keys can be rotated."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take Fernet keys, the newest first; raises SettingsError."""
        self.keys = [key.strip() for key in keys]
        try:
            self._fernet = MultiFernet([Fernet(key) for key in self.keys]) if keys else None
            self._of_headers = [AESSIV(_key_of_headers(key)) for key in self.keys]
        except ValueError as error:
            raise SettingsError(
                f"ASYNCAPIPROXY_SEALING_KEYS holds something that is no key; {HOW_TO_MAKE_A_KEY}"
            ) from error

    def require_key(self, operations: Iterable[str]) -> None:
        """Raise SealingKeyMissingError where these operations need a key and there is none."""
        names = ", ".join(operations)
        if names and self._fernet is None:
            raise SealingKeyMissingError(
                f"writeOnly arguments or forwarded headers of {names} need a sealing key; "
                f"{HOW_TO_MAKE_A_KEY}"
            )

    def seal(self, secrets: list[tuple[Path, Any]]) -> str | None:
        """The secrets as a token; None where there are none."""
        if not secrets:
            return None
        if self._fernet is None:
            raise SealingKeyMissingError
        return self._fernet.encrypt(write_json(secrets)).decode()

    def unseal(self, token: str | None) -> list[tuple[Path, Any]]:
        """The secrets of a token; raises SealedArgumentsError where no key fits."""
        if token is None:
            return []
        if self._fernet is None:
            raise SealedArgumentsError
        try:
            opened = self._fernet.decrypt(token)
        except (InvalidToken, ValueError) as error:  # ValueError: text that no token is made of
            raise SealedArgumentsError from error
        return [(tuple(path), value) for path, value in read_json(opened)]

    def seal_headers(self, headers: Sequence[Header]) -> str | None:
        """A caller's headers as a token; None where there are none."""
        if not headers:
            return None
        if not self._of_headers:
            raise SealingKeyMissingError
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._of_headers[0].encrypt(write_json(headers), [nonce])
        return b64encode(nonce + sealed).decode()

    def unseal_headers(self, token: str | None) -> tuple[Header, ...]:
        """The headers of a token; raises SealedArgumentsError where no key fits."""
        if token is None:
            return ()
        try:
            sealed = b64decode(token, validate=True)
        except ValueError as error:
            raise SealedArgumentsError from error
        for cipher in self._of_headers:
            with suppress(InvalidTag):
                opened = cipher.decrypt(sealed[NONCE_BYTES:], [sealed[:NONCE_BYTES]])
                return tuple((name, value) for name, value in orjson.loads(opened))
        raise SealedArgumentsError


def _key_of_headers(key: str) -> bytes:
    """A key of its own made of a sealing key: none is used in two ways."""
    derived = HKDF(hashes.SHA256(), length=32, salt=None, info=b"asyncapiproxy headers")
    return derived.derive(key.encode())


def new_sealing_key() -> str:
    """A fresh random key."""
    return Fernet.generate_key().decode()


def kept_sealing_key(file: FilePath) -> str:
    """The key in the file, made on first use; raises SettingsError where it holds none."""
    key = kept_key(file, new_sealing_key)
    try:
        Fernet(key)
    except ValueError as error:
        raise SettingsError(f"{file} holds no sealing key; {HOW_TO_MAKE_A_KEY}") from error
    return key
