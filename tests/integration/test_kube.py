"""What becomes of each fault of an API server."""

import copy
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asyncoperator.cluster import credentials, kube
from asyncoperator.cluster.credentials import sign_in
from asyncoperator.cluster.kube import Kube
from asyncoperator.cluster.kube_errors import (
    KubeConflictError,
    KubeError,
    KubeExistsError,
    KubeGoneError,
    KubeRefusedError,
    KubeThrottledError,
    KubeUnavailableError,
)
from asynctasks.errors import SettingsError
from asynctestkit.fake_api_server import (
    RESOURCES,
    Answer,
    FakeApiServer,
    answer,
    cut,
    fake_api_server,
    hang,
    refusal,
)

OURS = "/apis/asyncapiproxy.dev/v1alpha1"


@pytest.fixture
async def api_server() -> AsyncIterator[FakeApiServer]:
    async with fake_api_server() as server:
        yield server


@pytest.fixture
async def client(api_server: FakeApiServer, tmp_path: Path) -> AsyncIterator[Kube]:
    configuration, _ = await sign_in(api_server.kubeconfig(tmp_path))
    async with Kube(configuration, namespace="shop") as client:
        yield client


@pytest.mark.parametrize(
    ("given", "error", "text"),
    [
        (refusal(401, "Unauthorized", "Unauthorized"), KubeRefusedError, "Unauthorized"),
        (refusal(403, "Forbidden", "you may not"), KubeRefusedError, "you may not"),
        (refusal(422, "Invalid", "is invalid"), KubeRefusedError, "is invalid"),
        (refusal(409, "AlreadyExists", "there is"), KubeExistsError, "there is"),
        (refusal(409, "Conflict", "has changed"), KubeConflictError, "has changed"),
        (refusal(404, "NotFound", "not found"), KubeGoneError, "not found"),
        (refusal(500, "InternalError", "etcd is away"), KubeUnavailableError, "etcd is away"),
        (answer("<html>bad gateway", 502), KubeUnavailableError, "502"),
        (answer("no JSON"), KubeUnavailableError, "no JSON"),
        (answer("[]", 503), KubeUnavailableError, "503"),
        (cut, KubeUnavailableError, "does not answer"),
    ],
)
async def test_each_answer_has_its_error(
    api_server: FakeApiServer, client: Kube, given: Answer, error: type[KubeError], text: str
):
    api_server.answers = [given]
    with pytest.raises(error, match=text) as caught:
        await client.create("asynctasks", {"metadata": {"name": "mine"}})
    assert type(caught.value) is error


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), (None, 1.0), ("soon", 1.0)])
async def test_a_server_that_throttles_says_for_how_long(
    api_server: FakeApiServer, client: Kube, header: str | None, seconds: float
):
    headers = {} if header is None else {"Retry_After": header}
    api_server.answers = [refusal(429, "TooManyRequests", **headers)]
    with pytest.raises(KubeThrottledError) as caught:
        await client.list("asynctasks")
    assert caught.value.retry_after_seconds == seconds
    assert len(api_server.requests) == 1, "whoever asks decides when to ask again"


