"""Commands whose module is imported when they run, and not when a list of them is shown."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

USAGE = 2


@contextmanager
def needing_services() -> Generator[None]:
    """Say in one line what an import lacks: `pip install asyncapiproxy` brings no service."""
    try:
        yield
    except ModuleNotFoundError as error:
        said = f"Error: This command needs {error.name}: pip install 'asyncapiproxy[all]'"
        typer.echo(said, err=True)
        raise typer.Exit(USAGE) from error


class LazyCommand(TyperCommand):
    """Stands for a command, or a group of them, in help and completion."""

    def __init__(self, name: str, *, help: str, load: Callable[[list[str]], Any]) -> None:  # noqa: A002 - Typer's name
        super().__init__(name, help=help)
        self.load = load
        """Import what runs, for the words that follow."""


class LazyGroup(TyperGroup):
    """A group of lazy commands: one is imported once it is known which."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command itself, in place of what stands for it."""
        name, command, rest = super().resolve_command(ctx, args)
        if isinstance(command, LazyCommand):
            command = command.load(rest)
            command.name = name
        return name, command, rest
