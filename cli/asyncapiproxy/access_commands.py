"""`asyncapiproxy access`: who may call a proxy, and as whom it knows us."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Typer reads the annotation
from typing import Annotated

import typer

from asyncapiproxy.lazy_command import needing_services
from asyncapiproxy.task.quick_client import LOCAL
from asyncapiproxy.task.session import (
    AsDocument,
    DocumentFormat,
    ExitCode,
    Token,
    Url,
    console,
    open_proxy,
    show_error,
)
from asyncapiproxy.typer_app import new_app
from asynctasks.errors import AccessFileError, in_our_words

access_app = new_app(
    help="""Say who may call a proxy, and as whom it knows you.

    The access file is what `ASYNCAPIPROXY_ACCESS_FILE` of a proxy names."""
)


@access_app.command()
def check(file: Annotated[Path, typer.Argument(metavar="FILE", help="The access file.")]) -> None:
    """Read an access file as a proxy does, and say all that is wrong with it.

    Exits with 0 if a proxy would take it, 1 if not.
    """
    with needing_services():
        from asyncproxy.access.access_file import load_access_file  # noqa: PLC0415 - an extra
    try:
        found = load_access_file(file)
    except AccessFileError as error:
        show_error(str(error))
        raise typer.Exit(ExitCode.FAILED) from error
    ways = found.authentication
    console().print(f"{file}: can be used", soft_wrap=True)
    for issuer in ways.jwt:
        console().print(f"  tokens of {issuer.issuer}", soft_wrap=True)
    if ways.api_keys is not None:
        console().print(f"  API keys: {len(found.api_keys)}")
    if ways.headers is not None:
        proxies = ", ".join(map(str, ways.headers.trusted_proxies))
        console().print(f"  {ways.headers.principal} from {proxies}", soft_wrap=True)
    console().print(f"  anonymous callers: {ways.anonymous}")
    console().print(f"  rules: {len(found.rules.rules)}, quotas: {len(found.quotas)}")


@access_app.command(name="new-key")
def new_key_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who proves itself by the key.")],
    tenant: Annotated[str | None, typer.Option(help="The organisation it belongs to.")] = None,
    groups: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="The groups it is in.")
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="When the key ends: 2027-01-31, or a time with its zone."),
    ] = None,
) -> None:
    r"""Make an API key: its entry for the file of keys to stdout, the key itself to stderr.

        asyncapiproxy access new-key shop --tenant acme --expires 2027-01-31 >> keys.yaml

    The key is shown this once; the file has its SHA-256 alone.
    """
    with needing_services():
        import yaml  # noqa: PLC0415 - an extra
        from pydantic import ValidationError  # noqa: PLC0415 - an extra

        from asyncproxy.access.api_keys import (  # noqa: PLC0415 - an extra
            BEGINNING,
            NAME,
            DeclaredKey,
            new_key,
            sha256_of,
        )
        from asynctasks.instants import utc_now  # noqa: PLC0415 - an extra
    if not NAME.fullmatch(name):
        raise typer.BadParameter(
            f"expected letters, digits and . _ @ -, 128 at most, and not {BEGINNING} before them",
            param_hint="NAME",
        )
    key = new_key()
    entry = {
        "sha256": sha256_of(key).hex(),
        "tenant": tenant,
        "groups": [each.strip() for each in groups.split(",")] if groups else None,
        "expires": expires,
    }
    entry = {each: value for each, value in entry.items() if value is not None}
    try:
        declared = DeclaredKey.model_validate(entry)
    except ValidationError as error:
        (fault, *_) = error.errors()
        raise typer.BadParameter(
            in_our_words(str(fault["msg"])), param_hint=f"--{fault['loc'][0]}"
        ) from error
    if declared.expires is not None and declared.expires <= utc_now():
        raise typer.BadParameter("it is over already", param_hint="--expires")
    typer.echo(yaml.safe_dump({name: entry}, sort_keys=False, allow_unicode=True), nl=False)
    typer.echo(key, err=True)


@access_app.command()
def whoami(
    *, shown_as: AsDocument = DocumentFormat.TEXT, url: Url = LOCAL, token: Token = None
) -> None:
    """Ask a proxy as whom it knows the caller that shows this token or key.

        ASYNCAPIPROXY_TOKEN=aap_… asyncapiproxy access whoami

    Exits with 0 if it knows one, 1 if it refuses the token, 2 where no proxy answers.
    """
    is_json = shown_as is DocumentFormat.JSON
    with open_proxy(url, token=token, is_json=is_json) as client:
        caller = client.ask("GET", "/whoami")
    if is_json:
        typer.echo(caller.text)
        return
    said = caller.json()
    console().print(f"principal  {said['principal'] or '(anonymous)'}", markup=False)
    console().print(f"tenant     {said['tenant'] or '(none)'}", markup=False)
    console().print(f"groups     {', '.join(said['groups']) or '(none)'}", markup=False)
