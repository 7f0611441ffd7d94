"""Reads the access file. What is wrong is told by line, key and what was expected."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, ValidationError

from asyncproxy.access.api_keys import ApiKeys, load_api_keys
from asyncproxy.access.authentication import Authentication
from asyncproxy.access.quota import Quota
from asyncproxy.access.rules import EVERYTHING, Action, Rule, Rules, Scope
from asynctasks.declarations.declared import PRINTABLE, Declared, NotEmpty
from asynctasks.declarations.declared_file import parse_text, read_text
from asynctasks.errors import AccessFileError

if TYPE_CHECKING:
    from asynctasks.declarations.declared_file import Read, Report

Pattern = Annotated[str, Field(min_length=1, max_length=512), PRINTABLE]
Patterns = Annotated[tuple[Pattern, ...], NotEmpty]


class DeclaredRule(Declared):
    """What some callers may do with some operations and their tasks; what is None fits any."""

    principals: Patterns | None = None
    tenants: Patterns | None = None
    groups: Patterns | None = None
    operations: Patterns = (EVERYTHING,)
    tasks: Scope = Scope.OWN
    may: Annotated[frozenset[Action], NotEmpty]

    @property
    def rule(self) -> Rule:
        """The rule that it declares."""
        return Rule(
            principals=self.principals or (),
            tenants=self.tenants or (),
            groups=self.groups or (),
            operations=self.operations,
            tasks=self.tasks,
            may=self.may,
        )


class DeclaredAccess(Declared):
    """The whole file."""

    authentication: Authentication
    rules: Annotated[tuple[DeclaredRule, ...], NotEmpty]
    quotas: tuple[Quota, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessFile:
    """What is declared in an access file, and in the files that it refers to."""

    authentication: Authentication
    rules: Rules
    quotas: tuple[Quota, ...] = ()
    api_keys: ApiKeys
    certificates: dict[Path, str]
    """The content of each `caFile`."""


def load_access_file(file: Path, *, read: Read = Path.read_bytes) -> AccessFile:
    """What the file declares; raises AccessFileError with all that is wrong.

    The files that it refers to are read, too, from its own folder unless it says another.
    """
    text = read_text(file, error=AccessFileError, read=read)
    document, report = parse_text(text, name=str(file), error=AccessFileError)
    declared = _declared(document, report)
    report.raise_if_any()
    assert declared is not None
    authentication = declared.authentication
    certificates = _certificates(authentication, file.parent, report, read=read)
    keys: ApiKeys = {}
    if authentication.api_keys is not None:
        place = file.parent / authentication.api_keys.file
        keys = load_api_keys(place, prefix=authentication.api_keys.prefix, read=read)
    report.raise_if_any()
    return AccessFile(
        authentication=authentication,
        rules=Rules(tuple(each.rule for each in declared.rules)),
        quotas=declared.quotas,
        api_keys=keys,
        certificates=certificates,
    )


def _declared(document: Any, report: Report) -> DeclaredAccess | None:
    try:
        declared = DeclaredAccess.model_validate({} if document is None else document)
    except ValidationError as error:
        report.add_all(error, DeclaredAccess)
        return None
    report.add_empty(document)
    _check_ways(declared.authentication, report)
    _check_headers(declared.authentication, report)
    _check_rules(declared, report)
    _check_quotas(declared, report)
    return declared


def _check_headers(authentication: Authentication, report: Report) -> None:
    seen: dict[str, str] = {}
    for key in ("principal", "groups", "tenant"):
        name: str | None = getattr(authentication.headers, key, None)
        if name is not None and seen.setdefault(name.lower(), key) != key:
            what = f"this header says {seen[name.lower()]} already"
            report.add(("authentication", "headers", key), what)


def _check_rules(declared: DeclaredAccess, report: Report) -> None:
    """What a rule allows is to have an effect, or somebody relies on what nobody may do."""
    for number, rule in enumerate(declared.rules):
        blind = sorted(rule.may - {Action.SUBMIT})
        if Action.READ not in rule.may and blind:
            what = f"{blind[0]} has no effect without read: each of its answers shows the task"
            report.add(("rules", number, "may"), what)
        elif Action.OPERATE in rule.may and rule.tasks is not Scope.ALL:
            what = "operate has no effect without `tasks: all`: it changes what is everyone's"
            report.add(("rules", number, "may"), what)


def _check_quotas(declared: DeclaredAccess, report: Report) -> None:
    seen: set[str] = set()
    for number, quota in enumerate(declared.quotas):
        if quota.per in seen:
            report.add(("quotas", number, "per"), f"there is a quota per {quota.per} already")
        seen.add(quota.per)
        if not quota.model_fields_set - {"per"}:
            report.add(("quotas", number), "expected one of queued, running, submit, waiting")


def _check_ways(authentication: Authentication, report: Report) -> None:
    at = ("authentication",)
    if not authentication.prefixes() and authentication.anonymous == "deny":
        report.add(at, "nobody could call: expected jwt, apiKeys, headers or `anonymous: allow`")
    issuers: set[str] = set()
    for number, each in enumerate(authentication.jwt):
        if each.issuer in issuers:
            report.add((*at, "jwt", number, "issuer"), "this issuer stands here twice")
        issuers.add(each.issuer)
    ways = authentication.prefixes()
    for number, (place, prefix) in enumerate(ways):
        for other, taken in ways[:number]:
            if _overlap(prefix, taken):
                way = ".".join(map(str, other))
                report.add(
                    (*at, *place, "prefix"),
                    f"{way} has the prefix {taken!r}: two callers could have one name",
                )


def _overlap(prefix: str, other: str) -> bool:
    """Whether names could begin with both. An empty one is told from others by the names."""
    if not prefix or not other:
        return prefix == other
    return prefix.startswith(other) or other.startswith(prefix)


def _certificates(
    authentication: Authentication, folder: Path, report: Report, *, read: Read
) -> dict[Path, str]:
    """Of each issuer that has some of its own, once it is known that they can be used."""
    found: dict[Path, str] = {}
    for number, issuer in enumerate(authentication.jwt):
        if issuer.ca_file is None:
            continue
        file = folder / issuer.ca_file
        try:
            found[issuer.ca_file] = _certificates_in(file, read)
        except AccessFileError as error:
            report.add(("authentication", "jwt", number, "caFile"), str(error))
    return found


def _certificates_in(file: Path, read: Read) -> str:
    text = read_text(file, error=AccessFileError, read=read)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # An empty text is as good as none to Python, and would stand for the system's certificates.
    try:
        context.load_verify_locations(cadata=text or "none")
    except (ValueError, ssl.SSLError) as error:
        raise AccessFileError(f"{file}: holds no certificates that can be read") from error
    return text
