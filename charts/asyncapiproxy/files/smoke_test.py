"""What `helm test` runs: submit a task, wait for it, and see its AsyncTask.

The environment says which; without a ROUTE it only asks the proxy how it is.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

PROXY_URL = os.environ["PROXY_URL"]
NAMESPACE = os.environ["NAMESPACE"]
TOKEN_FOLDER = Path("/var/run/secrets/kubernetes.io/serviceaccount")
SUCCEEDED = "succeeded"
WAIT_SECONDS = 120
FINAL = {SUCCEEDED, "failed", "cancelled", "expired"}


def call(
    url: str,
    *,
    method: str = "GET",
    document: Any = None,
    headers: dict[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Any:
    """The document that is answered; raises HTTPError for an error."""
    body = None if document is None else json.dumps(document).encode()
    sent = {"Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, body, sent, method=method)
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        return json.load(answer)


def object_of(task_id: str) -> Any:
    """The task's AsyncTask, or None while there is none."""
    token = (TOKEN_FOLDER / "token").read_text()
    context = ssl.create_default_context(cafile=str(TOKEN_FOLDER / "ca.crt"))
    try:
        return call(
            "https://kubernetes.default.svc/apis/asyncapiproxy.dev/v1alpha1"
            f"/namespaces/{NAMESPACE}/asynctasks/t-{task_id}",
            headers={"Authorization": f"Bearer {token}"},
            context=context,
        )
    except urllib.error.HTTPError as error:
        if error.code == HTTPStatus.NOT_FOUND:
            return None
        raise


def until(what: str, look: Callable[[], Any]) -> Any:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.5)
    sys.exit(f"FAILED: after {WAIT_SECONDS} s there is no {what}")


def submit(method: str, path: str, arguments: dict[str, Any]) -> Any:
    """The task of a call: what is not in its path is its body, or the query where it has none."""
    left: dict[str, Any] = {}
    for name, value in arguments.items():
        place = "{" + name + "}"
        if place in path:
            path = path.replace(place, urllib.parse.quote(str(value), safe=""))
        else:
            left[name] = value
    asking = {"Prefer": "respond-async"}
    if method != "GET":
        return call(PROXY_URL + path, method=method, document=left, headers=asking)
    query = urllib.parse.urlencode(left, doseq=True)
    return call(f"{PROXY_URL}{path}?{query}", headers=asking)


def main() -> None:
    """Exits with a message and not 0 where something is not as it should be."""
    health = call(PROXY_URL + "/ping")
    print("proxy:", json.dumps(health))
    if health["status"] != "ok":
        sys.exit(f"FAILED: the proxy is {health['status']}")
    if "ROUTE" not in os.environ:
        print("No test.operation is set, so no task is submitted.")
        return
    method, path = os.environ["ROUTE"].split(" ", 1)
    arguments = json.loads(os.environ["ARGUMENTS"])
    task = submit(method, path, arguments)
    print("submitted:", task["id"])

    def finished() -> Any:
        now = call(f"{PROXY_URL}/tasks/{task['id']}")
        return now if now["status"] in FINAL else None

    task = until("end of the task", finished)
    print("task:", json.dumps(task))
    if task["status"] != SUCCEEDED:
        sys.exit(f"FAILED: the task is {task['status']}")
    if os.environ["OPERATOR"] != "true":
        return

    def shown() -> Any:
        found = object_of(task["id"])
        done = found and found.get("status", {}).get("taskStatus", "").lower() == SUCCEEDED
        return found if done else None

    found = until("AsyncTask that shows the success", shown)
    print(f"AsyncTask {found['metadata']['name']}: {json.dumps(found['status'])}")


main()
