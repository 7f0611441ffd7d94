"""What is taken of X-Forwarded-* headers, and from whom."""

from ipaddress import ip_network
from typing import Any

import pytest
from starlette.requests import Request

from asyncproxy.forwarded import PublicAddress, TrustedProxies, reads_forwarded
from asyncproxy.settings import ProxySettings
from asynctasks.errors import SettingsError
from asynctestkit.inside import operation

OURS = "10.1.2.3"
TRUSTED = TrustedProxies([ip_network("10.0.0.0/8"), ip_network("2001:db8::/32")])


def request(*headers: tuple[str, str], peer: str | None = OURS) -> Request:
    return Request(
        {
            "type": "http",
            "client": None if peer is None else (peer, 4711),
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        }
    )


FOR = "X-Forwarded-For"


@pytest.mark.parametrize(
    ("peer", "lines", "address"),
    [
        (OURS, ["203.0.113.7"], "203.0.113.7"),
        (OURS, ["198.51.100.1, 203.0.113.7"], "203.0.113.7"),
        (OURS, ["198.51.100.1, 203.0.113.7, 10.9.9.9"], "203.0.113.7"),
        (OURS, ["198.51.100.1", "203.0.113.7"], "203.0.113.7"),
        (OURS, ["203.0.113.7:52011"], "203.0.113.7"),
        (OURS, ["[2001:db9::1]:52011"], "2001:db9::1"),
        (OURS, ["2001:db8::7, 10.0.0.1"], "2001:db8::7"),
        (OURS, ["10.0.0.9"], "10.0.0.9"),
        (OURS, ["203.0.113.7, unknown"], OURS),
        (OURS, [], OURS),
        ("::ffff:10.1.2.3", ["203.0.113.7"], "203.0.113.7"),
        ("2001:db8::1", ["203.0.113.7"], "203.0.113.7"),
        ("192.0.2.1", ["203.0.113.7"], "192.0.2.1"),
        ("192.0.2.1", [], "192.0.2.1"),
        (None, ["203.0.113.7"], ""),
    ],
)
def test_a_caller_has_the_address_that_the_first_trusted_proxy_saw(
    peer: str | None, lines: list[str], address: str
):
    asked = request(*((FOR, line) for line in lines), peer=peer)
    assert TRUSTED.address(asked) == address


def test_without_trusted_proxies_whoever_connects_is_the_caller():
    asked = request((FOR, "203.0.113.7"), ("X-Forwarded-Prefix", "/a"))
    assert TrustedProxies().address(asked) == OURS
    assert PublicAddress().prefix(asked) == ""


PROTO, HOST, PREFIX = "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Prefix"
WHOLE = [(PROTO, "https"), (HOST, "tasks.example.com"), (PREFIX, "/api/")]


@pytest.mark.parametrize(
    ("headers", "prefix"),
    [
        (WHOLE, "https://tasks.example.com/api"),
        (WHOLE[:2], "https://tasks.example.com"),
        ([(PROTO, "https"), ("Host", "a.example:8443")], "https://a.example:8443"),
        ([(PROTO, "http"), (HOST, "[2001:db8::1]:80")], "http://[2001:db8::1]:80"),
        # Whose scheme nobody knows, that host is of no use.
        (WHOLE[1:], "/api"),
        ([(PREFIX, "/a/b.c~d")], "/a/b.c~d"),
        ([(PROTO, "https"), (HOST, "evil.example/x"), (PREFIX, "/api")], "/api"),
        ([(PROTO, "javascript"), (HOST, "a.example")], ""),
        ([(PROTO, "https, http"), (HOST, "a.example")], ""),
        ([*WHOLE, (HOST, "evil.example")], "/api"),
        ([(PREFIX, "//evil.example")], ""),
        ([(PREFIX, "/a b")], ""),
        ([(PREFIX, "/")], ""),
        ([], ""),
    ],
)
def test_addresses_begin_with_what_a_trusted_proxy_was_called_by(
    headers: list[tuple[str, str]], prefix: str
):
    assert PublicAddress(proxies=TRUSTED).prefix(request(*headers)) == prefix
    assert PublicAddress(proxies=TRUSTED).prefix(request(*headers, peer="192.0.2.1")) == ""
    assert PublicAddress("/set", TRUSTED).prefix(request(*headers)) == "/set"


@pytest.mark.parametrize(
    ("declared", "reads"),
    [
        ({}, False),
        ({"parameters": [{"name": "X-Forwarded-For", "in": "header", "argument": "name"}]}, True),
        ({"parameters": [{"name": "x-forwarded-for", "in": "query", "argument": "name"}]}, False),
        ({"upstream": {"url": "http://a/b", "forwardHeaders": ["X-Real-Ip"]}}, True),
        ({"upstream": {"url": "http://a/b", "forwardHeaders": ["Accept"]}}, False),
    ],
)
def test_an_operation_that_makes_something_of_such_headers_is_known(declared: Any, reads: bool):
    assert reads_forwarded(operation(**declared)) is reads


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("TRUSTED_PROXIES", "10.0.0.0/8, proxy.example.com"),
        ("CORS_ORIGINS", "https://app.example.com/"),
        ("CORS_ORIGINS", "app.example.com"),
    ],
)
def test_what_is_no_network_and_no_origin_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
):
    monkeypatch.setenv(f"ASYNCAPIPROXY_{variable}", value)
    with pytest.raises(SettingsError, match=rf"^ASYNCAPIPROXY_{variable}: .*{value[-3:]}"):
        ProxySettings.read({"database_url": "sqlite:///a.db", "broker_url": "memory://"})


def test_networks_and_origins_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("ASYNCAPIPROXY_TRUSTED_PROXIES", "10.0.0.0/8, 2001:db8::1,")
    monkeypatch.setenv("ASYNCAPIPROXY_CORS_ORIGINS", "https://a.example,http://localhost:3000")
    read = ProxySettings.read({"database_url": "sqlite:///a.db", "broker_url": "memory://"})
    assert list(map(str, read.trusted_proxies)) == ["10.0.0.0/8", "2001:db8::1/128"]
    assert read.cors_origins == ("https://a.example", "http://localhost:3000")
