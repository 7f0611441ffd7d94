"""Where addresses in an upstream's answers lead callers instead, as declared."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from asynctasks.declarations.declared import Declared

_FROM = re.compile(r"(https?://[^\s/?#]|\{)[^\s?#]*")
_TO = re.compile(r"/([^\s/?#][^\s?#]*)?")


class RewriteLocation(Declared):
    """Maps addresses of the upstream to paths of the proxy, as nginx's `proxy_redirect` does."""

    from_url: str = Field(validation_alias="from")
    """What they begin with; `{NAME}` stands for the executor's environment."""
    to: str
    """The path of the proxy that they begin with instead."""

    @field_validator("from_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if not _FROM.fullmatch(value):
            raise ValueError(
                "expected http://…, https://… or {NAME_OF_AN_ENVIRONMENT_VARIABLE}…, without ? or #"
            )
        return value

    @field_validator("to")
    @classmethod
    def _is_path(cls, value: str) -> str:
        if not _TO.fullmatch(value):
            raise ValueError("expected a path of the proxy: / or /clients")
        return value
