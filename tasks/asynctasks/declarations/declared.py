"""What all that is declared in an operations file has in common."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import AfterValidator, AliasGenerator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

if TYPE_CHECKING:
    from collections.abc import Collection

T = TypeVar("T")
# Strict: `true` is no number, and neither is "3".
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Seconds = Annotated[Number, Field(gt=0, le=86_400)]


def _not_empty(values: Collection[object]) -> Collection[object]:
    if not values:
        raise PydanticCustomError("too_short", "expected at least one")
    return values


NotEmpty = AfterValidator(_not_empty)
"""A list of one at least, which is not counted where one of it is at fault."""


def _printable(value: T) -> T:
    if not str(value).isprintable():
        raise ValueError("expected text that can be printed")
    return value


PRINTABLE = AfterValidator(_printable)
"""A text or a path without control characters."""

UNQUOTED = "unquoted"
"""The type of a pydantic error that is told without the value, which may be secret."""

SCHEMA_FAULT = "json_schema"
"""The type of a pydantic error whose context holds `faults`: of each the path and what is wrong."""


def did_you_mean(word: str, known: Collection[str]) -> str:
    """What to add to a message about an unknown word: the known one that is most like it."""
    likely = get_close_matches(word, sorted(known), n=1)
    return f"; did you mean {likely[0]}?" if likely else ""


class Declared(BaseModel):
    """One mapping of the file: its keys in camelCase, an unknown one is a fault."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=AliasGenerator(validation_alias=to_camel),
        ignored_types=(cached_property,),
    )
