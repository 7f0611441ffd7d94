"""What an upstream's URL becomes, and what no caller can make of it."""

from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasks.json_values import read_json
from asynctasks.operations.url_template import UrlTemplate, UrlTemplateError, UrlValueError

BASE = {"BASE": "https://api.example.com/v1", "KEY": "s3 cret"}


def expanded(template: str, /, **arguments: Any) -> str:
    return str(UrlTemplate(template).bind(frozenset(arguments), BASE).expand(arguments))


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ("{?a}", False, "?a=false"),
        ("{?a}", True, "?a=true"),
        ("{?a}", 0, "?a=0"),
        ("{?a}", 0.0, "?a=0.0"),
        ("{?a}", "", "?a="),
        ("{?a}", None, ""),
        ("{?a}", [], ""),
        ("{?a}", {}, ""),
        ("{?a}", [None], ""),
        ("{?a}", [0, False, "x y"], "?a=0,false,x%20y"),
        ("{?a*}", [0, False], "?a=0&a=false"),
        ("{?a*}", {"n": 0, "b": True, "z": None}, "?b=true&n=0"),
        ("?x=1{&a}", 0, "?x=1&a=0"),
        ("/{a}", False, "/false"),
        ("/{a}", 1e22, "/1e%2B22"),
        ("/{a}", 2**64 - 1, "/18446744073709551615"),
        ("/{+a}", 0, "/0"),
        ("{/a*}", [1, True], "/1/true"),
        ("{;a}", 0, ";a=0"),
        ("{;a}", False, ";a=false"),
        ("/x{.a}", 0, "/x.0"),
        ("{#a}", 0, "#0"),
        ("/{a:3}", "abcdef", "/abc"),
        ("/{a}", "é/ü", "/%C3%A9%2F%C3%BC"),
    ],
)
def test_every_value_is_written_as_json_writes_it(template: str, value: Any, expected: str):
    assert expanded("http://u/p" + template, a=value) == "http://u/p" + expected


@pytest.mark.parametrize("number", ["1e3", "1E-7", "1.10", "1234567890123456.78", "-0.000"])
def test_a_number_stands_in_a_url_as_it_was_written(number: str):
    assert expanded("http://u/{a}{?a}", a=read_json(number)) == f"http://u/{number}?a={number}"


@pytest.mark.parametrize("value", [[[1]], [{"b": 1}], {"b": [1]}, {"b": {}}])
def test_what_rfc_6570_has_no_text_for_is_refused(value: Any):
    with pytest.raises(UrlValueError, match="'a' is nested too deeply"):
        expanded("http://u/{?a}", a=value)


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{BASE}/a", "https://api.example.com/v1/a"),
        ("{+BASE}/a", "https://api.example.com/v1/a"),
        ("{BASE}/a{?KEY}", "https://api.example.com/v1/a?KEY=s3%20cret"),
        ("{BASE}/a{?x,KEY}", "https://api.example.com/v1/a?x=1&KEY=s3%20cret"),
    ],
)
def test_the_environment_is_there_in_every_form(template: str, expected: str):
    assert expanded(template, x=1) == expected


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("/{a}", ".."),
        ("/{a}", "."),
        ("/{a}/b", ""),
        ("/b/{a}", ""),
        ("/b/{a}", None),
        ("/{a}", "x/../y"),
        ("/{a}", "x\\..\\y"),
        ("/{a}", "..;x=1"),
        ("/{a}", "..\\"),
        ("{/a*}", ["x", ".."]),
        ("{/a*}", ["x", ""]),
        ("{/a}", "."),
        ("/{a:2}", "..x"),
        ("/{.a}", "."),
        ("/.{a}", "."),
        ("/{+a}", "x/../y"),
        ("/{+a}", "%2e%2e/y"),
        ("/{+a}", "x//y"),
        ("/{+a}", ".%2E"),
        ("/{+a}", "%2e%2e%2fy"),
        ("/{a}{a}", "."),
    ],
)
def test_no_value_climbs_or_empties_the_path(template: str, value: Any):
    with pytest.raises(UrlValueError) as caught:
        expanded("http://u" + template, a=value)
    assert "'a'" in str(caught.value)


@pytest.mark.parametrize(
    ("template", "value", "expected"),
    [
        ("/{a}", "...", "/..."),
        ("/{a}", "..x", "/..x"),
        ("/{a}", "%2e%2e", "/%252e%252e"),
        ("/a/{?a}", "..", "/a/?a=.."),
        ("/a/{?a}", None, "/a/"),
        ("/a{/a}", None, "/a"),
        ("/a{/a}/", "x", "/a/x/"),
    ],
)
def test_what_only_looks_alike_passes(template: str, value: Any, expected: str):
    assert expanded("http://u/p" + template, a=value) == "http://u/p" + expected


