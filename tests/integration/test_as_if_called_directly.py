"""A table of exchanges: each made with the upstream directly, and through the door in three ways.

In the window, from the task's `/response`, and on replay of its key the caller gets the status, the
bytes and the headers that the upstream gave. A row more is an `Exchange` more; what it calls is
one of `OPERATIONS`, served by the upstream under the same method and path.
"""

import asyncio
import gzip
import hashlib
import zlib
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from uuid import uuid4

import httpx

from asynctasks.operations.response_headers import KEPT_BY_DEFAULT
from asynctestkit.calls import caller
from asynctestkit.inside import inside, operation
from asynctestkit.scripted_upstream import request_on, serving

COMPARED = KEPT_BY_DEFAULT | {"content-type", "x-report-version"}
ARGUMENTS = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "page": {"type": "array"}},
}
OPERATIONS = [
    operation(
        f"{method.lower()}-thing",
        route=f"{method} /things/{{name}}",
        parameters=[{"name": "page", "in": "query"}],
        arguments=ARGUMENTS,
        upstream={
            "method": method,
            "url": "{UPSTREAM}/things/{name}{?page*}",
            "forwardHeaders": ["If-None-Match", "Range"],
            "responseHeaders": ["X-Report-Version"],
        },
        retry={"maxAttempts": 1},
    )
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
] + [
    operation(
        "send-anything",
        route="POST /anything/{name}",
        arguments={"type": "object", "properties": {"name": {"type": "string"}}},
        body={"contentTypes": ["*/*"], "maxBytes": 60_000_000},
        upstream={"url": "{UPSTREAM}/anything/{name}", "maxResponseBytes": 60_000_000},
        retry={"maxAttempts": 1},
    )
]
PACKED = b'{"packed": true}' * 50


@dataclass(frozen=True)
class Exchange:
    """One call and what the upstream answers to it, byte by byte."""

    status: str = "200 OK"
    headers: tuple[bytes, ...] = ()
    body: bytes = b'{"ok": true}'
    method: str = "POST"
    sent: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    content: bytes = b"{}"
    is_chunked: bool = False
    query: str = ""
    path: str = "things"

    def answer(self, head: bytes, content: bytes) -> bytes:
        """What it answers to a request: of one that takes anything, what it was sent, too."""
        if self.path == "things":
            return self._answer
        described = [
            line
            for line in head.splitlines()
            if line.lower().startswith((b"content-type:", b"content-encoding:"))
        ]
        etag = hashlib.sha256(b"".join(sorted(described)).lower() + content).hexdigest()
        return replace(self, headers=(*self.headers, f'ETag: "{etag}"'.encode()))._answer

    @property
    def _answer(self) -> bytes:
        head = [f"HTTP/1.1 {self.status}".encode(), b"Server: upstream", *self.headers]
        if self.status[:3] in {"204", "304"}:
            return b"\r\n".join([*head, b"", b""])
        if self.is_chunked:
            chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(self.body), self.body)
            return b"\r\n".join([*head, b"Transfer-Encoding: chunked", b"", chunks])
        return b"\r\n".join([*head, b"Content-Length: %d" % len(self.body), b"", self.body])


def read(
    status: str = "200 OK",
    headers: tuple[bytes, ...] = (),
    body: bytes = b'{"ok": true}',
    *,
    method: str = "GET",
    sent: dict[str, str] | None = None,
    query: str = "",
) -> Exchange:
    """One whose call has no body."""
    return Exchange(status, headers, body, method=method, sent=sent or {}, content=b"", query=query)


def sending(content: bytes, content_type: str, **headers: str) -> Exchange:
    """A call with this body, whose answer depends on all that came."""
    sent = {"Content-Type": content_type, **headers}
    return Exchange(path="anything", content=content, sent=sent, headers=(JSON,))


