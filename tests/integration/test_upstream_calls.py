"""A call of an upstream over a real connection: what comes back, and by which way it went."""

import asyncio
import datetime as dt
import gzip
import ipaddress
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from structlog.testing import capture_logs

from asyncexecutor.failures import (
    ResponseTooLargeError,
    UpstreamResponseUnreadableError,
    UpstreamUnreachableError,
)
from asyncexecutor.runner import Answer, Attempt
from asyncexecutor.upstream import Upstream
from asyncexecutor.upstream_connections import UpstreamConnections
from asynctasks.errors import OperationsFileError
from asynctasks.operations.operation import Operation
from asynctasks.operations.response_headers import MAX_KEPT_HEADER_BYTES, MAX_KEPT_HEADERS
from asynctasks.task import new_task_id

SECRET = "hunter2"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    """A server that does as it likes with each connection; its port."""
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        tasks.add(task)
        try:
            await serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Scripted:
    """Answers each request by the next of its answers, the last one for ever, and keeps count."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.requests: list[bytes] = []
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            self.requests.append(await request_on(reader))
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            writer.write(answer)
            await writer.drain()
            if not answer:
                return


async def request_on(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return head + await reader.readexactly(int(length or 0))


@asynccontextmanager
async def calling(
    url: str, *, environment: dict[str, str] | None = None, **upstream: Any
) -> AsyncGenerator[Callable[[], Awaitable[Answer]]]:
    """What calls the URL once each time, with a secret in its headers and query."""
    operation = Operation.model_validate(
        {
            "name": "a",
            "route": "POST /a",
            "upstream": {
                "url": url + "{?KEY}",
                "headers": {"Authorization": "Bearer {KEY}"},
                "timeoutSeconds": 10,
                **upstream,
            },
        }
    )
    assert operation.upstream
    given = {"KEY": SECRET, **(environment or {})}
    connections = UpstreamConnections(limit=5, environment=given)
    runner = Upstream(
        operation, operation.upstream, connections, environment=given, max_response_bytes=100_000
    )
    async with connections:
        yield lambda: runner.run(Attempt(new_task_id(), {}))


def head(*lines: bytes, status: bytes = b"200 OK") -> bytes:
    return b"\r\n".join([b"HTTP/1.1 " + status, *lines, b"", b""])


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (head(b"X: " + b"y" * 70_000), "a line of its head is longer than 65536 bytes"),
        (head(*[b"X-%d: 1" % number for number in range(600)]), "it has more than 512 headers"),
        (head(b"Content-Length: 2", b"Content-Length: 2") + b"ok", "Duplicate Content-Length"),
        (head(b"Content-Length: -1"), "Invalid character in Content-Length"),
        (head(b"Content-Length: 2", status=b"204 No Content") + b"ok", "goes on after its end"),
        (head(b"Transfer-Encoding: chunked") + b"zz\r\nok", "Invalid character in chunk size"),
        (head(b"X: a\x00b", b"Content-Length: 0"), "a header has characters that none may have"),
        (b"HTTP/2 200\r\n\r\n", "does not begin with a status line"),
        (head(b"Content-Length: 0", status=b"999 What"), "999"),
        (head(b"Content-Length: 0", status=b"600 What"), "600"),
        (head(b"Upgrade: x", b"Connection: upgrade", status=b"101 Switching"), "101"),
    ],
)
async def test_an_answer_that_cannot_be_read_says_why_and_is_not_asked_for_again(
    answer: bytes, told: str
):
    upstream = Scripted(answer)
    async with serving(upstream) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        with pytest.raises(UpstreamResponseUnreadableError) as caught:
            await call()
    assert told in str(caught.value)
    assert not caught.value.is_retryable
    assert SECRET not in str(caught.value)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        head(b"Content-Length: 9") + b"ok",
        head(b"Transfer-Encoding: chunked") + b"9\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Le",
    ],
)
async def test_an_answer_that_breaks_off_is_a_lost_connection_and_worth_another_attempt(
    answer: bytes,
):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(answer)
        await writer.drain()

    async with serving(serve) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        with pytest.raises(UpstreamUnreachableError) as caught:
            await call()
    assert caught.value.is_retryable


async def test_large_heads_are_read():
    many = [b"X-%d: %s" % (number, b"y" * 100) for number in range(400)]
    answer = head(b"X: " + b"y" * 60_000, *many, b"Content-Length: 2") + b"ok"
    async with (
        serving(Scripted(answer)) as port,
        calling(f"http://127.0.0.1:{port}/x") as call,
    ):
        assert (await call()).response.body == b"ok"


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


async def test_an_operations_own_limit_of_bytes_comes_before_the_executors():
    body = b"y" * 150_000
    answer = head(b"Content-Length: %d" % len(body)) + body
    async with serving(Scripted(answer)) as port:
        url = f"http://127.0.0.1:{port}/x"
        async with calling(url) as call:
            with pytest.raises(ResponseTooLargeError) as caught:
                await call()
            assert not caught.value.is_retryable
        async with calling(url, maxResponseBytes=150_000) as call:
            assert (await call()).response.body == body
        async with calling(url, maxResponseBytes=149_999) as call:
            with pytest.raises(ResponseTooLargeError):
                await call()


async def test_a_length_that_is_too_large_ends_the_call_before_the_body_comes():
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request_on(reader)
        writer.write(head(b"Content-Length: 100001"))
        await reader.read()  # until it has hung up

    async with serving(serve) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        with pytest.raises(ResponseTooLargeError):
            async with asyncio.timeout(5):
                await call()


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_kept_connection_that_is_closed_at_the_moment_of_reuse_costs_no_attempt(
    method: str,
):
    upstream = Scripted(OK, b"", OK)
    async with (
        serving(upstream) as port,
        calling(f"http://127.0.0.1:{port}/x", method=method) as call,
    ):
        assert (await call()).response.status == 200
        assert (await call()).response.status == 200
    assert upstream.connections == 2
    keys = [asked.lower().partition(b"idempotency-key: ")[2][:36] for asked in upstream.requests]
    assert keys[0] != keys[1] == keys[2]


async def test_it_is_sent_again_once_and_no_more():
    upstream = Scripted(OK, b"", b"", OK)
    async with serving(upstream) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        await call()
        with pytest.raises(UpstreamUnreachableError):
            await call()
    assert len(upstream.requests) == 3


async def test_a_new_connection_that_is_closed_fails_the_attempt():
    upstream = Scripted(b"", OK)
    async with serving(upstream) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        with pytest.raises(UpstreamUnreachableError):
            await call()
    assert len(upstream.requests) == 1


async def test_a_kept_connection_that_is_closed_after_a_while_fails_the_attempt(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr("asyncexecutor.upstream_connections.RACE_SECONDS", 0.0)
    upstream = Scripted(OK, b"", OK)
    async with serving(upstream) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        await call()
        with pytest.raises(UpstreamUnreachableError):
            await call()


# ways and certificates


def write_certificates(folder: Path) -> ssl.SSLContext:
    """A CA, a server certificate of 127.0.0.1 and a client's; the server's context."""
    ca_key, ca = certificate("ca", None)
    (folder / "ca.pem").write_bytes(pem(ca))
    for name in ("server", "client"):
        key, signed = certificate(name, (ca_key, ca))
        (folder / f"{name}.pem").write_bytes(pem(signed))
        (folder / f"{name}.key").write_bytes(private(key))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    return context


def certificate(
    name: str, issuer: tuple[ec.EllipticCurvePrivateKey, x509.Certificate] | None
) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[1].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(issuer[0] if issuer else key, hashes.SHA256())
    )
    return key, built


def pem(of: x509.Certificate) -> bytes:
    return of.public_bytes(serialization.Encoding.PEM)


def private(key: ec.EllipticCurvePrivateKey, password: bytes | None = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


async def test_a_private_ca_is_trusted_where_it_is_named_and_only_there(tmp_path: Path):
    tls = write_certificates(tmp_path)
    async with serving(Scripted(OK), tls) as port:
        url = f"https://127.0.0.1:{port}/x"
        async with calling(url) as call:
            with pytest.raises(UpstreamUnreachableError, match="is not trusted"):
                await call()
        async with calling(url, tls={"caFile": str(tmp_path / "ca.pem")}) as call:
            assert (await call()).response.body == b"ok"


async def test_a_client_certificate_is_shown(tmp_path: Path):
    tls = write_certificates(tmp_path)
    tls.verify_mode = ssl.CERT_REQUIRED
    files = {"caFile": "ca.pem", "certFile": "client.pem", "keyFile": "client.key"}
    named = {key: str(tmp_path / file) for key, file in files.items()}
    async with serving(Scripted(OK), tls) as port:
        url = f"https://127.0.0.1:{port}/x"
        async with calling(url, tls=named) as call:
            assert (await call()).response.body == b"ok"
        async with calling(url, tls={"caFile": named["caFile"]}) as call:
            with pytest.raises(UpstreamUnreachableError):
                await call()


async def test_certificates_that_cannot_be_used_are_told_at_the_start(tmp_path: Path):
    write_certificates(tmp_path)
    key = ec.generate_private_key(ec.SECP256R1())
    (tmp_path / "locked.key").write_bytes(private(key, b"pass"))
    (tmp_path / "text.pem").write_text("no certificate")
    client = str(tmp_path / "client.pem")
    for tls, told in (
        ({"caFile": str(tmp_path / "missing.pem")}, "operations.a.upstream.tls.caFile: "),
        ({"caFile": str(tmp_path / "text.pem")}, "operations.a.upstream.tls.caFile: "),
        ({"certFile": str(tmp_path / "missing.pem")}, "operations.a.upstream.tls.certFile: "),
        ({"certFile": client}, "operations.a.upstream.tls.certFile: "),
        (
            {"certFile": client, "keyFile": str(tmp_path / "server.key")},
            "operations.a.upstream.tls.certFile: ",
        ),
        (
            {"certFile": client, "keyFile": str(tmp_path / "locked.key")},
            "operations.a.upstream.tls.certFile: ",
        ),
    ):
        with pytest.raises(OperationsFileError) as caught:
            async with calling("https://u.example/x", tls=tls):
                pass
        assert str(caught.value).startswith(told)


class Proxy:
    """An HTTP proxy that passes on what it is asked to, and says how it was asked."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await request_on(reader)
        self.asked.append(request)
        if not request.startswith(b"CONNECT"):
            writer.write(OK)
            await writer.drain()
            return
        port = int(request.split(b" ")[1].rpartition(b":")[2])
        inner, outer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(pipe(reader, outer), pipe(inner, writer))


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
async def test_https_goes_by_the_proxy_of_the_environment_with_its_password(
    tmp_path: Path, name: str
):
    tls = write_certificates(tmp_path)
    proxy = Proxy()
    ca = {"caFile": str(tmp_path / "ca.pem")}
    async with serving(Scripted(OK), tls) as port, serving(proxy) as proxy_port:
        way = {name: f"http://user:pass@127.0.0.1:{proxy_port}"}
        url = f"https://127.0.0.1:{port}/x"
        async with calling(url, environment=way, tls=ca) as call:
            assert (await call()).response.body == b"ok"
        (asked,) = proxy.asked
        assert asked.startswith(f"CONNECT 127.0.0.1:{port} ".encode())
        assert b"Basic dXNlcjpwYXNz" in asked
        assert SECRET.encode() not in asked
        for kept_out in ("127.0.0.1", f"127.0.0.1:{port}", "*"):
            async with calling(url, environment={**way, "NO_PROXY": kept_out}, tls=ca) as call:
                assert (await call()).response.body == b"ok"
        assert len(proxy.asked) == 1


async def test_http_goes_by_a_proxy_of_its_own():
    proxy = Proxy()
    async with serving(proxy) as port:
        for given in (f"http://user:pass@127.0.0.1:{port}", f"user:pass@127.0.0.1:{port}"):
            async with calling("http://u.example/x", environment={"HTTP_PROXY": given}) as call:
                assert (await call()).response.body == b"ok"
    assert len(proxy.asked) == 2
    for asked in proxy.asked:
        assert asked.startswith(b"POST http://u.example/x")
        assert b"Basic dXNlcjpwYXNz" in asked


async def test_a_proxy_that_refuses_is_told_and_worth_another_attempt():
    refusal = head(b"Content-Length: 0", status=b"407 Proxy Authentication Required")
    async with serving(Scripted(refusal)) as port:
        way = {"HTTPS_PROXY": f"http://user:{SECRET}@127.0.0.1:{port}"}
        async with calling("https://u.example/x", environment=way) as call:
            with pytest.raises(
                UpstreamUnreachableError, match="proxy on the way answered 407"
            ) as e:
                await call()
    assert SECRET not in str(e.value)
