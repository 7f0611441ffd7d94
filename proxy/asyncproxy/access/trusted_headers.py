"""What a proxy in front says of who calls: believed from its addresses, dropped from all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from asyncproxy.access.principal import Principal
from asyncproxy.access.refusals import Reason, refusal
from asyncproxy.access.tokens import checked_groups, checked_name
from asyncproxy.forwarded import TrustedProxies

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

    from asyncproxy.access.authentication import TrustedHeaders


def without_claims(app: ASGIApp, reader: Callable[[], HeaderReader | None]) -> ASGIApp:
    """The application, which gets these headers only from proxies that are trusted.

    Before anything reads the request: an operation may forward them to its upstream.
    """

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        headers = reader()
        if headers is not None and scope["type"] == "http":
            headers.drop(scope)
        await app(scope, receive, send)

    return serve


class HeaderReader:
    """Reads the headers that are declared, and drops them where they are not to be believed."""

    def __init__(self, declared: TrustedHeaders) -> None:
        self._declared = declared
        self.prefix = declared.prefix
        self._names = frozenset(name.lower().encode() for name in declared.names)
        self._proxies = TrustedProxies(declared.trusted_proxies)

    def trusts(self, scope: Scope) -> bool:
        """Whether the other end of the connection is a proxy that may say who calls."""
        return self._proxies.vouch_for(scope)

    def drop(self, scope: Scope) -> None:
        """Take the headers out of a request that comes from anyone else."""
        self._proxies.drop(scope, self._names)

    def principal(self, request: Request) -> Principal | None:
        """Who calls, None where the proxy does not say it; raises UnauthenticatedError."""
        declared = self._declared
        name = self._value(request, declared.principal)
        if name is None:
            return None
        groups = self._value(request, declared.groups) or ""
        tenant = self._value(request, declared.tenant)
        return Principal(
            name=declared.prefix + checked_name(name, Reason.HEADER),
            tenant=checked_name(tenant, Reason.HEADER) if tenant else "",
            groups=checked_groups(
                [group for part in groups.split(",") if (group := part.strip())],
                Reason.HEADER,
                prefix=declared.prefix,
            ),
        )

    def _value(self, request: Request, name: str | None) -> str | None:
        if name is None:
            return None
        lines = request.headers.getlist(name)
        if len(lines) > 1:
            raise refusal(Reason.SEVERAL, f"{name} stands there {len(lines)} times")
        try:
            return lines[0].encode("latin-1").decode() if lines else None
        except UnicodeDecodeError as error:
            raise refusal(Reason.HEADER, f"{name} is not UTF-8") from error
