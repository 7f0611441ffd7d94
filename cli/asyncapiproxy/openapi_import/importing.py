"""Makes an operations file of an OpenAPI document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asyncapiproxy.openapi_import.calls import chosen_calls
from asyncapiproxy.openapi_import.document import OpenApiDocument
from asyncapiproxy.openapi_import.names import operation_name
from asyncapiproxy.openapi_import.operations import OperationMaker
from asyncapiproxy.openapi_import.remarks import DocumentError, NotExpressibleError, Remarks
from asyncapiproxy.openapi_import.servers import Servers
from asyncapiproxy.openapi_import.written import written
from asynctasks.operations.operations_file import parse_operations

if TYPE_CHECKING:
    from collections.abc import Collection

    from asynctasks.operations.operation import Operations


_PREFIX = re.compile(r"((/[A-Za-z0-9._~-]+)+/?)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What was made of a document."""

    text: str
    """The operations file."""
    operations: Operations
    left_out: int
    """How many of the calls that were wanted are not in it."""
    remarks: Remarks


def imported(
    document: Any,
    *,
    source: str,
    wanted: Collection[str] = (),
    upstream: str | None = None,
    prefix: str = "",
) -> Imported:
    """The operations file of a document that was read from a path or an address, its source.

    Of all its calls, or of those that are wanted, served below the prefix. Raises DocumentError.
    """
    if not _PREFIX.fullmatch(prefix):
        raise DocumentError(f"--prefix {prefix}: expected a path: /billing")
    remarks = Remarks()
    document = OpenApiDocument(document, name=source)
    servers = Servers(source, upstream=upstream)
    maker = OperationMaker(document, servers, remarks, prefix=prefix.rstrip("/"))
    declared: dict[str, Any] = {}
    calls = chosen_calls(document, wanted, remarks)
    for call in calls:
        name = operation_name(call.told_name, taken=declared)
        try:
            declared[name] = maker.declaration(call, name=name)
        except NotExpressibleError as error:
            remarks.add(call.operation.pointer, f"left out: {_why(error, call.operation.pointer)}")
    if "webhooks" in document.root.value and not wanted:
        remarks.add("#/webhooks", "left out: the upstream makes these calls, it does not take them")
    if not declared:
        told = "".join(f"\n{remark}" for remark in remarks)
        raise DocumentError(f"{source}: none of its calls can be an operation{told}")
    text = written(declared, title=document.title)
    return Imported(
        text=text,
        operations=parse_operations(text, name="the file made of it"),
        left_out=len(calls) - len(declared),
        remarks=remarks,
    )


def _why(error: NotExpressibleError, operation: str) -> str:
    """The reason, with its place where that is another than the operation's."""
    return str(error) if error.pointer == operation else f"{error.pointer}: {error}"