JSON = b"Content-Type: application/json"
EXCHANGES = {
    # Statuses.
    **{
        status: Exchange(status, (JSON,))
        for status in (
            "200 OK",
            "201 Created",
            "202 Accepted",
            "203 Non-Authoritative Information",
            "207 Multi-Status",
            "226 IM Used",
            "299 Own",
            "400 Bad Request",
            "402 Payment Required",
            "403 Forbidden",
            "404 Not Found",
            "406 Not Acceptable",
            "410 Gone",
            "412 Precondition Failed",
            "418 I am a teapot",
            "422 Unprocessable Content",
            "423 Locked",
            "451 Unavailable For Legal Reasons",
            "499 Own",
        )
    },
    "401 and several challenges": Exchange(
        "401 Unauthorized",
        (b'WWW-Authenticate: Bearer realm="a", error="x"', b"WWW-Authenticate: Basic"),
    ),
    "405 and what is allowed": Exchange("405 Method Not Allowed", (b"Allow: GET, HEAD",), b""),
    "416": Exchange("416 Range Not Satisfiable", (b"Content-Range: bytes */9",), b""),
    "429 of the upstream": Exchange("429 Too Many Requests", (b"Retry-After: 7",)),
    "a date to come back": Exchange(
        "409 Conflict", (b"Retry-After: Fri, 31 Dec 2027 23:59:59 GMT",)
    ),
    # Elsewhere.
    **{
        status: Exchange(status, (b"Location: https://u.example/elsewhere?a=%20#b",))
        for status in (
            "300 Multiple Choices",
            "301 Moved Permanently",
            "302 Found",
            "303 See Other",
            "307 Temporary Redirect",
            "308 Permanent Redirect",
        )
    },
    # Nothing to read.
    "204": Exchange("204 No Content", body=b""),
    "204 with headers": Exchange(
        "204 No Content", (b'ETag: "7"', b"Location: https://u.example/7"), b""
    ),
    "205": Exchange("205 Reset Content", (b'ETag: "8"',), b""),
    "304": Exchange("304 Not Modified", (b'ETag: "9"', b"Cache-Control: max-age=5"), b""),
    "an empty 200": Exchange(headers=(b"Content-Type: text/plain",), body=b""),
    "an empty 404": Exchange("404 Not Found", (b"Content-Type: text/plain",), b""),
    # Headers.
    "the address of what was created": Exchange(
        "201 Created",
        (b"Location: https://u.example/clients/7", b"Content-Location: https://u.example/c/7"),
    ),
    "links": Exchange(
        headers=(b'Link: <https://u.example/?p=2>; rel="next"', b"Link: <https://u.example/>")
    ),
    "a strong ETag": Exchange(headers=(b'ETag: "33a64df5"',)),
    "a weak ETag": Exchange(headers=(b'ETag: W/"0815"', b"Vary: Accept, Accept-Language")),
    "one that may be kept": Exchange(
        headers=(
            b"Cache-Control: private, max-age=60",
            b"Expires: Fri, 31 Dec 2027 23:59:59 GMT",
            b"Last-Modified: Fri, 31 Jan 2025 23:59:59 GMT",
        )
    ),
    "one that may not be kept": Exchange(headers=(b"Cache-Control: no-cache, no-store",)),
    "a file to save": Exchange(
        headers=(
            b"Content-Type: application/pdf",
            b"Content-Disposition: attachment; filename=\"r.pdf\"; filename*=UTF-8''%e2%82%ac.pdf",
        ),
        body=b"%PDF-1.7\n\xff\x00",
    ),
    "a name in Latin-1": Exchange(
        headers=(b'Content-Disposition: attachment; filename="Gr\xfc\xdfe.txt"',)
    ),
    "a name in UTF-8": Exchange(
        headers=('Content-Disposition: attachment; filename="Grüße€.txt"'.encode(),)
    ),
    "a language": Exchange(headers=(b"Content-Language: de-DE, en-CA",)),
    "an end to come": Exchange(
        headers=(b"Deprecation: @1688169599", b"Sunset: Sun, 30 Jun 2030 23:59:59 GMT")
    ),
    "ranges are served": Exchange(headers=(b"Accept-Ranges: bytes",)),
    "a range": Exchange(
        "206 Partial Content",
        (b"Content-Range: bytes 0-3/9", b"Content-Type: text/plain"),
        b"abcd",
    ),
    "a header of the operation": Exchange(headers=(b"X-Report-Version: 4", b"x-report-version: 5")),
    "an empty header": Exchange(headers=(b"X-Report-Version:",)),
    "blanks around a value": Exchange(headers=(b"Content-Language: \t de \t",)),
    # Types and bytes.
    "text": Exchange(headers=(b"Content-Type: text/plain; charset=utf-8",), body="Grüße".encode()),
    "Latin-1": Exchange(
        headers=(b"Content-Type: text/plain; charset=iso-8859-1",), body="Grüße".encode("latin-1")
    ),
    "HTML": Exchange(headers=(b"Content-Type: text/html",), body=b"<h1>&amp;</h1>\r\n"),
    "XML": Exchange(headers=(b"Content-Type: application/xml",), body=b"<?xml version='1.0'?><a/>"),
    "CSV": Exchange(headers=(b"Content-Type: text/csv; header=present",), body=b"a;b\r\n1;2\r\n"),
    "bytes": Exchange(
        headers=(b"Content-Type: application/octet-stream",), body=bytes(range(256)) * 10
    ),
    "JSON, as it was written": Exchange(
        headers=(JSON,), body=b'{ "a":1.10,\r\n\t"a": 12345678901234567890.0, "\\u00e9": null }\n'
    ),
    "a problem": Exchange(
        "422 Unprocessable Content",
        (b"Content-Type: application/problem+json",),
        b'{"type":"about:blank"}',
    ),
    "no JSON, whatever it is called": Exchange(headers=(JSON,), body=b"{oh"),
    "in chunks": Exchange(headers=(JSON,), is_chunked=True),
    "more than travels by the broker": Exchange(
        headers=(b'ETag: "large"', b"Content-Type: text/plain"), body=b"0123456789" * 20_000
    ),
    # Packed, though nobody asked for that.
    "gzip": Exchange(
        headers=(JSON, b"Content-Encoding: gzip", b'ETag: "packed"'), body=gzip.compress(PACKED)
    ),
    "deflate": Exchange(headers=(JSON, b"Content-Encoding: deflate"), body=zlib.compress(PACKED)),
    "an encoding that nobody knows": Exchange(headers=(b"Content-Encoding: own",), body=b"\x01ok"),
    "called gzip": Exchange(headers=(b"Content-Encoding: gzip",), body=b"but is none"),
    # Methods.
    "PUT": Exchange("200 OK", (b'ETag: "put"',), method="PUT"),
    "PATCH": Exchange("200 OK", (b'ETag: "patched"',), method="PATCH"),
    "DELETE": Exchange("204 No Content", body=b"", method="DELETE"),
    "GET": read(headers=(JSON, b'ETag: "got"', b"Vary: Accept")),
    "GET with a query": read(headers=(JSON,), query="?page=1&page=a%20b"),
    "GET that has not changed": read(
        "304 Not Modified", (b'ETag: "9"',), b"", sent={"If-None-Match": '"9"'}
    ),
    "GET of a range": read(
        "206 Partial Content",
        (b"Content-Range: bytes 0-3/9", b"Content-Type: text/plain"),
        b"abcd",
        sent={"Range": "bytes=0-3"},
    ),
    "GET of nothing": read("404 Not Found", (JSON,)),
    "HEAD": read(headers=(JSON, b'ETag: "head"'), method="HEAD"),
    "HEAD of nothing": read("404 Not Found", (JSON,), method="HEAD"),
    "DELETE with an answer": Exchange("200 OK", (JSON,), method="DELETE"),
    # Bodies of callers, of any type and size.
    "a PDF": sending(b"%PDF-1.7\n\xff\x00", "application/pdf"),
    "a form": sending(b"a=1&b=%C3%BC", "application/x-www-form-urlencoded"),
    "a form with a file": sending(
        b'--x\r\nContent-Disposition: form-data; name="f"\r\n\r\n\x00\r\n--x--\r\n',
        'multipart/form-data; boundary="x"',
    ),
    "a packed body": sending(gzip.compress(PACKED), "text/plain", **{"Content-Encoding": "gzip"}),
    "an empty body": sending(b"", "text/plain"),
    "10 MB up": sending(bytes(range(250)) * 40_000, "application/octet-stream"),
    "50 MB down": replace(sending(b"%PDF", "application/pdf"), body=bytes(range(250)) * 200_000),
    "10 MB that were not found": replace(
        sending(b"%PDF", "application/pdf"), status="404 Not Found", body=b"<p>" * 3_333_333
    ),
}


