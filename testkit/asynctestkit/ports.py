"""Ports of this machine's loopback."""

import random
import socket
import sys
from contextlib import suppress


def free_port() -> int:
    """A free loopback port below those of outgoing connections (Linux: 32768 and up).

    Among those, a client that reconnects to a dead server's port can be given that very port for
    its own end, is then connected to itself, and keeps the server from coming back.

    No other process that asks here gets it as long as this one lives.
    """
    for port in random.SystemRandom().sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            _reserve(port)
            return port
    raise RuntimeError("no free port between 20000 and 32000")


def _reserve(port: int) -> None:
    """Raises OSError where it was done before. Only Linux has socket names without a file."""
    if sys.platform == "linux":
        with socket.socket(socket.AF_UNIX) as reservation:
            reservation.bind(f"\0asyncapiproxy-port-{port}")
            reservation.detach()  # open until this process ends, however it ends


def is_listening(port: int) -> bool:
    """Whether somebody accepts connections on this loopback port."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def free_port_pair() -> int:
    """A free port whose next is free too: `up` serves the demo API there."""
    while is_listening((port := free_port()) + 1):
        pass
    return port
