"""`tokens`: what it costs to know each caller by a signed token, and by a rule what it may."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jwt

from asynctestkit.oidc_issuer import AUDIENCE, private_key, public_jwk
from benchmarks.machine.small_server import small_server
from benchmarks.sections.beside import Beside, Way, beside
from benchmarks.sections.compared import promised
from benchmarks.sections.section import Asked, Section
from benchmarks.systems.systems import ours

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from benchmarks.machine.bench import Bench
    from benchmarks.sections.promise import Promise
    from benchmarks.sections.table import Table


_ACCESS = """\
authentication:
  jwt:
    - {issuer: URL, audiences: [AUDIENCE], jwksUri: URL/keys, claims: {tenant: org}}
rules:
  - {principals: [someone-else], may: [read]}
  - {tenants: [shop], may: [submit, read, cancel]}
"""


@dataclass(frozen=True, slots=True)
class Tokens(Beside):
    """Callers with a token each call, beside an installation without an access file."""


def _run(bench: Bench, asked: Asked) -> Tokens:
    with ExitStack() as stack:
        url, token = stack.enter_context(_issuer())
        file = bench.folder / "access.yaml"
        file.write_text(_ACCESS.replace("URL", url).replace("AUDIENCE", AUDIENCE))
        with_token = stack.enter_context(ours(bench, proxy_settings={"access_file": file}))
        without = stack.enter_context(ours(bench))
        found = beside(asked, more=Way(with_token, token), less=Way(without))
    return Tokens(found.more, found.less, found.cpu)


@contextmanager
def _issuer() -> Generator[tuple[str, str]]:
    """The URL of an issuer that shows its keys, and a token of it that is good all the while."""
    key = private_key("RS256")
    keys = json.dumps({"keys": [public_jwk(key, kid="bench", alg="RS256")]}).encode()
    with small_server(keys) as url:
        now = int(time.time())
        claims = {"iss": url, "aud": AUDIENCE, "sub": "ann", "org": "shop", "iat": now}
        token = jwt.encode(
            {**claims, "exp": now + 86_400}, key, algorithm="RS256", headers={"kid": "bench"}
        )
        yield url, token


def _tables(tokens: Tokens) -> Iterator[tuple[str, Table]]:
    more, less = "access file, a JWT in each call", "without an access file"
    yield "tokens", tokens.table("Callers with tokens", more=more, less=less)


def _promises(tokens: Tokens | None) -> Iterator[Promise]:
    yield promised(tokens, "a JWT in each call, checked and kept", most=1.05)


def _faults(tokens: Tokens) -> Iterator[str]:
    if tokens.errors:
        yield f"tokens: {tokens.errors}"


TOKENS = Section(
    name="tokens", results=Tokens, run=_run, tables=_tables, promises=_promises, faults=_faults
)
