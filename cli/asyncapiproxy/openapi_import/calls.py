"""The calls of a document: each path and method, and which of them are chosen."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncapiproxy.openapi_import.names import operation_name
from asyncapiproxy.openapi_import.remarks import (
    DocumentError,
    NotExpressibleError,
    Remarks,
)
from asynctasks.declarations.declared import did_you_mean
from asynctasks.operations.operation import METHODS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from asyncapiproxy.openapi_import.document import OpenApiDocument, Part

_NEVER_SERVED = ("options", "trace")
_NO_WORD = re.compile(r"\W")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One method of one path."""

    method: str
    path: str
    path_item: Part
    operation: Part

    @property
    def words(self) -> str:
        """As people write it: `POST /clients`."""
        return f"{self.method} {self.path}"

    @property
    def operation_id(self) -> str:
        """The document's own name for it; empty where it has none."""
        return str(self.operation.value.get("operationId") or "")

    @property
    def told_name(self) -> str:
        """Its own name, without the path and method that FastAPI adds; else made of the call."""
        added = f"{_NO_WORD.sub('_', self.path)}_{self.method.lower()}"
        return self.operation_id.removesuffix(added) or self.words

    @property
    def names(self) -> set[str]:
        """All by which a person may choose it."""
        named = {self.words, self.operation_id, operation_name(self.told_name, taken=())}
        return named - {""}


def chosen_calls(
    document: OpenApiDocument, wanted: Collection[str], remarks: Remarks
) -> list[Call]:
    """Those that are wanted, or all; raises DocumentError for one that is not there."""
    # Of others than those that are wanted nobody asked.
    calls = list(_calls(document, Remarks() if wanted else remarks))
    known = {name for call in calls for name in call.names}
    for name in wanted:
        if name not in known:
            meant = did_you_mean(name, known)
            raise DocumentError(
                f"--operation {name}: the document has no such operationId and no such call, "
                f"which would be POST /clients, for instance{meant}"
            )
    return [call for call in calls if not wanted or call.names & set(wanted)]


def _calls(document: OpenApiDocument, remarks: Remarks) -> Iterator[Call]:
    for listed in document.root.each_below("paths"):
        try:
            path_item = document.followed(listed)
        except NotExpressibleError as error:
            remarks.left_out(error)
            continue
        for method in METHODS:
            if method.lower() in path_item.value:
                yield Call(
                    method=method,
                    path=listed.name,
                    path_item=path_item,
                    operation=path_item.below(method.lower()),
                )
        for method in _NEVER_SERVED:
            if method in path_item.value:
                why = f"left out: the proxy serves {', '.join(METHODS)}"
                remarks.add(path_item.below(method).pointer, why)
