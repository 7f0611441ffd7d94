"""What a call of an upstream consists of: URL, headers and body, made of a task's arguments."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from multidict import CIMultiDict

from asyncexecutor.failures import UpstreamHeaderError, UpstreamUrlError
from asyncexecutor.upstream_addresses import with_user_of
from asynctasks.errors import OperationsFileError
from asynctasks.json_values import write_json
from asynctasks.operations.upstream_call import (
    HEADER_PLACEHOLDER,
    HEADER_VALUE,
    OUR_NAMES,
    PRINCIPAL,
    TASK_ID,
    TENANT,
    WITH_BODY,
)
from asynctasks.operations.url_template import UrlTemplate, UrlTemplateError, UrlValueError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from yarl import URL

    from asyncexecutor.attempt_bodies import RequestBody
    from asyncexecutor.runner import Attempt
    from asynctasks.operations.operation import Operation
    from asynctasks.operations.upstream_call import UpstreamCall
    from asynctasks.traces.trace_context import TraceContext

URL_KEY = ("upstream", "url")
_URL_KEYS = frozenset({"url", "from", "tokenUrl"})
_IN_URL = re.compile(r"[\x21-\x7e]*")


class EnvironmentUnfitError(OperationsFileError):
    """The executor's environment lacks or spoils what an operation names."""

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        """Take each place in the file with what is wrong there; no value is quoted."""
        super().__init__("\n".join(f"{place}: {fault}" for place, fault in faults))
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Request:
    """One call of an upstream."""

    url: URL
    headers: Mapping[str, str]
    """With several lines of one name where the caller has forwarded several."""
    body: bytes | RequestBody | None
    is_own: bool = True
    """Whether it goes to the upstream itself, and not to another that its answers name."""
    trace: TraceContext | None = None
    """Where it stands in a trace, which only the upstream itself is told."""

    def in_trace(self, trace: TraceContext | None) -> Request:
        """The call as a part of this trace, whatever its caller's forwarded headers say."""
        if trace is None or not self.is_own:
            return self
        headers = CIMultiDict(self.headers)
        headers.update(trace.headers)
        return replace(self, headers=headers)


class RequestTemplate:
    """What makes each call of one operation's upstream. It is the same for every attempt."""

    def __init__(
        self, operation: Operation, call: UpstreamCall, environment: Mapping[str, str]
    ) -> None:
        """Raise OperationsFileError with all that the environment lacks or spoils."""
        arguments = frozenset(operation.arguments.get("properties", {})) | OUR_NAMES.keys()
        self._ours = call.names & OUR_NAMES.keys()
        # Secrets made from files often end in a newline, which no URL and no header can hold.
        values = {name: text.strip() for name, text in environment.items()}
        _check_environment(operation, call, arguments, values)
        try:
            self._url = UrlTemplate(call.url).bind(arguments, values)
        except UrlTemplateError as error:
            raise OperationsFileError(f"{operation.place(*URL_KEY)}: {error}") from error
        headers = {
            name: _HeaderTemplate(name, text, arguments, values)
            for name, text in call.headers.items()
        }
        self._fixed = {name: one.fixed for name, one in headers.items() if not one.arguments}
        self._varying = {name: one for name, one in headers.items() if one.arguments}
        self._takes_body = call.method in WITH_BODY
        self._is_raw = operation.body is not None
        if (
            self._takes_body
            and not self._is_raw
            and not any(name.lower() == "content-type" for name in call.headers)
        ):
            self._fixed["Content-Type"] = "application/json"
        self._elsewhere = call.names & arguments

    def request(self, attempt: Attempt) -> Request:
        """The call for an attempt; raises UpstreamUrlError, UpstreamHeaderError."""
        arguments = self._values(attempt)
        headers = {**self._headers(arguments), "Idempotency-Key": str(attempt.task_id)}
        body: bytes | RequestBody | None = None
        if self._is_raw:
            assert attempt.body is not None
            body = attempt.body
            headers.update((name, value) for name, value in body.headers)
        elif self._takes_body:
            body = write_json(
                {name: value for name, value in arguments.items() if name not in self._elsewhere}
            )
        sent = _with_forwarded(headers, attempt)
        return Request(self.url(attempt), sent, body, trace=attempt.trace)

    def further(self, attempt: Attempt, url: URL) -> Request:
        """A further call for an attempt, without a body, at the upstream or another."""
        called = self.url(attempt)
        if url.origin() != called.origin():
            return Request(url, {}, None, is_own=False, trace=attempt.trace)
        headers = self._headers(self._values(attempt))
        kept = {name: text for name, text in headers.items() if name.lower() != "content-type"}
        sent = _with_forwarded(kept, attempt)
        return Request(with_user_of(url, called), sent, None, trace=attempt.trace)

    def url(self, attempt: Attempt) -> URL:
        """What an attempt calls; raises UpstreamUrlError."""
        try:
            return self._url.expand(self._values(attempt))
        except UrlValueError as error:
            raise UpstreamUrlError(str(error)) from None

    def _values(self, attempt: Attempt) -> dict[str, Any]:
        """What the template's names stand for."""
        if not self._ours:
            return attempt.arguments
        return {**attempt.arguments, **{name: _OURS[name](attempt) for name in self._ours}}

    def _headers(self, arguments: Mapping[str, Any]) -> dict[str, str]:
        headers = {**self._fixed}
        for name, template in self._varying.items():
            if all(arguments.get(one) is not None for one in template.arguments):
                headers[name] = template.expand(arguments)
        return headers


