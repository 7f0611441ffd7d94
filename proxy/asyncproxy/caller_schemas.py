"""What OpenAPI says of the caller, as `caller_routes` shows it."""

from __future__ import annotations

from asyncproxy.access.rules import Action, Scope
from asyncproxy.schemas import (
    OTHERWISE,
    TEXT,
    Responses,
    Schema,
    json_answer,
    objects,
    or_null,
    problem,
    reference,
)

COMPONENTS: dict[str, Schema] = {
    "Caller": objects(
        "principal tenant groups rules",
        {
            "principal": {
                **or_null(TEXT),
                "description": "Unique among all callers; null where they are not told apart.",
            },
            "tenant": or_null(TEXT),
            "groups": {"type": "array", "items": TEXT},
            "rules": {
                "type": "array",
                "items": reference("CallerRule"),
                "description": "The first that fits an operation's name decides.",
            },
        },
    ),
    "CallerRule": objects(
        "operations tasks may",
        {
            "operations": {
                "type": "array",
                "items": TEXT,
                "description": "Patterns of names, in which `*` stands for any characters.",
            },
            "tasks": {
                "type": "string",
                "enum": [scope.value for scope in Scope],
                "description": "Whose tasks it is about.",
            },
            "may": {
                "type": "array",
                "items": {"type": "string", "enum": [action.value for action in Action]},
            },
        },
        description="What the caller may do with some operations and their tasks.",
    ),
}
WHOAMI: Responses = {
    200: json_answer("As whom this proxy knows the caller", "Caller"),
    401: problem("It is not known who calls"),
    "4XX": problem("The request cannot be read"),
    "default": OTHERWISE,
}
