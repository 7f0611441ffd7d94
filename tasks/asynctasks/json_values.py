"""JSON values, which Python's types only know as Any."""

from __future__ import annotations

from typing import Any

import orjson


def as_object(value: Any) -> dict[str, Any] | None:
    """The value where it is a JSON object; else None."""
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType] - JSON's keys are text


def as_array(value: Any) -> list[Any] | None:
    """The value where it is a JSON array; else None."""
    return value if isinstance(value, list) else None  # pyright: ignore[reportUnknownVariableType] - its items are JSON


def is_storable(value: Any) -> bool:
    """Whether rows, seals and replies can hold it: not where it is nested too deeply.

    Orjson reads 1,024 levels and writes 254; ours are wrapped around the value.
    """
    try:
        orjson.dumps([[[[[[[[value]]]]]]]])
    except orjson.JSONEncodeError:
        return False
    return True
