"""An operation: something callers may ask for, as declared in the operations file."""

from __future__ import annotations

import re
from functools import cached_property
from typing import Annotated, Literal, Self

import jsonschema_rs
import uritemplate
from pydantic import (
    AliasGenerator,
    BaseModel,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from asynctasks.arguments import ArgumentsSchema, Schema

RESERVED_PATHS = ("tasks", "task", "ping", "healthz", "readyz", "metrics", "docs", "openapi.json")
"""First segments of the proxy's own paths."""

NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
"""A Kubernetes label value, since an operation's name becomes one."""
ROUTE = re.compile(r"(POST|PUT|PATCH|DELETE) (/[^\s?#]*)")
_PATH_SEGMENT = re.compile(r"[A-Za-z0-9._~-]+|\{[A-Za-z_][A-Za-z0-9_]*\}")
_VARIABLE = re.compile(r"\{([^{}]*)\}")

Seconds = Annotated[float, Field(gt=0, le=86_400)]
HttpStatus = Annotated[int, Field(ge=400, le=599)]


class _Declared(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=AliasGenerator(validation_alias=to_camel),
        ignored_types=(cached_property,),
    )


class RetryPolicy(_Declared):
    """When a failed attempt is followed by another."""

    max_attempts: int = Field(default=5, ge=1, le=100)
    backoff_seconds: tuple[Seconds, Seconds] = (1, 60)
    """The longest wait before the second attempt, doubled each time up to the second number."""
    on_status: frozenset[HttpStatus] = frozenset({408, 429, 500, 502, 503, 504})
    """Upstream answers that are worth another attempt; any other answer is the caller's."""

    @field_validator("backoff_seconds")
    @classmethod
    def _grows(cls, value: tuple[float, float]) -> tuple[float, float]:
        if value[0] > value[1]:
            raise ValueError("the first number is the shortest backoff, the second the longest")
        return value


class UpstreamCall(_Declared):
    """The HTTP call that runs a task."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str
    """An RFC 6570 template of arguments; other names stand for the executor's environment."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Fixed headers; `{NAME}` stands for the executor's environment, so that secrets stay there."""
    timeout_seconds: Seconds = 30

    @field_validator("url")
    @classmethod
    def _is_template(cls, value: str) -> str:
        for expression in _VARIABLE.findall(value):
            if not re.fullmatch(
                r"[+#./;?&]?[A-Za-z_][A-Za-z0-9_.]*(\*|:\d+)?(,[A-Za-z_][A-Za-z0-9_.]*(\*|:\d+)?)*",
                expression,
            ):
                raise ValueError(f"{{{expression}}} is no RFC 6570 expression")
        if "{" in _VARIABLE.sub("", value) or "}" in _VARIABLE.sub("", value):
            raise ValueError("a brace is not closed")
        if not value.startswith(("http://", "https://", "{")):
            raise ValueError("expected http://…, https://… or {NAME_OF_AN_ENVIRONMENT_VARIABLE}…")
        return value

    @property
    def variables(self) -> frozenset[str]:
        """The names in the URL, arguments and environment alike."""
        return frozenset(uritemplate.variables(self.url))


class Operation(_Declared):
    """Something callers may ask for."""

    name: str
    summary: str = ""
    description: str = ""
    route: str
    queue: str = Field(default="default", pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")
    wait_seconds: float = Field(default=10, ge=0, le=300)
    arguments: Schema = Field(default_factory=lambda: {"type": "object"})
    upstream: UpstreamCall | None = None
    handler: str | None = Field(default=None, pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$")
    """`package.module:function`, run in the executor in place of an upstream call."""
    retry: RetryPolicy = RetryPolicy()

    @field_validator("route")
    @classmethod
    def _is_route(cls, value: str) -> str:
        match = ROUTE.fullmatch(value)
        if match is None:
            raise ValueError(
                "expected a method (POST, PUT, PATCH, DELETE) and a path: POST /clients"
            )
        segments = match[2].strip("/").split("/")
        if not all(_PATH_SEGMENT.fullmatch(segment) for segment in segments):
            raise ValueError("a path is made of segments such as /clients/{clientId}/orders")
        if segments[0] in RESERVED_PATHS or segments[0].startswith("{"):
            raise ValueError(f"/{segments[0]} is taken by the proxy itself")
        return value

    @field_validator("arguments")
    @classmethod
    def _is_schema(cls, value: Schema) -> Schema:
        if value.get("type") != "object":
            raise ValueError("the arguments are one JSON object: expected `type: object`")
        try:
            ArgumentsSchema(value)
        except jsonschema_rs.ValidationError as error:
            where = "/".join(map(str, error.instance_path))
            raise ValueError(
                f"no JSON Schema 2020-12 at {where or 'its top'}: {error.message}"
            ) from error
        return value

    @model_validator(mode="after")
    def _runs_one_thing(self) -> Self:
        if (self.upstream is None) == (self.handler is None):
            raise ValueError("expected either `upstream` or `handler`")
        if missing := set(self.path_arguments) - set(self.arguments.get("properties", {})):
            raise ValueError(
                f"{missing.pop()!r} stands in the route but is no property of `arguments`"
            )
        return self

    @cached_property
    def schema(self) -> ArgumentsSchema:
        """The compiled schema of the arguments."""
        return ArgumentsSchema(self.arguments)

    @property
    def method(self) -> str:
        """The HTTP method callers use."""
        return self.route.partition(" ")[0]

    @property
    def path(self) -> str:
        """The path the proxy serves, without a trailing slash."""
        return self.route.partition(" ")[2].rstrip("/")

    @property
    def path_arguments(self) -> list[str]:
        """The arguments that callers give in the path."""
        return _VARIABLE.findall(self.path)


Operations = dict[str, Operation]
