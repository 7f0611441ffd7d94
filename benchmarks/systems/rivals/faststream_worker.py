"""FastStream's worker."""

import asyncio
import os
from typing import Any

import uvloop
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

from benchmarks.systems.rivals.customer import CONCURRENCY, Customer, prefixed


async def main() -> None:
    """Consume until ended."""
    customer = Customer()
    broker = RabbitBroker(
        os.environ["BENCH_BROKER_URL"],
        logger=None,
        default_channel=Channel(prefetch_count=CONCURRENCY),
    )

    @broker.subscriber(RabbitQueue(prefixed("faststream"), durable=True))
    async def create_client(client: dict[str, str]) -> dict[str, Any]:
        return await customer.create(client)

    async with broker:
        await broker.start()
        print("ready", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
