"""Numbers go through all of it as they were written: caller, row, seal, upstream, and back."""

import httpx
from aiohttp import web

from asynctestkit.inside import inside, one_of_each, operation

NUMBERS = '{"amount":1234567890123456.78,"price":1.10,"rate":1e3,"small":0.123456789012345678}'
LARGE = '{"id":123456789012345678901234567890,\r\n"price":1.10}'
JSON = {"Content-Type": "application/json"}


async def test_numbers_are_passed_on_as_they_were_written(sqlite_url: str, postgresql_url: str):
    for database_url in (sqlite_url, postgresql_url):
        priced = operation(
            "pay",
            route="POST /pay/{share}",
            arguments={
                "type": "object",
                "properties": {
                    "share": {"type": "number"},
                    "sealed": {"type": "object", "writeOnly": True},
                    "shown": {"type": "object"},
                },
            },
            upstream={"url": "{UPSTREAM}/clients{?share}"},
        )
        async with inside(priced, database_url=database_url, broker_url="memory://") as there:
            came: list[str] = []

            async def echo(request: web.Request, came: list[str] = came) -> web.Response:
                came.append(request.query_string + (await request.text()))
                return web.Response(text=LARGE, content_type="application/json")

            client = await one_of_each(there)
            there.upstream.will(echo)
            body = f'{{"sealed": {NUMBERS}, "shown": {NUMBERS}}}'
            answer = await client.post("/pay/1.50", content=body, headers=JSON)
            assert (answer.status_code, answer.text) == (200, LARGE)
            assert len(came) == 1
            assert came[0].startswith("share=1.50{")
            assert f'"sealed":{NUMBERS}' in came[0]
            assert f'"shown":{NUMBERS}' in came[0]
            path = f"/tasks/{answer.headers['task-id']}"
            document = await _text(client, path)
            assert f'"shown":{NUMBERS}' in document
            assert '"share":1.50' in document
            shown = f'"body":{LARGE}'.replace("\r\n", "  ")
            assert shown in document
            assert shown in await _text(client, "/tasks?view=full")
            # An event is one line of data, however the upstream has laid out its JSON.
            (line,) = [
                line
                for line in (await _text(client, f"{path}/events")).splitlines()
                if line.startswith("data: ")
            ]
            assert shown in line


async def _text(client: httpx.AsyncClient, path: str) -> str:
    answer = await client.get(path)
    assert answer.status_code == 200
    return answer.text
