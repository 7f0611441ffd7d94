"""Writes an operations file as a person would: what is short on one line, all else below.

Words are quoted where a reader of YAML 1.1 or one of 1.2 would take them for something else, since
Helm reads values by the former.
"""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING, Any

import yaml

from asynctasks.declarations.yaml_lines import core_resolvers
from asynctasks.json_values import as_array, write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

LONGEST_LINE = 100
_LONGEST_FLOW = 72
"""Of what is written in braces or brackets."""


def written(operations: Mapping[str, Any], *, title: str) -> str:
    """The text of the file; `title` says of what it was made."""
    texts = [indent(_dumped({name: each}), "  ") for name, each in operations.items()]
    return f"# Made of {title} by `asyncapiproxy operations import`.\noperations:\n" + "\n".join(
        texts
    )


def _dumped(value: Any) -> str:
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=LONGEST_LINE,
        default_flow_style=False,
    )


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the base's
        """What is used twice is written twice: people follow no anchors."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT002 - the base's
        """Lists stand below their key, not beside it."""
        return super().increase_indent(flow, indentless=False)


for _first, _resolvers in core_resolvers().items():
    for _tag, _pattern in _resolvers:
        _Dumper.add_implicit_resolver(_tag, _pattern, [_first])  # pyright: ignore[reportUnknownMemberType] - untyped


def _mapping(dumper: yaml.SafeDumper, value: dict[str, Any]) -> yaml.Node:
    is_short = _is_short(value) and all(map(_is_flat, value.values()))
    return dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=is_short)


def _list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.Node:
    is_short = _is_short(value) and not any(isinstance(one, dict | list) for one in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=is_short)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = None
    if "\n" in value:
        style = "|"
    elif len(value) > LONGEST_LINE:
        style = ">"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)  # pyright: ignore[reportUnknownMemberType] - untyped


def _is_flat(value: Any) -> bool:
    if isinstance(value, str):
        return "\n" not in value
    items = as_array(value)
    if items is not None:
        return not any(isinstance(one, dict | list) for one in items)
    return not isinstance(value, dict) or not value


def _is_short(value: Any) -> bool:
    return len(write_json(value)) <= _LONGEST_FLOW


_Dumper.add_representer(dict, _mapping)
_Dumper.add_representer(list, _list)
_Dumper.add_representer(str, _text)
