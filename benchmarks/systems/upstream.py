"""The Customer API of all systems: as little work as an HTTP answer needs.

`python upstream.py PORT`. It answers 201 with the client, after N seconds where the email holds
`slow+N`, after half to one and a half of them where it holds `spread+N`, and with five headers more
where the path ends with `headers`. The demo Customer API
stores its clients and would take the CPU that is measured.
"""

import asyncio
import random
import re
import sys
from typing import cast

import orjson
import uvloop

SLOW = re.compile(rb"(slow|spread)\+([0-9.]+[0-9])")
LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
HEAD = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
HEADERS = b"""etag: "33a64df551425fcc55e4d42a148795d9f25f89d4"\r
last-modified: Tue, 24 Nov 2026 10:54:58 GMT\r
cache-control: private, max-age=60\r
x-request-id: 7d3c9a52-6f0b-4f0e-9a40-2b1c5e8d7f31\r
x-report-version: 17\r
content-length"""
WITH_HEADERS = HEAD.replace(b"content-length", HEADERS)


class Upstream(asyncio.Protocol):
    """One connection, kept alive; a client sends its next request after the answer."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it for the answers."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer when the request is complete."""
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if not separator or len(body) < (int(length[1]) if length else 0):
            return
        self._received = b""
        slow = SLOW.search(body)
        if slow:
            share = 1 if slow[1] == b"slow" else random.uniform(0.5, 1.5)  # noqa: S311 - spreads load
            asyncio.get_running_loop().call_later(share * float(slow[2]), self._answer, head, body)
        else:
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        new = orjson.loads(body) if body else {"email": "", "name": ""}
        client = orjson.dumps({"id": "c-1", "email": new["email"], "name": new["name"]})
        if not self._transport.is_closing():
            answer = WITH_HEADERS if b"headers HTTP/1.1" in head else HEAD
            self._transport.write(answer % (len(client), client))


async def main(port: int) -> None:
    """Serve until ended."""
    server = await asyncio.get_running_loop().create_server(
        Upstream, "127.0.0.1", port, backlog=2048
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
