"""Makes connections: looks the host up, tries its addresses, agrees on TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from functools import partial
from typing import TYPE_CHECKING

import aiohappyeyeballs

from asyncexecutor.http.connection import Connection
from asyncexecutor.http.faults import (
    BROKEN,
    NAME_NOT_FOUND,
    NOT_TRUSTED,
    REFUSED,
    TLS_NOT_AGREED,
    AddressInvalidError,
    ConnectionFailedError,
)
from asyncexecutor.http.host_addresses import HostAddresses

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncexecutor.http.connection import Origin
    from asyncexecutor.http.host_addresses import Address, Hosts

HEAD_START_SECONDS = 0.25
"""How long an address has before the next is tried beside it (RFC 8305 §8)."""


class Dialer:
    """Makes new connections."""

    def __init__(
        self, *, on_lost: Callable[[Connection], None], hosts: Hosts | None = None
    ) -> None:
        self._on_lost = on_lost
        self._hosts = hosts or HostAddresses()

    async def connect(self, origin: Origin, *, connect_seconds: float) -> Connection:
        """A new connection; raises CallFailedError, and TimeoutError where it takes too long."""
        try:
            addresses = await self._hosts.of(origin.host, origin.port)
        except OSError:
            raise ConnectionFailedError(NAME_NOT_FOUND) from None
        except UnicodeError:
            raise AddressInvalidError from None
        last: OSError | None = None
        # TLS may fail at one address only, and so may what says nothing at all.
        while addresses:
            try:
                async with asyncio.timeout(connect_seconds):
                    return await self._connected(origin, addresses)
            except OSError as error:
                last = error
                del addresses[0]
        assert last is not None
        if isinstance(last, TimeoutError) and last.errno is None:
            raise last
        raise ConnectionFailedError(_why(last)) from None

    async def _connected(self, origin: Origin, addresses: list[Address]) -> Connection:
        connected = await aiohappyeyeballs.start_connection(  # pyright: ignore[reportUnknownMemberType] - its types leave addresses open
            addresses, happy_eyeballs_delay=HEAD_START_SECONDS, interleave=1
        )
        # Certificates have names without the dot that ends a full one.
        name = origin.host.rstrip(".") if origin.tls is not None else None
        _, connection = await asyncio.get_running_loop().create_connection(
            partial(Connection, origin, on_lost=self._on_lost),
            sock=connected,
            ssl=origin.tls,
            server_hostname=name,
        )
        return connection


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return NOT_TRUSTED
    if isinstance(error, ssl.SSLError):
        return TLS_NOT_AGREED
    if isinstance(error, socket.gaierror):
        return NAME_NOT_FOUND
    return BROKEN if isinstance(error, ConnectionResetError) else REFUSED