@asynccontextmanager
async def answering(exchanges: dict[str, Exchange]) -> AsyncGenerator[str]:
    """An upstream that answers each call by the exchange whose number its path ends in."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, _, content = (await request_on(reader)).partition(b"\r\n\r\n")
            method, target, _ = head.split(b" ", 2)
            number, _, query = target.decode().rpartition("/")[2].partition("?")
            exchange = exchanges[number]
            assert exchange.query.removeprefix("?") == query
            whole = exchange.answer(head + b"\r\n\r\n", content)
            no_body = whole.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            writer.write(no_body if method == b"HEAD" else whole)
            await writer.drain()

    async with serving(serve) as port:
        yield f"http://127.0.0.1:{port}"


@dataclass(frozen=True)
class Got:
    """What a caller has of an answer."""

    status: int
    headers: dict[str, list[bytes]]
    body: bytes


async def got(client: httpx.AsyncClient, request: httpx.Request) -> tuple[Got, httpx.Response]:
    answer = await client.send(request, stream=True)
    body = b"".join([chunk async for chunk in answer.aiter_raw()])
    headers: dict[str, list[bytes]] = {}
    for name, value in answer.headers.raw:
        headers.setdefault(name.decode().lower(), []).append(value)
    compared = {name: headers[name] for name in sorted(COMPARED & set(headers))}
    if answer.status_code in {204, 205, 304}:
        compared.pop("content-type", None)
    else:
        # RFC 9110 §8.3: what is not said may be taken for this.
        compared.setdefault("content-type", [b"application/octet-stream"])
    await answer.aclose()
    return Got(answer.status_code, compared, body), answer


def without_storing(response: Got) -> Got:
    """A task's answer where its upstream does not say how long it may be cached."""
    headers = dict(response.headers)
    if headers.get("cache-control") == [b"no-store"]:
        del headers["cache-control"]
    return Got(response.status, headers, response.body)


