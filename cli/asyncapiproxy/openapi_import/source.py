"""Reads the text of an OpenAPI document, from a file or an address, JSON or YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import orjson
import yaml

from asyncapiproxy.openapi_import.remarks import DocumentError
from asynctasks.declarations.declared_file import read_text
from asynctasks.declarations.yaml_lines import read_by_core_schema
from asynctasks.json_values import as_array, as_object

FETCH_SECONDS = 60
MAX_DEPTH = 200
MAX_VALUES = 10_000_000
"""With aliases a short text can stand for more than memory holds."""


def is_address(source: str) -> bool:
    """Whether it is fetched, and not a file's path."""
    return source.startswith(("http://", "https://"))


def read_source(source: str) -> Any:
    """The value of the document; raises DocumentError."""
    text = _fetched(source) if is_address(source) else read_text(Path(source), error=DocumentError)
    value = _parsed(text, name=source)
    _check_size(value, name=source)
    return value


def _fetched(address: str) -> str:
    try:
        answer = httpx.get(address, follow_redirects=True, timeout=FETCH_SECONDS)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise DocumentError(f"{address}: cannot be fetched: {error}") from error
    if not answer.is_success:
        raise DocumentError(f"{address}: cannot be fetched: it answered {answer.status_code}")
    return answer.text


def _parsed(text: str, *, name: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        pass  # it may be YAML, whose reader says what is wrong with either
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        fault = error.problem or error.context
        raise DocumentError(f"{name}:{line}: neither JSON nor YAML: {fault}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise DocumentError(f"{name}: neither JSON nor YAML: {error}") from error


class _Loader(yaml.CSafeLoader):
    """Made of C, since documents are large. Each key is text: `200:` is usual in them."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT002 - the base's
        self.flatten_mapping(node)
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                key.tag = "tag:yaml.org,2002:str"
        return super().construct_mapping(node, deep)


read_by_core_schema(_Loader)


def _check_size(value: Any, *, name: str) -> None:
    waiting = [(value, 1)]
    values = 0
    while waiting:
        one, depth = waiting.pop()
        values += 1
        if depth > MAX_DEPTH or values > MAX_VALUES:
            raise DocumentError(
                f"{name}: is nested more than {MAX_DEPTH} levels deep, or has more than "
                f"{MAX_VALUES} values"
            )
        members = as_object(one)
        below = as_array(one) or [] if members is None else members.values()
        waiting += ((each, depth + 1) for each in below)
