"""Bodies on the command line: a file to be sent as it is, and one to be written."""

from __future__ import annotations

import mimetypes
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from asynctasks.errors import AsyncApiProxyError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from asyncapiproxy.client.declared_operation import DeclaredOperation


class BodyError(AsyncApiProxyError):
    """The body on the command line cannot be sent, or the answer not be written."""


@dataclass(frozen=True, slots=True)
class TypedBody:
    """A body and what it is."""

    content: bytes | BinaryIO
    content_type: str


@contextmanager
def typed_body(
    operation: DeclaredOperation, file: str | None, *, content_type: str | None
) -> Generator[TypedBody | None]:
    """The file's body, open while the block runs; None where the operation takes none.

    Raises BodyError.
    """
    if file is None and not operation.content_types:
        yield None
        return
    if file is None:
        taken = ", ".join(operation.content_types)
        raise BodyError(f"{operation.name} takes a body of {taken}: give --body FILE")
    if not operation.content_types:
        raise BodyError(f"{operation.name} takes no --body, but arguments: name=value")
    told = content_type or mimetypes.guess_type(file)[0]
    if told is None:
        raise BodyError(f"--body: {file}: say what it is, --content-type application/pdf")
    file = file.removeprefix("@")
    if file == "-":
        yield TypedBody(sys.stdin.buffer.read(), told)
        return
    try:
        opened = Path(file).open("rb")  # noqa: SIM115 - what is sent may fail in its own ways
    except OSError as error:
        raise BodyError(f"--body: {file}: {error.strerror}") from error
    with opened:
        yield TypedBody(opened, told)


def write_answer(parts: Iterable[bytes], file: Path | None) -> None:
    """Write the parts as they come, to the file or to standard output; raises BodyError."""
    if file is None:
        for part in parts:
            sys.stdout.buffer.write(part)
        sys.stdout.flush()
        return
    try:
        with file.open("wb") as stream:
            stream.writelines(parts)
    except OSError as error:
        raise BodyError(f"--output: {file}: {error.strerror}") from error
