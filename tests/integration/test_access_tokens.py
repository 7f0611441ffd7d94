"""Access tokens for an upstream: fetched once, renewed in time, and nowhere to be read."""

import asyncio
import base64
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from structlog.testing import capture_logs
from yarl import URL

from asyncexecutor import access_tokens
from asyncexecutor.access_tokens import AccessToken, AccessTokens
from asyncexecutor.failures import UpstreamAuthError
from asyncexecutor.runner import Answer
from asyncexecutor.upstream_connections import UpstreamConnections
from asyncexecutor.upstream_request import Request
from asynctasks.errors import OperationsFileError
from asynctasks.operations.operation import Operation
from asynctestkit.certificates import write_certificates
from asynctestkit.eventually import eventually
from asynctestkit.scripted_upstream import (
    OK,
    SECRET,
    Scripted,
    Serve,
    calling,
    head,
    request_on,
    serving,
)

REFUSED = head(b"Content-Length: 0", status=b"401 Unauthorized")
CREDENTIALS = {
    "tokenUrl": "{TOKEN_URL}/token",
    "clientId": "{CLIENT}",
    "clientSecret": "{CLIENT_SECRET}",
}
Call = Callable[[], Awaitable[Answer]]


def grant(token: str = "t1", **members: Any) -> bytes:
    granted = {"access_token": token, "token_type": "Bearer", "expires_in": 3600, **members}
    return json_answer(granted)


def json_answer(document: Any, status: bytes = b"200 OK") -> bytes:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return head(b"Content-Length: %d" % len(body), status=status) + body


def tokens_of(upstream: Scripted) -> list[bytes]:
    """What each call showed as its token."""
    return [
        asked.partition(b"Authorization: Bearer ")[2].partition(b"\r")[0]
        for asked in upstream.requests
    ]


@asynccontextmanager
async def authorized(
    endpoint: Serve, upstream: Serve, *, server_tls: Any = None, **declared: Any
) -> AsyncGenerator[Call]:
    """What calls the upstream with a token of the endpoint."""
    scheme = "https" if server_tls else "http"
    async with serving(endpoint, server_tls) as token_port, serving(upstream, server_tls) as port:
        environment = {
            "TOKEN_URL": f"{scheme}://127.0.0.1:{token_port}",
            "CLIENT": "a b:c",
            "CLIENT_SECRET": f"{SECRET}+/\n",
        }
        given: dict[str, Any] = {"headers": {}, "auth": {"oauth2": CREDENTIALS}, **declared}
        url = f"{scheme}://127.0.0.1:{port}/x"
        async with calling(url, environment=environment, **given) as call:
            yield call


async def test_one_token_is_asked_for_as_the_standard_says_and_shown_with_each_call():
    endpoint, upstream = Scripted(grant("a.b-c_d~e+f/g==")), Scripted(OK)
    auth = {"oauth2": {**CREDENTIALS, "scopes": ["read", "a:write"], "audience": "https://u/"}}
    async with authorized(endpoint, upstream, auth=auth) as call:
        for _ in range(3):
            assert (await call()).response.status == 200
    (asked,) = endpoint.requests
    top, _, form = asked.partition(b"\r\n\r\n")
    assert top.startswith(b"POST /token HTTP/1.1\r\n")
    basic = top.partition(b"Authorization: Basic ")[2].partition(b"\r")[0]
    assert base64.b64decode(basic) == b"a+b%3Ac:hunter2%2B%2F"
    assert parse_qs(form.decode(), strict_parsing=True) == {
        "grant_type": ["client_credentials"],
        "scope": ["read a:write"],
        "audience": ["https://u/"],
    }
    assert tokens_of(upstream) == [b"a.b-c_d~e+f/g=="] * 3


async def test_the_callers_headers_stay_line_by_line_beside_a_token():
    endpoint, upstream = Scripted(grant()), Scripted(OK)
    forwarded = [("X-Tag", "a"), ("X-Tag", "b")]
    async with authorized(endpoint, upstream, forwarded=forwarded) as call:
        await call()
    assert tokens_of(upstream) == [b"t1"]
    assert b"X-Tag: a\r\nX-Tag: b\r\n" in upstream.requests[0]


async def test_attempts_at_the_same_time_share_one_fetch():
    endpoint, upstream = Scripted(grant()), Scripted(OK)
    async with authorized(endpoint, upstream) as call:
        answers = await asyncio.gather(*(call() for _ in range(20)))
    assert {answer.response.status for answer in answers} == {200}
    assert len(endpoint.requests) == 1
    assert len(upstream.requests) == 20


async def test_a_fetch_that_fails_fails_all_that_wait_for_it_and_the_next_asks_again():
    unavailable = head(b"Content-Length: 0", status=b"503 Service Unavailable")
    endpoint, upstream = Scripted(unavailable, grant()), Scripted(OK)
    async with authorized(endpoint, upstream) as call:
        failed = await asyncio.gather(*(call() for _ in range(20)), return_exceptions=True)
        assert {str(error) for error in failed} == {"The token endpoint answered 503."}
        assert (len(endpoint.requests), len(upstream.requests)) == (1, 0)
        assert (await call()).response.status == 200


async def test_who_fetches_may_be_cancelled_and_the_next_goes_on():
    asked: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await request_on(reader))
        if len(asked) == 1:
            await asyncio.Event().wait()
        writer.write(grant("t2"))
        await writer.drain()

    upstream = Scripted(OK)
    async with authorized(serve, upstream) as call:

        async def run() -> Answer:
            return await call()

        first, second = asyncio.create_task(run()), asyncio.create_task(run())

        def is_fetching() -> None:
            assert asked

        await eventually(is_fetching)
        first.cancel()
        assert (await second).response.status == 200
    assert tokens_of(upstream) == [b"t2"]


