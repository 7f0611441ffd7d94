"""The operations file as a JSON Schema, for editors: keys, kinds of values, what each is for.

What the schema takes may still be refused: it says what a schema says well, and only the file's
reader knows all rules.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from typing import TYPE_CHECKING, Any

from asynctasks.declarations.declared import Declared
from asynctasks.limits.limit import FAIR_BY, Limit
from asynctasks.operations.callback import Callback
from asynctasks.operations.operation import HANDLER, NAME, QUEUE, ROUTE, Operation
from asynctasks.operations.schema_keywords import DRAFT

if TYPE_CHECKING:
    from asynctasks.operations.write_only import Schema

_DEFINITIONS = "#/$defs/{model}"
_MORE: dict[tuple[str, str], Schema] = {
    ("Operation", "route"): {"pattern": f"^{ROUTE.pattern}$"},
    ("Operation", "queue"): {"pattern": f"^{QUEUE.pattern}$"},
    ("Operation", "handler"): {"pattern": f"^{HANDLER.pattern}$"},
    ("Operation", "arguments"): {"$ref": DRAFT},
    ("Operation", "limits"): {"uniqueItems": True},
    ("DeclaredResponse", "schema"): {"$ref": DRAFT},
    ("Limit", "fairBy"): {"pattern": f"^({FAIR_BY.pattern})$"},
}
"""What the classes check by functions, where a schema can say it."""


def file_schema() -> Schema:
    """The schema; defaults and descriptions are those of the declarations' own classes."""
    definitions: dict[str, Schema] = {}
    for model in (Operation, Limit, Callback):
        schema = _schema_of(model)
        definitions |= {**schema.pop("$defs", {}), model.__name__: schema}
    for model in _models(Declared):
        if model.__name__ in definitions:
            _describe(definitions[model.__name__], model)
            _refuse_empty(definitions[model.__name__])
    for place, more in _MORE.items():
        definitions[place[0]]["properties"][place[1]] |= more
    by_status = definitions["Retention"]
    for_one = {**by_status["properties"]["succeeded"], "description": "Seconds, for all ends."}
    definitions["Retention"] = {"anyOf": [for_one, by_status]}
    return {
        "$schema": DRAFT,
        "title": "Operations of AsyncApiProxy",
        "type": "object",
        "required": ["operations"],
        "additionalProperties": False,
        "properties": {
            "operations": {
                **_by_name("Operation"),
                "description": "What callers may ask for, by its name.",
                "minProperties": 1,
            },
            "limits": {
                **_by_name("Limit"),
                "description": "What operations together may ask of their upstreams, by its name.",
            },
            "callbacks": {
                **_by_name("Callback"),
                "description": "Whom callers may have told of tasks' ends, by its name.",
            },
        },
        "$defs": dict(sorted(definitions.items())),
    }


def _schema_of(model: type[Declared]) -> Schema:
    """Without the name, which is the key above."""
    schema = model.model_json_schema(mode="validation", ref_template=_DEFINITIONS)
    schema["properties"].pop("name", None)
    schema["required"] = [key for key in schema.get("required", []) if key != "name"]
    return schema


def _by_name(model: str) -> Schema:
    return {
        "type": "object",
        "propertyNames": {"pattern": f"^{NAME.pattern}$"},
        "additionalProperties": {"$ref": _DEFINITIONS.format(model=model)},
    }


def _models(base: type[Declared]) -> list[type[Declared]]:
    return [each for model in base.__subclasses__() for each in (model, *_models(model))]


def _describe(schema: Schema, model: type[Declared]) -> None:
    """Say of each key what the text below its field says, and name none by Python's words."""
    schema.pop("title", None)
    for name, field in model.model_fields.items():
        described: Any = schema["properties"].get(str(field.validation_alias))
        if described is None:
            continue
        described.pop("title", None)
        texts = (_texts_below_fields(each).get(name) for each in model.__mro__)
        if text := next(filter(None, texts), None):
            described["description"] = text


def _refuse_empty(schema: Schema) -> None:
    """A key without a value is a fault: what may be left out is left out."""
    for described in schema["properties"].values():
        kinds = [kind for kind in described.get("anyOf", ()) if kind != {"type": "null"}]
        if len(kinds) == 1 and len(kinds) < len(described["anyOf"]):
            del described["anyOf"]
            described.update(kinds[0])
            described.pop("default", None)


def _texts_below_fields(model: type) -> dict[str, str]:
    if not issubclass(model, Declared):
        return {}
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    found: dict[str, str] = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match below:
                case ast.Expr(ast.Constant(str(text))):
                    found[field.target.id] = " ".join(text.split())
                case _:
                    pass
    return found