async def differences(
    number: str, exchange: Exchange, *, upstream: httpx.AsyncClient, door: httpx.AsyncClient
) -> dict[str, tuple[Got, Got]]:
    """In which of the ways through the door a caller has something else than directly."""
    path = f"/{exchange.path}/{number}{exchange.query}"

    def call(client: httpx.AsyncClient, **headers: str) -> httpx.Request:
        sent = {**exchange.sent, **headers}
        return client.build_request(exchange.method, path, headers=sent, content=exchange.content)

    direct, _ = await got(upstream, call(upstream))
    key = {"Idempotency-Key": str(uuid4())}
    in_window, answer = await got(door, call(door, **key))
    task_id = answer.headers["task-id"]
    response, _ = await got(door, door.build_request("GET", f"/tasks/{task_id}/response"))
    if "cache-control" not in direct.headers:
        response = without_storing(response)
    replayed, repeat = await got(door, call(door, **key))
    assert repeat.headers["idempotency-replayed"] == "true"
    assert repeat.headers["task-id"] == task_id
    ways = {"in the window": in_window, "from /response": response, "on replay": replayed}
    return {way: (direct, told) for way, told in ways.items() if told != direct}


async def test_through_the_door_an_answer_is_what_it_is_directly(
    postgresql_url: str, amqp_url: str, queue_prefix: str
):
    numbered = {str(number): each for number, each in enumerate(EXCHANGES.values())}
    assert len(numbered) >= 60
    settings = {
        "database_url": postgresql_url,
        "broker_url": amqp_url,
        "broker_prefix": queue_prefix,
    }
    async with answering(numbered) as url, inside(*OPERATIONS, **settings) as installation:
        installation.upstream.url = url
        proxy = await installation.proxy()
        await installation.executor()
        door = await installation.client(proxy)
        async with caller(url) as upstream:
            faults = {
                name: await differences(number, exchange, upstream=upstream, door=door)
                for (name, exchange), number in zip(EXCHANGES.items(), numbered, strict=True)
            }
    assert {name: fault for name, fault in faults.items() if fault} == {}
