"""One operation of the file for each call of the document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from asyncapiproxy.openapi_import.bodies import JSON, Bodies, Body
from asyncapiproxy.openapi_import.keywords import prose
from asyncapiproxy.openapi_import.parameters import given, path_variable
from asyncapiproxy.openapi_import.remarks import NotExpressibleError
from asyncapiproxy.openapi_import.responses import Responses
from asyncapiproxy.openapi_import.schemas import Schemas
from asyncapiproxy.openapi_import.security import Proof, Security
from asyncapiproxy.openapi_import.stated_parameters import stated_parameters
from asynctasks.declarations.declared_file import faults_of
from asynctasks.declarations.yaml_lines import MAX_DEPTH
from asynctasks.json_values import as_array, as_object
from asynctasks.operations.operation import Operation
from asynctasks.operations.reserved_paths import MANY_CALLS, RESERVED_PATHS
from asynctasks.operations.upstream_call import OUR_NAMES, WITH_BODY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from asyncapiproxy.openapi_import.calls import Call
    from asyncapiproxy.openapi_import.document import OpenApiDocument
    from asyncapiproxy.openapi_import.parameters import GivenParameter
    from asyncapiproxy.openapi_import.remarks import Remarks
    from asyncapiproxy.openapi_import.servers import Servers
    from asyncapiproxy.openapi_import.stated_parameters import StatedParameter
    from asynctasks.operations.write_only import Schema

_VARIABLE = re.compile(r"\{([^{}]*)\}")
_ABOVE = 4
"""Levels of the file above a declaration's own keys, and to spare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    """What an operation is made of."""

    call: Call
    server: str
    proof: Proof
    parameters: list[GivenParameter]
    body: Body | None


class OperationMaker:
    """Makes them, and notes what they cannot say."""

    def __init__(
        self, document: OpenApiDocument, servers: Servers, remarks: Remarks, *, prefix: str
    ) -> None:
        self._document = document
        self._servers = servers
        self._remarks = remarks
        self._prefix = prefix
        self._served: dict[tuple[str, str], str] = {}
        self._requests = Schemas(document, remarks, "request")
        self._bodies = Bodies(document, self._requests, remarks)
        self._responses = Responses(document, Schemas(document, remarks, "response"), remarks)
        self._security = Security(document, remarks)

    def declaration(self, call: Call, *, name: str) -> dict[str, Any]:
        """What stands in the file below the operation's name.

        Raises NotExpressibleError, and DocumentError where it is not known where the upstream is.
        """
        route = self._route(call)
        parts = self._parts(call)
        declared = {
            **_texts(call),
            "route": route,
            "parameters": [entry for one in parts.parameters if (entry := one.entry)],
            "arguments": self._arguments(parts),
            "body": _raw_body(parts.body),
            "response": self._responses.response(call.operation),
            "upstream": _upstream(parts),
        }
        declared = {key: value for key, value in declared.items() if value}
        operation = _checked(declared, name=name, at=call.operation.pointer)
        other = self._served.setdefault((operation.method, operation.served_path), name)
        if other != name:
            raise NotExpressibleError(call.operation.pointer, f"{other} has this route already")
        if "callbacks" in call.operation.value:
            pointer = f"{call.operation.pointer}/callbacks"
            self._remarks.add(pointer, "left out: the upstream calls its caller's address itself")
        return declared

    def _route(self, call: Call) -> str:
        path = _VARIABLE.sub(lambda match: f"{{{path_variable(match[1])}}}", call.path)
        first = path.split("/")[1] if path.startswith("/") else path
        if not self._prefix and (first in RESERVED_PATHS or first.startswith("{")):
            why = f"/{first} is taken by the proxy itself: `--prefix /NAME` serves all below a path"
            raise NotExpressibleError(call.operation.pointer, why)
        if path.rstrip("/").endswith(MANY_CALLS):
            why = f"paths that end in {MANY_CALLS} are taken by the proxy itself"
            raise NotExpressibleError(call.operation.pointer, why)
        return f"{call.method} {self._prefix}{path}"

    def _parts(self, call: Call) -> _Parts:
        stated = stated_parameters(self._document, call.path_item, call.operation, self._remarks)
        body = self._bodies.body(call.operation, method=call.method, has_parameters=bool(stated))
        proof = self._security.proof(call.operation)
        server = self._servers.url(call.operation, call.path_item, self._document.root)
        of_environment = proof.variables | set(_VARIABLE.findall(server))
        of_body = set(as_object(body.arguments.get("properties")) or {}) if body else set[str]()
        if both := sorted(of_environment & of_body):
            why = f"the body has a property {both[0]!r}, which is a variable's name in the file"
            raise NotExpressibleError(call.operation.pointer, why)
        parameters = self._parameters(stated, proof, {*OUR_NAMES, *of_environment, *of_body})
        return _Parts(call=call, server=server, proof=proof, parameters=parameters, body=body)

    def _parameters(
        self, stated: Sequence[StatedParameter], proof: Proof, taken: set[str]
    ) -> list[GivenParameter]:
        """Those that the file can say; raises NotExpressibleError for one that is required."""
        found: list[GivenParameter] = []
        for one in stated:
            if proof.has(one.place, one.name):
                self._remarks.add(one.part.pointer, "left out: calls show a secret by it")
                continue
            try:
                _check_cookie(one, stated, proof)
                parameter = given(one, self._requests, taken=taken)
            except NotExpressibleError as error:
                if one.is_required:
                    raise
                self._remarks.left_out(error)
            else:
                found.append(parameter)
                taken.add(parameter.declared.gives)
        return found

    def _arguments(self, parts: _Parts) -> Schema:
        """Those of parameters and body together; empty where there are none to be checked."""
        body = parts.body.arguments if parts.body is not None else {}
        of_body = as_object(body.get("properties")) or {}
        properties = {one.declared.gives: one.schema for one in parts.parameters} | of_body
        required = [one.declared.gives for one in parts.parameters if one.is_required]
        required += as_array(body.get("required")) or []
        arguments: Schema = {"type": "object"}
        if required:
            arguments["required"] = required
        takes_json = parts.call.method in WITH_BODY and parts.body is None
        if takes_json:
            arguments["additionalProperties"] = False
        known = {"type", "required", "properties"}
        arguments |= {key: value for key, value in body.items() if key not in known}
        if properties:
            arguments["properties"] = properties
        return self._requests.bundled(arguments) if len(arguments) > 1 else {}


