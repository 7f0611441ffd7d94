"""The floor's worker: answers each message with what an upstream would have."""

import asyncio
import os

import aio_pika
import orjson
import uvloop
from aio_pika.abc import AbstractIncomingMessage

from benchmarks.systems.rivals.customer import CONCURRENCY, prefixed


async def main() -> None:
    """Consume until ended."""
    broker = await aio_pika.connect_robust(os.environ["BENCH_BROKER_URL"])
    channel = await broker.channel()
    await channel.set_qos(prefetch_count=CONCURRENCY)
    queue = await channel.declare_queue(prefixed("floor"), durable=True)

    async def on_message(message: AbstractIncomingMessage) -> None:
        async with message.process():
            body = orjson.dumps({"status": 201, "body": orjson.loads(message.body) | {"id": "c-1"}})
            reply = aio_pika.Message(body, correlation_id=message.correlation_id)
            await channel.default_exchange.publish(
                reply, routing_key=message.reply_to or "", mandatory=False
            )

    await queue.consume(on_message)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
