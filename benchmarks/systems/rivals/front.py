"""The FastAPI route that the rivals and the floor share: only what waits for the result differs."""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Response
from pydantic import BaseModel, Field

Result = dict[str, Any]
"""The upstream's answer as the worker returns it: `status` and `body`."""


class NewClient(BaseModel):
    """The body of a request."""

    email: Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+$", max_length=254)]
    name: Annotated[str, Field(min_length=1, max_length=32)]


Lifespan = Callable[[FastAPI], AbstractAsyncContextManager[None]]


def create_front(ask: Callable[[dict[str, str]], Awaitable[Result]], lifespan: Lifespan) -> FastAPI:
    """POST /clients asks a worker by `ask` and answers what the upstream answered."""
    app = FastAPI(lifespan=lifespan)

    @app.post("/clients")
    async def create_client(new: NewClient) -> Response:
        return answer(await ask(new.model_dump()))

    return app


def answer(result: Result) -> Response:
    """The upstream's status and body."""
    return Response(orjson.dumps(result["body"]), result["status"], media_type="application/json")
