"""An answer as it comes in, byte by byte: what of it is there, how it ends, what is wrong with it.

    103 Early Hints     200 OK and its headers      a body          what follows
    ─────────────── ┬ ─────────────────────────── ┬ ─────────── ┬ ────────────────
      passed over   │           head_is_complete ─┘             │   goes_on: it is
                                              is_complete ──────┘   nobody's

A body ends by its length, by its last chunk or with the connection. Nothing is awaited here: who
reads the connection feeds it, and who has called takes from it.
"""

from __future__ import annotations

from http import HTTPStatus

import httptools

from asyncexecutor.http.call import BODILESS
from asyncexecutor.http.faults import (
    BAD_HEADER,
    BROKEN,
    CLOSED_BEFORE,
    CLOSED_WITHIN,
    MAX_HEADER_BYTES,
    MAX_HEADERS,
    NO_STATUS_LINE,
    TOO_LONG,
    TOO_MANY,
    AnswerInvalidError,
    CallFailedError,
    ConnectionFailedError,
)

_MAX_UNHEARD_BYTES = 2 * MAX_HEADER_BYTES
"""A header is told when the next begins, so two may have come of which nothing was heard."""
_OF_THE_STATUS_LINE = (
    "Expected HTTP/",
    "Expected dot",
    "Expected space",
    "Invalid HTTP version",
    "Data after",
)
"""How the parser's words begin for what stands where a status line should."""


class IncomingAnswer:
    """The answer to one call, fed by its connection."""

    __slots__ = (
        "_body",
        "_ends_with_connection",
        "_is_head",
        "_is_interim",
        "_keeps_connection",
        "_parser",
        "_unheard_bytes",
        "body_bytes",
        "buffered_bytes",
        "fault",
        "goes_on",
        "has_begun",
        "head_is_complete",
        "is_complete",
        "raw_headers",
        "status",
    )

    def __init__(self, *, is_head: bool) -> None:
        self.status = 0
        self.raw_headers: list[tuple[bytes, bytes]] = []
        self.body_bytes = 0
        """How long the body says that it is; 0 where it does not."""
        self.buffered_bytes = 0
        self.has_begun = False
        self.head_is_complete = False
        self.is_complete = False
        self.goes_on = False
        """Something came behind its end, which is nobody's."""
        self.fault: CallFailedError | None = None
        self._is_head = is_head
        """Whether a HEAD is answered, which brings no body whatever its headers say."""
        self._is_interim = False
        self._keeps_connection = False
        self._ends_with_connection = False
        self._unheard_bytes = 0
        """How many bytes have come since the parser last told of anything."""
        self._body: list[bytes] = []
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        # Answers of servers that are old or careless are read as browsers read them.
        self._parser.set_dangerous_leniencies(
            lenient_headers=True,
            lenient_optional_cr_before_lf=True,
            lenient_spaces_after_chunk_size=True,
        )

    @property
    def leaves_connection_usable(self) -> bool:
        """Whether the connection can bear another call now."""
        return (
            self.is_complete and self._keeps_connection and not self.goes_on and self.fault is None
        )

    def feed(self, data: bytes) -> None:
        """Take in what has come."""
        self.has_begun = True
        parser = self._parser
        if parser is None:
            self.goes_on = True
            return
        self._unheard_bytes += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # 101, which is an answer of its own kind
        except httptools.HttpParserError as error:
            if self.fault is None and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
                self.fault = AnswerInvalidError(_told(error))
        if self._unheard_bytes > _MAX_UNHEARD_BYTES and self.fault is None:
            self.fault = AnswerInvalidError(TOO_LONG)
        if self.is_complete or self.fault is not None:
            # It refers to this answer, as this answer does to it.
            self._parser = None

    def end(self, error: Exception | None) -> None:
        """Take in that the connection has ended, by an error or in peace."""
        self._parser = None
        if self.is_complete or self.fault is not None:
            return
        if error is None and self.head_is_complete and self._ends_with_connection:
            self.is_complete = True
        elif error is not None:
            self.fault = ConnectionFailedError(BROKEN)
        else:
            self.fault = ConnectionFailedError(
                CLOSED_WITHIN if self.head_is_complete else CLOSED_BEFORE
            )

    def take(self) -> bytes:
        """What has come of the body since; empty where that is nothing."""
        body = self._body
        if not body:
            return b""
        taken = body[0] if len(body) == 1 else b"".join(body)
        body.clear()
        self.buffered_bytes = 0
        return taken

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Note what begins behind the end."""
        if self.is_complete:
            self.goes_on = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take in a header, or a trailer, which is counted and not kept."""
        self._unheard_bytes = 0
        headers = self.raw_headers
        if self.is_complete:
            return
        if len(name) + len(value) > MAX_HEADER_BYTES:
            self._refuse(TOO_LONG)
        if b"\0" in value:
            self._refuse(BAD_HEADER)
        if len(headers) >= MAX_HEADERS:
            self._refuse(TOO_MANY)
        if not self.head_is_complete:
            headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Take in that the head is complete, of the answer or of one that is only interim."""
        self._unheard_bytes = 0
        if self.is_complete:
            return
        parser = self._parser
        assert parser is not None
        status = self.status = parser.get_status_code()
        if 100 <= status < 200 and status != HTTPStatus.SWITCHING_PROTOCOLS:  # noqa: PLR2004 - 1xx
            self._is_interim = True
            self.raw_headers.clear()
            return
        self.head_is_complete = True
        self._frame(has_body=not self._is_head and status not in BODILESS)
        if self._is_head:
            # The parser would wait for the body; the next answer has a parser of its own.
            self._complete(parser)

    def on_body(self, data: bytes) -> None:
        """Take in a part of the body."""
        self._unheard_bytes = 0
        if self.is_complete:
            self.goes_on = True
            return
        self._body.append(data)
        self.buffered_bytes += len(data)

    def on_message_complete(self) -> None:
        """Take in the end, of the answer or of one that is only interim."""
        if self._is_interim:
            self._is_interim = False
        elif not self.is_complete:
            assert self._parser is not None
            self._complete(self._parser)

    def _complete(self, parser: httptools.HttpResponseParser) -> None:
        self.is_complete = True
        self._keeps_connection = (
            parser.should_keep_alive() and self.status != HTTPStatus.SWITCHING_PROTOCOLS
        )

    def _frame(self, *, has_body: bool) -> None:
        """Note how the end of the body is told (RFC 9112 §6.3)."""
        length = coding = None
        for name, value in self.raw_headers:
            # The parser takes a name with a space behind it for the same.
            known = name.rstrip(b" \t").lower()
            if known == b"content-length":
                length = value
            elif known == b"transfer-encoding":
                coding = value
        if coding is not None:
            self._ends_with_connection = not coding.lower().endswith(b"chunked")
        elif length is None:
            self._ends_with_connection = True
        elif has_body:
            self.body_bytes = int(length)

    def _refuse(self, why: str) -> None:
        self.fault = AnswerInvalidError(why)
        raise self.fault


def _told(error: httptools.HttpParserError) -> str:
    """What is wrong, in our words or the parser's, which quote nothing."""
    told = str(error)
    is_status = isinstance(error, httptools.HttpParserInvalidStatusError)
    return NO_STATUS_LINE if is_status or told.startswith(_OF_THE_STATUS_LINE) else told
