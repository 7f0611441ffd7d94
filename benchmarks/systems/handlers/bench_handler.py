"""What the embedded run's operation does: nothing, so that what is counted is all around it."""

from typing import Any


async def create_client(arguments: dict[str, Any]) -> dict[str, Any]:
    """The client, as the upstream would answer it."""
    return {"id": "c-1", "email": arguments["email"], "name": arguments["name"]}
