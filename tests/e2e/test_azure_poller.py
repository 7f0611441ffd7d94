"""azure-core's own poller follows a task to its end, and takes nothing before for it."""
# pyright: basic
# Its types are incomplete.

import asyncio

import pytest
from azure.core import PipelineClient
from azure.core.exceptions import HttpResponseError
from azure.core.polling import LROPoller
from azure.core.polling.base_polling import LROBasePolling
from azure.core.rest import HttpRequest

from asynctestkit.calls import new_email
from asynctestkit.ports import free_port_pair
from asynctestkit.processes import Keep, Service, up_service


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, keep_in_module: Keep) -> Service:
    port = free_port_pair()
    url = f"http://127.0.0.1:{port}"
    service = up_service(tmp_path_factory.mktemp("azure"), port=port, public_url=url)
    return keep_in_module(service).start()


async def test_a_slow_call_is_followed_to_its_answer(service: Service):
    email = new_email("slow+2")

    result = await asyncio.to_thread(_result, service.url, email)

    assert result["email"] == email


@pytest.mark.parametrize("behaviour", ["slow+1.fail+503", "slow+1.fail+404"])
async def test_a_failure_is_told_as_one(service: Service, behaviour: str):
    with pytest.raises(HttpResponseError):
        await asyncio.to_thread(_result, service.url, new_email(behaviour))


def _result(url: str, email: str) -> dict[str, str]:
    client = PipelineClient(url)
    request = HttpRequest(
        "POST",
        f"{url}/clients",
        json={"email": email, "name": "Ann"},
        headers={"Prefer": "respond-async"},
    )
    first = client.send_request(request, _return_pipeline_response=True)
    poller = LROPoller(
        client,
        first,
        lambda response: response.http_response.json(),
        LROBasePolling(timeout=0.1),
    )
    return poller.result(30)
