"""An operation: something callers may ask for, as declared in the operations file."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Annotated, ClassVar, Self

from pydantic import Field, PrivateAttr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from asynctasks.declarations.declared import SCHEMA_FAULT, Declared, Number, Seconds, Whole
from asynctasks.errors import SchemaInvalidError, TaskOptionsError
from asynctasks.limits.limit import Limit
from asynctasks.operations.arguments import ArgumentsSchema
from asynctasks.operations.call_parameters import CallParameters
from asynctasks.operations.callback import Callback
from asynctasks.operations.declared_response import DeclaredResponse
from asynctasks.operations.parameter import Parameter, YesOrNo
from asynctasks.operations.raw_body import DESCRIBING, RawBody
from asynctasks.operations.reserved_paths import MANY_CALLS, RESERVED_PATHS
from asynctasks.operations.retention import Retention
from asynctasks.operations.retry_policy import RetryPolicy
from asynctasks.operations.task_options import MAX_SECONDS, check_labels, check_order
from asynctasks.operations.upstream_call import OUR_NAMES, WITH_BODY, UpstreamCall
from asynctasks.operations.write_only import Schema
from asynctasks.task import DEFAULT_PRIORITY

NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""A Kubernetes label value, since an operation's name becomes one."""
NAME_RULE = "a-z, 0-9 and -, begins with a letter and ends with a letter or digit, 63 at most"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
BODILESS = frozenset({"GET", "HEAD"})
"""Methods whose requests have no body (RFC 9110 §9.3.1)."""
ROUTE = re.compile(rf"({'|'.join(METHODS)}) (/[^\s?#]*)")
QUEUE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
HANDLER = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
Key = tuple[str | int, ...]
REVISION_DIGITS = 16
_NOT_RUN_BY = {
    "summary",
    "description",
    "response",
    "limits",
    "priority",
    "callbacks",
    "retention_seconds",
}
"""What makes no difference to whoever runs a task of it."""
_PATH_SEGMENT = re.compile(r"[A-Za-z0-9._~@:-]+|\{[A-Za-z_][A-Za-z0-9_]*\}")
_VARIABLE = re.compile(r"\{([^{}]*)\}")
Priority = Annotated[Whole, Field(ge=0, le=9)]


