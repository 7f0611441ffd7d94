"""The arguments of a call, from its body and path, or the problem with them."""

import contextlib
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from asyncproxy.body import _has_more_values, parse_arguments, read_body
from asyncproxy.body_budget import BodyBudget
from asyncproxy.problems import (
    BodyTooLargeError,
    MalformedJsonError,
    UnsupportedMediaTypeError,
)
from asynctasks.errors import ArgumentsInvalidError, ParametersInvalidError, Violation
from asynctasks.json_values import write_json
from asynctasks.operations.operation import Operation

JSON = {"content-type": "application/json"}
MAX_BYTES = 1_000

CREATE = Operation.model_validate({"name": "a", "route": "POST /a", "handler": "a:b"})
CHANGE = Operation.model_validate(
    {
        "name": "b",
        "route": "PATCH /b/{number}/{share}/{text}",
        "handler": "a:b",
        "arguments": {
            "type": "object",
            "properties": {
                "number": {"type": "integer"},
                "share": {"type": "number"},
                "text": {"type": "string"},
            },
        },
    }
)


class Connection:
    """An ASGI connection that gives a body in chunks and counts those that were taken."""

    def __init__(self, chunks: Iterable[bytes], *, breaks: bool = False) -> None:
        self._messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks
        ]
        self._messages.append(
            {"type": "http.disconnect"} if breaks else {"type": "http.request", "body": b""}
        )
        self.taken = 0

    async def receive(self) -> dict[str, Any]:
        self.taken += 1
        return self._messages.pop(0)


async def read_arguments_of(asked: Request, operation: Operation = CREATE) -> Any:
    with BodyBudget(MAX_BYTES).hold() as held:
        body = await read_body(asked, held, max_bytes=MAX_BYTES)
        return parse_arguments(asked, operation, body, max_values=50_000)


def request(
    connection: Connection, headers: dict[str, str], path: dict[str, str] | None = None
) -> Request:
    scope = {
        "type": "http",
        "method": "POST",
        "raw_path": "/".join(["/b", *(quote(text, "") for text in (path or {}).values())]).encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
    }
    return Request(scope, connection.receive)


async def read(
    body: bytes, headers: dict[str, str] = JSON, *, path: dict[str, str] | None = None
) -> Any:
    operation = CHANGE if path else CREATE
    asked = request(Connection([body]), headers, path)
    return await read_arguments_of(asked, operation)


async def test_the_arguments_are_the_body():
    assert await read(b'{"a": [1, 2.5, "x", null, true, {}]}') == {
        "a": [1, 2.5, "x", None, True, {}]
    }


@pytest.mark.parametrize("headers", [JSON, {}, {"content-type": "text/plain"}])
async def test_no_body_is_no_arguments_whatever_its_type(headers: dict[str, str]):
    assert await read(b"", headers) == {}


@pytest.mark.parametrize("body", [b"[]", b"null", b'"a"', b"5"])
async def test_what_is_no_object_is_left_to_the_schema(body: bytes):
    assert await read(body) == orjson.loads(body)
    path = {"number": "1", "share": "1", "text": "a"}
    assert await read(body, path=path) == orjson.loads(body)


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "Application/JSON",
        " application/json ",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        'application/json; charset="utf-8"',
        "application/json; charset=utf8; profile=x",
        "application/json; profile=x",
        "application/json;",
        "application/vnd.api+json",
        "application/merge-patch+json; charset=utf-8",
    ],
)
async def test_json_goes_by_these_names(content_type: str):
    assert await read(b'{"a": 1}', {"content-type": content_type}) == {"a": 1}


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({}, "Content-Type is missing; expected application/json."),
        ({"content-type": ""}, "Content-Type is missing; expected application/json."),
        ({"content-type": "text/json"}, "Content-Type is 'text/json'; expected application/json."),
        (
            {"content-type": "application/x-www-form-urlencoded"},
            "Content-Type is 'application/x-www-form-urlencoded'; expected application/json.",
        ),
        (
            {"content-type": "application/jsonp"},
            "Content-Type is 'application/jsonp'; expected application/json.",
        ),
        (
            {"content-type": "image/svg+json"},
            "Content-Type is 'image/svg+json'; expected application/json.",
        ),
        (
            {"content-type": "application/json; charset=latin-1"},
            "JSON is UTF-8 (RFC 8259 §8.1), not latin-1.",
        ),
        (
            {"content-type": "application/json; a=b; charset=utf-16"},
            "JSON is UTF-8 (RFC 8259 §8.1), not utf-16.",
        ),
        (JSON | {"content-encoding": "gzip"}, "Content-Encoding gzip is not read; send it plain."),
        (
            JSON | {"content-encoding": "identity, br"},
            "Content-Encoding identity, br is not read; send it plain.",
        ),
    ],
)
async def test_other_types_are_refused_and_named(headers: dict[str, str], told: str):
    with pytest.raises(UnsupportedMediaTypeError) as caught:
        await read(b'{"a": 1}', headers)
    assert str(caught.value) == told


