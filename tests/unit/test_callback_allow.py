"""A callback's URL is called if a pattern fits it, and none that could be read in two ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from asynctasks.callbacks.allow import AllowedUrls
from asynctasks.errors import CallbackUrlError

BELOW = "https://*.example.com"
TASKS = "https://hooks.example.com:8443/tasks/*"
PLAIN = "http://inside.example.com/end"

FITS = [
    (BELOW, "https://a.example.com", "https://a.example.com/"),
    (BELOW, "https://a.b.example.com/x?y=1", "https://a.b.example.com/x?y=1"),
    (BELOW, "HTTPS://A.EXAMPLE.COM./X", "https://a.example.com/X"),
    (BELOW, "https://a.example.com:443/", "https://a.example.com/"),
    (BELOW, "https://a_b.example.com/%7Ea/%C3%A4?q=%20&r=a@b:c", None),
    (BELOW, "https://bücher.example.com/", "https://xn--bcher-kva.example.com/"),
    (BELOW, "https://a。EXAMPLE.com/", "https://a.example.com/"),
    ("https://*.Bücher.example", "https://a.xn--bcher-kva.example/", None),
    (BELOW, "https://a.example.com/..a/a../.../x", None),
    (TASKS, "https://hooks.example.com:8443/tasks/", None),
    (TASKS, "https://hooks.example.com:8443/tasks/1/2?x", None),
    ("https://hooks.example.com/end", "https://hooks.example.com/end?x=/..", None),
    ("https://hooks.example.com/", "https://hooks.example.com/any", None),
    (PLAIN, "http://inside.example.com/end", None),
    (PLAIN, "http://inside.example.com:80/end", "http://inside.example.com/end"),
    ("http://localhost:9000", "http://localhost:9000/a", None),
    ("http://127.0.0.1:9000/a/*", "http://127.0.0.1:9000/a/b", None),
    ("https://[2001:DB8:0::1]/*", "https://[2001:db8::1]/", None),
]


@pytest.mark.parametrize(("pattern", "url", "called"), FITS)
def test_what_fits_a_pattern_is_called_in_its_one_writing(
    pattern: str, url: str, called: str | None
):
    found = AllowedUrls.of(["https://other.example", pattern]).checked(url)
    assert found == (called or url)
    # Who makes the call reads the same in it.
    assert str(URL(found, encoded=True)) == found


@pytest.mark.parametrize(
    ("pattern", "url"),
    [
        (BELOW, "https://example.com/"),
        (BELOW, "https://badexample.com/"),
        (BELOW, "https://a.example.com.bad.example/"),
        (BELOW, "https://bad.example/.example.com"),
        (BELOW, "https://bad.example?.example.com"),
        (BELOW, "http://a.example.com/"),
        (TASKS, "http://hooks.example.com:8443/tasks/1"),
        ("http://a.example.com:9000", "https://a.example.com:9000/"),
        (BELOW, "https://a.example.com:8443/"),
        (BELOW, "https://a.example.com:80/"),
        (TASKS, "https://hooks.example.com/tasks/1"),
        (TASKS, "https://hooks.example.com:8443/tasks"),
        (TASKS, "https://hooks.example.com:8443/tasksy/1"),
        (TASKS, "https://hooks.example.com:8443/TASKS/1"),
        (TASKS, "https://hooks.example.com:8443/t%61sks/1"),
        (TASKS, "https://hooks.example.com:8443//tasks/1"),
        (PLAIN, "https://inside.example.com/end"),
        (PLAIN, "http://inside.example.com/end/"),
        (PLAIN, "http://inside.example.com:443/end"),
        ("https://*.a.example", "https://127.0.0.1/"),
    ],
)
def test_what_fits_no_pattern_is_refused(pattern: str, url: str):
    with pytest.raises(CallbackUrlError, match="expected a URL that this installation may call"):
        AllowedUrls.of([pattern]).checked(url)


REFUSED = {
    "a URL that begins with https:// or http://": [
        *("", "a.example.com", "//a.example.com/", "ftp://a.example.com/", "https:/a.example.com"),
        *("https:a.example.com", "javascript:alert(1)", " https://a.example.com"),
    ],
    "no user or password before the host": [
        *("https://ann@a.example.com/", "https://ann:hunter2@a.example.com/"),
        *("https://a.example.com@bad.example/", "https://@a.example.com/"),
    ],
    "no fragment": ["https://a.example.com/#x", "https://a.example.com#@bad.example/"],
    "no control characters, spaces or backslashes": [
        *("https://a.example.com/\r\nX: y", "https://a.example.com/\t", "https://a.example.com/ x"),
        *("https://a.example.com\\x", "https://a.example.com/\\x", "https://a.example.com/\x00"),
        "https://a.example.com/\n",
    ],
    "behind the scheme a host and perhaps a port": [
        *("https://", "https:///x", "https://:443/", "https://a.example.com:/"),
        *("https://a.example.com:x/", "https://a.example.com:123456/", "https://a:1:2/"),
        *("https://%61.example.com/", "https://2001:db8::1/", "https://*.example.com/"),
        "https://a.example.com:٤٤٣/",
    ],
    "within brackets an IPv6 address": ["https://[1.2.3.4]/", "https://[::1::]/", "https://[:]/"],
    "a port from 1 to 65535": ["https://a.example.com:0/", "https://a.example.com:65536/"],
    "an IPv4 address as four decimal numbers": [
        *("https://127.1/", "https://2130706433/", "https://0x7f.0.0.1/", "https://0x7f000001/"),
        *("https://0177.0.0.1/", "https://127.0.0.01/", "https://127.0.0.256/", "https://1.2.3/"),
        *("https://a.example.1/", "https://1.2.3.4.5/", "https://0x/", "https://a.0X1/"),
        "https://127。1/",
        "https://①②⑦.1/",
    ],
    "a host whose name is one of DNS": [
        *("https://a..example.com/", "https://.example.com/", "https://-a.example.com/"),
        *("https://a-.example.com/", "https://a.example.com../", "https://./", "https://a!b.c/"),
        *(f"https://{'a' * 64}.example.com/", f"https://{'a.' * 130}com/", "https://☃︎.example/"),
        "https://\u200bexample.com\uffff/",
    ],
    "a path without the parts `.` and `..`": [
        *("https://a.example.com/..", "https://a.example.com/x/../y", "https://a.example.com/./x"),
        *("https://a.example.com/%2e%2E/x", "https://a.example.com/x%2f..%2Fy"),
        *("https://a.example.com/x/..;a=1/y", "https://a.example.com/x%5c../y"),
    ],
    "a path and a query whose other characters are percent-encoded": [
        *("https://a.example.com/ä", "https://a.example.com/%", "https://a.example.com/%zz"),
        *("https://a.example.com/x?[]", "https://a.example.com/<x>", "https://a.example.com/?ü"),
    ],
    "2048 characters at most": [f"https://a.example.com/{'x' * 2_048}"],
}


@pytest.mark.parametrize(
    ("url", "expected"), [(url, expected) for expected, urls in REFUSED.items() for url in urls]
)
def test_what_could_be_read_in_two_ways_is_refused_and_not_quoted(url: str, expected: str):
    with pytest.raises(CallbackUrlError) as caught:
        AllowedUrls.of([BELOW]).checked(url)
    assert caught.value.expected.startswith(expected)
    assert str(caught.value) == f"The callback's URL: expected {caught.value.expected}."
    assert "hunter2" not in str(caught.value)


PIECES = st.text(st.sampled_from("abc.:/?#@\\[]%*0127xé。 \t\n"), max_size=12)


@given(PIECES, PIECES)
def test_what_is_called_has_the_host_of_a_pattern_whatever_was_given(before: str, behind: str):
    try:
        found = AllowedUrls.of(["https://*.a.b"]).checked(f"https://{before}c.a.b{behind}")
    except CallbackUrlError:
        return
    read = URL(found)
    assert (read.scheme, read.port, read.user, read.fragment) == ("https", 443, None, "")
    assert (read.host or "").endswith(".a.b")


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("a.example.com", "'a.example.com': expected a URL that begins with https://"),
        ("*.example.com", "expected a URL that begins with https://"),
        ("https://*", "expected behind the scheme a host"),
        ("https://a.*.example.com", "expected behind the scheme a host"),
        ("https://*example.com", "expected behind the scheme a host"),
        ("https://*.", "expected behind the scheme a host"),
        ("https://*.*.example.com", "expected behind the scheme a host"),
        ("https://*.2.3.4", "expected an IPv4 address as four decimal numbers"),
        ("https://*.1.2.3.4", "expected a name behind `\\*\\.`"),
        ("https://*.[::1]", "expected a name behind `\\*\\.`"),
        (
            "https://a.example.com/a*",
            "expected `\\*` only as the last part of the path: /tasks/\\*",
        ),
        ("https://a.example.com/*/b", "expected `\\*` only as the last part of the path"),
        ("https://a.example.com/a?b", "expected no query"),
        ("https://a.example.com/a/../*", "expected a path without the parts"),
        ("https://ann@a.example.com", "expected no user or password"),
        ("https://a.example.com:*", "expected behind the scheme a host and perhaps a port"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, told: str):
    with pytest.raises(ValueError, match=told):
        AllowedUrls.of([BELOW, pattern])


def test_without_a_pattern_there_are_no_callbacks():
    assert not AllowedUrls()
    assert AllowedUrls.of([BELOW])
    with pytest.raises(CallbackUrlError, match="this installation makes no callbacks"):
        AllowedUrls().checked("https://a.example.com/")
