"""What all that is declared in an operations file has in common."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from pydantic import AliasGenerator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

# Strict: `true` is no number, and neither is "3".
Whole = Annotated[int, Field(strict=True)]
Number = Annotated[float, Field(strict=True)]
Seconds = Annotated[Number, Field(gt=0, le=86_400)]

UNQUOTED = "unquoted"
"""The type of a pydantic error that is told without the value, which may be secret."""

SCHEMA_FAULT = "json_schema"
"""The type of a pydantic error whose context holds `faults`: of each the path and what is wrong."""


class Declared(BaseModel):
    """One mapping of the file: its keys in camelCase, an unknown one is a fault."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=AliasGenerator(validation_alias=to_camel),
        ignored_types=(cached_property,),
    )
