"""How the connection to an upstream is secured, and by which way it goes."""

import asyncio
import socket
import ssl
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from asyncexecutor.failures import UpstreamUnreachableError
from asynctasks.errors import OperationsFileError
from asynctestkit.certificates import private, write_certificates
from asynctestkit.scripted_upstream import OK, SECRET, Scripted, calling, head, request_on, serving


async def test_a_private_ca_is_trusted_where_it_is_named_and_only_there(tmp_path: Path):
    tls = write_certificates(tmp_path)
    async with serving(Scripted(OK), tls) as port:
        url = f"https://127.0.0.1:{port}/x"
        async with calling(url) as call:
            with pytest.raises(UpstreamUnreachableError, match="is not trusted"):
                await call()
        async with calling(url, tls={"caFile": str(tmp_path / "ca.pem")}) as call:
            assert (await call()).response.body == b"ok"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate_is_shown_and_its_lack_is_told(
    tmp_path: Path, version: ssl.TLSVersion
):
    tls = write_certificates(tmp_path)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.maximum_version = version
    files = {"caFile": "ca.pem", "certFile": "client.pem", "keyFile": "client.key"}
    named = {key: str(tmp_path / file) for key, file in files.items()}
    async with serving(Scripted(OK), tls) as port:
        url = f"https://127.0.0.1:{port}/x"
        async with calling(url, tls=named) as call:
            assert (await call()).response.body == b"ok"
        async with calling(url, tls={"caFile": named["caFile"]}) as call:
            with pytest.raises(UpstreamUnreachableError, match="a client certificate is asked for"):
                await call()


async def test_a_connection_that_is_reset_is_told_in_words():
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        connection = writer.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async with serving(reset) as port, calling(f"http://127.0.0.1:{port}/x") as call:
        with pytest.raises(UpstreamUnreachableError, match="it was reset or ended while"):
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


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_refuses_is_told_and_worth_another_attempt(scheme: str):
    refusal = head(b"Content-Length: 0", status=b"407 Proxy Authentication Required")
    async with serving(Scripted(refusal)) as port:
        way = {f"{scheme}_proxy": f"http://user:{SECRET}@127.0.0.1:{port}"}
        async with calling(f"{scheme}://u.example/x", environment=way) as call:
            with pytest.raises(
                UpstreamUnreachableError, match="proxy on the way answered 407"
            ) as e:
                await call()
    assert SECRET not in str(e.value)


@pytest.mark.parametrize("user", ["user:pass@", "user@", ":pass@"])
async def test_an_authorization_wins_over_a_user_in_the_url(user: str):
    upstream = Scripted(OK, OK)
    async with serving(upstream) as port:
        for url, environment in (
            (f"http://{user}127.0.0.1:{port}/x", {}),
            ("{BASE}/x", {"BASE": f"http://{user}127.0.0.1:{port}"}),
        ):
            async with calling(url, environment=environment) as call:
                assert (await call()).response.body == b"ok"
    assert len(upstream.requests) == 2
    for asked in upstream.requests:
        assert f"Authorization: Bearer {SECRET}".encode() in asked
        assert b"Basic" not in asked


async def test_a_user_in_the_url_is_shown():
    upstream = Scripted(OK)
    async with (
        serving(upstream) as port,
        calling(f"http://user:pass@127.0.0.1:{port}/x", headers={}) as call,
    ):
        assert (await call()).response.body == b"ok"
    assert b"Authorization: Basic dXNlcjpwYXNz" in upstream.requests[0]
