"""What an operation's OpenAPI document says of the upstream's answer."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from asynctasks.declarations.declared import SCHEMA_FAULT, Declared, Whole
from asynctasks.operations.schema_faults import schema_faults
from asynctasks.operations.schema_keywords import keyword_faults
from asynctasks.operations.write_only import Schema

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")


class DeclaredResponse(Declared):
    """The answer that callers may expect, for readers and generated clients: nobody checks it."""

    status: Annotated[Whole, Field(ge=200, le=299)] | None = None
    """By default any 2xx."""
    content_type: str | None = None
    """By default `application/json` with a schema, and nothing without."""
    schema_: Schema | None = Field(default=None, validation_alias="schema")
    """JSON Schema (2020-12) of the body."""

    @field_validator("content_type")
    @classmethod
    def _is_media_type(cls, value: str | None) -> str | None:
        if value is not None and not _MEDIA_TYPE.fullmatch(value):
            raise ValueError("expected a media type without parameters: application/json")
        return value

    @field_validator("schema_")
    @classmethod
    def _is_schema(cls, value: Schema | None) -> Schema | None:
        if value is not None and (faults := [*schema_faults(value), *keyword_faults(value)]):
            told = [(fault.path, str(fault)) for fault in faults]
            raise PydanticCustomError(SCHEMA_FAULT, "it is no schema", {"faults": told})
        return value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("expected `status`, `contentType`, `schema` or several of them")
        return self

    @property
    def media_type(self) -> str | None:
        """That of the body; None where there is none."""
        return self.content_type or ("application/json" if self.schema_ is not None else None)
