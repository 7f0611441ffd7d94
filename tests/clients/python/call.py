"""Calls a proxy by the client that openapi-python-client has made, and prints what it got."""

import json
import sys
from typing import Any

import httpx
from made.async_api_proxy_client import Client
from made.async_api_proxy_client.api.operations import create_client
from made.async_api_proxy_client.api.tasks import get_task, list_tasks
from made.async_api_proxy_client.models import (
    CreateClientAnswer,
    CreateClientArguments,
    Problem,
    Task,
    TaskPage,
)

url, email = sys.argv[1:]


def main(client: Client) -> dict[str, Any]:
    def create(address: str, prefer: str = "wait=20"):
        arguments = CreateClientArguments(email=address, name="Ann")
        return create_client.sync_detailed(client=client, body=arguments, prefer=prefer)

    fast = create(f"fast.{email}").parsed
    slow = task = create(f"slow+2.{email}", "respond-async").parsed
    refused = create(f"fail+404.{email}")
    invalid = create("nobody").parsed
    assert isinstance(fast, CreateClientAnswer)
    assert isinstance(slow, Task)
    assert isinstance(invalid, Problem)
    assert isinstance(invalid.errors, list)
    while isinstance(task, Task) and not task.done:
        task = get_task.sync(task.id, client=client, prefer="wait=20")
    assert isinstance(task, Task)
    page = list_tasks.sync(client=client)
    assert isinstance(page, TaskPage)
    return {
        "fast": fast.email,
        "slow": str(slow.id),
        "task": str(task.id),
        "ended": task.status,
        "refused": refused.status_code,
        "invalid": invalid.errors[0].pointer,
        "listed": page.tasks[0].operation,
    }


with Client(base_url=url, timeout=httpx.Timeout(30)) as opened:
    print(json.dumps(main(opened)))
