"""Where addresses in an upstream's answers lead those who did not call it themselves."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from yarl import URL

from asynctasks.errors import OperationsFileError
from asynctasks.operations.upstream_call import HEADER_PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from asynctasks.operations.operation import Operation
    from asynctasks.operations.upstream_call import UpstreamCall


_PLAIN_PATH = re.compile(r"(/[\w~%-][\w~%.-]*)+", re.ASCII)
"""Behind the origin it is the whole URL already: to join the two would take as long as a write."""


class UpstreamAddresses:
    """Makes the addresses in one operation's answers whole, or paths of the proxy."""

    def __init__(
        self, operation: Operation, call: UpstreamCall, environment: Mapping[str, str]
    ) -> None:
        """Raise OperationsFileError where the environment makes no URL of `from`."""
        self._rewrite = call.rewrite_location
        if self._rewrite is None:
            return
        text = HEADER_PLACEHOLDER.sub(
            lambda name: environment[name[1]].strip(), self._rewrite.from_url
        )
        try:
            self._origin = _origin(text)
        except ValueError:
            place = operation.place("upstream", "rewriteLocation", "from")
            # Without the cause, which quotes the environment.
            raise OperationsFileError(f"{place}: expected http://… or https://…") from None
        self._path = URL(text, encoded=True).raw_path.rstrip("/")
        self._to = self._rewrite.to.rstrip("/")

    def told(self, address: str, *, called: URL) -> str:
        """The address as callers are told it: a whole URL, or a path of the proxy.

        What is no address stays as it is.
        """
        try:
            if _PLAIN_PATH.fullmatch(address):
                address = f"{called.origin()}{address}"
            elif not address.startswith(("http://", "https://")):
                # Neither the password nor the query of our own call is for callers.
                address = urljoin(str(called.with_user(None).with_query(None)), address)
            return address if self._rewrite is None else self._rewritten(address)
        except ValueError:
            return address

    def _rewritten(self, address: str) -> str:
        url = URL(address, encoded=True)
        path = url.raw_path
        if _origin(address) != self._origin or not f"{path}/".startswith(f"{self._path}/"):
            return address
        # By one slash: two would lead to another host, and so does a backslash, to browsers.
        told = "/" + (self._to + path[len(self._path) :]).lstrip("/\\")
        query = f"?{url.raw_query_string}" if url.raw_query_string else ""
        return told + query + (f"#{url.raw_fragment}" if url.raw_fragment else "")


def target_of_same_origin(location: str, *, called: URL) -> URL | None:
    """Where an answer to this call leads, unless that is to another origin."""
    try:
        target = URL(urljoin(str(called), location))
        if target.origin() != called.origin():
            return None
    except ValueError:
        return None
    return with_user_of(target, called).with_fragment(None)


def with_user_of(url: URL, called: URL) -> URL:
    """The URL with the user and the password, if any, by which another was called."""
    if "@" not in url.raw_authority and "@" not in called.raw_authority:
        return url
    same_caller = url.with_user(called.user)
    if called.password is not None:
        same_caller = same_caller.with_password(called.password)
    return same_caller


def _origin(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port, however they are written."""
    url = URL(address).origin()
    return url.scheme, url.raw_host, url.port
