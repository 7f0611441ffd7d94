"""What comes of a callback, by receivers of all sorts; and that none is reached who may not be."""

import asyncio
import base64
import hashlib
import hmac
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from asyncexecutor import callback_calls
from asyncexecutor.callback_calls import Again, CallbackCalls, Delivered, Gone, Wait
from asyncexecutor.http.connection_pool import IDLE_SECONDS
from asyncexecutor.http.host_addresses import Address
from asynctasks.callbacks.addresses import CallableAddresses
from asynctasks.callbacks.allow import AllowedUrls
from asynctasks.callbacks.signing import SigningKeys
from asynctestkit.certificates import write_certificates
from asynctestkit.eventually import PATIENCE_SECONDS, eventually
from asynctestkit.scripted_upstream import OK, Scripted, head, request_on, serving

SECRET = b"s" * 32
KEYS = SigningKeys.of(["whsec_" + base64.b64encode(SECRET).decode()])
BODY = b'{"id":"d-1"}'
LOOPBACK = ("127.0.0.1/32",)
MOVED = "127.0.0.2"
"""Where nobody may be called, and everybody listens."""


class Lookup:
    """A resolver that leads elsewhere each time, and notes what it was asked."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in answer
        ]


@asynccontextmanager
async def calls_of(
    port: int,
    *,
    scheme: str = "http",
    host: str = "127.0.0.1",
    networks: tuple[str, ...] = LOOPBACK,
    lookup: Lookup | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[CallbackCalls]:
    urls = AllowedUrls.of([f"{scheme}://{host}:{port}/tasks/*"])
    given: dict[str, Any] = {} if lookup is None else {"lookup": lookup}
    calls = CallbackCalls(KEYS, urls, CallableAddresses.of(networks), tls=tls, **given)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            yield calls
    finally:
        calls.close()


async def called(
    calls: CallbackCalls, port: int, *, scheme: str = "http", host: str = "127.0.0.1"
) -> Delivered | Gone | Wait | Again:
    url = f"{scheme}://{host}:{port}/tasks/1?team=a"
    return await calls.make(url, delivery_id="d-1", body=BODY)


async def came_of(answer: bytes) -> Delivered | Gone | Wait | Again:
    async with serving(Scripted(answer)) as port, calls_of(port) as calls:
        return await called(calls, port)


async def test_a_receiver_gets_the_signed_body_and_nothing_else_of_ours(
    monkeypatch: pytest.MonkeyPatch,
):
    receiver = Scripted(OK)
    lookup = Lookup(["127.0.0.1"])
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    async with (
        serving(receiver) as port,
        calls_of(port, host="hooks.example.com", lookup=lookup) as calls,
    ):
        assert await called(calls, port, host="HOOKS.example.com.") == Delivered(200)
    (request,) = receiver.requests
    lines, _, body = request.decode().partition("\r\n\r\n")
    first, *others = lines.split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in others)
    assert first == "POST /tasks/1?team=a HTTP/1.1"
    assert headers["host"] == f"hooks.example.com:{port}"
    assert headers["content-type"] == "application/cloudevents+json"
    assert headers.keys() == {
        *("host", "content-type", "content-length", "accept", "accept-encoding", "user-agent"),
        *("webhook-id", "webhook-timestamp", "webhook-signature"),
    }
    content = f"d-1.{headers['webhook-timestamp']}.{body}".encode()
    signature = base64.b64encode(hmac.digest(SECRET, content, hashlib.sha256)).decode()
    assert f"webhook-signature: v1,{signature}" in others
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60
    assert body.encode() == BODY
    assert lookup.asked == ["hooks.example.com"]


ASKED = b"Retry-After: 7"
OUTCOMES = {
    "201": (head(b"Content-Length: 0", status=b"201 Created"), Delivered(201)),
    "204": (head(status=b"204 No Content"), Delivered(204)),
    "410": (head(b"Content-Length: 0", status=b"410 Gone"), Gone()),
    "429": (head(ASKED, b"Content-Length: 0", status=b"429 Slow"), Wait(429, 7.0)),
    "503": (head(ASKED, b"Content-Length: 0", status=b"503 Down"), Wait(503, 7.0)),
    "a wait without end": (
        head(b"Retry-After: 999999999999", b"Content-Length: 0", status=b"503 Down"),
        Wait(503, 86_400.0),
    ),
    "429 that does not say when": (
        head(b"Content-Length: 0", status=b"429 Slow"),
        Again("The receiver answered 429.", 429),
    ),
    "503 that says nothing of use": (
        head(b"Retry-After: soon", b"Content-Length: 0", status=b"503 Down"),
        Again("The receiver answered 503.", 503),
    ),
    "500": (
        head(ASKED, b"Content-Length: 6", status=b"500 Oops") + b"secret",
        Again("The receiver answered 500.", 500),
    ),
    "404": (
        head(b"Content-Length: 0", status=b"404 Nobody"),
        Again("The receiver answered 404.", 404),
    ),
    "304": (
        head(status=b"304 Not Modified"),
        Again("The receiver answered 304. Redirects are not followed.", 304),
    ),
    "no HTTP": (
        b"SSH-2.0-OpenSSH_9.2\r\n",
        Again(
            "The receiver answered, but that cannot be read: it does not begin with a status line "
            "of HTTP/1.1, or goes on after its end."
        ),
    ),
    "nothing": (
        b"",
        Again("The receiver's connection failed: it was closed before an answer came."),
    ),
}


@pytest.mark.parametrize(("answer", "outcome"), OUTCOMES.values(), ids=OUTCOMES)
async def test_what_comes_of_an_answer(answer: bytes, outcome: Delivered | Gone | Wait | Again):
    assert await came_of(answer) == outcome


async def test_a_receiver_may_say_until_when_it_is_to_be_left_alone():
    at = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True).encode()
    answer = head(b"Retry-After: " + at, b"Content-Length: 0", status=b"503 Down")
    came = await came_of(answer)
    assert isinstance(came, Wait)
    assert 30 < came.seconds <= 100


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int):
    other = Scripted(OK)
    async with serving(other) as elsewhere:
        location = f"Location: http://127.0.0.1:{elsewhere}/tasks/2".encode()
        came = await came_of(head(location, b"Content-Length: 0", status=b"%d There" % status))
    assert came == Again(f"The receiver answered {status}. Redirects are not followed.", status)
    assert other.connections == 0


async def test_a_receiver_that_resets_is_called_again():
    async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        linger = b"\1\0\0\0\0\0\0\0"
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with serving(resets) as port, calls_of(port) as calls:
        came = await called(calls, port)
    assert isinstance(came, Again)
    assert came.reason.startswith("The receiver's connection failed: it was reset")


async def test_a_receiver_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch):
    async def silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        await reader.read()

    monkeypatch.setattr(callback_calls, "ANSWER_SECONDS", 0.3)
    async with serving(silent) as port, calls_of(port) as calls:
        came = await called(calls, port)
    assert came == Again("The receiver did not answer within 0.3 s.")


async def test_a_resolver_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch):
    class Silent(Lookup):
        async def __call__(self, host: str, port: int) -> list[Address]:
            await asyncio.Event().wait()
            return await super().__call__(host, port)

    monkeypatch.setattr(callback_calls, "ANSWER_SECONDS", 0.3)
    async with calls_of(1, lookup=Silent([])) as calls:
        assert await called(calls, 1) == Again("The receiver did not answer within 0.3 s.")


async def test_of_a_body_without_end_little_is_taken_and_the_connection_ends():
    sent = 0
    has_ended = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await request_on(reader)
        writer.write(head(b"Transfer-Encoding: chunked"))
        try:
            while True:
                writer.write(b"4000\r\n" + b"y" * 0x4000 + b"\r\n")
                await writer.drain()
                sent += 0x4000
        finally:
            has_ended.set()

    async with serving(endless) as port, calls_of(port) as calls:
        assert await called(calls, port) == Delivered(200)
        await has_ended.wait()
    # What the buffers of both systems hold comes on top.
    assert sent < 20_000_000


async def test_a_body_that_comes_slowly_does_not_keep_us():
    has_ended = asyncio.Event()

    async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(head(b"Content-Length: 1000", status=b"410 Gone"))
        await reader.read()
        has_ended.set()

    async with serving(drips) as port, calls_of(port) as calls:
        assert await called(calls, port) == Gone()
        await has_ended.wait()


async def test_each_try_makes_a_connection_of_its_own_after_a_lookup_of_its_own():
    receiver = Scripted(OK)
    lookup = Lookup(["127.0.0.1"])
    async with serving(receiver) as port, calls_of(port, lookup=lookup) as calls:
        for _ in range(3):
            assert await called(calls, port) == Delivered(200)
    assert (receiver.connections, len(lookup.asked)) == (3, 3)


async def test_who_moves_between_lookup_and_connection_is_called_where_it_was_checked():
    """Another look-up would lead elsewhere; so does the next try's, which is refused."""
    reached = Scripted(OK)
    moved = Scripted(OK)
    lookup = Lookup(["127.0.0.1"], [MOVED])
    async with serving(reached) as port:
        server = await asyncio.start_server(moved, MOVED, port)
        async with server, calls_of(port, host="hooks.example.com", lookup=lookup) as calls:
            assert await called(calls, port, host="hooks.example.com") == Delivered(200)
            assert (reached.connections, moved.connections) == (1, 0)
            assert await called(calls, port, host="hooks.example.com") == Again(
                "The receiver's connection failed: its host has a loopback address."
            )
    assert (reached.connections, moved.connections) == (1, 0)
    assert lookup.asked == ["hooks.example.com"] * 2


