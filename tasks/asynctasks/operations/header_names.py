"""Names of HTTP headers, and those that are the connection's own."""

from __future__ import annotations

import re

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token (RFC 9110 §5.6.2), as names of cookies are, too."""
_FRAMING = "the connection makes it"
OF_THE_CONNECTION = dict.fromkeys(
    (
        "connection",
        "content-encoding",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ),
    _FRAMING,
)
"""Headers of a request that no operations file can choose, and why."""
