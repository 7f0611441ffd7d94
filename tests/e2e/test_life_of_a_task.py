"""What becomes of a task while a process that has a part in it stands still."""

import signal
from pathlib import Path

from asynctestkit.calls import caller, create_client, finished_task, get_task, new_email
from asynctestkit.eventually import eventually
from asynctestkit.processes import Installation, Keep, start_all


async def test_an_executor_that_stands_still_beyond_its_lease_changes_nothing_when_it_wakes(
    tmp_path: Path, postgresql_url: str, amqp_url: str, queue_prefix: str, keep: Keep
):
    installation = Installation(
        tmp_path,
        database_url=postgresql_url,
        broker_url=amqp_url,
        broker_prefix=f"{queue_prefix}life",
        settings={"lease_seconds": 2, "publish_grace_seconds": 2},
    )
    proxy, paused = installation.proxy(), installation.executor("paused")
    other, demo = installation.executor("other"), installation.demo_api()
    start_all(keep, proxy, paused, demo)
    async with caller(proxy.url) as client, caller(demo.url) as upstream:
        accepted = await create_client(client, new_email("slow+2"), prefer="respond-async")
        task_id = accepted.headers["task-id"]

        async def runs() -> None:
            assert (await get_task(client, task_id))["status"] == "running"

        await eventually(runs)
        paused.signal(signal.SIGSTOP)
        keep(other).start()
        task = await finished_task(client, task_id)
        assert (task["status"], task["attempt"], task["maxAttempts"]) == ("succeeded", 2, 3)
        assert [entry["outcome"] for entry in task["attempts"]] == ["interrupted", "succeeded"]
        assert len({entry["executor"] for entry in task["attempts"]}) == 2

        paused.signal(signal.SIGCONT)
        # It works on, and what it did before is abandoned.
        await eventually(lambda: _abandoned(paused.log))
        assert await get_task(client, task_id) == task
        stats = (await upstream.get("/stats")).json()
        assert stats["created_by_key_max"] == 1
    assert paused.faults == []


def _abandoned(log: str) -> None:
    assert "attempt abandoned" in log
