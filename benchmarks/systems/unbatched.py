"""`asyncapiproxy` with a transaction for each write, to measure what GroupCommit costs one alone.

Only the benchmark runs this; its arguments are those of `asyncapiproxy`.
"""

from typing import Any

from asyncapiproxy.main import app
from asynctasks.group_commit import Batch, GroupCommit


async def _write_at_once(self: Any, batch: Batch[Any, Any], item: Any) -> Any:
    async with self._begin([batch]) as connection:
        (result,) = await batch.write(connection, [item])
    return result


GroupCommit.write = _write_at_once

if __name__ == "__main__":
    app()
