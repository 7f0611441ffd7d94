#!/usr/bin/env bash
# uvicorn with httptools: a POST that offers an upgrade to h2c, as Java's HttpClient does by default
# (`Connection: Upgrade, HTTP2-Settings`), is served as an HTTP/1.1 request with an empty body, though
# its Content-Length says otherwise. A server may ignore the offer (RFC 9110 §7.8), but then has to
# read the request as it stands. With h11 the body arrives.
#
# Ours: proxy/asyncproxy/http_protocol.py reads such a request once more without its offer;
# tests/integration/test_http_protocol.py.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet uvicorn==0.54.0 httptools==0.8.0 h11==0.16.0

cat > "$folder/show.py" <<'PYTHON'
import asyncio
import socket
import sys

import uvicorn

REQUEST = (
    b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n"
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n"
    b"\r\nhello"
)


async def echo(scope, receive, send):
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    headers = [(b"content-length", str(len(body)).encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def body_seen(parser):
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(echo, http=parser, ws="none", lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(REQUEST)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    server.should_exit = True
    await serving
    return answer.partition(b"\r\n\r\n")[2]


seen = {parser: asyncio.run(body_seen(parser)) for parser in ("httptools", "h11")}
print("uvicorn", uvicorn.__version__, "sent b'hello', seen:", seen)
sys.exit(seen != {"httptools": b"", "h11": b"hello"})
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