@pytest.mark.parametrize(
    ("expires_in", "good_seconds"), [(3600, 3570), ("3600", 3570), (40, 20), (None, 1e9)]
)
async def test_a_token_is_renewed_before_it_expires(expires_in: Any, good_seconds: float):
    now = 1_000.0
    endpoint = Scripted(grant("t1", expires_in=expires_in), grant("t2"))
    async with serving(endpoint) as port, UpstreamConnections(limit=1, environment={}) as ways:
        request = Request(URL(f"http://127.0.0.1:{port}/token"), {}, b"")
        token = AccessToken(ways, request, tls=None, clock=lambda: now)
        assert await token.current() == "t1"
        now += good_seconds - 1
        assert await token.current() == "t1"
        if expires_in is not None:
            now += 2
            assert await token.current() == "t2"


async def test_after_a_401_the_call_is_made_once_more_with_a_new_token(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(access_tokens, "LEAST_AGE_SECONDS", 0.0)
    endpoint = Scripted(grant("t1"), grant("t2"), grant("t3"))
    upstream = Scripted(OK, REFUSED, OK, REFUSED)
    async with authorized(endpoint, upstream) as call:
        statuses = [(await call()).response.status for _ in range(3)]
    assert statuses == [200, 200, 401]
    assert tokens_of(upstream) == [b"t1", b"t1", b"t2", b"t2", b"t3"]


async def test_a_token_that_is_refused_as_soon_as_it_was_fetched_is_not_fetched_again():
    endpoint, upstream = Scripted(grant("t1")), Scripted(REFUSED)
    async with authorized(endpoint, upstream) as call:
        assert [(await call()).response.status for _ in range(5)] == [401] * 5
    assert (len(endpoint.requests), len(upstream.requests)) == (1, 5)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (json_answer({"error": "invalid_client"}, b"401 Unauthorized"), "401 (invalid_client)."),
        (json_answer({"error": SECRET}, b"400 Bad Request"), "answered 400."),
        (json_answer(SECRET.encode(), b"500 Oh"), "answered 500."),
        (head(b"Location: /t", b"Content-Length: 0", status=b"302 Found"), "answered 302."),
        (json_answer(SECRET.encode()), "has no access token."),
        (json_answer([SECRET]), "has no access token."),
        (json_answer({"access_token": 5, "token_type": "bearer"}), "has no access token."),
        (grant(f"{SECRET}\r\nX: y"), "has no access token."),
        (grant(SECRET, token_type="mac"), "has a token that is no bearer token."),
        (json_answer({"access_token": SECRET}), "has a token that is no bearer token."),
        (json_answer(b" " * 70_000), "has no access token."),
        (b"HTTP/2 200\r\n\r\n", "answered, but that cannot be read: it does not begin"),
        (b"", "connection failed: it was closed before an answer came."),
    ],
)
async def test_why_there_is_no_token_is_told_without_any_secret(answer: bytes, told: str):
    endpoint, upstream = Scripted(answer), Scripted(OK)
    with capture_logs() as logs:
        async with authorized(endpoint, upstream) as call:
            with pytest.raises(UpstreamAuthError) as caught:
                await call()
    assert str(caught.value).startswith("The token endpoint")
    assert told in str(caught.value)
    assert caught.value.is_retryable
    assert caught.value.problem.type == "upstream-auth-failed"
    assert SECRET not in repr(caught.value.problem)
    assert logs == []
    assert upstream.requests == []


async def test_a_token_endpoint_that_does_not_answer_ends_the_attempt_in_time(
    monkeypatch: pytest.MonkeyPatch,
):
    async def silence(*_: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(access_tokens, "FETCH_SECONDS", 0.2)
    async with authorized(silence, Scripted(OK)) as call:
        with pytest.raises(UpstreamAuthError, match=r"did not answer within 0\.2 s"):
            await call()


async def test_tokens_come_by_tls_as_the_operation_says(tmp_path: Path):
    tls = write_certificates(tmp_path)
    endpoint, upstream = Scripted(grant()), Scripted(OK)
    trusted = {"caFile": str(tmp_path / "ca.pem")}
    async with authorized(endpoint, upstream, server_tls=tls, tls=trusted) as call:
        assert (await call()).response.status == 200
    async with authorized(endpoint, upstream, server_tls=tls) as call:
        with pytest.raises(UpstreamAuthError, match="its certificate is not trusted"):
            await call()


async def test_operations_of_the_same_credentials_share_a_token():
    def declared(name: str, **oauth2: Any) -> Operation:
        upstream = {"url": "http://u/", "auth": {"oauth2": {**CREDENTIALS, **oauth2}}}
        return Operation.model_validate({"name": name, "route": "POST /a", "upstream": upstream})

    environment = {"TOKEN_URL": "http://t", "CLIENT": "a", "CLIENT_SECRET": "b"}
    tokens = AccessTokens(UpstreamConnections(limit=1, environment={}), environment)
    of = [
        tokens.of(operation, operation.upstream)
        for operation in (declared("a"), declared("b"), declared("c", scopes=["read"]))
        if operation.upstream
    ]
    assert of[0] is of[1] is not of[2]


async def test_a_token_url_that_is_none_is_told_by_its_place_and_not_quoted():
    with pytest.raises(OperationsFileError) as caught:
        async with calling(
            "http://u/",
            headers={},
            auth={"oauth2": CREDENTIALS},
            environment={"TOKEN_URL": SECRET, "CLIENT": "a", "CLIENT_SECRET": "b"},
        ):
            pass
    assert str(caught.value) == (
        "operations.a.upstream.auth.oauth2.tokenUrl: expected http://… or https://…"
    )
