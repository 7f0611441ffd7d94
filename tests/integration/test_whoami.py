"""Callers at a running proxy with an access file: who is let in, and what others are told."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from asyncproxy.access import issuer_keys
from asyncproxy.access.api_keys import new_key, sha256_of
from asyncproxy.access.metrics import FILE_METRICS
from asynctasks.errors import AccessFileError
from asynctestkit.eventually import eventually
from asynctestkit.inside import Inside, inside, operation
from asynctestkit.oidc_issuer import OidcIssuer, oidc_issuer

CHALLENGE = 'Bearer realm="asyncapiproxy"'
UNAUTHENTICATED = {
    "type": "https://asyncapiproxy.dev/problems/unauthenticated",
    "title": "It is not known who calls",
    "status": 401,
    "detail": "Who calls is not known: send a token or a key that this proxy takes, and only one.",
}
RULES = "rules: [{may: [submit, read]}]\n"


class House:
    """A proxy with an access file, its issuer, and two API keys."""

    def __init__(self, installation: Inside, issuer: OidcIssuer, folder: Path) -> None:
        self.issuer = issuer
        self.file = folder / "access.yaml"
        self.keys = folder / "keys.yaml"
        self.key, self.ended_key = new_key(), new_key()
        self.client = httpx.AsyncClient()
        self._installation = installation

    def write(self, more: str = "") -> None:
        self.keys.write_text(
            f"shop: {{sha256: {sha256_of(self.key).hex()}, tenant: acme, groups: [ops]}}\n"
            f"old: {{sha256: {sha256_of(self.ended_key).hex()}, expires: 2020-01-01}}\n"
        )
        self.file.write_text(
            "authentication:\n"
            f"  jwt: [{{issuer: '{self.issuer.url}', audiences: [asyncapiproxy]}}]\n"
            f"  apiKeys: {{file: keys.yaml}}\n{more}{RULES}"
        )

    async def open(self, **settings: Any) -> None:
        proxy = await self._installation.proxy(access_file=self.file, **settings)
        self.client = await self._installation.client(proxy)

    async def who(self, *headers: tuple[str, str]) -> Any:
        answer = await self.client.get("/whoami", headers=list(headers))
        assert answer.status_code == 200, answer.text
        known = answer.json()
        assert known.pop("rules") == [
            {"operations": ["*"], "tasks": "own", "may": ["submit", "read"]}
        ]
        return known

    async def refused(self, *headers: tuple[str, str]) -> str:
        """Its challenge."""
        answer = await self.client.get("/whoami", headers=list(headers))
        assert answer.status_code == 401, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json() == UNAUTHENTICATED
        return answer.headers["www-authenticate"]


@pytest.fixture
async def house(sqlite_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with (
        oidc_issuer("ES256") as issuer,
        inside(database_url=sqlite_url, broker_url="memory://") as installation,
    ):
        house = House(installation, issuer, tmp_path)
        house.write()
        yield house


def bearer(token: str) -> tuple[str, str]:
    return ("Authorization", f"Bearer {token}")


async def test_callers_are_known_by_a_token_or_a_key_and_others_are_told_nothing(house: House):
    with capture_logs() as logs:
        await house.open()
        token = house.issuer.sign()
        assert await house.who(bearer(token)) == {"principal": "ann", "tenant": None, "groups": []}
        shop = {"principal": "key:shop", "tenant": "acme", "groups": ["ops"]}
        assert await house.who(bearer(house.key)) == shop
        assert await house.who(("Authorization", f"bearer {house.key}")) == shop
        assert await house.who(("X-Api-Key", house.key)) == shop
        assert await house.refused() == CHALLENGE
        bad = f'{CHALLENGE}, error="invalid_token"'
        assert await house.refused(bearer(house.issuer.sign(aud="other"))) == bad
        assert await house.refused(bearer(house.ended_key)) == bad
        assert await house.refused(("X-Api-Key", new_key())) == bad
        # A token is no API key.
        assert await house.refused(("X-Api-Key", token)) == bad
        assert await house.refused(("Authorization", "Basic YTpi")) == bad
        assert await house.refused(bearer(token), bearer(token)) == bad
        assert await house.refused(bearer(token), ("X-Api-Key", house.key)) == bad
        assert await house.refused(("X-Api-Key", house.key), ("X-Api-Key", house.key)) == bad
        # Of each reason one line; nothing of what was shown.
        told = [line["reason"] for line in logs if line["event"] == "caller not authenticated"]
        assert told == [
            *("nothing", "audience", "ended-key", "unknown-key", "scheme", "several"),
        ]
        for secret in (house.key, house.ended_key, *token.split(".")):
            assert secret not in str(logs)


async def test_a_token_that_is_longer_than_headers_may_be_ends_the_request(house: House):
    await house.open()
    answer = await house.client.get("/whoami", headers=[bearer("a" * 100_000)])
    assert answer.status_code == 431
    assert "invalid_token" in await house.refused(bearer("a" * 20_000))


async def test_the_ping_and_the_start_say_whether_there_is_an_access_file(house: House):
    with capture_logs() as logs:
        await house.open()
        assert (await house.client.get("/ping")).json()["access"] == "restricted"
        without = await house._installation.proxy()
        client = await house._installation.client(without)
        assert (await client.get("/ping")).json()["access"] == "open"
        everything = {
            "operations": ["*"],
            "tasks": "all",
            "may": ["submit", "read", "cancel", "retry", "delete", "operate"],
        }
        nobody: Any = {"principal": None, "tenant": None, "groups": [], "rules": [everything]}
        assert (await client.get("/whoami", headers=[bearer("x")])).json() == nobody
    (told,) = [line for line in logs if line["event"] == "callers are told apart"]
    assert told["issuers"] == [house.issuer.url]
    assert told["api_keys"] == 2
    (warning,) = [line for line in logs if line["event"].startswith("no access file: everyone")]
    assert warning["log_level"] == "warning"


async def test_a_caller_is_told_the_rules_that_are_for_it_in_their_order(house: House):
    text = house.file.read_text().removesuffix(RULES)
    house.file.write_text(
        f"{text}rules:\n"
        "  - {groups: [other], may: [submit, read]}\n"
        "  - {operations: [report-*], tasks: tenant, may: [read, cancel]}\n"
        "  - {groups: [ops], tasks: all, may: [read, operate]}\n"
    )
    await house.open()
    answer = await house.client.get("/whoami", headers=[bearer(house.key)])
    assert answer.json()["rules"] == [
        {"operations": ["report-*"], "tasks": "tenant", "may": ["read", "cancel"]},
        {"operations": ["*"], "tasks": "all", "may": ["read", "operate"]},
    ]


async def test_the_document_says_what_callers_have_to_show(house: House):
    await house.open()
    document = (await house.client.get("/openapi.json")).json()
    assert document["components"]["securitySchemes"] == {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
        "apiKey": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    }
    assert document["security"] == [{"bearer": []}, {"apiKey": []}]
    assert document["paths"]["/ping"]["get"]["security"] == []
    assert "security" not in document["paths"]["/whoami"]["get"]


async def test_a_changed_file_or_its_keys_are_taken_over_and_a_bad_one_is_refused(house: House):
    with capture_logs() as logs:
        await house.open()
        key = new_key()
        house.keys.write_text(f"web: {{sha256: {sha256_of(key).hex()}}}\n")

        async def is_known() -> None:
            assert (await house.who(bearer(key)))["principal"] == "key:web"

        await eventually(is_known)
        assert "invalid_token" in await house.refused(bearer(house.key))
        house.write(more="  anonymous: allow\n")

        async def may_be_anonymous() -> None:
            assert (await house.who())["principal"] is None

        await eventually(may_be_anonymous)
        # Who shows something that is bad is no anonymous caller.
        assert "invalid_token" in await house.refused(bearer("x.y.z"))
        document = (await house.client.get("/openapi.json")).json()
        assert document["security"] == [{"bearer": []}, {"apiKey": []}, {}]
        house.keys.write_text("web: {sha256: hunter2}\n")

        def is_refused() -> None:
            (family,) = FILE_METRICS.refused.collect()
            assert family.samples[0].value == 1

        await eventually(is_refused)
        (line,) = [each for each in logs if each["log_level"] == "error"]
        assert line["event"] == "access file refused; the one before serves on"
        assert f"{house.keys}:1: web.sha256: expected the key's SHA-256" in line["faults"]
        assert "hunter2" not in line["faults"]
        assert (await house.who(bearer(house.key)))["principal"] == "key:shop"


async def test_a_new_issuer_is_known_as_soon_as_the_file_is_taken_over(house: House):
    await house.open()
    async with oidc_issuer() as other:
        token = other.sign()
        text = house.file.read_text().replace(
            "jwt: [", f"jwt: [{{issuer: '{other.url}', audiences: [asyncapiproxy], prefix: 'b:'}}, "
        )
        with capture_logs() as logs:
            house.file.write_text(text)

            def is_taken_over() -> None:
                assert "access file taken over" in [line["event"] for line in logs]

            await eventually(is_taken_over)
            assert (await house.who(bearer(token)))["principal"] == "b:ann"
            # The keys of the other one were not asked for again.
            assert house.issuer.asked.count("/keys") == 1


async def test_a_running_proxy_fetches_the_keys_that_a_token_names(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(issuer_keys, "LEAST_SECONDS", 0.2)
    await house.open()
    house.issuer.rotate()
    token = house.issuer.sign()

    async def is_known() -> None:
        assert (await house.who(bearer(token)))["principal"] == "ann"

    await eventually(is_known)


async def test_a_proxy_does_not_start_by_a_bad_file(house: House):
    house.file.write_text("authentication: {}\n")
    with pytest.raises(ExceptionGroup) as caught:
        async with inside(
            database_url=house._installation._given["database_url"], broker_url="memory://"
        ) as installation:
            await installation.proxy(access_file=house.file)
    assert caught.group_contains(AccessFileError, match=f"{house.file}:1: rules: is missing")


class TestHeaders:
    """Of a proxy in front, which says who calls."""

    async def open(self, house: House, *, proxies: str, more: str = "") -> None:
        house.file.write_text(
            "authentication:\n  headers:\n    principal: X-Forwarded-User\n"
            "    groups: X-Forwarded-Groups\n    tenant: X-Tenant\n"
            f"    trustedProxies: {proxies}\n{more}{RULES}"
        )
        await house.open()

    async def test_a_trusted_proxy_says_who_calls(self, house: House):
        await self.open(house, proxies="[127.0.0.0/8]")
        said = [("X-Forwarded-User", "ann"), ("X-Forwarded-Groups", "ops, dev,"), ("X-Tenant", "a")]
        assert await house.who(*said) == {
            "principal": "ann",
            "tenant": "a",
            "groups": ["dev", "ops"],
        }
        # For an upstream, and no proof here.
        assert (await house.who(("Authorization", "Basic x"), *said))["principal"] == "ann"
        assert await house.refused() == CHALLENGE
        assert "invalid_token" in await house.refused(("X-Forwarded-User", ""))
        assert "invalid_token" in await house.refused(*said[:1], ("X-Forwarded-User", "bob"))

    async def test_everyone_else_says_nothing_by_them(self, house: House):
        await self.open(house, proxies="[10.0.0.0/8, '::1']")
        assert await house.refused(("X-Forwarded-User", "ann")) == CHALLENGE

    async def test_no_upstream_gets_them_from_everyone_else(self, sqlite_url: str, tmp_path: Path):
        forwarding = operation(upstream={"url": "{UPSTREAM}/a", "forwardHeaders": ["X-User"]})
        file = tmp_path / "access.yaml"
        seen: list[str | None] = []

        async def answer(request: web.Request) -> web.Response:
            seen.append(request.headers.get("X-User"))
            return web.json_response({})

        async with inside(
            forwarding, database_url=sqlite_url, broker_url="memory://"
        ) as installation:
            await installation.executor()
            for proxies in ("10.0.0.0/8", "127.0.0.0/8"):
                file.write_text(
                    "authentication:\n  anonymous: allow\n"
                    f"  headers: {{principal: X-User, trustedProxies: [{proxies}]}}\n{RULES}"
                )
                client = await installation.client(await installation.proxy(access_file=file))
                installation.upstream.will(answer)
                done = await client.post("/create-client", json={}, headers={"X-User": "ann"})
                assert done.status_code == 200
        assert seen == [None, "ann"]

    async def test_a_proof_of_ones_own_decides(self, house: House):
        more = (
            f"  jwt: [{{issuer: '{house.issuer.url}', audiences: [asyncapiproxy], prefix: 'a:'}}]\n"
        )
        await self.open(house, proxies="[127.0.0.0/8]", more=more)
        said = ("X-Forwarded-User", "bob")
        assert (await house.who(bearer(house.issuer.sign()), said))["principal"] == "a:ann"
        assert (await house.who(said))["principal"] == "bob"
        expired = house.issuer.sign(exp=int(time.time()) - 99)
        assert "invalid_token" in await house.refused(bearer(expired), said)
        # And who has no prefix takes no name of who has one.
        assert "invalid_token" in await house.refused(("X-Forwarded-User", "a:ann"))
