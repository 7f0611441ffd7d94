"""Where the addresses in an upstream's answers lead callers."""

from urllib.parse import urljoin

import pytest
from yarl import URL

from asyncexecutor.upstream_addresses import UpstreamAddresses
from asynctasks.errors import OperationsFileError
from asynctasks.operations.operation import Operation

CALLED = URL("http://u.example:8000/v1/clients?key=hunter2")


def addresses(rewrite: dict[str, str] | None = None, **environment: str) -> UpstreamAddresses:
    operation = Operation.model_validate(
        {
            "name": "a",
            "route": "POST /a",
            "upstream": {
                "url": "{BASE}/clients",
                **({"rewriteLocation": rewrite} if rewrite else {}),
            },
        }
    )
    assert operation.upstream
    return UpstreamAddresses(operation, operation.upstream, environment)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/clients/7", "http://u.example:8000/clients/7"),
        ("clients/7", "http://u.example:8000/v1/clients/7"),
        ("../7", "http://u.example:8000/7"),
        ("?page=2", "http://u.example:8000/v1/clients?page=2"),
        ("#part", "http://u.example:8000/v1/clients#part"),
        ("//other.example/7", "http://other.example/7"),
        ("https://other.example/7", "https://other.example/7"),
        ("mailto:a@b.example", "mailto:a@b.example"),
        ("/b\xfccher", "http://u.example:8000/b\xfccher"),
        ("http://[oh", "http://[oh"),
        ("//[oh", "//[oh"),
    ],
)
def test_an_address_is_made_whole_by_the_url_that_was_called(address: str, told: str):
    assert addresses().told(address, called=CALLED) == told


@pytest.mark.parametrize(
    "called",
    [
        "http://u.example/v1?q#f",
        "https://ann:secret@u.example:443/v1/",
        "http://u.example:80",
        "http://[::1]:8000/v1",
        "http://b\xfccher.example/v1",
        "http://U.example:8000/v1/%2F",
    ],
)
@pytest.mark.parametrize(
    "address",
    [
        *("/", "/a", "/a/", "/a/b-1~2_3.json", "/a%2Fb", "/a//b", "/a/../b", "/a/.", "/.a", "/..."),
        *("/a?", "/a#", "/a;b", "/a:b", "/a b", "/a\tb", "/%", "/a?b=/c/d"),
    ],
)
def test_a_path_leads_where_rfc_3986_says(called: str, address: str):
    """By whichever way: one that is plain is not taken apart."""
    base = URL(called).with_user(None).with_query(None)
    assert addresses().told(address, called=URL(called)) == urljoin(str(base), address)


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/v1/clients/7", "/api/clients/7"),
        ("http://u.example:8000/v1/clients/7?a=%20b&c#d", "/api/clients/7?a=%20b&c#d"),
        ("HTTP://U.example:8000/v1", "/api"),
        ("http://u.example:8000/v1/", "/api/"),
        ("http://u.example:8000/v1//evil.example/x", "/api//evil.example/x"),
        ("http://u.example:8000/v10/clients", "http://u.example:8000/v10/clients"),
        ("http://u.example/v1/clients", "http://u.example/v1/clients"),
        ("https://u.example:8000/v1/clients", "https://u.example:8000/v1/clients"),
        ("mailto:a@b.example", "mailto:a@b.example"),
    ],
)
def test_an_address_of_the_upstream_becomes_a_path_of_the_proxy(address: str, told: str):
    rewriting = addresses({"from": "{BASE}/v1/", "to": "/api/"}, BASE="http://u.example:8000\n")
    assert rewriting.told(address, called=CALLED) == told


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("/clients/7", "/clients/7"),
        ("http://u.example", "/"),
        ("http://u.example:80/", "/"),
        ("http://u.example//evil.example/x", "/evil.example/x"),
        ("http://u.example///evil.example/x", "/evil.example/x"),
        ("/\\evil.example/x", "/evil.example/x"),
        ("http://u.example/\\/\\evil.example/x", "/evil.example/x"),
        ("http://u.example/\t/evil.example/x", "/evil.example/x"),
        ("http://u.example/\t\\evil.example/x", "/evil.example/x"),
    ],
)
def test_no_address_of_the_upstream_becomes_that_of_another_host(address: str, told: str):
    rewriting = addresses({"from": "http://u.example", "to": "/"})
    assert rewriting.told(address, called=URL("http://u.example/clients")) == told


def test_an_environment_that_makes_no_url_is_told_by_its_place_and_not_quoted():
    with pytest.raises(OperationsFileError) as caught:
        addresses({"from": "{BASE}", "to": "/"}, BASE="hunter2.example")
    assert str(caught.value) == (
        "operations.a.upstream.rewriteLocation.from: expected http://… or https://…"
    )