async def test_a_server_that_hangs_is_given_up(
    api_server: FakeApiServer, client: Kube, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(kube, "LIST_SECONDS", 0.1)
    api_server.answers = [hang]
    with pytest.raises(KubeUnavailableError, match="did not answer within"):
        await client.list("asynctasks")


async def test_a_server_that_is_not_there(tmp_path: Path):
    async with fake_api_server() as gone:
        kubeconfig = gone.kubeconfig(tmp_path)
    configuration, _ = await sign_in(kubeconfig)
    async with Kube(configuration, namespace="shop") as client:
        with pytest.raises(KubeUnavailableError, match="does not answer"):
            await client.get_lease("operator")


async def test_a_list_is_read_in_pages(api_server: FakeApiServer, client: Kube):
    api_server.answers = [_page("a", following="next"), _page("b")]
    assert [each["name"] for each in await client.list("asynctasks")] == ["a", "b"]
    queries = [dict(each.query) for each in api_server.requests]
    assert queries == [{"limit": "500"}, {"limit": "500", "continue": "next"}]


async def test_a_page_that_has_expired_starts_the_list_again(
    api_server: FakeApiServer, client: Kube
):
    expired = refusal(410, "Expired", "The provided continue parameter is too old")
    api_server.answers = [_page("a", following="next"), expired, _page("b")]
    assert [each["name"] for each in await client.list("asynctasks")] == ["b"]
    api_server.answers = [expired, expired]
    with pytest.raises(KubeUnavailableError, match="too old"):
        await client.list("asynctasks")


async def test_definitions_count_for_as_long_as_they_stay(
    api_server: FakeApiServer, client: Kube, monkeypatch: pytest.MonkeyPatch
):
    """One that is being deleted is served, and its objects with it, but takes no new ones."""
    assert await client.serves_ours()
    served = copy.deepcopy(RESOURCES[OURS])
    served["resources"][0]["verbs"] = ["delete", "deletecollection", "get", "list", "watch"]
    monkeypatch.setitem(RESOURCES, OURS, served)
    assert not await client.serves_ours()
    monkeypatch.delitem(RESOURCES, OURS)
    api_server.answers = [refusal(404, "NotFound", "not found")]
    assert not await client.serves_ours()


async def test_installations_are_known_by_their_leases(api_server: FakeApiServer, client: Kube):
    leases = [{"metadata": {"labels": {"asyncapiproxy.dev/installation": n}}} for n in ("a", "b")]
    api_server.answers = [answer({"items": leases})]
    assert await client.installations() == {"a", "b"}
    (request,) = api_server.requests
    assert request.path == "/apis/coordination.k8s.io/v1/namespaces/shop/leases"
    assert dict(request.query) == {"labelSelector": "asyncapiproxy.dev/installation"}


async def test_a_status_is_applied_to_the_object_of_that_uid(
    api_server: FakeApiServer, client: Kube
):
    bodies: list[Any] = []

    async def take(request: Any) -> Any:
        bodies.append((request.content_type, dict(request.query), await request.json()))
        return await answer({})(request)

    api_server.answers = [take, refusal(409, "Conflict", "uid mismatch")]
    await client.apply_status("asynctasks", "mine", {"attempt": 1}, uid="u-1")
    assert bodies == [
        (
            "application/apply-patch+yaml",
            {"fieldManager": "asyncapiproxy-operator", "force": "true"},
            {
                "apiVersion": "asyncapiproxy.dev/v1alpha1",
                "kind": "AsyncTask",
                "metadata": {"name": "mine", "uid": "u-1"},
                "status": {"attempt": 1},
            },
        )
    ]
    with pytest.raises(KubeGoneError, match="uid mismatch"):
        await client.apply_status("asynctasks", "mine", {"attempt": 1}, uid="u-2")


@pytest.mark.parametrize(
    "given", [refusal(404, "NotFound"), refusal(409, "Conflict", "the UID in the precondition")]
)
async def test_what_is_gone_need_not_be_deleted(
    api_server: FakeApiServer, client: Kube, given: Answer
):
    api_server.answers = [given]
    await client.delete("asynctasks", "mine", uid="u-1")


async def test_a_pods_token_is_read_again_when_it_was_renewed(
    api_server: FakeApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Kubelet renews the file long before the token ends."""
    files = {"SERVICE_TOKEN_FILENAME": "token", "SERVICE_CERT_FILENAME": "ca.crt"}
    for constant, name in files.items():
        (tmp_path / name).write_text("first")
        monkeypatch.setattr(f"kubernetes.aio.config.incluster_config.{constant}", tmp_path / name)
    (tmp_path / "namespace").write_text("shop\n")
    monkeypatch.setattr(credentials, "POD_NAMESPACE", tmp_path / "namespace")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    configuration, namespace = await sign_in(None)
    assert namespace == "shop"
    configuration.host, configuration.ssl_ca_cert = api_server.url, None
    assert await _tokens(configuration) == "bearer first"
    (tmp_path / "token").write_text("second")
    loader = configuration.refresh_api_key_hook.__closure__[0].cell_contents
    loader.token_expires_at -= loader._token_refresh_period
    assert await _tokens(configuration) == "bearer second"


async def _tokens(configuration: Any) -> str:
    return await configuration.get_api_key_with_prefix("BearerToken")


@pytest.mark.parametrize("content", ["", "[]", "a: b", "{"])
async def test_a_kubeconfig_that_is_none_is_told(tmp_path: Path, content: str):
    file = tmp_path / "kubeconfig"
    file.write_text(content)
    with pytest.raises(SettingsError, match="No way to sign in to Kubernetes"):
        await sign_in(file)


def _page(*names: str, following: str = "") -> Answer:
    metadata = {"resourceVersion": "1"} | ({"continue": following} if following else {})
    return answer({"metadata": metadata, "items": [{"name": name} for name in names]})
