"""A body that is taken as it comes, and sent on so: what is declared of it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, field_validator

from asynctasks.declarations.declared import Declared, Whole

DESCRIBING = (
    "Content-Type",
    "Content-Encoding",
    "Content-Language",
    "Content-Disposition",
    "Content-Digest",
    "Repr-Digest",
)
"""The headers that say what the body is (RFC 9110 §8, RFC 9530): they go where it goes."""
MEGABYTE = 1_048_576
_NAME = r"[!#$%&'+.^_`|~0-9A-Za-z-]+"
_MEDIA_RANGE = re.compile(rf"\*/\*|{_NAME}/(\*|{_NAME})")


class RawBody(Declared):
    """What callers may send as the body, of which nothing is read."""

    content_types: Annotated[tuple[str, ...], Field(min_length=1)]
    """Media types, without parameters: `application/pdf`, `image/*`."""
    max_bytes: Whole = Field(default=50 * MEGABYTE, ge=1, le=1_024 * MEGABYTE)

    @field_validator("content_types")
    @classmethod
    def _are_media_ranges(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not _MEDIA_RANGE.fullmatch(each):
                raise ValueError(
                    f"{each!r} is no media type: expected application/pdf, image/*, …, without "
                    "parameters"
                )
        return value

    def takes(self, content_type: str) -> bool:
        """Whether the value of a Content-Type is one of these."""
        media_type = content_type.partition(";")[0].strip().lower()
        kind = media_type.partition("/")[0]
        ranges = {each.lower() for each in self.content_types}
        return bool({media_type, f"{kind}/*"} & ranges) or ("*/*" in ranges and "/" in media_type)
