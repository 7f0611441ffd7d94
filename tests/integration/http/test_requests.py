"""What an upstream sees of a call, by whichever client."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from multidict import CIMultiDict
from yarl import URL

from asyncexecutor.http.call import HttpClient, is_plain
from asyncexecutor.http.faults import RequestInvalidError
from asyncexecutor.http.request_head import DEFAULT_HEADERS, request_head
from asynctestkit.http_clients import call_of, got, http_client
from asynctestkit.scripted_upstream import OK, Scripted, head, serving

DEFAULTS = {f"{name}: {value}".encode() for name, value in DEFAULT_HEADERS.items()}


async def seen(
    client: HttpClient, target: str, method: str = "GET", *, user: str = "", **given: Any
) -> list[bytes]:
    """The lines of the call's head."""
    upstream = Scripted(head(b"Content-Length: 0"))
    async with serving(upstream) as port:
        await got(client, call_of(f"http://{user}127.0.0.1:{port}{target}", method, **given))
    (asked,) = upstream.requests
    top, _, _ = asked.partition(b"\r\n\r\n")
    return [line.replace(b":%d" % port, b"") for line in top.split(b"\r\n")]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/a/b?c=d%20e&f", b"/a/b?c=d%20e&f"),
        ("", b"/"),
        ("?a=b", b"/?a=b"),
        ("/%C3%A9/%2f#part", b"/%C3%A9/%2f"),
    ],
)
async def test_the_first_line_names_the_target_as_it_is_written(
    client: HttpClient, path: str, target: bytes
):
    first, *others = await seen(client, path)
    assert first == b"GET " + target + b" HTTP/1.1"
    assert set(others) == {b"Host: 127.0.0.1", *DEFAULTS}


@pytest.mark.parametrize(
    ("method", "body", "length"),
    [
        ("GET", None, None),
        ("HEAD", None, None),
        ("DELETE", None, b"0"),
        ("POST", None, b"0"),
        ("PUT", b"", b"0"),
        ("PATCH", b"ab", b"2"),
    ],
)
async def test_a_body_is_told_by_its_length(
    client: HttpClient, method: str, body: bytes | None, length: bytes | None
):
    first, *others = await seen(client, "/", method, body=body)
    assert first.startswith(method.encode())
    told = {b"Content-Length: " + length} if length is not None else set[bytes]()
    assert set(others) == {b"Host: 127.0.0.1", *DEFAULTS, *told}


async def test_a_call_may_say_otherwise_than_all_others_and_the_same_in_several_lines(
    client: HttpClient,
):
    headers = CIMultiDict([("accept", "text/csv"), ("X-Tag", "a"), ("X-Tag", "b")])
    _, *others = await seen(client, "/", headers=headers)
    defaults = {line for line in DEFAULTS if not line.startswith(b"Accept:")}
    assert sorted(others) == sorted(
        {b"Host: 127.0.0.1", b"accept: text/csv", b"X-Tag: a", b"X-Tag: b", *defaults}
    )


async def test_of_headers_that_differ_in_the_case_of_their_names_none_is_lost():
    # By aiohttp only the last would go out.
    headers = CIMultiDict([("X-Tag", "a"), ("x-tag", "b")])
    async with http_client("plain") as client:
        _, *others = await seen(client, "/", headers=headers)
    assert {b"X-Tag: a", b"x-tag: b"} < set(others)


@pytest.mark.parametrize(
    ("user", "basic"),
    [
        ("user:pass@", b"dXNlcjpwYXNz"),
        ("user@", b"dXNlcjo="),
        (":pass@", b"OnBhc3M="),
        ("us%20er:p%C3%A9@", b"dXMgZXI6cOk="),
    ],
)
async def test_a_user_in_the_url_is_shown_and_nowhere_else(
    client: HttpClient, user: str, basic: bytes
):
    first, *others = await seen(client, "/x", user=user)
    assert first == b"GET /x HTTP/1.1"
    assert set(others) == {b"Host: 127.0.0.1", b"Authorization: Basic " + basic, *DEFAULTS}


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nEvil: 1"},
        {"X": "a\nEvil: 1"},
        {"X": "a\rb"},
        {"X": "a\0b"},
        {"X\r\nEvil": "a"},
    ],
)
async def test_no_value_makes_a_line_of_its_own(client: HttpClient, headers: dict[str, str]):
    upstream = Scripted(OK)
    async with serving(upstream) as port:
        with pytest.raises(RequestInvalidError) as caught:
            await got(client, call_of(port, headers=headers))
        assert "Evil" not in str(caught.value)
    assert upstream.requests == []


@pytest.mark.parametrize("name", ["Transfer-Encoding", "content-length", "Host", "Connection"])
def test_what_the_connection_says_is_never_given(name: str):
    with pytest.raises(RequestInvalidError):
        request_head(call_of(80, headers={name: "1"}))


async def streamed() -> AsyncGenerator[bytes]:
    yield b""


def test_a_call_is_plain_unless_it_takes_what_only_aiohttp_does():
    assert is_plain(call_of(80))
    assert is_plain(call_of("https://u.example/", "POST", b"body"))
    assert not is_plain(call_of(80, proxy=URL("http://proxy:3128")))
    assert not is_plain(call_of("ftp://u.example/"))
    call = call_of(80)
    call.body = streamed()
    assert not is_plain(call)