@pytest.mark.parametrize(
    "value", ["", None, "a" * 64, "a.b", "a@b", "a/b", "-a", "a:1", "é", ["a"], "a b"]
)
def test_in_the_host_an_argument_is_one_label_or_refused(value: Any):
    assert expanded("https://{a}.example.com/x", a="tenant-1") == "https://tenant-1.example.com/x"
    with pytest.raises(UrlValueError, match="'a' is no part of a host's name"):
        expanded("https://{a}.example.com/x", a=value)


@pytest.mark.parametrize("port", [0, 80, 65535, 65536, 99999, "x", "-1"])
def test_a_port_out_of_range_is_the_callers_fault(port: Any):
    if port in {80, 65535}:
        assert expanded("https://u:{a}/x", a=port) == f"https://u:{port}/x"
        return
    with pytest.raises(UrlValueError) as caught:
        expanded("https://u:{a}/x", a=port)
    assert str(port) not in str(caught.value)


def test_a_host_that_is_too_long_is_the_callers_fault():
    with pytest.raises(UrlValueError):
        expanded("https://{a}.{a}.{a}.{a}.example.com/", a="a" * 63)


@pytest.mark.parametrize(
    "template",
    ["https://{+a}/x", "https://u{+a}", "https://{a*}.u/", "https://{a,b}/", "https://u{.a}/"],
)
def test_only_a_plain_name_may_stand_in_the_host(template: str):
    with pytest.raises(UrlTemplateError, match="stands in the host"):
        UrlTemplate(template)


def test_only_a_plain_name_may_follow_a_host_of_the_environment():
    template = UrlTemplate("{BASE}{+a}")
    with pytest.raises(UrlTemplateError, match="stands in the host"):
        template.bind(frozenset({"a"}), {"BASE": "https://u"})
    assert template.bind(frozenset({"a"}), {"BASE": "https://u/"})


@pytest.mark.parametrize("base", ["", "api.example.com", "//api", "ftp://u", "https:/u"])
def test_a_base_that_is_no_url_is_named_and_not_quoted(base: str):
    with pytest.raises(UrlTemplateError) as caught:
        UrlTemplate("{BASE}/x").bind(frozenset(), {"BASE": base})
    assert str(caught.value) == "{BASE} is no URL: expected http:// or https://"


@pytest.mark.parametrize(
    "base", ["https://", "https://u:99999", "https://u:x", "https://" + "a" * 300]
)
def test_a_host_or_port_of_the_environment_that_is_none_is_found_at_the_start(base: str):
    with pytest.raises(UrlTemplateError, match="host or port"):
        UrlTemplate("{BASE}/x").bind(frozenset(), {"BASE": base})


values = (
    st.text(alphabet=st.sampled_from("./\\;%2eE:@?#a "), max_size=8)
    | st.text(max_size=5)
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.lists(st.text(alphabet=st.sampled_from("./%a"), max_size=3), max_size=3)
)


@given(
    expression=st.sampled_from(["{a}", "{+a}", "{a:2}", "{a*}", "{.a}", "{;a}", "{?a*}", "{#a}"]),
    tail=st.sampled_from(["", "/y", "{?b}"]),
    a=values,
    b=values,
)
def test_no_value_leads_elsewhere(expression: str, tail: str, a: Any, b: Any):
    bound = UrlTemplate(f"https://u.example/x/{expression}{tail}").bind(frozenset("ab"), {})
    try:
        url = bound.expand({"a": a, "b": b})
    except UrlValueError:
        return
    text = str(url)
    assert text.startswith("https://u.example/x/")
    assert url.host == "u.example"
    path = text.removeprefix("https://u.example").partition("?")[0].partition("#")[0]
    assert not {".", ".."} & set(unquote(path).replace("\\", "/").split("/"))


def test_a_name_that_no_template_can_hold_is_percent_encoded_there():
    arguments = {"page[limit]": 5, "dry-run": True, "ids[]": ["a", "b"]}
    template = "http://a/{?page%5Blimit%5D,dry%2Drun,ids%5B%5D*,none%2Dgiven}"
    assert UrlTemplate(template).names == {*arguments, "none-given"}
    url = expanded(template, **arguments, **{"none-given": None})
    assert url == "http://a/?page%5Blimit%5D=5&dry%2Drun=true&ids%5B%5D=a&ids%5B%5D=b"
