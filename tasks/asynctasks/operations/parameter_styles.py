"""Takes apart what a caller has written in a parameter's style (OpenAPI 3.1.1, §4.8.12.4).

Texts are taken apart before they are decoded: `%2C` is a comma of a value, `,` stands between two.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, unquote_plus, unquote_to_bytes

from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asynctasks.operations.parameter import Parameter

Pair = tuple[str, str]
"""A name, decoded, and what was written for it."""
_SPACE = re.compile(r"%20|\+| ")
_PIPE = re.compile(r"\||%7C", re.IGNORECASE)
_COMMA = re.compile(",")
_DOT = re.compile(r"\.")
_MEMBER = re.compile(r"(.*)\[([^\[\]]+)\]", re.DOTALL)
"""`color[R]`, as deepObject calls a member."""


class ParameterTextError(AsyncApiProxyError):
    """What a caller gives is not written as the parameter wants it. It quotes no value."""


def query_pairs(query: str) -> list[Pair]:
    """The names, decoded, and the texts of a query."""
    pairs = (piece.partition("=") for piece in query.split("&") if piece)
    return [(unquote_plus(name), text) for name, _, text in pairs]


def cookie_pairs(header: str) -> list[Pair]:
    """The names, decoded, and the texts of a Cookie header (RFC 6265 §4.2.1)."""
    pairs = (piece.strip().partition("=") for piece in header.split(";") if piece.strip())
    return [(unquote(name), text) for name, _, text in pairs]


def single(parameter: Parameter, given: Sequence[Pair]) -> str:
    """The text of one value; raises ParameterTextError, as all here do."""
    return _value(parameter, _unprefixed(parameter, _only(given)))


def items(parameter: Parameter, given: Sequence[Pair]) -> list[str]:
    """The texts of a list's items."""
    return [_value(parameter, text) for text in _items(parameter, given)]


def members(parameter: Parameter, given: Sequence[Pair]) -> dict[str, str]:
    """The texts of an object's members."""
    found: dict[str, str] = {}
    for name, text in _members(parameter, given):
        if name in found:
            raise ParameterTextError(f"has the member {name!r} twice")
        found[name] = _value(parameter, text)
    return found


def member_name(parameter: Parameter, name: str) -> str | None:
    """Whose member a name of the query is, by deepObject; None where it is none of this."""
    match = _MEMBER.fullmatch(name)
    return match[2] if match and match[1] == parameter.name else None


def _decoded(text: str, *, plus_is_space: bool = False) -> str:
    if plus_is_space:
        text = text.replace("+", " ")
    if "%" not in text and text.isascii():
        return text
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeError as error:
        raise ParameterTextError("is not UTF-8") from error


def _value(parameter: Parameter, text: str) -> str:
    if parameter.place == "header":
        return text.strip()
    is_query = parameter.place == "query"
    return _decoded(text, plus_is_space=is_query and not parameter.allow_reserved)


def _only(given: Sequence[Pair]) -> str:
    if len(given) != 1:
        raise ParameterTextError(f"is given {len(given)} times: expected it once")
    return given[0][1]


def _joined(parameter: Parameter, given: Sequence[Pair]) -> str:
    """Lines of a header are one list (RFC 9110 §5.3)."""
    if parameter.place == "header":
        return ",".join(text for _, text in given)
    return _unprefixed(parameter, _only(given))


def _unprefixed(parameter: Parameter, text: str) -> str:
    if parameter.used_style == "label":
        if not text.startswith("."):
            raise ParameterTextError("expected the style label: .value")
        return text[1:]
    if parameter.used_style == "matrix":
        name, _, value = text.partition("=")
        if name != f";{parameter.name}":
            raise ParameterTextError(f"expected the style matrix: ;{parameter.name}=value")
        return value
    return text


def _items(parameter: Parameter, given: Sequence[Pair]) -> list[str]:
    if parameter.is_exploded and parameter.used_style == "form":
        return [text for _, text in given]
    if parameter.is_exploded and parameter.used_style == "matrix":
        pairs = _matrix(_only(given))
        if any(name != parameter.name for name, _ in pairs):
            raise ParameterTextError(f"expected ;{parameter.name}=value for each item")
        return [text for _, text in pairs]
    text = _joined(parameter, given)
    return _between(parameter).split(text) if text else []


def _members(parameter: Parameter, given: Sequence[Pair]) -> list[Pair]:
    if parameter.used_style == "deepObject":
        return [(member_name(parameter, name) or "", text) for name, text in given]
    if parameter.is_exploded and parameter.used_style == "form":
        return list(given)
    if parameter.is_exploded and parameter.used_style == "matrix":
        return _matrix(_only(given))
    text = _joined(parameter, given)
    pieces = _between(parameter).split(text) if text else []
    if parameter.is_exploded:
        return [_pair(piece) for piece in pieces]
    if len(pieces) % 2:
        raise ParameterTextError("expected a value after each name, with a comma between: a,1,b,2")
    pairs = zip(pieces[::2], pieces[1::2], strict=True)
    return [(_value(parameter, name), text) for name, text in pairs]


def _matrix(text: str) -> list[Pair]:
    if not text.startswith(";"):
        raise ParameterTextError("expected the style matrix: ;name=value")
    return [_pair(piece) for piece in text[1:].split(";")]


def _pair(piece: str) -> Pair:
    name, equals, text = piece.partition("=")
    if not equals:
        raise ParameterTextError("expected name=value")
    return _decoded(name.strip()), text


def _between(parameter: Parameter) -> re.Pattern[str]:
    """What stands between two pieces."""
    if parameter.used_style == "spaceDelimited":
        return _SPACE
    if parameter.used_style == "pipeDelimited":
        return _PIPE
    return _DOT if parameter.used_style == "label" and parameter.is_exploded else _COMMA
