"""What the upstream answers when all is well."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from asyncapiproxy.openapi_import.bodies import JSON
from asyncapiproxy.openapi_import.remarks import NotExpressibleError
from asynctasks.json_values import as_array, as_object

if TYPE_CHECKING:
    from asyncapiproxy.openapi_import.document import OpenApiDocument, Part
    from asyncapiproxy.openapi_import.remarks import Remarks
    from asyncapiproxy.openapi_import.schemas import Schemas

MAX_VALUES = 500
"""Of a schema with all that it refers to: more than that nobody reads in a file."""
_SUCCESS = re.compile(r"2\d\d|2XX")
_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+")
ACCEPTED = "202"


class Responses:
    """Makes what the file says of the answer."""

    def __init__(self, document: OpenApiDocument, schemas: Schemas, remarks: Remarks) -> None:
        self._document = document
        self._schemas = schemas
        self._remarks = remarks

    def response(self, operation: Part) -> dict[str, Any]:
        """Of the lowest status of success; empty where the document says nothing of one."""
        found = {one.name.upper(): one for one in operation.each_below("responses")}
        statuses = sorted(filter(_SUCCESS.fullmatch, found))
        if not statuses:
            return {}
        status = statuses[0]
        try:
            part = self._document.followed(found[status])
        except NotExpressibleError as error:
            self._remarks.left_out(error)
            return {}
        if statuses == [ACCEPTED]:
            told = "where it only says that the work has begun, add `upstream.poll`"
            self._remarks.add(part.pointer, told)
        response: dict[str, Any] = {} if status == "2XX" else {"status": int(status)}
        return response | self._content(part)

    def _content(self, part: Part) -> dict[str, Any]:
        media = {one.name.partition(";")[0].strip(): one for one in part.each_below("content")}
        chosen = JSON if JSON in media else next(filter(_MEDIA_TYPE.fullmatch, media), None)
        if chosen is None or "*" in chosen:
            return {}
        schema = media[chosen].below("schema")
        if not schema.value or not chosen.endswith("json"):
            return {"contentType": chosen}
        content_type = {} if chosen == JSON else {"contentType": chosen}
        converted = self._schemas.bundled(self._schemas.converted(schema))
        if _values(converted) > MAX_VALUES:
            why = f"left out: with all that it refers to it has more than {MAX_VALUES} values"
            self._remarks.add(schema.pointer, why)
            return {"contentType": chosen}
        return {**content_type, "schema": converted}


def _values(schema: Any) -> int:
    """How many there are; of no more than there may be."""
    waiting = [schema]
    values = 0
    while waiting and values <= MAX_VALUES:
        one = waiting.pop()
        values += 1
        members = as_object(one)
        waiting.extend(as_array(one) or [] if members is None else members.values())
    return values
