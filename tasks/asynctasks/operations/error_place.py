"""Where in a value an error of the validator is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from asynctasks.json_values import as_array, as_object

if TYPE_CHECKING:
    import jsonschema_rs

    from asynctasks.operations.write_only import Location


def error_place(error: jsonschema_rs.ValidationError, value: Any) -> Location:
    """The names and indexes that lead from the value to what the error is about.

    jsonschema-rs 0.60.3 leaves empty names out of them, but not out of its message, which alone
    would be ambiguous, since it escapes no quotes. Where both do not tell, it is a place above.
    """
    told = tuple(error.instance_path)
    written = error.verbose_message.rpartition("\n\nOn instance")[2].partition(":\n    ")[0]
    place: list[str | int] = []
    left, here = told, value
    while written:
        named = [key for key in (*left[:1], "") if written.startswith(_written(key))]
        key = next((key for key in named if _is_in(here, key)), None)
        if key is None:
            return told if _leads_somewhere(told, value) else tuple(place)
        here = here[key]
        written = written[len(_written(key)) :]
        left = left[1:] if left[:1] == (key,) else left
        place.append(key)
    return tuple(place)


def _leads_somewhere(place: Location, value: Any) -> bool:
    for key in place:
        if not _is_in(value, key):
            return False
        value = value[key]
    return True


def _is_in(value: Any, key: str | int) -> bool:
    if isinstance(key, str):
        return key in (as_object(value) or {})
    return key < len(as_array(value) or [])


def _written(key: str | int) -> str:
    if isinstance(key, int):
        return f"[{key}]"
    return '["' + key.replace("~", "~0").replace("/", "~1") + '"]'
