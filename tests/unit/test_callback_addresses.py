"""Only public addresses are called, and those of networks that are named."""

import socket
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncexecutor.http.checked_addresses import CheckedAddresses
from asyncexecutor.http.faults import AddressRefusedError
from asyncexecutor.http.host_addresses import Address, Lookup, system_lookup
from asynctasks.callbacks.addresses import CallableAddresses

REFUSED = {
    "a loopback address": ["127.0.0.1", "127.255.255.254", "::1"],
    "an address of this host or network": ["0.0.0.0", "0.1.2.3", "::"],
    "a private address": [
        *("10.0.0.0", "10.255.255.255", "172.16.0.1", "172.31.255.255"),
        *("192.168.0.1", "192.168.255.255", "fc00::1", "fdff:ffff::1"),
    ],
    "a link-local address": [
        *("169.254.0.1", "169.254.255.255", "fe80::1", "febf::1", "fe80::1%eth0"),
    ],
    "a site-local address": ["fec0::1", "feff::1"],
    "an address shared behind a carrier's NAT": ["100.64.0.1", "100.127.255.255"],
    "a multicast address": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "an address for documentation": [
        *("192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1", "3fff:fff::1"),
    ],
    "an address for benchmarks": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "a cloud's metadata service": [
        *("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"),
    ],
    "an address of a relay or translator": [
        # With a public IPv4 address within, too: by which relay, nobody knows.
        *("192.88.99.1", "2002:808:808::1", "2002:7f00:1::1", "2001::1", "2001:0:808:808::1"),
        *("64:ff9b:1::808:808", "64:ff9b:1::7f00:1", "::808:808", "::7f00:1"),
    ],
    "a reserved address": [
        *("192.0.0.1", "192.0.0.9", "240.0.0.1", "255.255.255.255", "192.175.48.1"),
        *("100::1", "1::1", "4000::1", "5f00::1", "8000::1", "2001:1::1", "2001:20::1"),
    ],
}
PUBLIC = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255"),
    *("172.32.0.0", "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0"),
    *("223.255.255.255", "2001:4860:4860::8888", "2600::1", "2606:4700::1111", "2a00:1450::1"),
    "2001:200::1",
]
EVERY_REFUSED = [(address, kind) for kind, given in REFUSED.items() for address in given]
CALLABLE = CallableAddresses()


@pytest.mark.parametrize(("address", "kind"), EVERY_REFUSED)
def test_what_is_not_public_is_refused_and_said_what_it_is(address: str, kind: str):
    assert CALLABLE.refusal(address) == kind


@pytest.mark.parametrize(
    ("address", "kind"), [each for each in EVERY_REFUSED if ":" not in each[0]]
)
@pytest.mark.parametrize("form", ["::ffff:{}", "::ffff:0:{}", "64:ff9b::{}", "::{}", "2002:{}::"])
def test_and_so_it_is_within_an_ipv6_address(form: str, address: str, kind: str):
    found = CALLABLE.refusal(written(form, address))
    # What is connected to in the end is that very address.
    assert found == kind if form in {"::ffff:{}", "64:ff9b::{}"} else found


@pytest.mark.parametrize("address", PUBLIC)
def test_what_is_public_may_be_called(address: str):
    assert CALLABLE.refusal(address) is None


@pytest.mark.parametrize("address", [each for each in PUBLIC if ":" not in each])
@pytest.mark.parametrize("form", ["::ffff:{}", "64:ff9b::{}"])
def test_and_so_it_may_where_a_connection_reaches_it_by_another(form: str, address: str):
    assert CALLABLE.refusal(written(form, address)) is None


def leading_to(address: str) -> Lookup:
    """A resolver by which each name leads there."""

    async def lookup(_: str, port: int) -> list[Address]:
        return [(socket.AF_UNSPEC, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))]

    return lookup


@pytest.mark.parametrize(("address", "kind"), EVERY_REFUSED)
async def test_a_name_that_leads_there_is_refused_as_well(address: str, kind: str):
    with pytest.raises(AddressRefusedError, match=kind):
        await CheckedAddresses(CALLABLE, lookup=leading_to(address)).of("hooks.example.com", 443)


