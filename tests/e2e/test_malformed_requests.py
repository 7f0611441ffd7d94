"""Requests that no well-meaning caller sends: each is told what is wrong, and none is our fault.

They go over a bare socket, because an HTTP client would refuse to send half of them.
"""

import json
import socket
from collections.abc import AsyncIterator
from http.client import HTTPResponse
from typing import Any, NamedTuple

import httpx
import pytest

from asynctestkit.calls import PROBLEMS, caller, create_client, new_email
from asynctestkit.processes import Keep, Service, up_service

JSON = (("Content-Type", "application/json"),)
UNKNOWN_ID = "01a20d35-8b26-712a-ada4-0c16dea48184"
MEBIBYTE = 1_048_576

Headers = tuple[tuple[str, str], ...]


class Case(NamedTuple):
    """What is sent, and what must come of it."""

    name: str
    request: bytes
    status: int
    type: str | None
    """The problem's type; None where uvicorn itself answers, before there is a request."""
    said: str = ""
    """A part of the problem document, as it travels."""


def sent(
    method: str, target: str, headers: Headers = (), body: bytes = b"", *, length: bool = True
) -> bytes:
    """A request as bytes; the headers come as they are given."""
    lines = [f"{method} {target} HTTP/1.1", "Host: proxy", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers]
    if length and body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def posted(body: bytes | str, headers: Headers = JSON) -> bytes:
    return sent("POST", "/clients/", headers, body.encode() if isinstance(body, str) else body)


def with_arguments(**arguments: Any) -> bytes:
    return posted(json.dumps({"email": "a@example.com", "name": "Ann", **arguments}))


def without_argument(*names: str) -> bytes:
    arguments = {"email": "a@example.com", "name": "Ann"}
    return posted(json.dumps({key: arguments[key] for key in arguments if key not in names}))


def chunked(*chunks: bytes) -> bytes:
    head = sent("POST", "/clients", (*JSON, ("Transfer-Encoding", "chunked")))
    return head + b"".join(chunks)


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def asked(path: str, headers: Headers = ()) -> bytes:
    return sent("GET", path, headers)


VALID = b'{"email": "a@example.com", "name": "Ann"}'
MALFORMED, INVALID = f"{PROBLEMS}malformed-json", f"{PROBLEMS}arguments-invalid"
MEDIA_TYPE, TOO_LARGE = f"{PROBLEMS}unsupported-media-type", f"{PROBLEMS}body-too-large"
NOT_FOUND, HEADER = f"{PROBLEMS}task-not-found", f"{PROBLEMS}header-invalid"
PARAMETERS = f"{PROBLEMS}parameters-invalid"
PLAIN = "about:blank"

