"""The HTTP call by which an operation runs, as declared in the operations file."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from asynctasks.declarations.declared import Declared, Seconds, Whole
from asynctasks.operations.header_names import HEADER_NAME, OF_THE_CONNECTION
from asynctasks.operations.response_headers import why_never_kept
from asynctasks.operations.rewrite_location import RewriteLocation
from asynctasks.operations.upstream_auth import UpstreamAuth
from asynctasks.operations.upstream_poll import UpstreamPoll
from asynctasks.operations.url_template import EXPRESSION, UrlTemplate, UrlTemplateError

HEADER_VALUE = re.compile(r"[\t\x20-\x7e]*")
_PLACES = re.compile(r"\{([^{}]*)\}")
HEADER_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

OUR_HEADERS = {
    **OF_THE_CONNECTION,
    "idempotency-key": "it is the task's id, the same for every attempt",
    "accept-encoding": "answers are asked for as they are, and so bounded by their size",
}
"""Headers of a call that an operations file cannot choose, and why."""

TASK_ID = "taskId"
PRINCIPAL = "principal"
TENANT = "tenant"
OUR_NAMES = {
    TASK_ID: "the task's id",
    PRINCIPAL: "the name by which its caller is known",
    TENANT: "the organisation of its caller",
}
"""Names in a URL or a header that stand neither for an argument nor for the environment."""
NEVER_FORWARDED = {
    **OUR_HEADERS,
    "content-type": "the body is made of the arguments",
    "cookie": "what a browser keeps for the proxy is not the upstream's",
    "proxy-authorization": "it is for the next proxy alone",
}
"""Headers of a caller's that no upstream gets, and why."""

WITH_BODY = ("POST", "PUT", "PATCH")
"""The methods by which an upstream is sent a body."""
MAX_RESPONSE_BYTES = 100 * 1_048_576


class UpstreamTls(Declared):
    """How the connection to an upstream is secured, where the system's way does not do."""

    ca_file: str | None = Field(default=None, min_length=1)
    """Certificates to trust, PEM, in place of the system's."""
    cert_file: str | None = Field(default=None, min_length=1)
    """The certificate that we show, PEM, with those that lead to one which the upstream trusts."""
    key_file: str | None = Field(default=None, min_length=1)
    """Its key, PEM and unencrypted; by default it stands in `cert_file`."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if self.key_file is not None and self.cert_file is None:
            raise ValueError("`keyFile` without `certFile`")
        if self.ca_file is None and self.cert_file is None:
            raise ValueError("expected `caFile`, `certFile` or both")
        return self


class UpstreamCall(Declared):
    """The HTTP call that runs a task."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    url: str
    """An RFC 6570 template of arguments; other names stand for the executor's environment."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Fixed headers; `{NAME}` stands for the executor's environment, so that secrets stay there."""
    forward_headers: tuple[str, ...] = ()
    """Headers of the caller's that the upstream gets, too; they are sealed at rest."""
    response_headers: tuple[str, ...] = ()
    """Headers of the answer that are kept with it, beyond those that always are."""
    rewrite_location: RewriteLocation | None = None
    redirects: Literal["fail", "answer", "follow"] = "fail"
    """What an answer does that leads elsewhere (3xx, 304 apart): it fails the task, with its
    Location; it is an answer as any; or the call follows it where that cannot mislead."""
    timeout_seconds: Seconds = 30
    max_response_bytes: Whole | None = Field(default=None, ge=1_024, le=MAX_RESPONSE_BYTES)
    """A larger response fails the task; by default ASYNCAPIPROXY_MAX_RESPONSE_BYTES."""
    tls: UpstreamTls | None = None
    auth: UpstreamAuth | None = None
    poll: UpstreamPoll | None = None
    """Where an answer only says that the work has begun: how to ask whether it is done."""

    @field_validator("url")
    @classmethod
    def _is_template(cls, value: str) -> str:
        try:
            UrlTemplate(value)
        except UrlTemplateError as error:
            raise ValueError(str(error)) from error
        return value

    @field_validator("headers")
    @classmethod
    def _are_headers(cls, value: dict[str, str]) -> dict[str, str]:
        seen: set[str] = set()
        for name, text in value.items():
            _check_name(name, OUR_HEADERS.get(name.lower()))
            if name.lower() in seen:
                raise ValueError(f"{name} stands here twice")
            seen.add(name.lower())
            if not HEADER_VALUE.fullmatch(text):
                raise ValueError(f"the value of {name} is not one line of ASCII text")
            for expression in _PLACES.findall(text):
                if EXPRESSION.fullmatch(expression) and not expression.isidentifier():
                    raise ValueError(f"{{{expression}}} in {name}: expected a plain {{name}}")
        return value

    @field_validator("forward_headers")
    @classmethod
    def _may_be_forwarded(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        seen: set[str] = set()
        for name in value:
            _check_name(name, NEVER_FORWARDED.get(name.lower()), refused="is not forwarded")
            if name.lower() in seen:
                raise ValueError(f"{name} stands here twice")
            seen.add(name.lower())
        return value

    @model_validator(mode="after")
    def _says_each_header_once(self) -> Self:
        fixed = {name.lower() for name in self.headers}
        for name in self.forward_headers:
            if name.lower() in fixed:
                raise ValueError(f"{name} stands in `headers` and in `forwardHeaders`")
        return self

    @field_validator("response_headers")
    @classmethod
    def _can_be_kept(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            _check_name(name, why_never_kept(name.lower()))
        return value

    @model_validator(mode="after")
    def _authorizes_once(self) -> Self:
        given = map(str.lower, (*self.headers, *self.forward_headers))
        if self.auth is not None and "authorization" in given:
            raise ValueError("`auth` and a header Authorization: expected one of them")
        return self

    @property
    def environment_texts(self) -> list[tuple[tuple[str, ...], str]]:
        """Keys whose texts name nothing but parts of the executor's environment, and the texts."""
        texts: list[tuple[tuple[str, ...], str]] = []
        if self.rewrite_location is not None:
            texts.append((("rewriteLocation", "from"), self.rewrite_location.from_url))
        if self.auth is not None:
            texts += [(("auth", "oauth2", key), text) for key, text in self.auth.oauth2.texts()]
        return texts

    @property
    def url_names(self) -> frozenset[str]:
        """The names in the URL, arguments and environment alike."""
        return UrlTemplate(self.url).names

    @property
    def names(self) -> frozenset[str]:
        """All names in the URL and the headers."""
        return self.url_names | self.header_names

    @property
    def header_names(self) -> frozenset[str]:
        """The names in the headers, arguments and environment alike."""
        return frozenset[str]().union(*map(self.names_in, self.headers.values()))

    @staticmethod
    def names_in(header: str) -> frozenset[str]:
        """The names in a header's value."""
        return frozenset(HEADER_PLACEHOLDER.findall(header))


def _check_name(name: str, reason: str | None, *, refused: str = "cannot be chosen") -> None:
    """Raise ValueError where it is no header's name, or there is a reason against it."""
    if not HEADER_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header (RFC 9110 §5.1)")
    if reason:
        raise ValueError(f"{name} {refused}: {reason}")
