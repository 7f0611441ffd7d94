"""The `asyncapiproxy` command, where a file says to which address a name leads.

Only the super-user could say so to the system's resolver. All else is as it is.
"""

import os
from pathlib import Path

from asyncexecutor.http import host_addresses
from asyncexecutor.http.host_addresses import Address

NAMES_FILE = "CHAOS_NAMES_FILE"
"""The variable that names the file; each of its lines is a name and an address."""
_system_lookup = host_addresses.system_lookup


async def _lookup(host: str, port: int) -> list[Address]:
    return await _system_lookup(_leads_to().get(host, host), port)


def _leads_to() -> dict[str, str]:
    lines = Path(os.environ[NAMES_FILE]).read_text().splitlines()
    return dict(line.split() for line in lines)


if __name__ == "__main__":
    host_addresses.system_lookup = _lookup
    from asyncapiproxy.main import app  # after that, which it is to know

    app()
