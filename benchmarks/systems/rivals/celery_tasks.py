"""Celery's application and task, loaded by proxy and worker alike."""

# Celery has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
import os
from typing import Any, cast

import orjson
import urllib3
from celery import Celery

from benchmarks.systems.rivals.customer import CONCURRENCY, prefixed

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


def _create_client(client: dict[str, str]) -> dict[str, Any]:
    """Call the upstream, in a thread of the worker."""
    headers = {"content-type": "application/json"}
    answer = _pool.request("POST", _URL, body=orjson.dumps(client), headers=headers, timeout=30)
    return {"status": answer.status, "body": orjson.loads(answer.data)}


create_client = cast("Any", app.task(name="create_client")(_create_client))
