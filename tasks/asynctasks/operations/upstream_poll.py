"""How an upstream that is asynchronous itself is asked whether it is done, as declared."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from asynctasks.declarations.declared import Declared, Number, Seconds, Whole
from asynctasks.operations.header_names import HEADER_NAME
from asynctasks.operations.task_options import MAX_SECONDS
from asynctasks.operations.url_template import UrlTemplate, UrlTemplateError

ENVIRONMENT_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
"""In a poll's template, which any other name of is a member of the upstream's answer."""
_POINTER = re.compile(r"(/([^~/]|~[01])*)*")
_PATH = re.compile(r"([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*")
_ORIGIN = re.compile(r"https?://[^\s/?#@]+|\{[A-Z][A-Z0-9_]*\}")


def _check_pointer(value: str | None) -> str | None:
    if value is not None and not _POINTER.fullmatch(value):
        raise ValueError("expected a JSON Pointer (RFC 6901): /status")
    return value


def _check_header(name: str) -> str:
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header (RFC 9110 §5.1)")
    return name


def _check_path(value: str | None) -> str | None:
    if value is not None and not _PATH.fullmatch(value):
        raise ValueError("expected the end of a path, such as /results or :cancel")
    return value


def _check_one_of(model: Declared, *names: str) -> None:
    if sum(getattr(model, name) is not None for name in names) != 1:
        raise ValueError("expected one of " + ", ".join(f"`{name}`" for name in names))


class PollAddress(Declared):
    """Where a job is asked for, by the answer that started it."""

    header: list[str] | None = Field(default=None, min_length=1)
    """The first of these headers that is there."""
    pointer: str | None = None
    """A JSON Pointer into the answer."""
    template: str | None = None
    """An RFC 6570 template of the answer's members and the arguments."""

    @field_validator("header")
    @classmethod
    def _are_headers(cls, value: list[str] | None) -> list[str] | None:
        for name in value or ():
            _check_header(name)
        return value

    _is_pointer = field_validator("pointer")(_check_pointer)

    @field_validator("template")
    @classmethod
    def _is_template(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                UrlTemplate(value)
        except UrlTemplateError as error:
            raise ValueError(str(error)) from error
        return value

    @property
    def environment_names(self) -> frozenset[str]:
        """The names in the template that stand for the executor's environment."""
        names = UrlTemplate(self.template).names if self.template else frozenset[str]()
        return frozenset(filter(ENVIRONMENT_NAME.fullmatch, names))

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        _check_one_of(self, "header", "pointer", "template")
        return self


class PollUntil(Declared):
    """When a job has ended, and how, by the answer to a poll."""

    pointer: str | None = None
    succeeded: list[Any] = Field(default_factory=list[Any])
    """What stands at the pointer then."""
    failed: list[Any] = Field(default_factory=list[Any])
    error: str | None = None
    """A JSON Pointer: where anything but null stands there, it has failed."""
    status: list[Annotated[Whole, Field(ge=200, le=499)]] | None = Field(default=None, min_length=1)
    """The statuses of an answer that is the last."""

    _are_pointers = field_validator("pointer", "error")(_check_pointer)

    @field_validator("succeeded", "failed")
    @classmethod
    def _are_plain(cls, value: list[Any]) -> list[Any]:
        if any(isinstance(one, dict | list) or one is None for one in value):
            raise ValueError("expected texts, numbers or booleans")
        return value

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        _check_one_of(self, "pointer", "status")
        if self.pointer is not None and not self.succeeded:
            raise ValueError("expected `succeeded`: what stands at the pointer in the end")
        if self.status is not None and (self.succeeded or self.failed or self.error is not None):
            raise ValueError("`succeeded`, `failed` and `error` go with `pointer`")
        if both := [repr(one) for one in self.failed if one in self.succeeded]:
            raise ValueError(f"{both[0]} stands in `succeeded` and in `failed`")
        return self


class PollResult(Declared):
    """Where the answer is that the caller gets, by the last answer to a poll."""

    header: str | None = None
    """The header that has its address."""
    pointer: str | None = None
    """Where in the last answer its address stands."""
    value: str | None = None
    """Where in the last answer it stands itself."""
    append: str | None = Field(default=None, min_length=1)
    """What makes its address of the job's: `/results`."""

    _are_pointers = field_validator("pointer", "value")(_check_pointer)

    @field_validator("header")
    @classmethod
    def _is_header(cls, value: str | None) -> str | None:
        return None if value is None else _check_header(value)

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        _check_one_of(self, "header", "pointer", "value", "append")
        return self

    _is_path = field_validator("append")(_check_path)


class PollProgress(Declared):
    """How far a job has come, by the answer to a poll."""

    pointer: str
    """Where a number from 0 to 100 stands."""

    _is_pointer = field_validator("pointer")(_check_pointer)


class PollCancel(Declared):
    """What ends a job: a call of its address."""

    method: Literal["DELETE", "POST", "PUT", "PATCH"] = "DELETE"
    append: str = ""
    """Comes to the address' path: `:cancel`."""

    _is_path = field_validator("append")(_check_path)


class UpstreamPoll(Declared):
    """How a job is asked for that an upstream's answer has started."""

    url: PollAddress
    until: PollUntil
    started: list[Annotated[Whole, Field(ge=200, le=299)]] = Field(
        default_factory=lambda: [202], min_length=1
    )
    """The statuses of an answer that starts a job; any other is the answer."""
    every_seconds: tuple[Seconds, Seconds] = (2, 30)
    """Before the first poll, doubled each time up to the second number."""
    result: PollResult | None = None
    progress: PollProgress | None = None
    cancel: PollCancel | None = None
    max_seconds: Annotated[Number, Field(gt=0, le=MAX_SECONDS)] = 86_400
    """How long a job may take."""
    allow_origins: list[str] = Field(default_factory=list[str])
    """Origins beside the upstream's own that a job or its result may stand at."""

    @field_validator("every_seconds")
    @classmethod
    def _grows(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the first number is the shortest pause, the second the longest")
        return value

    @field_validator("allow_origins")
    @classmethod
    def _are_origins(cls, value: list[str]) -> list[str]:
        for one in value:
            if not _ORIGIN.fullmatch(one):
                raise ValueError(
                    f"{one!r} is no origin: expected https://host, or {{NAME}} of the environment"
                )
        return value

    @property
    def environment_names(self) -> frozenset[str]:
        """The names that stand for the executor's environment."""
        named = (one[1:-1] for one in self.allow_origins if one.startswith("{"))
        return self.url.environment_names | frozenset(named)