NOT_JSON = [
    Case("cut object", posted('{"email": '), 400, MALFORMED, "line 1"),
    Case("a word", posted("hello"), 400, MALFORMED, "column 1"),
    Case("trailing comma", posted('{"email": "a@example.com",}'), 400, MALFORMED),
    Case("single quotes", posted("{'email': 'a@example.com'}"), 400, MALFORMED),
    Case("two documents", posted(VALID + VALID), 400, MALFORMED),
    Case("only spaces", posted("   "), 400, MALFORMED),
    Case("comment", posted("{} // no"), 400, MALFORMED),
    Case("error in line 3", posted('{\n"a": 1,\n"b": x}'), 400, MALFORMED, "line 3"),
    Case("not a number", posted('{"age": NaN}'), 400, MALFORMED),
    Case("infinity", posted('{"age": -Infinity}'), 400, MALFORMED),
    Case("number with a leading zero", posted('{"age": 01}'), 400, MALFORMED),
    Case("number of 400 digits", with_arguments(age=10**400), 400, MALFORMED, "infinity"),
    Case("1e400", posted('{"age": 1e400}'), 400, MALFORMED, "infinity"),
    Case("number of 30 digits", with_arguments(age=10**30), 400, MALFORMED, "64 bits"),
    Case("invalid UTF-8", posted(b'{"name": "\xff\xfe"}'), 400, MALFORMED),
    Case("cut UTF-8", posted(b'{"name": "\xe2\x82"}'), 400, MALFORMED),
    Case("UTF-16", posted(VALID.decode().encode("utf-16")), 400, MALFORMED),
    Case("byte order mark", posted(b"\xef\xbb\xbf" + VALID), 400, MALFORMED),
    Case("surrogate in UTF-8", posted(b'{"name": "\xed\xa0\x80"}'), 400, MALFORMED),
    Case("lone surrogate escape", posted(r'{"name": "\ud800"}'), 400, MALFORMED),
    Case("bare control character", posted(b'{"name": "a\x01b"}'), 400, MALFORMED),
    Case("bare NUL", posted(b'{"name": "a\x00b"}'), 400, MALFORMED),
    Case("19,000 open brackets", posted("[" * 19_000), 400, MALFORMED),
    Case("19,000 nested objects", posted('{"a":' * 19_000 + "1" + "}" * 19_000), 400, MALFORMED),
    Case("200,000 open brackets", posted("[" * 200_000), 413, TOO_LARGE, "values"),
]
NOT_THE_ARGUMENTS = [
    Case("no body", posted(b"", ()), 422, INVALID, '"pointer":""'),
    Case("array", posted("[]"), 422, INVALID, "object"),
    Case("string", posted('"ann"'), 422, INVALID, "object"),
    Case("null", posted("null"), 422, INVALID, "object"),
    Case("number", posted("1e3"), 422, INVALID, "object"),
    Case("empty object", posted("{}"), 422, INVALID, "email"),
    Case("one missing", without_argument("name"), 422, INVALID, "name"),
    Case("one too many", with_arguments(admin=True), 422, INVALID, "admin"),
    Case("email is a number", with_arguments(email=1), 422, INVALID, '"pointer":"/email"'),
    Case("email is null", with_arguments(email=None), 422, INVALID, '"pointer":"/email"'),
    Case("email is no email", with_arguments(email="ann"), 422, INVALID, '"pointer":"/email"'),
    Case("email too long", with_arguments(email=f"{'a' * 250}@x.org"), 422, INVALID, "/email"),
    Case("name is empty", with_arguments(name=""), 422, INVALID, '"pointer":"/name"'),
    Case("name too long", with_arguments(name="x" * 33), 422, INVALID, '"pointer":"/name"'),
    Case("name is an object", with_arguments(name={}), 422, INVALID, '"pointer":"/name"'),
    Case("short password", with_arguments(password="short"), 422, INVALID, "/password"),
    Case("age is text", with_arguments(age="7"), 422, INVALID, '"pointer":"/age"'),
    Case("age is a fraction", with_arguments(age=7.5), 422, INVALID, '"pointer":"/age"'),
    Case("age is true", with_arguments(age=True), 422, INVALID, '"pointer":"/age"'),
    Case("age above int64", with_arguments(age=2**63), 422, INVALID, '"pointer":"/age"'),
    Case("key with a slash", posted('{"a/b~c": 1}'), 422, INVALID, "email"),
    Case(
        "path argument is text",
        sent("PATCH", "/clients/ann", JSON, b'{"name": "x"}'),
        422,
        PARAMETERS,
        "clientNumber",
    ),
    Case(
        "path argument below its minimum",
        sent("PATCH", "/clients/0", JSON, b'{"name": "x"}'),
        422,
        PARAMETERS,
        "clientNumber",
    ),
    Case(
        "path argument given twice",
        sent("PATCH", "/clients/1", JSON, b'{"name": "x", "clientNumber": 1}'),
        422,
        INVALID,
        "/clientNumber",
    ),
]
NOT_A_BODY_WE_READ = [
    Case("no content type", posted(VALID, ()), 415, MEDIA_TYPE, "missing"),
    Case("empty content type", posted(VALID, (("Content-Type", ""),)), 415, MEDIA_TYPE),
    Case(
        "form",
        posted("a=b", (("Content-Type", "application/x-www-form-urlencoded"),)),
        415,
        MEDIA_TYPE,
        "x-www-form-urlencoded",
    ),
    Case("text", posted(VALID, (("Content-Type", "text/plain"),)), 415, MEDIA_TYPE, "text/plain"),
    Case("nonsense type", posted(VALID, (("Content-Type", ";;;///"),)), 415, MEDIA_TYPE),
    Case(
        "latin-1",
        posted(VALID, (("Content-Type", "application/json; charset=latin-1"),)),
        415,
        MEDIA_TYPE,
        "latin-1",
    ),
    Case(
        "latin-1 second",
        posted(VALID, (("Content-Type", "application/json; a=b; charset=latin-1"),)),
        415,
        MEDIA_TYPE,
        "latin-1",
    ),
    Case(
        "gzip",
        posted(b"\x1f\x8b\x08", (*JSON, ("Content-Encoding", "gzip"))),
        415,
        MEDIA_TYPE,
        "gzip",
    ),
    Case("too large", posted(b" " * (MEBIBYTE + 1)), 413, TOO_LARGE, str(MEBIBYTE)),
    Case(
        "said to be too large",
        sent("POST", "/clients", (*JSON, ("Content-Length", "9" * 15))),
        413,
        TOO_LARGE,
        str(MEBIBYTE),
    ),
    Case(
        "too large in chunks",
        chunked(*[chunk(b" " * 65_536)] * 17, chunk(b"")),
        413,
        TOO_LARGE,
        str(MEBIBYTE),
    ),
]
NOWHERE = [
    Case("unknown path", asked("/nowhere"), 404, PLAIN, "/nowhere"),
    Case("unknown path with quotes", asked("/\"%22'<script>"), 404, PLAIN),
    Case("path that climbs", asked("/tasks/../../etc/passwd"), 404, PLAIN),
    Case("encoded path that climbs", asked("/swagger/..%2f..%2fapp.py"), 404, PLAIN),
    Case("invalid percent-encoding", asked("/%zz%"), 404, PLAIN),
    Case("encoded NUL", asked("/swagger/%00"), 404, PLAIN),
    Case("encoded invalid UTF-8", asked("/%ff%fe"), 404, PLAIN),
    Case("double slash", asked("//clients"), 404, PLAIN),
    Case("other case", sent("POST", "/Clients", JSON, VALID), 404, PLAIN),
    Case("absolute form", sent("POST", "http://elsewhere/clients", JSON, b"{}"), 422, INVALID),
    Case("asterisk form", sent("OPTIONS", "*"), 404, PLAIN),
    Case("GET of an operation", asked("/clients"), 405, PLAIN, "GET"),
    Case("HEAD of an operation", sent("HEAD", "/clients"), 405, None),
    Case("TRACE", sent("TRACE", "/clients"), 405, PLAIN, "TRACE"),
    Case("PUT of a task", sent("PUT", f"/tasks/{UNKNOWN_ID}", JSON, VALID), 405, PLAIN),
    Case("POST of ping", sent("POST", "/ping"), 405, PLAIN),
]
NO_TASK = [
    Case("unknown id", asked(f"/tasks/{UNKNOWN_ID}"), 404, NOT_FOUND, UNKNOWN_ID),
    Case("unknown id by the alias", asked(f"/task/{UNKNOWN_ID}"), 404, NOT_FOUND, UNKNOWN_ID),
    Case("response of an unknown id", asked(f"/tasks/{UNKNOWN_ID}/response"), 404, NOT_FOUND),
    Case("id is a word", asked("/tasks/none"), 404, NOT_FOUND, "none"),
    Case("id is a number", asked("/tasks/1"), 404, NOT_FOUND),
    Case("id cut", asked(f"/tasks/{UNKNOWN_ID[:-1]}"), 404, NOT_FOUND),
    Case("id with a NUL", asked("/tasks/%00"), 404, NOT_FOUND),
    Case("id of SQL", asked("/tasks/'%20OR%20'1'='1"), 404, NOT_FOUND),
    Case("id in other digits", asked("/tasks/%D9%A1" + "0" * 31), 404, NOT_FOUND),
    Case("id of 5,000 characters", asked(f"/tasks/{'a' * 5_000}"), 404, NOT_FOUND),
    Case(
        "weird If-None-Match",
        asked(f"/tasks/{UNKNOWN_ID}", (("If-None-Match", '",W/\xff'),)),
        404,
        NOT_FOUND,
    ),
    Case(
        "weird Prefer",
        sent("POST", "/clients", (*JSON, ("Prefer", "wait=x;;,=,\xff, wait=-1, wait=1e9")), b"{}"),
        422,
        INVALID,
    ),
    Case("page size is a word", asked("/tasks?page_size=many"), 422, PARAMETERS, "page_size"),
    Case("page size of 0", asked("/tasks?page_size=0"), 422, PARAMETERS, "page_size"),
    Case("label of no value", asked("/tasks?label=a"), 422, PARAMETERS, "such as team=a"),
    Case("operation with a NUL", asked("/tasks?operation=%00"), 422, PARAMETERS, "create-client"),
    Case("unknown status", asked("/tasks?status=lost"), 422, PARAMETERS, "status"),
    Case("unknown view", asked("/tasks?view=wide"), 422, PARAMETERS, "'summary' or 'full'"),
    Case("unreadable page token", asked("/tasks?page_token=%00"), 422, PARAMETERS, "page_token"),
    Case(
        "unreadable instant",
        asked("/tasks?created_after=yesterday"),
        422,
        PARAMETERS,
        '"created_after: expected RFC 3339',
    ),
]
UNREADABLE = [
    # uvicorn answers these in plain text: there is no request that our code could be asked.
    Case("no HTTP", b"hello\r\n\r\n", 400, None),
    Case("no Host", b"GET /ping HTTP/1.1\r\n\r\n", 400, None),
    Case("two Hosts", asked("/ping", (("Host", "proxy"),)), 400, None),
    Case("unknown method", sent("BREW", "/clients"), 400, None),
    Case("CONNECT", sent("CONNECT", "elsewhere:443"), 400, None),
    Case("HTTP/9.9", b"GET /ping HTTP/9.9\r\nHost: proxy\r\n\r\n", 400, None),
    Case(
        "header without a colon", b"GET /ping HTTP/1.1\r\nHost: proxy\r\nbroken\r\n\r\n", 400, None
    ),
    Case("header with a NUL", asked("/ping", (("X-A", "a\0b"),)), 400, None),
    Case("space before the colon", asked("/ping", (("X-A ", "b"),)), 400, None),
    Case("space in the target", asked("/a b"), 400, None),
    Case(
        "Content-Length is a word",
        sent("POST", "/clients", (*JSON, ("Content-Length", "many"))),
        400,
        None,
    ),
    Case(
        "Content-Length is negative",
        sent("POST", "/clients", (*JSON, ("Content-Length", "-1"))),
        400,
        None,
    ),
    Case(
        "two Content-Lengths",
        sent(
            "POST",
            "/clients",
            (*JSON, ("Content-Length", "1"), ("Content-Length", "2")),
            b"{}",
            length=False,
        ),
        400,
        None,
    ),
    Case(
        "Content-Length and chunks",
        sent(
            "POST",
            "/clients",
            (*JSON, ("Content-Length", "2"), ("Transfer-Encoding", "chunked")),
            b"0\r\n\r\n",
            length=False,
        ),
        400,
        None,
    ),
    Case("chunk size is a word", chunked(b"zz\r\nab\r\n"), 400, None),
    Case("chunk longer than its size", chunked(b"1\r\nabc\r\n0\r\n\r\n"), 400, None),
]
CASES = NOT_JSON + NOT_THE_ARGUMENTS + NOT_A_BODY_WE_READ + NOWHERE + NO_TASK + UNREADABLE


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, keep_in_module: Keep) -> Service:
    return keep_in_module(up_service(tmp_path_factory.mktemp("up"))).start()


