"""Where callers give an argument outside the body, in OpenAPI's words (3.1.1, Parameter Object)."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from asynctasks.declarations.declared import Declared
from asynctasks.operations.header_names import HEADER_NAME, OF_THE_CONNECTION

Place = Literal["path", "query", "header", "cookie"]
Style = Literal[
    "simple", "label", "matrix", "form", "spaceDelimited", "pipeDelimited", "deepObject"
]
STYLES: dict[Place, tuple[Style, ...]] = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
"""Those that a place has, its default first."""
YesOrNo = Annotated[bool, Field(strict=True)]

_OURS = "it tells the proxy how to run the task"
_NOT_IN_OPENAPI = "OpenAPI passes over a parameter of this name; see `upstream.forwardHeaders`"
TAKEN_HEADERS = {
    **OF_THE_CONNECTION,
    **dict.fromkeys(("accept", "authorization", "content-type"), _NOT_IN_OPENAPI),
    **dict.fromkeys(("idempotency-key", "prefer"), _OURS),
    **dict.fromkeys(("task-deadline", "task-delay", "task-labels", "task-priority"), _OURS),
    **dict.fromkeys(("task-batch", "task-callback"), _OURS),
    "cookie": "a cookie is `in: cookie`",
    "x-api-key": "callers may prove by it who they are, and arguments are shown",
}
"""Headers of a call that are no parameters, and why."""


class Parameter(Declared):
    """One argument that callers give outside the body."""

    name: str = Field(min_length=1)
    place: Place = Field(validation_alias="in")
    argument: str | None = Field(default=None, min_length=1)
    """What it gives; by default the argument of its own name."""
    style: Style | None = None
    """How lists and objects are written; by default the first of its place in `STYLES`."""
    explode: YesOrNo | None = None
    """Whether each item of a list or member of an object stands for itself; `form` by default."""
    allow_reserved: YesOrNo = False
    """In the query: `+` is a plus, not a space."""

    @model_validator(mode="after")
    def _is_of_openapi(self) -> Self:
        if self.place in {"header", "cookie"} and not HEADER_NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} is no name of a {self.place} (RFC 9110 §5.6.2)")
        if self.place == "header" and self.name.lower() in TAKEN_HEADERS:
            raise ValueError(
                f"{self.name} cannot be a parameter: {TAKEN_HEADERS[self.name.lower()]}"
            )
        styles = STYLES[self.place]
        if self.style not in (None, *styles):
            raise ValueError(f"in {self.place}: expected a style of {', '.join(styles)}")
        if self.allow_reserved and self.place != "query":
            raise ValueError("`allowReserved` is for the query")
        self._check_explode()
        return self

    def _check_explode(self) -> None:
        if self.style == "deepObject" and self.explode is False:
            raise ValueError("`explode: false` with deepObject is undefined in OpenAPI")
        if self.style in {"spaceDelimited", "pipeDelimited"} and self.explode:
            raise ValueError(f"`explode: true` is the style form, not {self.style}")

    @property
    def gives(self) -> str:
        """The argument that it gives."""
        return self.argument or self.name

    @property
    def used_style(self) -> Style:
        """How it is written."""
        return self.style or STYLES[self.place][0]

    @property
    def is_exploded(self) -> bool:
        """Whether each item or member stands for itself."""
        if self.explode is not None:
            return self.explode
        return self.used_style in {"form", "deepObject"}
