"""How each of our Typer applications behaves."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import typer
import typer.core
from typer.core import TyperGroup

_typers_own: Any = typer.core.__dict__.get("build_runtime_param")


class _Parameter:
    """Reads what is text, or is not given, in place of Typer.

    Typer imports pydantic for it, which took a fifth of the time of a command.
    """

    def __init__(self, descriptor: Any) -> None:
        self._descriptor = descriptor

    def coerce(self, value: Any, *, param: Any, ctx: Any) -> Any:
        """The value; what is more than a text, or no word that may stand there, is Typer's."""
        kind = self._descriptor.annotation
        if value is None and param.nargs == 1 and not param.multiple:
            return None
        if isinstance(kind, type):
            if isinstance(value, kind):
                return value
            if issubclass(kind, StrEnum) and value in {*kind}:
                return kind(value)
        return _typers_own(self._descriptor).coerce(value, param=param, ctx=ctx)


if _typers_own is not None:  # a private name: without it a command takes longer, and that is all
    typer.core.__dict__["build_runtime_param"] = _Parameter


def new_app(
    *,
    help: str,  # noqa: A002 - Typer's name
    cls: type[TyperGroup] = TyperGroup,
    is_completed: bool = True,
) -> typer.Typer:
    """An application that shows its help when asked nothing, and never a local variable.

    Where `is_completed`, it brings the options by which a shell learns to complete it.
    """
    return typer.Typer(
        cls=cls,
        help=help,
        add_completion=is_completed,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