async def test_the_identity_is_no_encoding():
    assert await read(b"{}", JSON | {"content-encoding": "Identity"}) == {}


async def test_a_body_that_says_it_is_too_large_is_not_even_read():
    connection = Connection([b"x" * 2_000])
    asked = request(connection, JSON | {"content-length": "1001"})
    with pytest.raises(BodyTooLargeError, match="larger than 1000 bytes"):
        await read_arguments_of(asked)
    assert connection.taken == 0


@pytest.mark.parametrize("length", [None, "1000", "0", "-1", "²", "many", "", "1" + "0" * 5_000])
async def test_a_body_is_read_no_further_than_the_limit_whatever_it_says(length: str | None):
    connection = Connection([b"x" * 400] * 100)
    asked = request(connection, JSON | ({"content-length": length} if length is not None else {}))
    with pytest.raises(BodyTooLargeError):
        await read_arguments_of(asked)
    assert connection.taken <= 3


async def test_a_body_of_just_the_limit_is_read():
    body = b'{"a": "' + b"x" * (MAX_BYTES - 9) + b'"}'
    assert len(body) == MAX_BYTES
    assert len((await read(body))["a"]) == MAX_BYTES - 9


async def test_a_body_may_come_byte_by_byte():
    chunks = [bytes([byte]) for byte in '{"a": "é"}'.encode()]
    asked = request(Connection(chunks), JSON)
    assert await read_arguments_of(asked) == {"a": "é"}


async def test_a_body_that_breaks_off_is_refused():
    asked = request(Connection([b'{"a": 1}'], breaks=True), JSON)
    with pytest.raises(MalformedJsonError, match="ended before the body did"):
        await read_arguments_of(asked)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "line 1, column 2"),
        (b"{\n  'a': 1}", "line 2, column 3"),
        (b" ", "line 1, column 1: input data is empty"),
        (b"{} x", "line 1, column 4: unexpected content after document"),
        (b"{}{}", "line 1, column 3: unexpected content after document"),
        (b'{"a": 1,}', "line 1, column "),
        (b"{a: 1}", "line 1, column 2"),
        (b'{"a": 01}', "line 1, column "),
        (b'{"a": NaN}', "line 1, column 7"),
        (b'{"a": Infinity}', "line 1, column 7"),
        (b'{"a": 1e999}', "line 1, column 7: number is infinity when parsed as double"),
        (b'\xef\xbb\xbf{"a": 1}', "BOM"),
        ('{"a": 1}'.encode("utf-16"), "not valid UTF-8"),
        (b'{"a": "\xff"}', "not valid UTF-8"),
        (b'{"a": "\xed\xa0\x80"}', "not valid UTF-8"),
        (b'{"a": "\\ud800"}', "no low surrogate"),
        (b'{"a": "\\udc00"}', "surrogate"),
        (b'{"a": "\n"}', "unexpected control character in string"),
        (b'{"a": "\x00"}', "unexpected control character in string"),
        (b'{"a": "\\x41"}', "escape"),
        (b"a=1&b=2", "line 1, column 1"),
        (b"<a/>", "line 1, column 1"),
        (b"[" * 1_000, "line 1, column "),
        (b"[" * 500 + b"]" * 500, "nested too deeply"),
        (b'{"a": 18446744073709551616}', "more than 64 bits"),
        (b'{"a": -9223372036854775809}', "more than 64 bits"),
        (b'{"a": [{"b": ' + b"9" * 200 + b"}]}", "more than 64 bits"),
    ],
)
async def test_what_is_no_json_is_refused_with_the_place(body: bytes, told: str):
    with pytest.raises(MalformedJsonError) as caught:
        await read(body)
    assert told in str(caught.value)


async def test_a_malformed_body_is_not_quoted():
    for body in (b'{"password": "correct horse', b'{"password": 31415926535897932384626}'):
        with pytest.raises(MalformedJsonError) as caught:
            await read(body)
        assert "correct" not in str(caught.value)
        assert "31415" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"a":1,"a":1}', '"a"'),
        (b'{ "b" : 1 , "a" : "x:y", "a":2}', '"a"'),
        (b'{"a":1,"\\u0061":2}', '"a"'),
        (b'{"a":1,"a":"\\u003A"}', '"a"'),
        (b'{"a":{"b":[{"c":1.10,"d":1,"d":{}}]}}', '"d"'),
        (b'{"' + b"n" * 99 + b'":1,"' + b"n" * 99 + b'":2}', '"' + "n" * 64 + '"'),
    ],
)
async def test_of_two_members_of_one_name_none_is_chosen(body: bytes, name: str):
    with pytest.raises(MalformedJsonError) as caught:
        await read(body)
    assert str(caught.value) == f"The member {name} stands twice in one object."


async def test_the_same_name_in_two_objects_and_colons_in_texts_are_no_repetition():
    body = b'{"a":{"a":"http:\\/\\/b:1\\u003a2"},"A":[{"a":"\\":"},{"a":1}]}'
    assert await read(body) == orjson.loads(body)


