"""Celery's application and task, loaded by proxy and worker alike."""

import os
from typing import Any

import orjson
import urllib3
from celery import Celery

from rivals.customer import CONCURRENCY, prefixed

app = Celery("rivals", broker=os.environ["BENCH_BROKER_URL"], backend="rpc://")
app.conf.update(
    task_default_queue=prefixed("celery"),
    worker_prefetch_multiplier=1,
    broker_pool_limit=CONCURRENCY,
    worker_send_task_events=False,
    worker_hijack_root_logger=False,
)
_pool = urllib3.PoolManager(maxsize=CONCURRENCY, block=True)
_URL = os.environ["CUSTOMER_API_URL"] + "/clients"


@app.task(name="create_client")
def create_client(client: dict[str, str]) -> dict[str, Any]:
    """Call the upstream, in a thread of the worker."""
    headers = {"content-type": "application/json"}
    answer = _pool.request("POST", _URL, body=orjson.dumps(client), headers=headers, timeout=30)
    return {"status": answer.status, "body": orjson.loads(answer.data)}
