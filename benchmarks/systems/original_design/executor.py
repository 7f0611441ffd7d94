"""The executor: loads the item, calls the Customer API, stores the result, replies."""

import asyncio
import os
from datetime import UTC, datetime
from uuid import UUID

import aio_pika
import httpx
import orjson
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from benchmarks.systems.original_design.item import BROKER_URL, PREFETCH, QUEUE, Item, Session

URL = os.environ["CUSTOMER_API_URL"] + "/clients"


async def main() -> None:
    """Consume until ended."""
    broker = await aio_pika.connect_robust(BROKER_URL)
    channel = await broker.channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await channel.declare_queue(QUEUE, durable=True)
    async with httpx.AsyncClient(timeout=30, trust_env=False) as client:

        async def on_message(message: AbstractIncomingMessage) -> None:
            async with message.process(requeue=True):
                item_id = UUID(orjson.loads(message.body)["id"])
                async with Session() as database:
                    item = await database.get_one(Item, item_id)
                    answer = await client.post(URL, json=item.request)
                    item.result, item.response_status = answer.json(), answer.status_code
                    item.status, item.updated_at = "done", datetime.now(UTC)
                    database.add(item)
                    await database.commit()
                body = orjson.dumps({"status": answer.status_code, "result": answer.json()})
                reply = aio_pika.Message(body, correlation_id=message.correlation_id)
                await channel.default_exchange.publish(
                    reply, routing_key=message.reply_to or "", mandatory=False
                )

        await queue.consume(on_message)
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
