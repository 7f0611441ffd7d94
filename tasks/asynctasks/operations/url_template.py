"""The URL of an upstream: an RFC 6570 template, and what a caller's values may make of it.

The file and the executor's environment are trusted with the whole URL, a caller only with the
places that the template gives to arguments: no value leads to another host or climbs the path.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import uritemplate
from yarl import URL

from asynctasks.errors import AsyncApiProxyError
from asynctasks.json_values import as_array, as_object, write_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


_ENCODED = "%[0-9A-Fa-f]{2}"
_NAME = rf"([A-Za-z_]|{_ENCODED})([A-Za-z0-9_.]|{_ENCODED})*(\*|:\d+)?"
EXPRESSION = re.compile(rf"[+#./;?&]?{_NAME}(,{_NAME})*")
_PART = re.compile(r"(\{[^{}]*\})")
_URL = re.compile(r"(https?://[^\s/?#]|\{)\S*")
_BASE = re.compile(r"https?://")
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_END_OF_HOST = re.compile(r"[/?#]")
_SEPARATOR = re.compile(r"[/\\]")
_AFTER_PATH = frozenset({"?", "&", "#"})
MAX_HOST = 253

Texts = str | list[str] | dict[str, str] | None


class UrlTemplateError(AsyncApiProxyError):
    """The template is none that we can use."""


class UrlValueError(AsyncApiProxyError):
    """The arguments do not make a URL. It names them and never quotes a value."""


@dataclass(frozen=True, slots=True)
class _Part:
    text: str
    """Literal text, or an expression with its braces."""
    operator: str | None = None
    """None for literal text; empty for the plain `{name}`."""

    @property
    def is_plain(self) -> bool:
        """Whether it is the plain `{name}`: one name, without any modifier."""
        return self.operator == "" and self.text[1:-1].replace("_", "a").isalnum()

    @property
    def is_verbatim(self) -> bool:
        """Whether a value of the environment stands for it as it is, a URL for instance."""
        return self.is_plain or (self.operator == "+" and len(self.names) == 1)

    @property
    def names(self) -> list[str]:
        return [unquote(name) for name in self.written_names]

    @property
    def written_names(self) -> list[str]:
        """The names as the template has them: one that needs it is percent-encoded."""
        return list(uritemplate.variables(self.text)) if self.operator is not None else []


class UrlTemplate:
    """The template as the operations file has it."""

    def __init__(self, text: str) -> None:
        """Raise UrlTemplateError where it is none."""
        self._parts = list(_parts(text))
        if not _URL.fullmatch(text):
            raise UrlTemplateError(
                "expected http://…, https://… or {NAME_OF_AN_ENVIRONMENT_VARIABLE}…"
            )
        _check_host(self._parts)

    @property
    def names(self) -> frozenset[str]:
        """Arguments and environment alike."""
        return frozenset(name for part in self._parts for name in part.names)

    def bind(self, arguments: frozenset[str], environment: Mapping[str, str]) -> BoundUrl:
        """The template with the environment in it, which has all names that are no arguments.

        Raises UrlTemplateError, which names variables and quotes none.
        """
        parts = [
            _Part(environment[part.names[0]])
            if part.is_verbatim and part.names[0] not in arguments
            else part
            for part in self._parts
        ]
        if parts[0].operator is not None or not _BASE.match(parts[0].text):
            raise UrlTemplateError(f"{self._parts[0].text} is no URL: expected http:// or https://")
        _check_host(parts)
        fixed = {name: environment[name] for name in self.names - arguments}
        return BoundUrl(parts, fixed, self.names & arguments)


class BoundUrl:
    """A template in which only arguments are missing."""

    def __init__(
        self, parts: Sequence[_Part], fixed: Mapping[str, str], arguments: frozenset[str]
    ) -> None:
        self.arguments = arguments
        self._parts = [
            (part, uritemplate.URITemplate(part.text) if part.operator is not None else None)
            for part in parts
        ]
        self._fixed = fixed
        self._encoded = [
            (written, name)
            for part in parts
            for written, name in zip(part.written_names, part.names, strict=True)
            if written != name
        ]
        self._in_host = {part.text[1:-1] for part in _in_host(parts)}
        try:
            # With 1 in the host or port and nothing elsewhere: what the file alone can get wrong.
            sample = "".join(
                part.text if part.operator is None else "1" * (part.text[1:-1] in self._in_host)
                for part in parts
            )
            _url(sample)
        except UrlValueError as error:
            raise UrlTemplateError("has a host or port that is none") from error
        self._constant: URL | None = None
        if not arguments:
            self._constant = self._always()

    def _always(self) -> URL:
        try:
            return self.expand({})
        except UrlValueError as error:
            raise UrlTemplateError(str(error)) from error

    def expand(self, arguments: Mapping[str, Any]) -> URL:
        """The URL of these arguments; raises UrlValueError."""
        if self._constant is not None:
            return self._constant
        texts: dict[str, Any] = {**self._fixed}
        for name in self.arguments:
            texts[name] = _texts(name, arguments.get(name))
        for name in self._in_host:
            text = texts[name]
            if not isinstance(text, str) or not _LABEL.fullmatch(text):
                raise UrlValueError(f"{name!r} is no part of a host's name.")
        for written, name in self._encoded:
            texts[written] = texts[name]
        pieces = [
            (part, part.text if template is None else template.expand(texts))
            for part, template in self._parts
        ]
        _check_path(pieces)
        return _url("".join(text for _, text in pieces))


def _parts(text: str) -> Iterator[_Part]:
    for piece in filter(None, _PART.split(text)):
        inner = piece[1:-1]
        if not _PART.fullmatch(piece):
            if "{" in piece or "}" in piece:
                raise UrlTemplateError("a brace is not closed")
            yield _Part(piece)
        elif not EXPRESSION.fullmatch(inner):
            raise UrlTemplateError(f"{piece} is no RFC 6570 expression")
        else:
            yield _Part(piece, inner[0] if inner[0] in "+#./;?&" else "")


def _in_host(parts: Sequence[_Part]) -> Iterator[_Part]:
    """The expressions that stand in the URL's host and port, if it is known where that begins."""
    _, found, rest = parts[0].text.partition("://")
    if parts[0].operator is not None or not found or _END_OF_HOST.search(rest):
        return
    for part in parts[1:]:
        if part.operator is None:
            if _END_OF_HOST.search(part.text):
                return
        elif part.operator in {"/", "?", "#"}:
            return
        else:
            yield part


