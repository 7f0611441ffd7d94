"""The proxy: stores the item, publishes it, waits on a reply queue made for this request."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID

import aio_pika
import orjson
from aio_pika.abc import AbstractIncomingMessage
from fastapi import Depends, FastAPI, HTTPException, Response
from pydantic import BaseModel, Field
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from benchmarks.systems.original_design.item import BROKER_URL, QUEUE, Item, Session, engine

WAIT_SECONDS = 10


class NewClient(BaseModel):
    """The body of a request."""

    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
    name: Annotated[str, Field(min_length=1, max_length=32)]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    """Connect to both servers."""
    async with engine.begin() as connection:
        await connection.run_sync(SQLModel.metadata.create_all)
    async with await aio_pika.connect_robust(BROKER_URL) as broker:
        app.state.channel = await broker.channel()
        await app.state.channel.declare_queue(QUEUE, durable=True)
        yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def session() -> AsyncGenerator[AsyncSession]:
    """A session for each request."""
    async with Session() as opened:
        yield opened


@app.get("/ping")
async def ping() -> dict[str, bool]:
    """Availability."""
    return {"available": True}


@app.post("/clients")
async def create_client(new: NewClient, database: Annotated[AsyncSession, Depends(session)]) -> Any:
    """The result when it comes in time, else the item's id."""
    item = Item(request=new.model_dump())
    database.add(item)
    await database.commit()
    channel = app.state.channel
    replies = await channel.declare_queue(exclusive=True, auto_delete=True, robust=False)
    reply: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def on_reply(message: AbstractIncomingMessage) -> None:
        if not reply.done():
            reply.set_result(orjson.loads(message.body))

    consumer = await replies.consume(on_reply, no_ack=True, robust=False)
    try:
        await channel.default_exchange.publish(
            aio_pika.Message(
                orjson.dumps({"id": str(item.id)}),
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                correlation_id=str(item.id),
                reply_to=replies.name,
            ),
            routing_key=QUEUE,
        )
        answer = await asyncio.wait_for(reply, WAIT_SECONDS)
    except TimeoutError:
        body = orjson.dumps({"id": str(item.id), "status": "new"})
        return Response(body, 202, media_type="application/json")
    finally:
        await replies.cancel(consumer)
        await replies.delete(if_unused=False, if_empty=False)
    return Response(orjson.dumps(answer["result"]), answer["status"], media_type="application/json")


@app.get("/task/{item_id}")
async def get_task(item_id: UUID, database: Annotated[AsyncSession, Depends(session)]) -> Item:
    """The item as it stands."""
    item = await database.get(Item, item_id)
    if item is None:
        raise HTTPException(404)
    return item
