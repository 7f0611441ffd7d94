"""The network addresses of hosts that strangers name: looked up each time, and all of them checked.

A connection is made to what was checked here, and the name is not looked up again: it could lead
elsewhere by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncexecutor.http.faults import AddressRefusedError

if TYPE_CHECKING:
    from asyncexecutor.http.host_addresses import Address, Lookup
    from asynctasks.callbacks.addresses import CallableAddresses


class CheckedAddresses:
    """Looks hosts up whose addresses have to be ones that may be called."""

    def __init__(self, callable_addresses: CallableAddresses, *, lookup: Lookup) -> None:
        self._callable = callable_addresses
        self._lookup = lookup

    async def of(self, host: str, port: int) -> list[Address]:
        """Where the host can be reached; raises AddressRefusedError, OSError, UnicodeError.

        One that may not be called refuses the host: by which of several it is reached, chance says.
        """
        addresses = await self._lookup(host, port)
        for _, _, _, _, where in addresses:
            kind = self._callable.refusal(str(where[0]))
            if kind is not None:
                raise AddressRefusedError(f"its host has {kind}.")
        return addresses
