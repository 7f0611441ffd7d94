"""How each of our Typer applications behaves."""

from __future__ import annotations

import typer
from typer.core import TyperGroup


def new_app(*, help: str, cls: type[TyperGroup] = TyperGroup) -> typer.Typer:  # noqa: A002 - Typer's name
    """An application that shows its help when asked nothing, and never a local variable."""
    return typer.Typer(
        cls=cls,
        help=help,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_show_locals=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