@pytest.mark.parametrize(
    ("addresses", "kind"),
    [
        (["127.0.0.1", "10.0.0.1"], "a private address"),
        (["10.0.0.1", "127.0.0.1"], "a private address"),
        (["127.0.0.1", "::ffff:169.254.169.254"], "a cloud's metadata service"),
        (["127.0.0.1", "8.8.8.8", "0.0.0.0"], "an address of this host or network"),
    ],
)
async def test_one_address_that_may_not_be_called_refuses_the_host(addresses: list[str], kind: str):
    receiver = Scripted(OK)
    async with serving(receiver) as port, calls_of(port, lookup=Lookup(addresses)) as calls:
        came = await called(calls, port)
    assert came == Again(f"The receiver's connection failed: its host has {kind}.")
    assert receiver.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_loopback_is_called_only_where_it_is_named(host: str):
    receiver = Scripted(OK)
    async with serving(receiver) as port, calls_of(port, host=host, networks=()) as calls:
        came = await called(calls, port, host=host)
    assert came == Again("The receiver's connection failed: its host has a loopback address.")
    assert receiver.connections == 0


async def test_a_url_that_is_not_allowed_any_more_is_not_called():
    receiver = Scripted(OK)
    async with serving(receiver) as port, calls_of(1) as calls:
        came = await called(calls, port)
    assert came == Again("The callback's URL: expected a URL that this installation may call.")
    assert receiver.connections == 0


