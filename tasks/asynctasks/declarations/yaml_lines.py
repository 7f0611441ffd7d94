"""Reads YAML of the kind that JSON can say, with the line of each key.

Plain words are read by the core schema of YAML 1.2: `on`, `12:30` and `2026-01-01` are text. Keys
are text, values are JSON's, and it ends soon on any input: nesting and aliases are bounded.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import yaml

from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Iterator

Key = tuple[str | int, ...]

MAX_DEPTH = 64
"""Deeper than a person writes, and far from Python's own limit."""
MAX_NODES = 100_000
"""As many at least, and one for each character: more are there by aliases alone, with which a short
text can stand for more than memory holds."""
TAGS = frozenset(
    f"tag:yaml.org,2002:{name}"
    for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge")
)
_SURROGATE = re.compile("[\ud800-\udfff]")
_TEXT = ("tag:yaml.org,2002:str", "tag:yaml.org,2002:merge")


class YamlError(AsyncApiProxyError):
    """The text is not the YAML we read."""

    def __init__(self, line: int, fault: str) -> None:
        super().__init__(fault)
        self.line = line


def parse_yaml(text: str) -> tuple[Any, dict[Key, int]]:
    """The document, None where it is empty, and the line of each key in it; raises YamlError."""
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError(line, f"no YAML: the character U+{error.character:04X}") from error
    try:
        node: yaml.Node | None = loader.get_single_node()
        if node is None:
            return None, {}
        lines = dict(_lines(node, most=max(MAX_NODES, len(text))))
        return loader.construct_document(node), lines  # pyright: ignore[reportUnknownMemberType] - untyped
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        fault = error.problem or error.context
        raise YamlError(mark.line + 1 if mark else 1, f"no YAML: {fault}") from error
    finally:
        loader.dispose()


_FINITE = r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
# The core schema of YAML 1.2.2 (§10.3.2), and the merge key of 1.1, which people use: what each is
# written as, and the characters that it begins with.
_CORE = {
    "null": (re.compile("(~|null|Null|NULL|)"), "~nN"),
    "bool": (re.compile("(true|True|TRUE|false|False|FALSE)"), "tTfF"),
    "int": (re.compile("([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)"), "-+0123456789"),
    "float": (
        re.compile(rf"({_FINITE}|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))"),
        "-+.0123456789",
    ),
    "merge": (re.compile("<<"), "<"),
}


def core_resolvers() -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    """The tags that plain text may have, by its first character, as PyYAML looks them up."""
    found: dict[str, list[tuple[str, re.Pattern[str]]]] = {}
    for name, (pattern, firsts) in _CORE.items():
        whole = re.compile(rf"{pattern.pattern}\Z")
        for first in (*firsts, *([""] if name == "null" else [])):
            found.setdefault(first, []).append((f"tag:yaml.org,2002:{name}", whole))
    return found


class _Loader(yaml.SafeLoader):
    """SafeLoader, but by YAML 1.2's core schema, and what it makes no value of has a line."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Go no deeper than the recursion of the base class can."""
        self._depth += 1
        try:
            if self._depth > MAX_DEPTH:
                raise YamlError(self.line + 1, f"nested more than {MAX_DEPTH} levels deep")
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:  # noqa: FBT002 - the base's
        """Make a value that JSON has, too."""
        try:
            value = super().construct_object(node, deep)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - untyped
        except (ValueError, KeyError, IndexError) as error:
            tag = node.tag.rpartition(":")[2]
            raise YamlError(node.start_mark.line + 1, f"cannot be read as {tag}") from error
        if isinstance(value, str) and not value.isascii() and _SURROGATE.search(value):
            raise YamlError(
                node.start_mark.line + 1,
                "expected whole characters, not one half of a surrogate pair",
            )
        return value


def _is_written_as(kind: str, node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and bool(_CORE[kind][0].fullmatch(node.value))


def _text(node: yaml.Node, kind: str) -> str:
    """The text of a number or boolean; raises ValueError where it is written in another way."""
    if not _is_written_as(kind, node):
        raise ValueError(kind)
    return str(node.value)


def _whole(node: yaml.Node) -> int:
    text = _text(node, "int")
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _integer(_: yaml.SafeLoader, node: yaml.Node) -> int:
    return _whole(node)


def _number(node: yaml.Node) -> float:
    return float(re.sub(r"\.(?=[iInN])", "", _text(node, "float")))


def _float(_: yaml.SafeLoader, node: yaml.Node) -> float:
    return _number(node)


def _boolean(_: yaml.SafeLoader, node: yaml.Node) -> bool:
    return _text(node, "bool").lower() == "true"


def read_by_core_schema(loader: type[yaml.SafeLoader | yaml.CSafeLoader]) -> None:
    """Let a loader of PyYAML's read plain words by YAML 1.2, not by 1.1 as its own do."""
    loader.yaml_implicit_resolvers = core_resolvers()
    loader.add_constructor("tag:yaml.org,2002:int", _integer)
    loader.add_constructor("tag:yaml.org,2002:float", _float)
    loader.add_constructor("tag:yaml.org,2002:bool", _boolean)


read_by_core_schema(_Loader)


def _lines(root: yaml.Node, *, most: int) -> Iterator[tuple[Key, int]]:
    for count, (key, node) in enumerate(_nodes(root, (), ())):
        if count == most:
            raise YamlError(node.start_mark.line + 1, "its aliases stand for too much")
        yield key, node.start_mark.line + 1


def _nodes(node: yaml.Node, key: Key, above: tuple[yaml.Node, ...]) -> Iterator[tuple[Key, Any]]:
    """Each key with the node that has its line: the key's own, or an item of a list."""
    if node in above:
        raise YamlError(node.start_mark.line + 1, "an alias that contains itself")
    if len(above) > MAX_DEPTH:
        raise YamlError(node.start_mark.line + 1, f"nested more than {MAX_DEPTH} levels deep")
    if node.tag not in TAGS:
        raise YamlError(
            node.start_mark.line + 1,
            f"expected plain text, numbers, lists and keys, not {node.tag}",
        )
    if (expected := _expected_number(node)) is not None:
        where = ".".join(map(str, key)) or "the file"
        raise YamlError(node.start_mark.line + 1, f"{where}: expected {expected}")
    if not above:
        yield key, node
    if isinstance(node, yaml.MappingNode):
        for key_node, value_node in _pairs(node):
            yield (*key, key_node.value), key_node
            yield from _nodes(value_node, (*key, key_node.value), (*above, node))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*key, index), item
            yield from _nodes(item, (*key, index), (*above, node))


def _expected_number(node: yaml.Node) -> str | None:
    """What was expected in place of a number that JSON, or its readers, do not have."""
    kind = node.tag.rpartition(":")[2]
    if kind not in {"int", "float"} or not _is_written_as(kind, node):
        return None
    if kind == "float":
        return None if math.isfinite(_number(node)) else "a finite number"
    return None if _has_64_bits(node) else "a number of 64 bits at most"


def _has_64_bits(node: yaml.Node) -> bool:
    try:
        return -(2**63) <= _whole(node) < 2**64
    except ValueError:  # of more digits than Python reads
        return False


def _pairs(mapping: yaml.MappingNode) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    seen: set[str] = set()
    for key, value in mapping.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise YamlError(line, "expected a key of text")
        if key.tag not in _TEXT:
            raise YamlError(line, f'expected a key of text: write it in quotes, "{key.value}"')
        if key.value in seen:
            raise YamlError(line, f"{key.value!r} stands here twice")
        seen.add(key.value)
        yield key, value