class Operation(Declared):
    """Something callers may ask for."""

    is_callable: ClassVar[bool] = True
    """Whether they may: not what is built in."""

    name: str
    summary: str = ""
    description: str = ""
    route: str
    queue: str = "default"
    wait_seconds: Number = Field(default=10, ge=0, le=300)
    parameters: tuple[Parameter, ...] = ()
    """Where callers give arguments outside the body; a variable of the path needs none."""
    arguments: Schema = Field(default_factory=lambda: {"type": "object"})
    body: RawBody | None = None
    """A body that is taken as it comes, and sent on so; without it the body is the arguments."""
    response: DeclaredResponse | None = None
    """What the OpenAPI document says of the answer."""
    upstream: UpstreamCall | None = None
    handler: str | None = None
    """`package.module:function`, run in the executor in place of an upstream call."""
    timeout_seconds: Seconds = 30
    """How long one run of the handler may take; an upstream call has its own."""
    coalesce: YesOrNo = False
    """Whether a call joins an equal one that has not finished, in place of a task of its own."""
    retry: RetryPolicy = RetryPolicy()
    deadline_seconds: Number | None = Field(default=None, gt=0, le=MAX_SECONDS)
    """From acceptance to the end, unless the caller sets another by `Task-Deadline`."""
    delay_seconds: Number | None = Field(default=None, gt=0, le=MAX_SECONDS)
    """From acceptance to the first attempt, unless the caller sets another by `Task-Delay`."""
    labels: dict[str, str] = Field(default_factory=dict[str, str])
    """Put on each task; the caller's `Task-Labels` come on top."""
    max_queued: Whole = Field(default=1_000_000, ge=1)
    """With so many queued tasks further calls are answered 429."""
    limits: tuple[str, ...] = ()
    """The names of limits that all its attempts together keep; they stand beside `operations`."""
    priority: Priority = DEFAULT_PRIORITY
    """Of its tasks, unless the caller sets another by `Task-Priority`."""
    redirect: bool = Field(default=False, strict=True)
    """Whether callers who have to wait longer are led to the answer by 303, instead of a 202."""
    callbacks: Callback | None = None
    """Who is told of the end of each of its tasks, whatever its caller asks for."""
    retention_seconds: Retention | None = None
    """From the end of a task to when it is forgotten, and its idempotency key with it; of what is
    not said here as ASYNCAPIPROXY_RETENTION_SECONDS says."""
    _place: Callable[[Key], str] | None = PrivateAttr(default=None)
    _bounded_by: tuple[Limit, ...] = PrivateAttr(default=())
    _named_callbacks: dict[str, Callback] = PrivateAttr(default={})

    def stands_at(self, place: Callable[[Key], str]) -> Self:
        """The operation, which from now on knows where its keys stand in the file."""
        self._place = place
        return self

    def bounded_by(self, limits: Mapping[str, Limit]) -> Self:
        """The operation, which from now on knows those of the limits that it names."""
        self._bounded_by = tuple(limits[name] for name in self.limits if name in limits)
        return self

    def knows_callbacks(self, named: dict[str, Callback]) -> Self:
        """The operation, which from now on knows those that callers may ask for by a name."""
        self._named_callbacks = named
        return self

    @property
    def named_callbacks(self) -> dict[str, Callback]:
        """Those that callers may ask for by a name."""
        return self._named_callbacks

    def callback(self, asked: str) -> Callback:
        """What a caller asks for by a name of the file or, else, by a URL."""
        return self._named_callbacks.get(asked) or Callback(url=asked)

    @property
    def declared_limits(self) -> tuple[Limit, ...]:
        """The limits that it names, as the file declares them."""
        return self._bounded_by

    @property
    def fair_by(self) -> str | None:
        """Who share its limits evenly; all its limits agree on that."""
        return next((limit.fair_by for limit in self._bounded_by if limit.fair_by), None)

    def place(self, *key: str | int) -> str:
        """File, line and name of one of its keys, for those who find a fault in it later."""
        whole = ("operations", self.name, *key)
        return self._place(whole) if self._place is not None else ".".join(map(str, whole))

    @field_validator("route")
    @classmethod
    def _is_route(cls, value: str) -> str:
        match = ROUTE.fullmatch(value)
        if match is None:
            raise ValueError(f"expected a method ({', '.join(METHODS)}) and a path: POST /clients")
        segments = match[2].removeprefix("/").removesuffix("/").split("/")
        if {".", ".."} & set(segments) or not all(map(_PATH_SEGMENT.fullmatch, segments)):
            raise ValueError("a path is made of segments such as /clients/{clientId}/orders")
        if segments[0] in RESERVED_PATHS or segments[0].startswith("{"):
            raise ValueError(f"/{segments[0]} is taken by the proxy itself")
        if segments[-1].endswith(MANY_CALLS):
            raise ValueError(f"paths that end in {MANY_CALLS} are taken by the proxy itself")
        names = _VARIABLE.findall(value)
        if len(names) != len(set(names)):
            raise ValueError("a name stands in the path twice")
        return value

    @field_validator("queue")
    @classmethod
    def _is_queue(cls, value: str) -> str:
        if not QUEUE.fullmatch(value):
            raise ValueError("a queue's name is made of a-z, 0-9 and -, 63 at most: clients")
        return value

    @field_validator("handler")
    @classmethod
    def _is_handler(cls, value: str | None) -> str | None:
        if value is not None and not HANDLER.fullmatch(value):
            raise ValueError("expected package.module:function")
        return value

    @field_validator("labels")
    @classmethod
    def _are_labels(cls, value: dict[str, str]) -> dict[str, str]:
        try:
            check_labels(value)
        except TaskOptionsError as error:
            raise ValueError(f"expected {error.expected}") from error
        return value

    @field_validator("arguments")
    @classmethod
    def _is_schema(cls, value: Schema) -> Schema:
        faults: list[SchemaInvalidError] = []
        if value.get("type") != "object":
            fault = "the arguments are one JSON object: expected `type: object`"
            faults.append(SchemaInvalidError((), fault))
        try:
            ArgumentsSchema(value)
        except SchemaInvalidError as error:
            faults += error.faults
        if faults:
            raise _faults(*faults)
        return value

    @model_validator(mode="after")
    def _runs_one_thing(self) -> Self:
        if (self.upstream is None) == (self.handler is None):
            raise ValueError("expected either `upstream` or `handler`")
        if self.handler is None and "timeout_seconds" in self.model_fields_set:
            raise ValueError("`timeoutSeconds` is the handler's here: expected it below `upstream`")
        return self

    @model_validator(mode="after")
    def _can_finish(self) -> Self:
        try:
            check_order(deadline_seconds=self.deadline_seconds, delay_seconds=self.delay_seconds)
        except TaskOptionsError as error:
            raise ValueError(f"deadlineSeconds: expected {error.expected}") from error
        return self

    @model_validator(mode="after")
    def _can_read_its_parameters(self) -> Self:
        try:
            self.call_parameters  # noqa: B018 - made here, so that a file is refused and not a call
        except SchemaInvalidError as error:
            raise _faults(*error.faults) from error
        return self

    @model_validator(mode="after")
    def _can_be_given_its_arguments(self) -> Self:
        if self.method in BODILESS:
            why = f"a {self.method} has no body"
        elif self.body is not None:
            why = "the body is taken as it comes"
        else:
            return self
        given = self.call_parameters.arguments
        for name in self.arguments.get("properties", {}):
            if name not in given:
                raise _fault(
                    ("arguments", "properties", name),
                    f"{why}: expected one of `parameters` to give it",
                )
        return self

    @model_validator(mode="after")
    def _coalesces_what_is_safe(self) -> Self:
        if self.coalesce and self.method not in BODILESS:
            raise _fault(("coalesce",), f"of GET and HEAD only: each {self.method} may act anew")
        return self

    @model_validator(mode="after")
    def _leaves_our_names_to_us(self) -> Self:
        names = self.upstream.names if self.upstream else frozenset[str]()
        for name in sorted(names & OUR_NAMES.keys()):
            if name in self.arguments.get("properties", {}):
                raise _fault(
                    ("upstream",),
                    f"{{{name}}} stands for {OUR_NAMES[name]} and cannot stand for an argument",
                )
        return self

    @model_validator(mode="after")
    def _can_send_its_body_on(self) -> Self:
        if self.body is None:
            return self
        if self.method not in WITH_BODY:
            raise _fault(("body",), f"expected a route with one of {', '.join(WITH_BODY)}")
        if self.upstream is None:
            return self
        if self.upstream.method not in WITH_BODY:
            raise _fault(("upstream", "method"), f"expected one of {', '.join(WITH_BODY)}")
        described = {name.lower() for name in DESCRIBING}
        for name in self.upstream.headers:
            if name.lower() in described:
                raise _fault(("upstream", "headers", name), "it is the caller's, as the body is")
        for name in self.upstream.forward_headers:
            if name.lower() in described:
                raise _fault(
                    ("upstream", "forwardHeaders"), f"{name} goes with the body in any case"
                )
        return self

    @model_validator(mode="after")
    def _keeps_secrets_out_of_urls(self) -> Self:
        secret = {path[0] for path in self.schema.write_only}
        for index, parameter in enumerate(self.call_parameters.all):
            if parameter.place in {"path", "query"} and parameter.gives in secret:
                is_declared = index < len(self.parameters)
                raise _fault(
                    ("parameters", index) if is_declared else (),
                    f"{parameter.gives!r} is writeOnly and stands in the "
                    f"{'URL' if is_declared else 'route'}, for all to see",
                )
        if in_url := secret & (self.upstream.url_names if self.upstream else frozenset[str]()):
            raise ValueError(
                f"{in_url.pop()!r} is writeOnly and stands in the upstream's URL, for all on the "
                "way to log: send it in the body or in a header"
            )
        return self

    @cached_property
    def schema(self) -> ArgumentsSchema:  # pyright: ignore[reportIncompatibleMethodOverride] - pydantic deprecates its own
        """The compiled schema of the arguments."""
        return ArgumentsSchema(self.arguments)

    @property
    def forwarded_headers(self) -> tuple[str, ...]:
        """The names of the caller's headers that the upstream gets, too."""
        return self.upstream.forward_headers if self.upstream is not None else ()

    @property
    def needs_sealing(self) -> bool:
        """Whether it keeps what may be nobody else's to read."""
        return bool(self.schema.write_only or self.forwarded_headers)

    @cached_property
    def call_parameters(self) -> CallParameters:
        """All that callers give outside the body."""
        return CallParameters(
            self.parameters, variables=self.path_variables, arguments=self.arguments
        )

    @cached_property
    def revision(self) -> str:
        """A hash of what is declared: equal wherever it is, however the file is written.

        Defaults are left out, so that a new key in a later version changes no revision, and so is
        what makes no difference to whoever runs it.
        """
        declared = self.model_dump(exclude_defaults=True, exclude=_NOT_RUN_BY)
        canonical = json.dumps(declared, sort_keys=True, default=sorted)  # `default`: for sets
        return hashlib.sha256(canonical.encode()).hexdigest()[:REVISION_DIGITS]

    @property
    def method(self) -> str:
        """The HTTP method callers use."""
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path the proxy serves, without a trailing slash."""
        return self.route.partition(" ")[2].rstrip("/")

    @property
    def takes_many_calls(self) -> bool:
        """Whether many of its calls may be made by one request, each by a line of its body."""
        return self.method == "POST" and self.body is None and not self.call_parameters.all

    @property
    def path_variables(self) -> list[str]:
        """The names in the path, of which each is a parameter."""
        return _VARIABLE.findall(self.path)

    @property
    def served_path(self) -> str:
        """The path with its arguments unnamed: two operations may not share it."""
        return _VARIABLE.sub("{}", self.path)


def _fault(path: Sequence[str | int], detail: str) -> PydanticCustomError:
    """What stands wrong at a place below the operation."""
    return _faults(SchemaInvalidError(path, detail))


def _faults(*faults: SchemaInvalidError) -> PydanticCustomError:
    told = [(fault.path, str(fault)) for fault in faults]
    return PydanticCustomError(SCHEMA_FAULT, "it stands wrong at some places", {"faults": told})


Operations = dict[str, Operation]
"""By name."""


def callable_ones(operations: Operations) -> Operations:
    """Those that callers may call."""
    return {name: each for name, each in operations.items() if each.is_callable}


def more_attempts(operations: Operations, name: str) -> int:
    """How often a task is tried anew; once where its operation is no longer declared."""
    return operations[name].retry.max_attempts if name in operations else 1