async def test_where_nobody_listens_that_is_told():
    async with serving(Scripted(OK)) as port:
        pass
    async with calls_of(port) as calls:
        came = await called(calls, port)
    assert came == Again("The receiver's connection failed: it was refused.")


async def test_a_host_without_an_address_is_told():
    async with calls_of(443, host="nobody.invalid") as calls:
        came = await called(calls, 443, host="nobody.invalid")
    assert came == Again("The receiver's connection failed: its name was not found.")


async def test_a_certificate_is_that_of_the_name_not_of_the_address(tmp_path: Path):
    served = write_certificates(tmp_path)
    ours = ssl.create_default_context(cafile=tmp_path / "ca.pem")
    names: list[str | None] = []
    served.sni_callback = lambda _object, name, _context: names.append(name)
    receiver = Scripted(OK)
    lookup = Lookup(["127.0.0.1"])
    async with serving(receiver, served) as port:
        for host in ("localhost", "hooks.example.com"):
            async with calls_of(port, scheme="https", host=host, lookup=lookup, tls=ours) as calls:
                came = await called(calls, port, scheme="https", host=host)
            assert came == (
                Delivered(200)
                if host == "localhost"
                else Again("The receiver's connection failed: its certificate is not trusted.")
            )
        async with calls_of(port, scheme="https", host="localhost", lookup=lookup) as calls:
            came = await called(calls, port, scheme="https", host="localhost")
    assert came == Again("The receiver's connection failed: its certificate is not trusted.")
    assert names == ["localhost", "hooks.example.com", "localhost"]
    assert len(receiver.requests) == 1


async def test_a_receiver_that_speaks_no_tls_is_told():
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(head(b"Content-Length: 0", status=b"400 Bad Request"))
        await writer.drain()

    async with serving(plain) as port, calls_of(port, scheme="https") as calls:
        came = await called(calls, port, scheme="https")
    assert came == Again("The receiver's connection failed: TLS could not be agreed on.")


async def test_a_connection_ends_with_its_answer():
    open_ones = 0

    async def keeps(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal open_ones
        open_ones += 1
        await request_on(reader)
        writer.write(OK)
        await reader.read()
        open_ones -= 1

    async def none_is_open() -> None:
        assert open_ones == 0

    async with serving(keeps) as port, calls_of(port) as calls:
        assert await called(calls, port) == Delivered(200)
        # Kept ones would end a while later.
        async with asyncio.timeout(IDLE_SECONDS / 2):
            await eventually(none_is_open)
