"""The paths that no operation can have."""

RESERVED_PATHS = (
    "tasks",
    "tasks:batch",
    "task",
    "batches",
    "ping",
    "docs",
    "swagger",
    "openapi.json",
    "whoami",
    ".well-known",
    "limits",
    "queues",
    "operations",
    "ui",
)
"""First segments of the proxy's own paths."""
MANY_CALLS = ":batch"
"""What an operation's path ends in where many calls of it are made by one request."""
