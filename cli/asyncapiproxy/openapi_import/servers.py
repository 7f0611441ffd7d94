"""Where the upstream is: the document's servers, or what is said in their place."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin

from asyncapiproxy.openapi_import.remarks import DocumentError
from asyncapiproxy.openapi_import.source import is_address
from asynctasks.operations.url_template import UrlTemplate, UrlTemplateError

if TYPE_CHECKING:
    from asyncapiproxy.openapi_import.document import Part

_VARIABLE = re.compile(r"\{([^{}]*)\}")


class Servers:
    """Of a document that came from `source`; `upstream` is used in place of all that it names."""

    def __init__(self, source: str, *, upstream: str | None) -> None:
        """Raise DocumentError where the upstream is no URL."""
        self._base = source if is_address(source) else ""
        self._upstream = upstream
        if upstream is not None:
            try:
                UrlTemplate(upstream)
            except UrlTemplateError as error:
                raise DocumentError(f"--upstream {upstream}: {error}") from error

    def url(self, *levels: Part) -> str:
        """The URL to which a path is added, by the first of the levels that names servers.

        Raises DocumentError where it is not a whole one.
        """
        if self._upstream is not None:
            return self._upstream.rstrip("/")
        named = next((level for level in levels if level.value.get("servers")), None)
        server = named.below("servers", 0) if named is not None else None
        told = str(server.value.get("url", "/")) if server is not None else "/"
        if server is not None:
            told = _VARIABLE.sub(lambda match: _default(server, match), told)
        url = urljoin(self._base, told) if self._base else told
        if not is_address(url):
            where = server.pointer if server is not None else "#"
            raise DocumentError(
                f"{where}: the server is {told!r}, which is no whole URL: say by "
                "`--upstream` where it is, https://api.example.com or {NAME} of a variable"
            )
        return url.rstrip("/")


def _default(server: Part, match: re.Match[str]) -> str:
    """What stands for a variable: its default, or itself, which the template's reader refuses."""
    variable = server.below("variables", match[1]).value
    return str(variable.get("default", match[0]))
