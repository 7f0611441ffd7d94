"""What requests show: whatever it is, a caller is known or refused, and nothing breaks by it."""

import base64
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from structlog.testing import capture_logs

from asyncproxy.access.access_file import AccessFile
from asyncproxy.access.api_keys import ApiKey, new_key, sha256_of
from asyncproxy.access.authentication import (
    ApiKeysDeclared,
    Authentication,
    Claims,
    Issuer,
    TrustedHeaders,
)
from asyncproxy.access.authenticator import Authenticator
from asyncproxy.access.issuer_keys import IssuerKeys
from asyncproxy.access.principal import ANONYMOUS, Principal
from asyncproxy.access.refusals import EVERY_SECONDS, Reason, RefusalLog, refusal
from asyncproxy.access.rules import Rules
from asyncproxy.access.signing_keys import signing_keys
from asyncproxy.access.tokens import principal_in
from asyncproxy.access.trusted_headers import without_claims
from asyncproxy.problems import UnauthenticatedError
from asynctestkit.oidc_issuer import private_key, public_jwk

ISSUER = "https://login.example.com"
KEYS = [public_jwk(private_key(each), kid=each) for each in ("RS256", "ES256", "EdDSA", "Ed448")]
KEY = new_key()


def authenticator(**declared: Any) -> Authenticator:
    issuer = Issuer.model_validate({"issuer": ISSUER, "audiences": ["asyncapiproxy"]})
    keys = IssuerKeys(issuer)
    keys.keys = signing_keys({"keys": KEYS})
    ways = Authentication(jwt=(issuer,)).model_copy(update=declared)
    return Authenticator(
        AccessFile(
            authentication=ways,
            rules=Rules(),
            api_keys={sha256_of(KEY): ApiKey(Principal(name="key:shop"), float("inf"))},
            certificates={},
        ),
        {ISSUER: keys},
    )


def request(*headers: tuple[bytes, bytes], peer: str | None = "192.0.2.7") -> Request:
    client = None if peer is None else (peer, 4711)
    return Request({"type": "http", "headers": list(headers), "client": client})


def segment(document: Any) -> bytes:
    return base64.urlsafe_b64encode(orjson.dumps(document)).rstrip(b"=")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
HEADS = st.fixed_dictionaries(
    {"alg": st.sampled_from(["RS256", "PS512", "ES256", "EdDSA", "none", "HS256"]) | JSON},
    optional={
        "kid": st.sampled_from([key["kid"] for key in KEYS]) | JSON,
        "crit": JSON,
        "b64": JSON,
        "typ": JSON,
    },
)
CLAIMS = st.fixed_dictionaries(
    {"iss": st.just(ISSUER) | JSON},
    optional=dict.fromkeys(("aud", "exp", "nbf", "iat", "sub", "jti"), JSON),
)


def token(head: Any, claims: Any, signature: bytes) -> bytes:
    return b".".join([segment(head), segment(claims), signature])


TOKENS = st.builds(
    token,
    HEADS | JSON,
    CLAIMS | JSON,
    st.binary(max_size=300).map(base64.urlsafe_b64encode) | st.binary(max_size=20),
)


@given(st.lists(TOKENS | st.binary(max_size=50), min_size=1, max_size=2))
def test_no_token_that_is_made_up_is_taken_or_breaks_anything(tokens: list[bytes]):
    shown = [(b"authorization", b"Bearer " + each) for each in tokens]
    with pytest.raises(UnauthenticatedError):
        authenticator().principal_of(request(*shown))


@given(st.binary(max_size=50))
def test_no_authorization_that_is_made_up_is_taken_or_breaks_anything(value: bytes):
    with pytest.raises(UnauthenticatedError):
        authenticator().principal_of(request((b"authorization", value)))


@pytest.mark.parametrize(
    ("header", "value"),
    [(b"x-api-key", b""), (b"authorization", b"Bearer"), (b"authorization", b"Bearer  ")],
)
def test_an_empty_proof_is_refused_whatever_the_keys_are(header: bytes, value: bytes):
    doors = authenticator(api_keys=ApiKeysDeclared(file=Path("keys.yaml")), anonymous="allow")
    doors._api_keys[sha256_of("")] = ApiKey(Principal(name="key:empty"), float("inf"))
    with pytest.raises(UnauthenticatedError):
        doors.principal_of(request((header, value)))


