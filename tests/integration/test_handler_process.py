"""A process with functions that do not return still ends."""

import asyncio
import sys

SCRIPT = """
import asyncio, time
from asyncexecutor.handler_threads import HandlerThreads

async def main():
    with HandlerThreads(2) as threads:
        try:
            async with asyncio.timeout(0.2):
                await threads.run(lambda: time.sleep(60), operation="a")
        except TimeoutError:
            print("drained", flush=True)

asyncio.run(main())
"""


async def test_a_function_that_still_runs_does_not_keep_its_process():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(50):  # the function would take 60
        output, _ = await process.communicate()
    assert process.returncode == 0
    assert b"drained" in output