def _check_cookie(one: StatedParameter, stated: Sequence[StatedParameter], proof: Proof) -> None:
    """Raise NotExpressibleError where it may be missing, and the others with it."""
    cookies = sum(each.place == "cookie" for each in stated) + ("Cookie" in proof.headers)
    if one.place == "cookie" and cookies > 1 and not one.is_required:
        why = "of several cookies each has to be required, since one header has them all"
        raise NotExpressibleError(one.part.pointer, why)


def _texts(call: Call) -> dict[str, str]:
    told = call.operation.value
    summary = " ".join(str(told.get("summary", "")).split())
    description = prose(told.get("description", ""))
    if told.get("deprecated") is True:
        description = f"Deprecated. {description}".strip()
    return {"summary": summary, "description": description if description != summary else ""}


def _raw_body(body: Body | None) -> dict[str, Any]:
    return {"contentTypes": list(body.content_types)} if body and body.content_types else {}


def _upstream(parts: _Parts) -> dict[str, Any]:
    headers = dict(parts.proof.headers)
    if parts.body is not None and parts.body.json_type != JSON:
        headers["Content-Type"] = parts.body.json_type
    for one in parts.parameters:
        if one.declared.place == "header":
            headers[one.declared.name] = f"{{{one.declared.gives}}}"
    cookies = [one for one in parts.parameters if one.declared.place == "cookie"]
    if cookies:
        given_cookies = [f"{one.declared.name}={{{one.declared.gives}}}" for one in cookies]
        headers["Cookie"] = "; ".join([*filter(None, [headers.get("Cookie")]), *given_cookies])
    upstream: dict[str, Any] = {"method": parts.call.method, "url": _url(parts)}
    return upstream | ({"headers": headers} if headers else {})


def _url(parts: _Parts) -> str:
    by_name = {one.declared.name: one for one in parts.parameters if one.declared.place == "path"}

    def expression(match: re.Match[str]) -> str:
        parameter = by_name.get(path_variable(match[1]))
        return f"{{{parameter.expression}}}" if parameter is not None else match[0]

    url = parts.server + _VARIABLE.sub(expression, parts.call.path)
    in_query = [one.expression for one in parts.parameters if one.declared.place == "query"]
    if parts.proof.query:
        url += "?" + "&".join(f"{name}={value}" for name, value in parts.proof.query.items())
    if in_query:
        url += f"{{{'&' if parts.proof.query else '?'}{','.join(in_query)}}}"
    return url


def _checked(declared: dict[str, Any], *, name: str, at: str) -> Operation:
    """What the file's reader makes of it; raises NotExpressibleError with all its faults."""
    if _depth(declared) + _ABOVE > MAX_DEPTH:
        raise NotExpressibleError(at, f"it is nested more than {MAX_DEPTH} levels deep")
    try:
        return Operation.model_validate({**declared, "name": name})
    except ValidationError as error:
        faults = faults_of(error, Operation, hidden=frozenset({"name"}))
        told = "; ".join(
            ": ".join(filter(None, (".".join(map(str, key)), it))) for key, it in faults
        )
        raise NotExpressibleError(at, told) from error


def _depth(value: Any) -> int:
    members = as_object(value)
    below = as_array(value) or [] if members is None else members.values()
    return 1 + max(map(_depth, below), default=0)
