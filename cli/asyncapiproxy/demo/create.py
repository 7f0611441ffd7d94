"""`POST /clients` of the demo Customer API: what a call meets before its client is created."""

import asyncio
from typing import Annotated, Final

from pydantic import BaseModel, Field, SecretStr, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from asyncapiproxy.demo.answers import DroppedConnection, client_gone, created, invalid, problem
from asyncapiproxy.demo.behaviours import (
    QUICK,
    Behaviour,
    UnknownBehaviourError,
    behaviour_of,
)
from asyncapiproxy.demo.clients import EmailTaken, FinalAnswer
from asyncapiproxy.demo.stats import CallStats
from asyncapiproxy.demo.store import ClientStore

_EMAIL: Final = r"^[^@\s]+@[^@\s]+$"


class NewClient(BaseModel):
    """The body of a `POST /clients`."""

    email: Annotated[str, Field(pattern=_EMAIL, max_length=254)]
    name: Annotated[str, Field(min_length=1, max_length=32)]
    password: Annotated[SecretStr, Field(min_length=8)] | None = None
    """Checked, and then kept nowhere: the demo has no use for it."""


class CreateClient:
    """`POST /clients`: an ASGI application, so that a call is counted until its answer is sent."""

    def __init__(self, *, store: ClientStore, stats: CallStats) -> None:
        """Creates clients in `store` and counts calls in `stats`."""
        self._store = store
        self._stats = stats

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Counts the call, decides its answer and sends it."""
        request = Request(scope, receive)
        with self._stats.call(_key_of(request)):
            try:
                response = await self._answer(request)
            except ClientDisconnect:
                self._stats.disconnects += 1
                return
            self._count(response)
            await response(scope, receive, send)

    def _count(self, response: Response) -> None:
        if isinstance(response, DroppedConnection):
            self._stats.drops += 1
        else:
            self._stats.statuses[response.status_code] += 1

    async def _answer(self, request: Request) -> Response:
        try:
            new = NewClient.model_validate_json(await request.body())
            behaviour = behaviour_of(new.email)
        except ValidationError as error:
            return invalid(error, "The client is not valid")
        except UnknownBehaviourError as error:
            return problem(422, str(error))
        key = _key_of(request)
        if behaviour is not QUICK:
            if key is not None and (known := await self._store.answer_of(key)):
                return _final(known)
            await _wait(behaviour.slow_seconds, receive=request.receive)
            if self._fails(behaviour, counted_by=key or new.email):
                return _failure(behaviour)
        return _final(await self._store.create(email=new.email, name=new.name, key=key))

    def _fails(self, behaviour: Behaviour, *, counted_by: str) -> bool:
        if behaviour.flaky_calls is None:
            return behaviour.fails(earlier_calls=0)
        earlier_calls = self._stats.flaky_calls[counted_by]
        self._stats.flaky_calls[counted_by] += 1
        return behaviour.fails(earlier_calls=earlier_calls)


def _key_of(request: Request) -> str | None:
    return request.headers.get("idempotency-key")


async def _wait(seconds: float, *, receive: Receive) -> None:
    """Raises ClientDisconnect as soon as the caller leaves."""
    if not seconds:
        return
    try:
        async with asyncio.timeout(seconds):
            await client_gone(receive)
    except TimeoutError:
        return
    raise ClientDisconnect


def _failure(behaviour: Behaviour) -> Response:
    if behaviour.drops:
        return DroppedConnection()
    return problem(behaviour.failure_status, "The email asks for this failure")


def _final(answer: FinalAnswer) -> Response:
    outcome = answer.outcome
    if isinstance(outcome, EmailTaken):
        response = problem(409, f"Another client has the email {outcome.email}")
    else:
        response = created(outcome, megabytes=behaviour_of(outcome.email).huge_megabytes)
    if answer.is_replay:
        response.headers["Idempotency-Replayed"] = "true"
    return response
