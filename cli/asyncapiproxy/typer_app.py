"""How each of our Typer applications behaves."""

from __future__ import annotations

import typer
from typer.core import TyperGroup


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