@pytest.mark.parametrize("issuers", [{}, {"jwt": ()}])
@pytest.mark.parametrize(("count", "reason"), [(1, "unknown-key"), (2, "several")])
def test_an_api_key_is_refused_where_none_are_declared(
    issuers: dict[str, Any], count: int, reason: str
):
    doors = authenticator(anonymous="allow", **issuers)
    doors._api_keys.clear()
    with pytest.raises(UnauthenticatedError) as caught:
        doors.principal_of(request(*[(b"x-api-key", KEY.encode())] * count))
    assert caught.value.reason == reason


HEADERS = TrustedHeaders.model_validate(
    {"principal": "X-User", "groups": "X-Groups", "trustedProxies": ["10.0.0.0/8", "fd00::/8"]}
)


@pytest.mark.parametrize("peer", ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"])
def test_a_trusted_proxy_is_known_by_its_address_however_that_is_written(peer: str):
    known = authenticator(headers=HEADERS).principal_of(request((b"x-user", b"ann"), peer=peer))
    assert known.name == "ann"


@pytest.mark.parametrize("peer", ["11.0.0.1", "::ffff:11.0.0.1", "fe80::1%eth0", "a/socket", None])
async def test_from_anyone_else_nobody_behind_the_door_sees_the_headers(peer: str | None):
    lines = [(b"x-user", b"ann"), (b"x-other", b"a"), (b"x-groups", b"ops")]
    doors = authenticator(headers=HEADERS, anonymous="allow")
    assert doors.principal_of(request(*lines, peer=peer)) is ANONYMOUS
    assert await let_through(doors, *lines, peer=peer) == [(b"x-other", b"a")]
    assert await let_through(doors, *lines, peer="10.0.0.1") == lines


async def let_through(doors: Authenticator, *lines: tuple[bytes, bytes], peer: str | None) -> Any:
    """The headers of a request that the application behind gets."""
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["headers"])

    nothing: Any = None
    asked = request(*lines, peer=peer)
    await without_claims(app, lambda: doors.headers)(asked.scope, nothing, nothing)
    return seen[0]


@given(st.binary(max_size=30))
def test_no_name_that_a_proxy_says_breaks_anything(name: bytes):
    doors = authenticator(headers=HEADERS)
    try:
        known = doors.principal_of(request((b"x-user", name), peer="10.0.0.1"))
    except UnauthenticatedError:
        return
    assert known.name == name.decode()
    assert known.name.isprintable()


@pytest.mark.parametrize(("count", "is_taken"), [(256, True), (257, False)])
def test_more_groups_than_one_would_compare_at_each_request_are_refused(count: int, is_taken: bool):
    groups = [str(number) for number in range(count)]
    doors = authenticator(headers=HEADERS)
    by_proxy = request(
        (b"x-user", b"ann"), (b"x-groups", ",".join(groups).encode()), peer="10.0.0.1"
    )
    by_token = {"sub": "ann", "groups": groups}
    if is_taken:
        assert len(doors.principal_of(by_proxy).groups) == count
        assert len(principal_in(by_token, Claims(groups="groups"), prefix="").groups) == count
        return
    with pytest.raises(UnauthenticatedError) as caught:
        doors.principal_of(by_proxy)
    assert (caught.value.reason, caught.value.detail) == (
        "header",
        "expected 256 groups at most, not 257",
    )
    with pytest.raises(UnauthenticatedError) as caught:
        principal_in(by_token, Claims(groups="groups"), prefix="")
    assert caught.value.reason == "claims"


def test_of_each_reason_one_line_in_a_while_is_written_that_says_how_many_were_not():
    now = 0.0
    refusals = RefusalLog(clock=lambda: now)
    with capture_logs() as logs:
        for _ in range(5):
            refusals.tell(refusal(Reason.EXPIRED, "a"), request())
            refusals.tell(refusal(Reason.SIGNATURE), request(peer=None))
        now = EVERY_SECONDS
        refusals.tell(refusal(Reason.EXPIRED, "b"), request())
    assert [(line["reason"], line["detail"], line["untold_before"]) for line in logs] == [
        ("expired", "a", 0),
        ("signature", None, 0),
        ("expired", "b", 4),
    ]
