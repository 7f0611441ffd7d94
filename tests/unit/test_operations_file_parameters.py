"""What is wrong with an operation's parameters is told by line, key and what was expected."""

import pytest

from asynctasks.operations.operations_file import parse_operations
from asynctestkit.operations_texts import fault_of

ARGUMENTS = """\
    arguments:
      type: object
      properties:
        year: {type: integer}
        sizes: {type: array, items: {type: integer}}
        secret: {type: string, writeOnly: true}
        rows: {type: array, items: {type: array}}
        range: {type: object, properties: {from: {type: integer}}}
        open: {type: object}
"""


def file(*parameters: str, route: str = "POST /a/{year}") -> str:
    """An operation with these parameters, each on a line of its own from 6 on."""
    lines = [f"      - {{{one}}}" for one in parameters]
    head = f"operations:\n  a:\n    route: {route}\n    handler: a:b\n    parameters:\n"
    return head + "\n".join(lines) + "\n" + ARGUMENTS


def test_the_file_that_the_broken_ones_were_made_from_is_good():
    text = file(
        "name: year, in: path",
        "name: size, in: query, argument: sizes, style: pipeDelimited",
        "name: X-Secret, in: header, argument: secret",
        "name: range, in: cookie, explode: false",
    )
    operation = parse_operations(text, name="ops.yaml")["a"]
    assert operation.call_parameters.arguments == {"year", "sizes", "secret", "range"}


FAULTS = {
    "no list": (
        file().replace("    parameters:\n\n", "    parameters: {}\n"),
        "5: operations.a.parameters: expected a list",
    ),
    "no mapping": (
        file().replace("    parameters:\n\n", "    parameters: [year]\n"),
        "5: operations.a.parameters.0: expected keys and values below it (it is 'year')",
    ),
    "unknown key": (
        file("name: year, in: path", "name: size, in: query, required: true"),
        (
            "7: operations.a.parameters.1.required: unknown key; expected one of "
            "allowReserved, argument, explode, in, name, style"
        ),
    ),
    "no place": (file("name: year"), "6: operations.a.parameters.0.in: is missing"),
    "unknown place": (
        file("name: year, in: body"),
        (
            "6: operations.a.parameters.0.in: expected 'path', 'query', 'header' or 'cookie' "
            "(it is 'body')"
        ),
    ),
    "a style of another place": (
        file("name: sizes, in: query, style: label"),
        (
            "6: operations.a.parameters.0: in query: expected a style of form, spaceDelimited, "
            "pipeDelimited, deepObject"
        ),
    ),
    "explode that is no boolean": (
        file("name: sizes, in: query, explode: 1"),
        "6: operations.a.parameters.0.explode: expected a valid boolean (it is 1)",
    ),
    "explode that is undefined": (
        file("name: range, in: query, style: deepObject, explode: false"),
        "6: operations.a.parameters.0: `explode: false` with deepObject is undefined in OpenAPI",
    ),
    "explode of a style that is not": (
        file("name: sizes, in: query, style: pipeDelimited, explode: true"),
        "6: operations.a.parameters.0: `explode: true` is the style form, not pipeDelimited",
    ),
    "reserved characters of a header": (
        file("name: sizes, in: header, allowReserved: true"),
        "6: operations.a.parameters.0: `allowReserved` is for the query",
    ),
    "no name of a header": (
        file("name: my sizes, in: header, argument: sizes"),
        "6: operations.a.parameters.0: 'my sizes' is no name of a header (RFC 9110 §5.6.2)",
    ),
    "a header that OpenAPI passes over": (
        file("name: Accept, in: header, argument: sizes"),
        (
            "6: operations.a.parameters.0: Accept cannot be a parameter: OpenAPI passes over a "
            "parameter of this name; see `upstream.forwardHeaders`"
        ),
    ),
    "a header by which callers prove who they are": (
        file("name: X-API-Key, in: header, argument: sizes"),
        (
            "6: operations.a.parameters.0: X-API-Key cannot be a parameter: "
            "callers may prove by it who they are, and arguments are shown"
        ),
    ),
    "a header of ours": (
        file("name: prefer, in: header, argument: sizes"),
        (
            "6: operations.a.parameters.0: prefer cannot be a parameter: it tells the proxy how to "
            "run the task"
        ),
    ),
    "a path that the route has not": (
        file("name: month, in: path, argument: year"),
        "6: operations.a.parameters.0.name: the route has no {month}",
    ),
    "no argument of this name": (
        file("name: size, in: query"),
        "6: operations.a.parameters.0.name: 'size' is no property of `arguments`",
    ),
    "no such argument": (
        file("name: sizes, in: query", "name: y, in: query, argument: Year"),
        "7: operations.a.parameters.1.argument: 'Year' is no property of `arguments`",
    ),
    "an argument given twice": (
        file("name: sizes, in: query", "name: sizes, in: header"),
        "7: operations.a.parameters.1: 'sizes' is given by another parameter already",
    ),
    "an argument given by the path, too": (
        file("name: y, in: query, argument: year"),
        "3: operations.a.route: 'year' is given by another parameter already",
    ),
    "a name twice": (
        file("name: X, in: header, argument: sizes", "name: x, in: header, argument: range"),
        "7: operations.a.parameters.1.name: another in header has this name",
    ),
    "a member's name twice": (
        file("name: range, in: query", "name: from, in: query, argument: sizes"),
        "5: operations.a.parameters: 'from' is called so by two parameters in query",
    ),
    "a secret in the query": (
        file("name: secret, in: query"),
        "6: operations.a.parameters.0: 'secret' is writeOnly and stands in the URL, for all to see",
    ),
    "a list of lists": (
        file("name: rows, in: query"),
        (
            "13: operations.a.arguments.properties.rows: is given as text, which holds no array or "
            "object: expected a type of string, number, integer, boolean or null"
        ),
    ),
    "a style that cannot write it": (
        file("name: sizes, in: query, style: deepObject"),
        (
            "11: operations.a.arguments.properties.sizes: is a parameter of the style deepObject, "
            "which can write nothing of this type"
        ),
    ),
    "members that nobody knows": (
        file("name: open, in: query"),
        (
            "15: operations.a.arguments.properties.open: each of its members is a parameter by "
            "`style: form` and `explode: true`: expected `properties`, or another style"
        ),
    ),
    "coalescing of what acts": (
        file("name: sizes, in: query").replace(
            "    parameters", "    coalesce: true\n    parameters"
        ),
        "5: operations.a.coalesce: of GET and HEAD only: each POST may act anew",
    ),
    "an argument that no GET can give": (
        file("name: sizes, in: query", route="GET /a/{year}"),
        (
            "12: operations.a.arguments.properties.secret: a GET has no body: expected one of "
            "`parameters` to give it"
        ),
    ),
}


@pytest.mark.parametrize(("text", "expected"), FAULTS.values(), ids=FAULTS)
def test_a_parameter_that_cannot_be_is_refused(text: str, expected: str):
    assert fault_of(text) == f"ops.yaml:{expected}"
