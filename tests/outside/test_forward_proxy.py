"""Upstreams that are reached by a proxy of the environment alone, Apache httpd's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncexecutor.failures import UpstreamUnreachableError
from asynctestkit.certificates import write_certificates
from asynctestkit.eventually import eventually
from asynctestkit.forward_proxy import ForwardProxy
from asynctestkit.scripted_upstream import OK, Scripted, calling, serving

PASSWORD = "p/a:s@s"


@pytest.fixture(scope="module")
def proxy() -> Iterator[ForwardProxy]:
    with ForwardProxy(password=PASSWORD) as proxy:
        yield proxy


def environment(proxy: ForwardProxy, password: str = "p%2Fa%3As%40s") -> dict[str, str]:
    way = f"http://me:{password}@127.0.0.1:{proxy.port}"
    return {"HTTP_PROXY": way, "HTTPS_PROXY": way}


async def logged(proxy: ForwardProxy, line: str) -> None:
    def is_logged() -> None:
        assert line in proxy.asked

    await eventually(is_logged)


async def test_a_call_without_tls_goes_by_the_proxy(proxy: ForwardProxy):
    upstream = Scripted(OK)
    async with serving(upstream) as port:
        url = f"http://127.0.0.1:{port}/x"
        async with calling(url, environment=environment(proxy)) as call:
            assert (await call()).response.body == b"ok"
    (asked,) = upstream.requests
    assert b"\r\nVia: " in asked
    assert b"Proxy-Authorization" not in asked
    await logged(proxy, f"POST {url}?KEY=hunter2 HTTP/1.1 200")


async def test_a_call_by_tls_goes_through_a_tunnel_of_which_the_proxy_sees_the_host(
    proxy: ForwardProxy, tmp_path: Path
):
    upstream = Scripted(OK)
    trusted = {"caFile": str(tmp_path / "ca.pem")}
    async with serving(upstream, write_certificates(tmp_path)) as port:
        url = f"https://127.0.0.1:{port}/x"
        async with calling(url, environment=environment(proxy), tls=trusted) as call:
            assert (await call()).response.body == b"ok"
        await logged(proxy, f"CONNECT 127.0.0.1:{port} HTTP/1.1 200")
    assert b"Via" not in upstream.requests[0]


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_does_not_know_us_is_no_answer_of_the_upstream(
    proxy: ForwardProxy, scheme: str
):
    upstream = Scripted(OK)
    async with serving(upstream) as port:
        wrong = environment(proxy, "hunter2")
        async with calling(f"{scheme}://127.0.0.1:{port}/x", environment=wrong) as call:
            with pytest.raises(UpstreamUnreachableError, match="on the way answered 407") as caught:
                await call()
    assert caught.value.is_retryable
    assert "hunter2" not in str(caught.value)
    assert upstream.requests == []