@pytest.fixture
async def client(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    async with caller(service.url) as client:
        yield client


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_a_malformed_request_is_told_what_is_wrong(service: Service, case: Case):
    answer, body = _answer(service, case.request)

    assert answer.status == case.status, body
    if case.type is not None:
        assert answer.headers["content-type"] == "application/problem+json"
        document = json.loads(body)
        assert document["type"] == case.type
        assert document["status"] == case.status
        assert document["title"]
        assert document["detail"]
        assert case.said in body.decode()


def _answer(service: Service, request: bytes) -> tuple[HTTPResponse, bytes]:
    host, port = service.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        answer = HTTPResponse(connection, method=request.split(b" ", 1)[0].decode())
        answer.begin()
        return answer, answer.read()


@pytest.mark.parametrize(
    "head",
    [asked("/" + "a" * 500_000), asked("/ping", (("X-A", "a" * 500_000),))],
    ids=["target", "header"],
)
def test_a_head_of_half_a_megabyte_is_refused(service: Service, head: bytes):
    assert _answer(service, head)[0].status == 431


async def test_after_all_that_the_service_works_and_has_logged_no_fault(
    client: httpx.AsyncClient, service: Service
):
    assert service.is_running
    assert (await client.get("/ping")).status_code == 200
    assert (await create_client(client, new_email())).status_code == 201
    assert service.faults == []
