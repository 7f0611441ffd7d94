"""The addresses of hosts: looked up once, for all who ask, and again after a while."""

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from asyncexecutor.http import host_addresses
from asyncexecutor.http.faults import ConnectionFailedError
from asyncexecutor.http.host_addresses import Address, HostAddresses
from asynctestkit.certificates import write_certificates
from asynctestkit.http_clients import call_of, got, http_client
from asynctestkit.ports import free_port
from asynctestkit.scripted_upstream import OK, Scripted, serving


def address(last: int, port: int = 80) -> Address:
    return (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (f"127.0.0.{last}", port))


class Resolver:
    """Answers a lookup by what it is given, once it may."""

    def __init__(self, *found: Address) -> None:
        self.found = [*found]
        self.lookups = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, *_: Any, **__: Any) -> list[Address]:
        self.lookups += 1
        await self.gate.wait()
        if not self.found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [*self.found]


def hosts_of(answer: list[Address]) -> list[str]:
    return [each[4][0] for each in answer]


async def test_all_who_ask_at_once_share_one_lookup_and_begin_at_another_address():
    resolver = Resolver(address(1), address(2))
    resolver.gate.clear()
    hosts = HostAddresses(lookup=resolver)
    asking = [asyncio.create_task(hosts.of("u.example", 80)) for _ in range(4)]
    await asyncio.sleep(0.01)
    resolver.gate.set()
    found = await asyncio.gather(*asking)
    assert resolver.lookups == 1
    assert all(sorted(hosts_of(each)) == ["127.0.0.1", "127.0.0.2"] for each in found)
    firsts = [hosts_of(each)[0] for each in found]
    assert sorted(firsts) == ["127.0.0.1"] * 2 + ["127.0.0.2"] * 2


async def test_a_lookup_is_good_for_a_while(monkeypatch: pytest.MonkeyPatch):
    resolver = Resolver(address(1))
    hosts = HostAddresses(lookup=resolver)
    await hosts.of("u.example", 80)
    await hosts.of("u.example", 80)
    await hosts.of("other.example", 80)
    assert resolver.lookups == 2
    monkeypatch.setattr(host_addresses, "FRESH_SECONDS", 0.0)
    stale = HostAddresses(lookup=resolver)
    await stale.of("u.example", 80)
    await stale.of("u.example", 80)
    assert resolver.lookups == 4


async def test_a_lookup_that_fails_or_is_given_up_is_made_again():
    resolver = Resolver()
    hosts = HostAddresses(lookup=resolver)
    with pytest.raises(socket.gaierror):
        await hosts.of("u.example", 80)
    resolver.found = [address(1)]
    resolver.gate.clear()
    given_up = asyncio.create_task(hosts.of("u.example", 80))
    await asyncio.sleep(0)
    other = asyncio.create_task(hosts.of("u.example", 80))
    await asyncio.sleep(0)
    assert resolver.lookups == 2
    given_up.cancel()
    resolver.gate.set()
    assert hosts_of(await other) == ["127.0.0.1"]
    assert resolver.lookups == 3


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", 4), ("::1", 6)])
async def test_an_address_is_looked_up_nowhere(host: str, family: int):
    resolver = Resolver()
    (found,) = await HostAddresses(lookup=resolver).of(host, 80)
    assert found[0] == (socket.AF_INET if family == 4 else socket.AF_INET6)
    assert found[4][:2] == (host, 80)
    assert resolver.lookups == 0


async def test_no_more_hosts_are_known_than_are_bounded(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(host_addresses, "MAX_HOSTS", 2)
    resolver = Resolver(address(1))
    hosts = HostAddresses(lookup=resolver)
    for name in ("a", "b", "c", "a"):
        await hosts.of(name, 80)
    assert resolver.lookups == 4


async def test_where_one_address_refuses_the_next_is_tried(monkeypatch: pytest.MonkeyPatch):
    upstream = Scripted(OK)
    resolver = Resolver()
    monkeypatch.setattr(host_addresses, "system_lookup", resolver)
    async with serving(upstream) as port, http_client("plain") as client:
        # Nobody listens at one of them, whichever is tried first.
        resolver.found = [address(1, port), address(1, free_port())]
        for name in ("t", "u", "u"):
            call = call_of(f"http://{name}.example:{port}/x")
            assert (await got(client, call, afresh=True)).body == b"ok"
        resolver.found = [address(1, free_port()), address(1, free_port())]
        with pytest.raises(ConnectionFailedError, match="it was refused"):
            await got(client, call_of(f"http://v.example:{port}/x"))


async def test_where_tls_fails_at_one_address_the_next_is_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    async def hangs_up(*_: object) -> None:
        pass

    server = write_certificates(tmp_path)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    trusting.check_hostname = False
    resolver = Resolver()
    monkeypatch.setattr(host_addresses, "system_lookup", resolver)
    async with (
        serving(Scripted(OK), server) as port,
        serving(hangs_up) as broken,
        http_client("plain") as client,
    ):
        resolver.found = [address(1, port), address(1, broken)]
        for _ in range(2):
            call = call_of("https://u.example/x", tls=trusting)
            assert (await got(client, call, afresh=True)).body == b"ok"
