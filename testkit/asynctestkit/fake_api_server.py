"""An API server that answers what a test has it answer, for faults that no real one can be told."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

RESOURCES: dict[str, Any] = {
    "/api": {"kind": "APIVersions", "versions": ["v1"]},
    "/api/v1": {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {
                "name": "namespaces",
                "singularName": "namespace",
                "namespaced": False,
                "kind": "Namespace",
                "verbs": [],
            }
        ],
    },
    "/apis": {
        "kind": "APIGroupList",
        "groups": [
            {
                "name": "asyncapiproxy.dev",
                "versions": [{"groupVersion": "asyncapiproxy.dev/v1alpha1", "version": "v1alpha1"}],
                "preferredVersion": {"version": "v1alpha1"},
            }
        ],
    },
    "/apis/asyncapiproxy.dev/v1alpha1": {
        "kind": "APIResourceList",
        "groupVersion": "asyncapiproxy.dev/v1alpha1",
        "resources": [
            {
                "name": name,
                "singularName": kind.lower(),
                "namespaced": True,
                "kind": kind,
                "verbs": ["get", "list", "watch", "create", "patch", "delete"],
            }
            for name, kind in (("asynctasks", "AsyncTask"), ("executorpools", "ExecutorPool"))
        ],
    },
}


@dataclass
class FakeApiServer:
    """`answers` come first, one for each request that is no discovery; then `otherwise`."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list[Answer])
    otherwise: Answer | None = None
    requests: list[web.BaseRequest] = field(default_factory=list[web.BaseRequest])

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if request.path in RESOURCES:
            return web.json_response(RESOURCES[request.path])
        self.requests.append(request)
        answer = self.answers.pop(0) if self.answers else self.otherwise
        assert answer is not None, f"{request.method} {request.path_qs}"
        return await answer(request)

    def kubeconfig(self, folder: Path) -> Path:
        """One that leads here."""
        config = {
            "current-context": "fake",
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "fake", "user": {"token": "first"}}],
        }
        file = folder / "kubeconfig"
        file.write_text(yaml.safe_dump(config))
        return file


@asynccontextmanager
async def fake_api_server() -> AsyncGenerator[FakeApiServer]:
    """Serves until it is left."""
    fake = FakeApiServer()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", fake.serve)
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0)
    fake.url = str(server.make_url("")).rstrip("/")
    try:
        yield fake
    finally:
        await server.close()


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    """JSON, or text as it is; a header's name is written with `_` for `-`."""

    async def send(_: web.Request) -> web.StreamResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if isinstance(body, str):
            return web.Response(text=body, status=status, headers=named)
        return web.json_response(body, status=status, headers=named)

    return send


def refusal(status: int, reason: str, message: str = "", **headers: str) -> Answer:
    """A `Status`, as the API server refuses something."""
    body = {"kind": "Status", "code": status, "reason": reason, "message": message}
    return answer(body, status, **headers)


async def hang(request: web.Request) -> web.StreamResponse:
    """Never an answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def cut(request: web.Request) -> web.StreamResponse:
    """The connection ends in the midst of the answer."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"type": "ADD')
    assert request.transport is not None
    request.transport.abort()
    return response


def events(*sent: dict[str, Any], then_hang: bool = True) -> Answer:
    """A watch that sends these, and then stays open or ends."""

    async def send(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for event in sent:
            await response.write(json.dumps(event).encode() + b"\n")
        if then_hang:
            await asyncio.Event().wait()
        return response

    return send
