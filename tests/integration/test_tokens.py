"""Tokens of a real issuer, on loopback: which are taken, and that no other is."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.requests import Request
from structlog.testing import capture_logs

from asyncproxy.access import authenticator, issuer_keys, metrics
from asyncproxy.access.access_watch import AccessWatch
from asyncproxy.access.api_keys import sha256_of
from asyncproxy.access.principal import Principal
from asyncproxy.access.refusals import Reason
from asyncproxy.problems import UnauthenticatedError
from asynctestkit.certificates import write_certificates
from asynctestkit.eventually import PATIENCE_SECONDS
from asynctestkit.oidc_issuer import OidcIssuer, oidc_issuer, private_key, public_jwk

OTHER = "https://other.example"
RULES = "rules: [{may: [read]}]\n"


def request(*headers: tuple[str, str], peer: str = "192.0.2.7") -> Request:
    lines = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    return Request({"type": "http", "headers": lines, "client": (peer, 4711)})


def bearing(token: str) -> Request:
    return request(("Authorization", f"Bearer {token}"))


class Door:
    """An access file, and who stands before it."""

    def __init__(self, folder: Path, authentication: str) -> None:
        file = folder / "access.yaml"
        file.write_text(f"authentication: {{{authentication}}}\n{RULES}")
        self.watch = AccessWatch(file)

    async def opened(self) -> "Door":
        await self.watch.fetch_keys()
        return self

    def knows(self, shown: Request | str) -> Principal:
        return self.watch.access.principal_of(bearing(shown) if isinstance(shown, str) else shown)

    def refuses(self, shown: Request | str) -> UnauthenticatedError:
        with pytest.raises(UnauthenticatedError) as caught:
            self.knows(shown)
        return caught.value


@pytest.fixture
async def issuer() -> AsyncIterator[OidcIssuer]:
    async with oidc_issuer() as served:
        yield served


@pytest.fixture
async def door(issuer: OidcIssuer, tmp_path: Path) -> Door:
    return await Door(tmp_path, f"jwt: [{ways(issuer)}]").opened()


def ways(issuer: OidcIssuer, more: str = "") -> str:
    return f"{{issuer: '{issuer.url}', audiences: [asyncapiproxy, jobs]{more}}}"


def signature_checks() -> float:
    (family,) = metrics.SIGNATURE_CHECKS.collect()
    return next(each.value for each in family.samples if each.name.endswith("_total"))


@pytest.mark.parametrize(
    "algorithm",
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"],
)
async def test_tokens_of_each_algorithm_are_taken(
    algorithm: str, issuer: OidcIssuer, tmp_path: Path
):
    issuer.rotate(algorithm)
    door = await Door(tmp_path, f"jwt: [{ways(issuer)}]").opened()
    assert door.knows(issuer.sign()) == Principal(name="ann")


def hmac_signed(issuer: OidcIssuer) -> str:
    """By what everyone knows: the public key in place of a shared one."""
    part = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=")
        for each in (
            {"alg": "HS256", "kid": next(iter(issuer.keys))},
            {"iss": issuer.url, "aud": "asyncapiproxy", "sub": "eve", "exp": time.time() + 99},
        )
    ]
    public = base64.urlsafe_b64decode(issuer.jwks[0]["n"] + "==")
    signature = hmac.new(public, b".".join(part), hashlib.sha256).digest()
    return b".".join([*part, base64.urlsafe_b64encode(signature).rstrip(b"=")]).decode()


def without_signature(issuer: OidcIssuer) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","kid":"%s"}' % next(iter(issuer.keys)).encode())
    return f"{head.decode().rstrip('=')}.{issuer.sign().split('.')[1]}."


def tampered(issuer: OidcIssuer) -> str:
    head, _, signature = issuer.sign().split(".")
    return ".".join([head, issuer.sign(sub="eve").split(".")[1], signature])


def nested(issuer: OidcIssuer) -> str:
    deep = base64.urlsafe_b64encode(b"[" * 3_000).decode()
    return f"{deep}.{deep}.x"


Make = Callable[[OidcIssuer], str]
BAD: dict[str, tuple[Reason, Make]] = {
    "wrong issuer": (Reason.UNKNOWN_ISSUER, lambda it: it.sign(iss=OTHER)),
    "no issuer": (Reason.UNKNOWN_ISSUER, lambda it: it.sign(iss=None)),
    "wrong audience": (Reason.AUDIENCE, lambda it: it.sign(aud="other")),
    "no audience": (Reason.CLAIMS, lambda it: it.sign(aud=None)),
    "audience that is no text": (Reason.AUDIENCE, lambda it: it.sign(aud={"a": 1})),
    "wrong signature": (Reason.SIGNATURE, tampered),
    "another's key": (Reason.SIGNATURE, lambda it: it.sign(key=private_key("RS256"))),
    "wrong algorithm": (
        Reason.NO_SIGNING_KEY,
        lambda it: it.sign(key=private_key("ES256"), algorithm="ES256"),
    ),
    "the key's other algorithm": (Reason.NO_SIGNING_KEY, lambda it: it.sign(algorithm="PS256")),
    "shared key": (Reason.ALGORITHM, hmac_signed),
    "none": (Reason.ALGORITHM, without_signature),
    "unknown key": (Reason.NO_SIGNING_KEY, lambda it: it.sign(headers={"kid": "other"})),
    "key id that is no text": (Reason.NO_SIGNING_KEY, lambda it: kid_that_is(it, ["a"])),
    "expired": (Reason.EXPIRED, lambda it: it.sign(exp=int(time.time()) - 31)),
    "no expiry": (Reason.CLAIMS, lambda it: it.sign(exp=None)),
    "expiry that is no number": (Reason.MALFORMED, lambda it: it.sign(exp="soon")),
    "endless": (Reason.MALFORMED, lambda it: it.sign(exp=float("inf"))),
    "not yet valid": (Reason.NOT_YET_VALID, lambda it: it.sign(nbf=int(time.time()) + 60)),
    "not yet issued": (Reason.NOT_YET_VALID, lambda it: it.sign(iat=int(time.time()) + 60)),
    "critical header": (
        Reason.MALFORMED,
        lambda it: it.sign(headers={"crit": ["x"], "x": 1}),
    ),
    "no subject": (Reason.CLAIMS, lambda it: it.sign(sub=None)),
    "empty subject": (Reason.CLAIMS, lambda it: it.sign(sub="")),
    "subject that is no text": (Reason.MALFORMED, lambda it: it.sign(sub=7)),
    "subject with a line break": (Reason.CLAIMS, lambda it: it.sign(sub="a\nb")),
    "half of a character": (Reason.MALFORMED, lambda it: it.sign(sub="\ud800")),
    "long subject": (Reason.CLAIMS, lambda it: it.sign(sub="a" * 257)),
    "100 kB": (Reason.TOO_LONG, lambda it: it.sign(x="a" * 100_000)),
    "nested": (Reason.MALFORMED, nested),
    "two parts": (Reason.MALFORMED, lambda _: "a.b"),
    "no base64": (Reason.MALFORMED, lambda _: "a.b.c"),
    "lists": (Reason.MALFORMED, lambda _: "W10.W10.W10"),
    "spaces": (Reason.MALFORMED, lambda _: "a b.c.d"),
    "empty": (Reason.UNKNOWN_KEY, lambda _: ""),
    "no token": (Reason.UNKNOWN_KEY, lambda _: "hunter2"),
}


def kid_that_is(issuer: OidcIssuer, kid: Any) -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "RS256", "kid": kid}).encode())
    return f"{head.decode().rstrip('=')}.{'.'.join(issuer.sign().split('.')[1:])}"


@pytest.mark.parametrize("name", BAD)
async def test_a_bad_token_is_refused_for_a_reason_that_only_the_log_tells(
    name: str, issuer: OidcIssuer, door: Door
):
    reason, make = BAD[name]
    token = make(issuer)
    with capture_logs() as logs:
        error = door.refuses(token)
    assert error.reason == reason
    assert str(error) == UnauthenticatedError.__doc__
    assert error.challenge == 'Bearer realm="asyncapiproxy", error="invalid_token"'
    (line,) = logs
    assert (line["event"], line["log_level"]) == ("caller not authenticated", "info")
    assert line["reason"] == reason
    for part in token.split("."):
        assert len(part) < 8 or part not in str(logs)


async def test_clocks_may_differ_a_little(issuer: OidcIssuer, door: Door):
    now = int(time.time())
    assert door.knows(issuer.sign(exp=now - 20)).name == "ann"
    assert door.knows(issuer.sign(nbf=now + 20, iat=now + 20)).name == "ann"


async def test_a_token_is_verified_once_until_it_expires(
    issuer: OidcIssuer, door: Door, monkeypatch: pytest.MonkeyPatch
):
    token = issuer.sign()
    before = signature_checks()
    assert {door.knows(token).name for _ in range(5)} == {"ann"}
    assert signature_checks() == before + 1
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 331)
    # pyjwt reads another clock, by which it is still good: but it is asked again.
    assert door.knows(token).name == "ann"
    assert signature_checks() == before + 2


async def test_so_many_tokens_are_known_and_no_more(
    issuer: OidcIssuer, door: Door, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(authenticator, "MAX_VERIFIED", 3)
    tokens = [issuer.sign(jti=str(number)) for number in range(5)]
    for token in tokens:
        door.knows(token)
    assert len(door.watch._authenticator._verified) == 3
    before = signature_checks()
    door.knows(tokens[-1])
    assert signature_checks() == before
    door.knows(tokens[0])
    assert signature_checks() == before + 1


async def test_bad_tokens_are_not_kept(issuer: OidcIssuer, door: Door):
    for number in range(20):
        door.refuses(issuer.sign(sub=f"a{number}", aud="other"))
    assert door.watch._authenticator._verified == {}


async def test_claims_name_principal_groups_and_tenant(issuer: OidcIssuer, tmp_path: Path):
    claims = "claims: {principal: email, groups: /realm~1access/roles, tenant: 'https://a/org'}"
    declared = ways(issuer, f", {claims}, prefix: 'login:'")
    door = await Door(tmp_path, f"jwt: [{declared}]").opened()
    said: dict[str, Any] = {
        "email": "ann@a",
        "realm/access": {"roles": ["ops", "dev"]},
        "https://a/org": "acme",
    }
    assert door.knows(issuer.sign(**said)) == Principal(
        name="login:ann@a", tenant="acme", groups=frozenset({"login:ops", "login:dev"})
    )
    assert door.knows(issuer.sign(email="bob@a")) == Principal(name="login:bob@a")
    said |= {"realm/access": {"roles": "ops"}}
    assert door.knows(issuer.sign(**said)).groups == {"login:ops"}
    bad: list[Any] = [{"roles": [1]}, {"roles": {"a": 1}}, {"roles": ["a\n"]}]
    for value in bad:
        said |= {"realm/access": value}
        assert door.refuses(issuer.sign(**said)).reason == "claims"
    said |= {"realm/access": {}, "https://a/org": ["acme"]}
    assert door.refuses(issuer.sign(**said)).reason == "claims"


async def test_one_subject_of_two_issuers_is_two_principals(issuer: OidcIssuer, tmp_path: Path):
    async with oidc_issuer("ES256") as other:
        with_prefix = ways(other, ", prefix: 'other:'")
        door = await Door(tmp_path, f"jwt: [{ways(issuer)}, {with_prefix}]").opened()
        assert door.knows(issuer.sign()).name == "ann"
        assert door.knows(other.sign()).name == "other:ann"
        # And nobody of the one can take the name of somebody of the other.
        assert door.refuses(issuer.sign(sub="other:ann")).reason == "claims"
        # The key of the one signs nothing for the other.
        (_, key), (kid, *_) = next(iter(issuer.keys.values())), other.keys
        forged = issuer.sign(iss=other.url, key=key, headers={"kid": kid})
        assert door.refuses(forged).reason == "no-signing-key"


async def test_a_rotated_key_is_fetched_when_a_token_names_it_and_the_old_one_forgotten(
    issuer: OidcIssuer, door: Door
):
    old = issuer.sign()
    assert door.knows(old).name == "ann"
    issuer.rotate()
    new = issuer.sign()
    assert door.refuses(new).reason == "no-signing-key"
    clock = ClockOf(door, issuer)
    clock.pass_seconds(issuer_keys.LEAST_SECONDS)
    await door.watch.fetch_keys()
    assert door.knows(new).name == "ann"
    # It was known, and is so no more.
    assert door.refuses(old).reason == "no-signing-key"


async def test_made_up_key_ids_have_the_keys_fetched_no_more_often_than_every_5_seconds(
    issuer: OidcIssuer, door: Door
):
    clock = ClockOf(door, issuer)
    asked = len(issuer.asked)
    for second in range(20):
        door.refuses(issuer.sign(headers={"kid": f"made-up-{second}"}))
        await door.watch.fetch_keys()
        clock.pass_seconds(1)
    assert (len(issuer.asked) - asked) / 2 <= 20 / issuer_keys.LEAST_SECONDS


async def test_keys_are_kept_while_their_issuer_is_away_and_that_is_said_once(
    issuer: OidcIssuer, door: Door
):
    clock = ClockOf(door, issuer)
    issuer.is_away = True
    with capture_logs() as logs:
        for _ in range(3):
            clock.pass_seconds(issuer_keys.EVERY_SECONDS)
            await door.watch.fetch_keys()
        assert door.knows(issuer.sign()).name == "ann"
        issuer.is_away = False
        clock.pass_seconds(issuer_keys.LEAST_SECONDS)
        await door.watch.fetch_keys()
    assert [line["event"] for line in logs] == [
        "issuer's keys cannot be fetched; those known stay in use",
        "issuer's keys fetched",
    ]


async def test_an_issuer_that_is_away_at_the_start_is_waited_for(
    issuer: OidcIssuer, tmp_path: Path
):
    issuer.is_away = True
    door = await Door(tmp_path, f"jwt: [{ways(issuer)}]").opened()
    assert door.refuses(issuer.sign()).reason == "no-signing-key"
    issuer.is_away = False
    ClockOf(door, issuer).pass_seconds(issuer_keys.LEAST_SECONDS)
    await door.watch.fetch_keys()
    assert door.knows(issuer.sign()).name == "ann"


async def test_discovery_of_another_issuer_is_not_believed(issuer: OidcIssuer, tmp_path: Path):
    issuer.discovery = {"issuer": OTHER}
    with capture_logs() as logs:
        door = await Door(tmp_path, f"jwt: [{ways(issuer)}]").opened()
    assert "document of another issuer" in logs[0]["reason"]
    assert door.refuses(issuer.sign()).reason == "no-signing-key"


async def test_keys_that_are_for_something_else_or_too_weak_are_not_used(
    issuer: OidcIssuer, tmp_path: Path
):
    good = issuer.jwks[0]
    weak = public_jwk(private_key("ES256"), kid="c", crv="secp256k1")
    shared = {"kty": "oct", "k": "aHVudGVyMg", "kid": "d", "alg": "HS256"}
    short = public_jwk(rsa.generate_private_key(public_exponent=65537, key_size=1024), kid="e")
    not_to_verify: list[Any] = [None, 7, True, "verify", {}, ["sign"]]
    bad: list[Any] = [
        short,
        {**good, "use": "enc"},
        {**good, "alg": "RS1"},
        weak,
        shared,
        7,
        {"kty": []},
        *({**good, "key_ops": purposes} for purposes in not_to_verify),
        {**good, "n": 7},
        {**good, "n": "="},
        {**good, "e": "AA"},
    ]
    issuer.jwks = bad
    door = await Door(tmp_path, f"jwt: [{ways(issuer)}]").opened()
    assert door.refuses(issuer.sign()).reason == "no-signing-key"
    issuer.jwks = [*bad, good]
    ClockOf(door, issuer).pass_seconds(issuer_keys.LEAST_SECONDS)
    await door.watch.fetch_keys()
    assert door.knows(issuer.sign()).name == "ann"
    (keys,) = door.watch._issuers.values()
    assert [key.kid for key in keys.keys] == [good["kid"]]


async def test_an_issuer_that_withdraws_all_its_keys_is_believed_and_one_that_says_nothing_is_not(
    issuer: OidcIssuer, door: Door
):
    token, clock = issuer.sign(), ClockOf(door, issuer)
    answers: list[tuple[Any, bool]] = [({"a": 1}, True), ([], False)]
    for said, is_known in answers:
        issuer.jwks = said
        clock.pass_seconds(issuer_keys.EVERY_SECONDS)
        with capture_logs() as logs:
            await door.watch.fetch_keys()
        assert [line["log_level"] for line in logs] == ["warning"]
        if is_known:
            assert door.knows(token).name == "ann"
        else:
            assert door.refuses(token).reason == "no-signing-key"


class _Odd:
    """Where keys could be, but for a fault that nobody has thought of."""

    async def fetch(self) -> Any:
        raise RuntimeError("odd")


async def test_a_fault_that_nobody_has_thought_of_is_logged_and_waited_out(
    issuer: OidcIssuer, door: Door
):
    (keys,) = door.watch._issuers.values()
    source: Any = keys._source
    odd: Any = _Odd()
    keys._source = odd
    clock = ClockOf(door, issuer)
    clock.pass_seconds(issuer_keys.EVERY_SECONDS)
    with capture_logs() as logs:
        await door.watch.fetch_keys()
        assert [line["reason"] for line in logs] == ["RuntimeError: odd"]
        assert door.knows(issuer.sign()).name == "ann"
    keys._source = source
    issuer.rotate()
    clock.pass_seconds(issuer_keys.LEAST_SECONDS)
    await door.watch.fetch_keys()
    assert door.knows(issuer.sign()).name == "ann"


async def test_a_change_of_the_file_does_not_wait_for_an_issuer_that_was_known_before(
    issuer: OidcIssuer, tmp_path: Path
):
    authentication = f"jwt: [{ways(issuer)}], apiKeys: {{file: keys.yaml}}"
    keys = tmp_path / "keys.yaml"
    keys.write_text(f"shop: {{sha256: {sha256_of('hunter2').hex()}}}")
    door = await Door(tmp_path, authentication).opened()
    assert door.knows("hunter2").name == "key:shop"
    ClockOf(door, issuer).pass_seconds(issuer_keys.EVERY_SECONDS)
    (known,) = door.watch._issuers.values()
    hanging: Any = _Hanging()
    known._source = hanging
    keys.write_text("")
    look = door.watch.loops[0]._tick
    async with asyncio.timeout(PATIENCE_SECONDS):
        await look()
        await look()
    assert door.refuses("hunter2").reason == "unknown-key"


class _Hanging:
    """Where keys are, but for one who has time."""

    async def fetch(self) -> Any:
        await asyncio.Event().wait()


async def test_a_token_without_a_key_id_is_taken_where_one_key_alone_can_have_signed_it(
    issuer: OidcIssuer, door: Door
):
    assert door.knows(issuer.sign(headers={"kid": None})).name == "ann"
    issuer.rotate(keep=True)
    ClockOf(door, issuer).pass_seconds(issuer_keys.EVERY_SECONDS)
    await door.watch.fetch_keys()
    assert door.refuses(issuer.sign(headers={"kid": None}, jti="2")).reason == "no-signing-key"


async def test_an_api_server_is_asked_by_its_certificate_with_a_token_that_is_read_each_time(
    tmp_path: Path,
):
    tls = write_certificates(tmp_path)
    token = tmp_path / "token"
    token.write_text("first\n")
    async with oidc_issuer(tls=tls) as issuer:
        issuer.token = "first"
        more = f", jwksUri: '{issuer.url}/keys', caFile: ca.pem, tokenFile: token"
        door = await Door(tmp_path, f"jwt: [{ways(issuer, more)}]").opened()
        subject = "system:serviceaccount:shop:web"
        assert door.knows(issuer.sign(sub=subject)).name == subject
        assert set(issuer.asked) == {"/keys"}
        issuer.token = "second"
        token.write_text("second\n")
        issuer.rotate()
        ClockOf(door, issuer).pass_seconds(issuer_keys.EVERY_SECONDS)
        await door.watch.fetch_keys()
        assert door.knows(issuer.sign(sub=subject)).name == subject


async def test_an_issuer_with_another_certificate_is_not_asked(tmp_path: Path):
    (tmp_path / "other").mkdir()
    write_certificates(tmp_path / "other")
    async with oidc_issuer(tls=write_certificates(tmp_path)) as issuer:
        issuer.token = "secret"
        door = Door(tmp_path, f"jwt: [{ways(issuer, ', caFile: other/ca.pem')}]")
        await door.opened()
        assert issuer.asked == []
        assert door.refuses(issuer.sign()).reason == "no-signing-key"


class ClockOf:
    """The clock by which the issuer's keys are fetched."""

    def __init__(self, door: Door, issuer: OidcIssuer) -> None:
        self._now = time.monotonic()
        keys = door.watch._authenticator._issuers[issuer.url]
        keys._clock = lambda: self._now

    def pass_seconds(self, seconds: float) -> None:
        self._now += seconds