def _check_host(parts: Sequence[_Part]) -> None:
    for part in _in_host(parts):
        if not part.is_plain:
            raise UrlTemplateError(
                f"{part.text} stands in the host: expected a plain {{name}} there, or a / before it"
            )


def _texts(name: str, value: Any) -> Texts:
    """A value as RFC 6570 takes it: text, a list or a map of texts; None where it is undefined."""
    if (items := as_array(value)) is not None:
        return [_text(name, item) for item in items if item is not None] or None
    if (members := as_object(value)) is not None:
        return {key: _text(name, item) for key, item in members.items() if item is not None} or None
    return None if value is None else _text(name, value)


def _text(name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        raise UrlValueError(f"{name!r} is nested too deeply to stand in a URL.")
    return write_json(value).decode()


def _check_path(pieces: Sequence[tuple[_Part, str]]) -> None:
    """Raise UrlValueError where an argument makes an empty segment, or one that climbs."""
    for segment, names in _segments(pieces):
        told = " and ".join(map(repr, names))
        if not segment:
            raise UrlValueError(f"{told} makes an empty part of the path.")
        # Decoded once, as the upstream will; some cut a segment at `;`, some take `\` for `/`.
        for piece in _SEPARATOR.split(unquote(segment)):
            if piece.partition(";")[0] in {".", ".."}:
                raise UrlValueError(f'{told} makes "." or ".." of a part of the path.')


def _segments(pieces: Sequence[tuple[_Part, str]]) -> Iterator[tuple[str, list[str]]]:
    """Each segment of the path that arguments have a part in, and their names."""
    text = "".join(piece for _, piece in pieces)
    spans: list[tuple[int, int, _Part]] = []
    at = 0
    for part, piece in pieces:
        if part.operator is not None and part.operator not in _AFTER_PATH:
            spans.append((at, at + len(piece), part))
        at += len(piece)
    path_starts = _END_OF_HOST.search(text, text.index("://") + 3)
    if path_starts is None:
        return
    path = re.match(r"[^?#]*", text[path_starts.start() :])
    assert path is not None
    slashes = [match.start() + path_starts.start() for match in re.finditer("/", path[0])]
    for before, after in pairwise([*slashes, path_starts.start() + path.end()]):
        names = [
            name
            for start, end, part in spans
            if start <= after and end > before
            for name in part.names
        ]
        if names:
            yield text[before + 1 : after], names


def _url(text: str) -> URL:
    try:
        url = URL(text, encoded=True)
        if 0 < len(url.raw_host or "") <= MAX_HOST and (url.port or 0) > 0:
            return url
    except ValueError:
        pass  # its text quotes the URL
    raise UrlValueError("The host or the port is none.")