_OURS: dict[str, Callable[[Attempt], str | None]] = {
    TASK_ID: lambda attempt: str(attempt.task_id),
    PRINCIPAL: lambda attempt: attempt.principal or None,
    TENANT: lambda attempt: attempt.tenant or None,
}


def _with_forwarded(headers: dict[str, str], attempt: Attempt) -> Mapping[str, str]:
    if not attempt.headers:
        return headers
    return CIMultiDict([*headers.items(), *attempt.headers])


def _check_environment(
    operation: Operation,
    call: UpstreamCall,
    arguments: frozenset[str],
    values: Mapping[str, str],
) -> None:
    """Raise EnvironmentUnfitError: it names variables and never quotes what they hold."""
    faults: list[tuple[str, str]] = []
    used: list[tuple[tuple[str, ...], str]] = [(URL_KEY, name) for name in sorted(call.url_names)]
    for header, text in call.headers.items():
        used += [(("upstream", "headers", header), name) for name in sorted(call.names_in(text))]
    never_arguments = [
        (("upstream", *key), name)
        for key, text in call.environment_texts
        for name in sorted(call.names_in(text))
    ]
    for key, name in used + never_arguments:
        if name in arguments and (key, name) not in never_arguments:
            continue
        if name not in values:
            fault = "is neither an argument nor set in the environment of this executor"
        elif not (_IN_URL if key[-1] in _URL_KEYS else HEADER_VALUE).fullmatch(values[name]):
            fault = (
                "holds a space, a line break or what is not ASCII, in this executor's environment"
            )
        else:
            continue
        faults.append((operation.place(*key), f"{name} {fault}"))
    if faults:
        raise EnvironmentUnfitError(faults)


class _HeaderTemplate:
    """A header's value: text of the file and the environment, and places for arguments."""

    def __init__(
        self, name: str, text: str, arguments: frozenset[str], environment: Mapping[str, str]
    ) -> None:
        self._name = name
        # Literal text and names by turns.
        pieces = HEADER_PLACEHOLDER.split(text)
        self._pieces = [
            (piece if index % 2 == 0 else environment.get(piece, ""), None)
            if index % 2 == 0 or piece not in arguments
            else ("", piece)
            for index, piece in enumerate(pieces)
        ]
        self.arguments = [argument for _, argument in self._pieces if argument is not None]
        self.fixed = "".join(literal for literal, _ in self._pieces)

    def expand(self, arguments: Mapping[str, Any]) -> str:
        """The value with all its arguments in it; raises UpstreamHeaderError."""
        return "".join(
            literal if argument is None else self._text(argument, arguments[argument])
            for literal, argument in self._pieces
        )

    def _text(self, argument: str, value: Any) -> str:
        if isinstance(value, list | dict):
            raise UpstreamHeaderError(f"{argument!r} is no single value for {self._name}.")
        text = value if isinstance(value, str) else write_json(value).decode()
        if not HEADER_VALUE.fullmatch(text):
            raise UpstreamHeaderError(
                f"{argument!r} is not one line of ASCII text, as {self._name} needs."
            )
        return text
