"""Heads of requests, as an operation's parameters read them."""

from asynctasks.operations.call_parameters import RequestHead


def head(
    query: str = "", *, headers: dict[str, list[str]] | None = None, **variables: str
) -> RequestHead:
    """A head with this query, these headers by their names in small letters, and this path."""
    lines = headers or {}
    return RequestHead(
        variables=variables, query=query, header=lambda name: lines.get(name.lower(), [])
    )