@given(number=st.integers(-(2**70), 2**70))
async def test_an_integer_is_kept_to_the_digit_or_refused(number: int):
    try:
        assert await read(b'{"a": %d}' % number) == {"a": number}
        assert -(2**63) <= number < 2**64
    except MalformedJsonError:
        assert not -(2**63) <= number < 2**64


async def test_digits_in_a_text_or_a_fraction_are_no_integer():
    body = (
        b'{"a": "18446744073709551616", "b": 18446744073709551616.5, "c": 184467440737095516160e1}'
    )
    assert await read(body) == {
        "a": "18446744073709551616",
        "b": 18446744073709551616.5,
        "c": 184467440737095516160e1,
    }


@pytest.mark.parametrize("number", ["1.10", "1e3", "1234567890123456.78", "0.123456789012345678"])
async def test_a_number_of_body_or_path_keeps_its_digits(number: str):
    arguments = await read(b'{"a": %s}' % number.encode())
    assert write_json(arguments) == b'{"a":%s}' % number.encode()
    path = {"number": "1", "share": number, "text": number}
    arguments = await read(b"", path=path)
    assert write_json(arguments["share"]).decode() == arguments["text"] == number


async def test_a_deep_body_with_a_fraction_is_refused_like_any():
    with pytest.raises(MalformedJsonError, match="nested too deeply"):
        await read(b"[" * 490 + b"1.10" + b"]" * 490)


@given(depth=st.integers(1, 400))
async def test_what_is_read_can_be_written_again(depth: int):
    try:
        arguments = await read(b"[" * depth + b"]" * depth)
    except MalformedJsonError:
        assert depth > 100
    else:
        orjson.dumps({"a": [["path", {"b": arguments}]]})


@given(body=st.binary(min_size=1, max_size=50))
async def test_any_bytes_are_read_or_refused(body: bytes):
    with contextlib.suppress(MalformedJsonError):
        await read(body)


async def test_the_path_gives_arguments_of_their_types():
    path = {"number": "12", "share": "0.5", "text": "12"}
    assert await read(b'{"a": 1}', path=path) == {"a": 1, "number": 12, "share": 0.5, "text": "12"}
    assert await read(b"", {}, path=path) == {"number": 12, "share": 0.5, "text": "12"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "1a",
        "null",
        "true",
        '"1"',
        "[1]",
        "{}",
        "0x1",
        "1_0",
        "NaN",
        "1e999",
        "é",
        "9" * 30,
    ],
)
async def test_a_path_that_is_no_number_is_left_to_the_schema(text: str):
    arguments = await read(b"", path={"number": text, "share": "1", "text": text})
    assert (arguments["number"], arguments["text"]) == (text, text)
    with pytest.raises(ArgumentsInvalidError):
        CHANGE.schema.check(arguments)


@pytest.mark.parametrize("raw", [b"/b/12/1/%ff", b"/b/12/1/%C3", b"/b/12/1/a%80b/"])
async def test_a_path_that_is_no_utf_8_is_refused_and_says_which_argument(raw: bytes):
    asked = request(Connection([]), {}, path={"number": "12", "share": "1", "text": "\ufffd"})
    asked.scope["raw_path"] = raw
    with pytest.raises(ParametersInvalidError, match=r"^text: is not UTF-8$"):
        await read_arguments_of(asked, CHANGE)


async def test_a_path_may_hold_the_replacement_character_itself():
    asked = request(Connection([]), {}, path={"number": "12", "share": "1", "text": "\ufffd"})
    asked.scope["raw_path"] = b"/b/12/1/%EF%BF%BD"
    assert (await read_arguments_of(asked, CHANGE))["text"] == "\ufffd"


async def test_an_argument_of_the_path_may_not_stand_in_the_body():
    path = {"number": "12", "share": "1", "text": "a"}
    with pytest.raises(ArgumentsInvalidError) as caught:
        await read(b'{"number": 12, "text": "b"}', path=path)
    assert caught.value.violations == [
        Violation("/number", "is given in the path, not in the body"),
        Violation("/text", "is given in the path, not in the body"),
    ]


@pytest.mark.parametrize(
    ("body", "values"),
    [
        (b'{"a":[1,2,{"b":"c"}]}', 6),
        (b'{"a":",[{\\",[{","b":"\\\\"}', 3),
        (b'[",,,,,,"]', 2),
        (b'{"a":{"b":[true]}}', 4),
    ],
)
def test_the_values_of_a_body_are_counted_without_what_stands_in_texts(body: bytes, values: int):
    assert not _has_more_values(body, values)
    assert _has_more_values(body, values - 1)


def test_a_body_of_too_many_values_is_refused_before_it_is_read():
    body = b'{"a":[' + b"1," * 50 + b"oops"
    with pytest.raises(BodyTooLargeError, match="more than 50 values"):
        parse_arguments(request(Connection([]), JSON), CREATE, body, max_values=50)
