"""How the connection to an upstream is secured, and by which way it goes."""

import asyncio
import ssl
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
