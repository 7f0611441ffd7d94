"""`tokens`: what it costs to know each caller by a signed token, and by a rule what it may."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import jwt

from asynctestkit.oidc_issuer import AUDIENCE, private_key, public_jwk
from benchmarks.machine.bench import Bench, console
from benchmarks.machine.cpu import used, wait_until_quiet
from benchmarks.machine.load import Load, post_clients
from benchmarks.machine.measure import Figures, Measured, Ratio
from benchmarks.sections.promise import Promise
from benchmarks.sections.section import Asked, Section
from benchmarks.sections.table import Table, warning
from benchmarks.systems.systems import ours

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from benchmarks.machine.measure import Running

CALLERS, DELAY_SECONDS = 64, 0.5
"""Of each of the two: so many calls a second of both, whatever they cost."""
OWN, SHARED = ("proxy", "executor"), ("rabbitmq", "postgresql")
WARM_UP_SECONDS = 2
_ACCESS = """\
authentication:
  jwt:
    - {issuer: URL, audiences: [AUDIENCE], jwksUri: URL/keys, claims: {tenant: org}}
rules:
  - {principals: [someone-else], may: [read]}
  - {tenants: [shop], may: [submit, read, cancel]}
"""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Callers with a token each call, beside an installation without an access file."""

    with_token: Figures
    without: Figures
    cpu: Ratio
    """Of the CPU of a request, with to without; that of the servers is taken to be the same."""


@dataclass(frozen=True, slots=True)
class _Way:
    running: Running
    token: str


def _run(bench: Bench, asked: Asked) -> Tokens:
    seconds = asked.seconds or (1 if asked.quick else 5)
    with ExitStack() as stack:
        url, token = stack.enter_context(_issuer())
        file = bench.folder / "access.yaml"
        file.write_text(_ACCESS.replace("URL", url).replace("AUDIENCE", AUDIENCE))
        ways = (
            _Way(stack.enter_context(ours(bench, proxy_settings={"access_file": file})), token),
            _Way(stack.enter_context(ours(bench)), ""),
        )
        _at_once(ways, seconds=WARM_UP_SECONDS)
        rounds = asked.rounds or (1 if asked.quick else 9)
        pairs = [_measured(ways, seconds) for _ in range(rounds)]
    return Tokens(
        with_token=Figures.of([pair[0] for pair in pairs]),
        without=Figures.of([pair[1] for pair in pairs]),
        cpu=Ratio.of((more.cpu_us_total, less.cpu_us_total) for more, less in pairs),
    )


def _measured(ways: tuple[_Way, _Way], seconds: float) -> tuple[Measured, Measured]:
    """From quiet to quiet, both under load: what disturbs one disturbs the other as much."""
    parts = {part: ways[0].running.parts[part] for part in SHARED}
    for number, way in enumerate(ways):
        parts |= {f"{part} {number}": way.running.parts[part] for part in OWN}
    before = wait_until_quiet(parts)
    loads = _at_once(ways, seconds=seconds)
    spent_us = {part: ns / 1e3 for part, ns in used(before, wait_until_quiet(parts)).items()}
    sent = sum(load.sent for load in loads)
    of_servers = {part: spent_us[part] / sent for part in SHARED}
    with_token, without = (
        Measured(
            load, {part: spent_us[f"{part} {number}"] / load.sent for part in OWN} | of_servers
        )
        for number, load in enumerate(loads)
    )
    told = ", ".join(f"{each.cpu_us_total:,.0f} µs" for each in (with_token, without))
    console.print(f"  with a token and without: {told}")
    return with_token, without


def _at_once(ways: Iterable[_Way], *, seconds: float) -> list[Load]:
    def load(way: _Way) -> Load:
        return post_clients(
            way.running.urls,
            callers=CALLERS,
            seconds=seconds,
            delay_seconds=DELAY_SECONDS,
            token=way.token,
        )

    with ThreadPoolExecutor() as threads:
        return list(threads.map(load, ways))


@contextmanager
def _issuer() -> Generator[tuple[str, str]]:
    """The URL of an issuer that shows its keys, and a token of it that is good all the while."""
    key = private_key("RS256")
    keys = json.dumps({"keys": [public_jwk(key, kid="bench", alg="RS256")]}).encode()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(keys)))
            self.end_headers()
            self.wfile.write(keys)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name
            """Say nothing between the figures."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        now = int(time.time())
        claims = {"iss": url, "aud": AUDIENCE, "sub": "ann", "org": "shop", "iat": now}
        token = jwt.encode(
            {**claims, "exp": now + 86_400}, key, algorithm="RS256", headers={"kid": "bench"}
        )
        yield url, token
        server.shutdown()


def _tables(tokens: Tokens) -> Iterator[tuple[str, Table]]:
    runs = f"{tokens.without.rounds} runs of both at once"
    table = Table(
        f"Callers with tokens, {CALLERS} callers of each, upstream of {DELAY_SECONDS} s, {runs}",
        ["installation", "CPU of a request, µs", *OWN, *SHARED, "as ratio of the pairs"],
    )
    for name, one, ratio in (
        ("access file, a JWT in each call", tokens.with_token, str(tokens.cpu)),
        ("without an access file", tokens.without, "1"),
    ):
        parts = [f"{one.cpu_us[part]:,.0f}" for part in (*OWN, *SHARED)]
        total = f"{one.cpu_us_total:,.0f}{warning(one.errors)}"
        table.rows.append([name, total, *parts, ratio])
    yield "tokens", table


def _promises(tokens: Tokens | None) -> Iterator[Promise]:
    text = "a JWT in each call, checked and kept: CPU of a request ≤ 1.05 × that without"
    if not tokens:
        yield Promise(text)
        return
    holds = tokens.cpu.median <= 1.05 if tokens.without.rounds > 1 else None
    yield Promise(text, f"{tokens.cpu} ×", holds)


def _faults(tokens: Tokens) -> Iterator[str]:
    for name, one in (("with", tokens.with_token), ("without", tokens.without)):
        if one.errors:
            yield f"tokens, {name}: {one.errors}"


TOKENS = Section(
    name="tokens", results=Tokens, run=_run, tables=_tables, promises=_promises, faults=_faults
)
