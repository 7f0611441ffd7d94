"""The JSON Schema validator, as every schema of ours is read."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import jsonschema_rs

if TYPE_CHECKING:
    from asynctasks.operations.write_only import Schema

_DURATION = re.compile(
    r"P(\d+W|(?=[\dT])(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?)", re.ASCII
)


def compiled(schema: Schema, *, mask: str | None = None) -> jsonschema_rs.Draft202012Validator:
    """The validator of a schema, whose errors show the mask for values; raises ValueError.

    It never fetches anything: what a schema refers to is in it or nowhere. A pattern takes time by
    the length of the text only, so none may look around or back.
    """
    return jsonschema_rs.Draft202012Validator(
        schema,
        mask=mask,
        offline=True,
        validate_formats=True,
        formats={"duration": is_duration},
        pattern_options=jsonschema_rs.RegexOptions(),
    )


def is_duration(text: str) -> bool:
    """A duration of RFC 3339, appendix A, or with fractions of a second, as Java writes them."""
    return _DURATION.fullmatch(text) is not None
