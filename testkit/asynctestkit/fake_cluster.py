"""An API server that knows a few objects, for what Helm's `lookup` finds in a cluster."""

import json
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any

Json = dict[str, Any]
VERSION = {"major": "1", "minor": "31", "gitVersion": "v1.31.0"}


@contextmanager
def fake_cluster(objects: list[Json], *, kinds: set[tuple[str, str]]) -> Generator[Path]:
    """The kubeconfig of a cluster that has these objects, and knows kinds by version and name."""
    answers = {**_discovery(kinds), **{_address(each): each for each in objects}}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.get(self.path.partition("?")[0])
            body = json.dumps(answer or _not_found()).encode()
            self.send_response(200 if answer else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing of requests."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server, TemporaryDirectory() as folder:
        Thread(target=server.serve_forever, name="fake cluster", daemon=True).start()
        kubeconfig = Path(folder) / "kubeconfig"
        kubeconfig.write_text(json.dumps(_kubeconfig(server.server_port)))
        try:
            yield kubeconfig
        finally:
            server.shutdown()


def _discovery(kinds: set[tuple[str, str]]) -> Json:
    resources: dict[str, list[Json]] = {}
    for version, kind in sorted(kinds):
        resource = {"name": _plural(kind), "kind": kind, "namespaced": True, "verbs": ["get"]}
        resources.setdefault(version, []).append(resource)
    found: Json = {
        f"{_root(version)}/{version}": {
            "kind": "APIResourceList",
            "groupVersion": version,
            "resources": listed,
        }
        for version, listed in resources.items()
    }
    groups = [_group(version) for version in resources if "/" in version]
    return {
        **found,
        "/version": VERSION,
        "/api": {"kind": "APIVersions", "versions": ["v1"]},
        "/apis": {"kind": "APIGroupList", "groups": groups},
    }


def _group(version: str) -> Json:
    served = {"groupVersion": version, "version": version.rpartition("/")[2]}
    name = version.partition("/")[0]
    return {"name": name, "versions": [served], "preferredVersion": served}


def _plural(kind: str) -> str:
    return (kind.removesuffix("y") + "ies" if kind.endswith("y") else kind + "s").lower()


def _root(version: str) -> str:
    return "/apis" if "/" in version else "/api"


def _address(body: Json) -> str:
    version, metadata = body["apiVersion"], body["metadata"]
    folder = f"{_root(version)}/{version}/namespaces/{metadata['namespace']}"
    return f"{folder}/{_plural(body['kind'])}/{metadata['name']}"


def _not_found() -> Json:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "status": "Failure",
        "reason": "NotFound",
        "code": 404,
    }


def _kubeconfig(port: int) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fake", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        "current-context": "fake",
    }
