"""Reads a file of declarations. What is wrong is told by line, key and what was expected."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel, ValidationError

from asynctasks.declarations.declared import SCHEMA_FAULT, UNQUOTED, did_you_mean
from asynctasks.declarations.yaml_lines import Key, YamlError, parse_yaml
from asynctasks.errors import AsyncApiProxyError, in_our_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Read = Callable[[Path], bytes]
    """Reads a file's content; raises OSError or ValueError."""

LONGEST_QUOTE = 80
"""As much of a wrong value as a message repeats."""

_EXPECTED = {
    "missing": "is missing",
    "model_type": "expected keys and values below it",
    "dict_type": "expected keys and values below it",
    "tuple_type": "expected a list",
    "frozen_set_type": "expected a list",
    "list_type": "expected a list",
    "too_short": "expected at least one",
    "string_type": "expected text",
}
"""Where pydantic's words are Python's, not YAML's."""


def read_text(file: Path, *, error: type[AsyncApiProxyError], read: Read = Path.read_bytes) -> str:
    """The file's text; raises the error."""
    try:
        content = read(file)
    except (OSError, ValueError) as reason:
        told = getattr(reason, "strerror", None) or reason
        raise error(f"{file}: cannot be read: {told}") from reason
    try:
        return content.decode()
    except UnicodeDecodeError as reason:
        line = content.count(b"\n", 0, reason.start) + 1
        raise error(f"{file}:{line}: cannot be read: it is not UTF-8 text") from reason


def parse_text(text: str, *, name: str, error: type[AsyncApiProxyError]) -> tuple[Any, Report]:
    """The document in the text of the file called `name`, and where to tell what is wrong in it.

    Raises the error where it is no YAML.
    """
    try:
        document, lines = parse_yaml(text)
    except YamlError as fault:
        raise error(f"{name}:{fault.line}: {fault}") from fault
    return document, Report(name, lines, error=error)


class Report:
    """Collects all that is wrong with one file, so that it is mended in one go."""

    def __init__(
        self, name: str, lines: Mapping[Key, int], *, error: type[AsyncApiProxyError]
    ) -> None:
        self._name = name
        self._lines = lines
        self._error = error
        self._faults: list[tuple[int, str]] = []

    def add(self, key: Key, expected: str) -> None:
        """Note a fault at the key, or at the nearest above it that has a line."""
        self._faults.append((self._line(key), f"{self.place(key)}: {expected}"))

    def add_all(
        self,
        error: ValidationError,
        model: type[BaseModel],
        *,
        at: Key = (),
        hidden: frozenset[str] = frozenset(),
        are_values_secret: bool = False,
    ) -> None:
        """Note what keeps the declaration at this key from being the model.

        Its `hidden` fields are no keys of the file. Values that are secret are not quoted.
        """
        told = faults_of(error, model, hidden=hidden, are_values_secret=are_values_secret)
        for key, expected in told:
            self.add((*at, *key), expected)

    def add_empty(self, declaration: Any, *, at: Key = ()) -> None:
        """Note each key without a value: it may be meant as nobody and be taken for anybody."""
        if declaration is None:
            self.add(at, "has no value; leave it out, or say what it is")
        below: Any = ()
        if isinstance(declaration, dict):
            below = declaration.items()  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - of YAML
        elif isinstance(declaration, list):
            below = enumerate(declaration)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType] - of YAML
        for part, value in below:
            self.add_empty(value, at=(*at, part))

    def place(self, key: Key) -> str:
        """File, line and key, for a message."""
        where = ".".join(map(str, key)) or "the file"
        return f"{self._name}:{self._line(key)}: {where}"

    def raise_if_any(self) -> None:
        """Raise the error with all faults, if there are any."""
        if self._faults:
            raise self._error("\n".join(text for _, text in sorted(self._faults)))

    def _line(self, key: Key) -> int:
        while key and key not in self._lines:
            key = key[:-1]
        return self._lines.get(key, 1)


def faults_of(
    error: ValidationError,
    model: type[BaseModel],
    *,
    hidden: frozenset[str] = frozenset(),
    are_values_secret: bool = False,
) -> Iterator[tuple[Key, str]]:
    """All that keeps a declaration from being the model: the keys, and what was expected there.

    Its `hidden` fields are no keys of the file. Values that are secret are not quoted.
    """
    for fault in error.errors(include_url=False, include_input=not are_values_secret):
        for within, expected in _told(fault, model, hidden):
            yield (*fault["loc"], *within), expected


def _told(fault: Any, model: type[BaseModel], hidden: frozenset[str]) -> list[tuple[Key, str]]:
    """Where below its place, and what was expected there."""
    if fault["type"] == SCHEMA_FAULT:
        return fault["ctx"]["faults"]
    return [((), _expected(fault, model, hidden))]


def _model_at(model: type[BaseModel], key: Key) -> type[BaseModel]:
    """What may stand below the key of the model."""
    for name in key:
        (field,) = [one for one in model.model_fields.values() if one.validation_alias == name]
        (model,) = _models_in(field.annotation)
    return model


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _expected(fault: Any, model: type[BaseModel], hidden: frozenset[str]) -> str:
    if fault["type"] == "extra_forbidden":
        keys = tuple(key for key in fault["loc"][:-1] if isinstance(key, str))
        fields = _model_at(model, keys).model_fields
        unsaid = hidden if not keys else frozenset[str]()
        names = sorted(str(one.validation_alias) for n, one in fields.items() if n not in unsaid)
        meant = did_you_mean(str(fault["loc"][-1]), names)
        return f"unknown key; expected one of {', '.join(names)}{meant}"
    if fault["type"] == UNQUOTED:
        return str(fault["msg"])
    message: str = _EXPECTED.get(fault["type"], in_our_words(str(fault["msg"])))
    is_quoted = "input" in fault and fault["type"] != "missing"
    if not is_quoted or isinstance(fault["input"], dict | list):
        return message
    return f"{message} (it is {_quoted(fault['input'])})"


def _quoted(value: Any) -> str:
    in_yaml = {None: "null", True: "true", False: "false"}
    quoted = in_yaml[value] if value is None or isinstance(value, bool) else repr(value)
    return quoted if len(quoted) <= LONGEST_QUOTE else quoted[: LONGEST_QUOTE - 1] + "…"
