#!/usr/bin/env bash
# azure-core: LROPoller with LROBasePolling's default algorithms takes a 202 with `Location` (and no
# `Operation-Location`), asks that address once, and calls the operation succeeded at its first 200,
# whatever the body says of its status. A server whose status address answers 200 {"status":
# "running"} has its unfinished work taken for the result.
#
# Ours: tasks that have not finished are told in a way that such a poller understands.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet azure-core==1.41.0 requests==2.34.2

cat > "$folder/show.py" <<'PYTHON'
import http.server
import json
import sys
import threading

import azure.core
from azure.core import PipelineClient
from azure.core.polling import LROPoller
from azure.core.polling.base_polling import LROBasePolling

asked = []


class Api(http.server.BaseHTTPRequestHandler):
    def answer(self, status, document, **headers):
        body = json.dumps(document).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.answer(202, {"status": "queued"}, Location="/tasks/1", Retry_After="0")

    def do_GET(self):
        asked.append(self.path)
        self.answer(200, {"status": "running"})

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{server.server_address[1]}"
client = PipelineClient(url)
first = client._pipeline.run(client.post("/clients"))
poller = LROPoller(
    client,
    first,
    lambda response: json.loads(response.http_response.text()),
    LROBasePolling(timeout=0.1),
)
result = poller.result(timeout=20)
print("azure-core", azure.core.__version__, "said", poller.status(), result, "after", asked)
sys.exit((poller.status(), result, len(asked)) != ("Succeeded", {"status": "running"}, 1))
PYTHON
"$folder/venv/bin/python" "$folder/show.py"
