"""What is kept of the headers of an upstream's answer, over a real connection."""

import gzip

import pytest
from structlog.testing import capture_logs

from asynctasks.operations.response_headers import MAX_KEPT_HEADER_BYTES, MAX_KEPT_HEADERS
from asynctestkit.scripted_upstream import SECRET, Scripted, calling, head, serving


async def test_an_answer_that_is_packed_all_the_same_is_kept_so_and_says_it():
    packed = gzip.compress(bytes(50_000_000))  # more than is kept, once it is unpacked
    answer = head(b"Content-Encoding: gzip", b"Content-Length: %d" % len(packed)) + packed
    async with serving(Scripted(answer)) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        response = (await call()).response
    assert response.body == packed
    assert response.headers == (("Content-Encoding", "gzip"),)


async def test_of_an_answers_headers_those_are_kept_that_describe_it():
    answer = head(
        b"Date: Fri, 31 Dec 2027 23:59:59 GMT",
        b"Server: u",
        b"Set-Cookie: a=b",
        b"RateLimit: r=1",
        b"Location: ../7?a=1#b",
        b'ETAG: "7"',
        b"X-Version: 1",
        b"x-version: 2\xfc",
        b"X-Other: 3",
        b"Link: </8>",
        b"Connection: close, link",
        b"Content-Length: 0",
    )
    async with serving(Scripted(answer)) as port:
        url = f"http://{SECRET}:{SECRET}@127.0.0.1:{port}/a/b/c"
        async with calling(url, headers={}, responseHeaders=["X-VERSION"]) as call:
            response = (await call()).response
    assert response.headers == (
        ("Location", f"http://127.0.0.1:{port}/a/7?a=1#b"),
        ("ETAG", '"7"'),
        ("X-Version", "1"),
        ("x-version", "2\xfc"),
    )


@pytest.mark.parametrize("relative", [b"", b"#here", b"?", b"c"])
async def test_a_relative_address_tells_nothing_of_how_the_upstream_was_called(relative: bytes):
    answer = head(b"Location: " + relative, b"Content-Length: 0")
    async with serving(Scripted(answer)) as port:
        url = f"http://{SECRET}:{SECRET}@127.0.0.1:{port}/a/b/c"
        async with calling(url, headers={}) as call:
            location = (await call()).response.header("location")
    assert location is not None
    assert location.startswith(f"http://127.0.0.1:{port}/a/b/c")
    assert SECRET not in location


async def test_of_more_headers_than_are_kept_those_are_that_fit():
    long = b"X-A: " + b"y" * (MAX_KEPT_HEADER_BYTES - 20)
    answer = head(b"ETag: 1", long, long, b"ETag: 2", b"Content-Length: 0")
    many = head(*[b"X-A: 1"] * 80, b"ETag: 3", b"Content-Length: 0")
    async with (
        serving(Scripted(answer, many)) as port,
        calling(f"http://127.0.0.1:{port}/x", responseHeaders=["X-A"]) as call,
    ):
        with capture_logs() as logs:
            first = (await call()).response.headers
            second = (await call()).response.headers
    assert [(name, len(value)) for name, value in first] == [
        ("ETag", 1),
        ("X-A", MAX_KEPT_HEADER_BYTES - 20),
        ("ETag", 1),
    ]
    assert second == (("X-A", "1"),) * MAX_KEPT_HEADERS
    assert logs[0] == {
        "event": "headers of an answer were left out",
        "log_level": "warning",
        "operation": "a",
        "headers": ["X-A"],
    }
    assert logs[1]["headers"] == ["X-A"] * (80 - MAX_KEPT_HEADERS) + ["ETag"]
