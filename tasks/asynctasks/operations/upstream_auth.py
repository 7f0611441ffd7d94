"""How an operation's executor shows an upstream who it is, as declared."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from asynctasks.declarations.declared import UNQUOTED, Declared

if TYPE_CHECKING:
    from collections.abc import Iterator

_URL = re.compile(r"(https?://[^\s/?#]|\{)[^\s#]*")
_NAME = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


class ClientCredentials(Declared):
    """OAuth 2.0 client credentials (RFC 6749 §4.4). `{NAME}` is of the executor's environment."""

    token_url: str
    client_id: str = Field(min_length=1)
    client_secret: str
    """`{NAME}` and nothing else, so that no file of operations holds it."""
    scopes: tuple[str, ...] = ()
    audience: str | None = Field(default=None, min_length=1)
    """Whom the token is for, where the token endpoint asks for that."""

    @field_validator("token_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if not _URL.fullmatch(value):
            raise ValueError("expected http://…, https://… or {NAME_OF_AN_ENVIRONMENT_VARIABLE}…")
        return value

    @field_validator("client_secret")
    @classmethod
    def _stays_outside(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise PydanticCustomError(UNQUOTED, "expected {NAME_OF_AN_ENVIRONMENT_VARIABLE} alone")
        return value

    @field_validator("scopes")
    @classmethod
    def _are_scopes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for scope in value:
            if not _SCOPE.fullmatch(scope):
                raise ValueError(f"{scope!r} is no scope (RFC 6749 §3.3)")
        return value

    def texts(self) -> Iterator[tuple[str, str]]:
        """The keys whose texts may name parts of the environment, and these texts."""
        yield "tokenUrl", self.token_url
        yield "clientId", self.client_id
        yield "clientSecret", self.client_secret
        if self.audience is not None:
            yield "audience", self.audience


class UpstreamAuth(Declared):
    """By what an executor is known to an upstream."""

    oauth2: ClientCredentials