@pytest.mark.parametrize("address", PUBLIC)
async def test_a_name_that_leads_to_what_is_public_may_be_called(address: str):
    hosts = CheckedAddresses(CALLABLE, lookup=leading_to(address))
    ((*_, where),) = await hosts.of("hooks.example.com", 443)
    assert where == (address, 443)


@pytest.mark.parametrize(
    ("address", "kind"), [each for each in EVERY_REFUSED if ":" not in each[0]]
)
async def test_and_so_is_the_address_in_place_of_a_name(address: str, kind: str):
    with pytest.raises(AddressRefusedError, match=kind):
        await CheckedAddresses(CALLABLE, lookup=system_lookup).of(address, 443)


def written(form: str, address: str) -> str:
    number = int(IPv4Address(address))
    return form.format(f"{number >> 16:x}:{number & 0xFFFF:x}")


def test_the_tables_are_as_large_as_was_promised():
    assert len(EVERY_REFUSED) >= 40
    assert len(PUBLIC) >= 10


@given(st.ip_addresses())
def test_nothing_is_called_that_python_knows_as_not_global(address: object):
    text = str(address)
    if not ip_address(text).is_global:
        # 64:ff9b::/96 is global, whatever is within.
        assert CALLABLE.refusal(text) is not None or text.startswith("::ffff:")


@pytest.mark.parametrize(
    ("networks", "called", "refused"),
    [
        (["10.20.0.0/16"], ["10.20.0.0", "10.20.255.255", "::ffff:10.20.0.1"], ["10.21.0.0"]),
        (["10.20.0.0/16"], ["64:ff9b::10.20.0.1"], ["64:ff9b::10.21.0.1", "2002:a14:1::"]),
        (["192.168.1.7"], ["192.168.1.7"], ["192.168.1.8", "192.168.1.6"]),
        (["127.0.0.0/8"], ["127.0.0.1", "127.1.2.3"], ["::1", "10.0.0.1", "0.0.0.0"]),
        (["::1", "127.0.0.1"], ["::1", "127.0.0.1"], ["127.0.0.2"]),
        (["fc00::/7", "10.0.0.0/8"], ["fd12::1", "10.0.0.1"], ["fe80::1", "127.0.0.1"]),
        # The neighbours of the metadata service open it not.
        (["169.254.0.0/16", "fd00::/8"], ["169.254.1.1"], ["169.254.169.254", "fd00:ec2::254"]),
        (["169.254.169.254"], ["169.254.169.254"], ["169.254.170.2"]),
        (["64:ff9b:1::/96"], ["64:ff9b:1::808:808"], ["64:ff9b:1:1::808:808"]),
    ],
)
def test_networks_that_are_named_may_be_called_and_no_others(
    networks: list[str], called: list[str], refused: list[str]
):
    addresses = CallableAddresses.of(networks)
    assert [addresses.refusal(each) for each in (*called, "8.8.8.8")] == [None] * (len(called) + 1)
    assert None not in [addresses.refusal(each) for each in refused]


@pytest.mark.parametrize(
    ("network", "told"),
    [
        ("inside", r"'inside' is no network: expected one such as 10\.20\.0\.0/16"),
        ("10.20.0.1/16", "without bits set"),
        ("", "is no network"),
        ("10.0.0.0/33", "is no network"),
        ("0.0.0.0/0", "expected a network within one that is refused otherwise, such as"),
        ("::/0", "expected a network within one that is refused otherwise"),
        ("8.8.8.0/24", "expected a network within one that is refused otherwise"),
        ("::ffff:10.0.0.0/104", "stands for an IPv4 network: expected that one itself"),
        ("64:ff9b::/96", "stands for an IPv4 network"),
    ],
)
def test_a_network_that_opens_nothing_or_too_much_is_refused(network: str, told: str):
    with pytest.raises(ValueError, match=told):
        CallableAddresses.of(["10.0.0.0/8", network])


def test_what_is_no_address_is_told():
    with pytest.raises(ValueError, match="does not appear to be"):
        CALLABLE.refusal("localhost")
