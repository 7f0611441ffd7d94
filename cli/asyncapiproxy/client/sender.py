"""Sends what the steps say, and sleeps where they pause."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from asyncapiproxy.client.connection import has_to_be_read, is_of, time_limits, unanswered
from asyncapiproxy.client.errors import ProxyUnreachableError
from asyncapiproxy.client.steps import Pause

if TYPE_CHECKING:
    from collections.abc import Generator

    from asyncapiproxy.client.calls import Proxy
    from asyncapiproxy.client.connection import Address
    from asyncapiproxy.client.steps import Call, Steps

T = TypeVar("T")


class Sender:
    """Makes calls of one proxy by httpx's synchronous client."""

    def __init__(self, proxy: Proxy, address: Address, http: httpx.Client) -> None:
        self.proxy = proxy
        self.http = http
        self._address = address

    def run(self, steps: Steps[T]) -> T:
        """What the steps come to."""
        try:
            step = next(steps)
            while True:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    step = steps.send(None)
                    continue
                try:
                    response = self.send(step)
                except ProxyUnreachableError as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(response)
        except StopIteration as end:
            return end.value

    def send(self, call: Call) -> httpx.Response:
        """The answer; raises ProxyUnreachableError, CallInvalidError."""
        content: Any = None if call.body is None else call.body.chunks()
        request = self.http.build_request(
            call.method,
            self._address.target(call.path),
            headers=self._address.headers_of(call),
            content=content,
            timeout=time_limits(call),
        )
        with self.translating(request):
            response = self.http.send(request, stream=call.is_streamed)
            if call.is_streamed and has_to_be_read(response):
                response.read()
            return response

    @contextmanager
    def translating(self, request: httpx.Request) -> Generator[None]:
        """Say httpx's errors in our words: those of this request, not of a program's others."""
        try:
            yield
        except httpx.RequestError as error:
            if not is_of(error, request):
                raise
            raise unanswered(error, url=self._address.shown) from error
