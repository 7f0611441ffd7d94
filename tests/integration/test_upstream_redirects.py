"""What a redirect of an upstream comes to: a failure, an answer as any, or another call."""

import asyncio
from pathlib import Path

import pytest

from asyncexecutor.failures import UpstreamTimeoutError
from asynctestkit.certificates import write_certificates
from asynctestkit.inside import inside, one_of_each, operation, status
from asynctestkit.scripted_upstream import (
    OK,
    SECRET,
    Scripted,
    calling,
    head,
    request_on,
    serving,
)


def redirect(location: str, status: bytes = b"307 Temporary Redirect") -> bytes:
    return head(b"Location: " + location.encode(), b"Content-Length: 0", status=status)


@pytest.mark.parametrize(
    ("redirects", "expected"), [({}, "failed"), ({"redirects": "answer"}, "succeeded")]
)
async def test_a_redirect_is_told_as_it_is_and_fails_unless_it_is_an_answer(
    sqlite_url: str, redirects: dict[str, str], expected: str
):
    declared = operation(upstream={"url": "{UPSTREAM}/clients", **redirects})
    async with inside(declared, database_url=sqlite_url, broker_url="memory://") as installation:
        client = await one_of_each(installation)
        installation.upstream.will(status(303, Location="/clients/7"))
        answer = await client.post("/create-client", json={})
        task = (await client.get(f"/tasks/{answer.headers['task-id']}")).json()
        assert answer.status_code == 303
        assert answer.headers["location"] == f"{installation.upstream.url}/clients/7"
        assert answer.json() == {"status": 303}
        assert (task["status"], task["error"]) == (expected, None)
        assert task["response"]["headers"]["location"] == [answer.headers["location"]]
        installation.upstream.will(status(304))
        answer = await client.post("/create-client", json={})
        task = (await client.get(f"/tasks/{answer.headers['task-id']}")).json()
    assert (answer.status_code, task["status"]) == (304, "succeeded")


@pytest.mark.parametrize("code", [b"307 Temporary Redirect", b"308 Permanent Redirect"])
async def test_the_same_call_follows_within_the_upstream(code: bytes):
    upstream = Scripted(redirect("../y?a=1#part", code), OK)
    async with serving(upstream) as port:
        url = f"http://127.0.0.1:{port}/a/x"
        async with calling(url, redirects="follow") as call:
            answer = await call()
    assert (answer.response.body, answer.succeeded) == (b"ok", True)
    first, second = upstream.requests
    assert second.startswith(b"POST /y?a=1 HTTP/1.1\r\n")
    assert second.partition(b"\r\n")[2] == first.partition(b"\r\n")[2]


async def test_the_upstreams_password_is_kept_on_the_way_and_another_is_not_taken():
    upstream = Scripted(OK)
    async with serving(upstream) as port:
        upstream.answers[:] = [redirect(f"http://other:one@127.0.0.1:{port}/y"), OK]
        url = f"http://user:{SECRET}@127.0.0.1:{port}/x"
        async with calling(url, headers={}, redirects="follow") as call:
            assert (await call()).succeeded
    asked = [one.lower().partition(b"authorization: ")[2][:40] for one in upstream.requests]
    assert len(asked) == 2
    assert asked[0] == asked[1] != b""


@pytest.mark.parametrize(
    ("location", "code"),
    [
        ("https://127.0.0.1:{port}/y", b"307 Temporary Redirect"),
        ("http://localhost:{port}/y", b"307 Temporary Redirect"),
        ("http://127.0.0.1:1/y", b"308 Permanent Redirect"),
        ("//u.example/y", b"307 Temporary Redirect"),
        ("http://[oh", b"307 Temporary Redirect"),
        ("mailto:a@b.example", b"307 Temporary Redirect"),
        ("/y", b"301 Moved Permanently"),
        ("/y", b"302 Found"),
        ("/y", b"303 See Other"),
        ("/y", b"300 Multiple Choices"),
    ],
)
async def test_any_other_redirect_is_told_and_not_followed(location: str, code: bytes):
    upstream = Scripted(OK)
    async with serving(upstream) as port:
        upstream.answers[:] = [redirect(location.format(port=port), code)]
        async with calling(f"http://127.0.0.1:{port}/x", redirects="follow") as call:
            answer = await call()
    assert answer.response.status == int(code[:3])
    assert answer.response.header("Location") is not None
    assert not answer.succeeded
    assert len(upstream.requests) == 1


async def test_a_redirect_without_an_address_is_told():
    upstream = Scripted(head(b"Content-Length: 0", status=b"307 Temporary Redirect"))
    async with (
        serving(upstream) as port,
        calling(f"http://127.0.0.1:{port}/x", redirects="follow") as call,
    ):
        assert not (await call()).succeeded
    assert len(upstream.requests) == 1


async def test_a_circle_of_redirects_ends():
    upstream = Scripted(redirect("/x"))
    async with (
        serving(upstream) as port,
        calling(f"http://127.0.0.1:{port}/x", redirects="follow") as call,
    ):
        answer = await call()
    assert (answer.response.status, answer.succeeded) == (307, False)
    assert len(upstream.requests) == 6


async def test_all_the_calls_of_an_attempt_share_its_time():
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await request_on(reader)
            await asyncio.sleep(0.4)
            writer.write(redirect("/x"))
            await writer.drain()

    async with serving(slow) as port:
        url = f"http://127.0.0.1:{port}/x"
        async with calling(url, redirects="follow", timeoutSeconds=1) as call:
            with pytest.raises(UpstreamTimeoutError, match="within 1 s"):
                await call()


async def test_a_redirect_is_followed_by_tls_as_the_operation_says(tmp_path: Path):
    tls = write_certificates(tmp_path)
    async with serving(Scripted(redirect("/y"), OK), tls) as port:
        url = f"https://127.0.0.1:{port}/x"
        named = {"caFile": str(tmp_path / "ca.pem")}
        async with calling(url, redirects="follow", tls=named) as call:
            assert (await call()).response.body == b"ok"
