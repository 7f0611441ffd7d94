"""`kubectl asyncapiproxy`: the command, which finds its proxy in a cluster by itself."""

from __future__ import annotations

import io
import os
import shlex
import sys
from contextlib import redirect_stdout, suppress
from dataclasses import fields
from typing import Annotated, Any

import typer
from typer.completion import get_completion_inspect_parameters

from asyncapiproxy.in_cluster import InCluster
from asyncapiproxy.main import CommandGroup, Version
from asyncapiproxy.task.quick_client import WHERE
from asyncapiproxy.typer_app import new_app

NAME = "kubectl asyncapiproxy"
_WHERE = "The proxy is that of the release that `kubectl asyncapiproxy --help` tells of."
_COMPLETING = "_KUBECTL_ASYNCAPIPROXY_COMPLETE"
# kubectl's ShellCompDirectiveNoFileComp, and its default.
_NO_FILES, _FILES = 4, 0
_CLUSTER = {field.name for field in fields(InCluster)}
"""The options that say which release is meant."""


class PluginGroup(CommandGroup):
    """The command's groups, whose commands take a release where the others take a URL."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command, once its own commands know of clusters."""
        name, command, rest = super().resolve_command(ctx, args)
        of_cluster = [param for param in self.params if param.name in _CLUSTER]
        command.help = (command.help or "").replace(WHERE, _WHERE)
        for each in getattr(command, "commands", {}).values():
            for param in [param for param in each.params if param.name == "url"]:
                each.params += of_cluster
                _find_by_release(param)
        return name, command, rest


def _find_by_release(url: Any) -> None:
    """Let the option `--url` be the release's, unless it is given."""
    url.envvar = None
    url.default = None
    url.show_default = False
    url.help = "Where the proxy is, in place of the release's."
    url.callback = _given_or_of_release


def _given_or_of_release(ctx: Any, _: Any, given: str | None) -> str:
    named = {name: value for name, value in ctx.meta.items() if name in _CLUSTER}
    return given or InCluster(**named).url


def _keep(ctx: typer.Context, param: typer.CallbackParam, value: str | None) -> None:
    if value is not None:
        ctx.meta[str(param.name)] = value


app = new_app(
    cls=PluginGroup,
    is_completed=False,
    help="""The `asyncapiproxy` command, for the proxy of a release in a cluster.

    Each command that asks a proxy finds the release's Service and forwards a port to it by kubectl
    for as long as it runs. `--context`, `--namespace` and `--release` may stand before or after the
    command; without them it is where kubectl is, and the only release there.""",
)


@app.callback()
def main(
    *,
    context: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The context of the kubeconfig; else the current one.",
            callback=_keep,
            expose_value=False,
        ),
    ] = None,
    namespace: Annotated[
        str | None,
        typer.Option(
            "--namespace",
            "-n",
            metavar="NAME",
            help="Where the release is; else in the context's namespace.",
            callback=_keep,
            expose_value=False,
        ),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Which release, where there are several.",
            callback=_keep,
            expose_value=False,
        ),
    ] = None,
    version: Version = False,
) -> None:
    """See the help above, which is the application's."""


def run() -> None:
    """What kubectl starts for `kubectl asyncapiproxy`."""
    app(prog_name=NAME)


def complete() -> None:
    """What kubectl asks for what may stand next; the last word is the one that is being typed.

    It wants what fish does, a line for each offer, and then whether files may stand there, too.
    """
    get_completion_inspect_parameters()  # has Typer know of fish, in an app without its options
    *before, begun = sys.argv[1:] or [""]
    os.environ |= {
        # What an option does stays on its line.
        "COLUMNS": "1000",
        _COMPLETING: "complete_fish",
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
        "_TYPER_COMPLETE_ARGS": f"{shlex.join([NAME, *before])} {begun and shlex.quote(begun)}",
    }
    offered = io.StringIO()
    with redirect_stdout(offered), suppress(SystemExit):
        app(prog_name=NAME, complete_var=_COMPLETING)
    typer.echo(offered.getvalue(), nl=False)
    typer.echo(f":{_NO_FILES if offered.getvalue().strip() else _FILES}")
