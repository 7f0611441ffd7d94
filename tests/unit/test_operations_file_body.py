"""What is wrong with the `body` of an operation is told by line, key and what was expected."""

import pytest

from asynctasks.operations.operations_file import parse_operations
from asynctasks.operations.raw_body import RawBody
from asynctestkit.operations_texts import fault_of

GOOD = """\
operations:
  scan:
    route: POST /scans/{folder}
    body:
      contentTypes: [application/pdf, image/*]
      maxBytes: 1000
    arguments:
      type: object
      properties:
        folder: {type: string}
    upstream:
      url: "http://u/{folder}"
      method: PUT
      headers: {X-Key: k}
"""


def test_the_file_that_the_broken_ones_were_made_from_is_good():
    operation = parse_operations(GOOD, name="ops.yaml")["scan"]
    assert operation.body == RawBody.model_validate(
        {"contentTypes": ["application/pdf", "image/*"], "maxBytes": 1000}
    )


FAULTS = {
    "no types": (
        ("contentTypes: [application/pdf, image/*]", "contentTypes: []"),
        "5: operations.scan.body.contentTypes: ",
    ),
    "no list": (
        ("[application/pdf, image/*]", "application/pdf"),
        "5: operations.scan.body.contentTypes: expected a list",
    ),
    "missing types": (
        ("      contentTypes: [application/pdf, image/*]\n", ""),
        "4: operations.scan.body.contentTypes: is missing",
    ),
    "a type with parameters": (
        ("[application/pdf, image/*]", "[text/plain; charset=utf-8]"),
        (
            "5: operations.scan.body.contentTypes: 'text/plain; charset=utf-8' is no media type: "
            "expected application/pdf, image/*, …, without parameters"
        ),
    ),
    "half a type": (("image/*", "'*/png'"), "5: operations.scan.body.contentTypes: '*/png' is no"),
    "no bytes": (("maxBytes: 1000", "maxBytes: 0"), "6: operations.scan.body.maxBytes: "),
    "bytes as text": (("maxBytes: 1000", "maxBytes: 50Mi"), "6: operations.scan.body.maxBytes: "),
    "too many bytes": (("maxBytes: 1000", "maxBytes: 99999999999"), "6: operations.scan.body.max"),
    "unknown key": (
        ("maxBytes: 1000", "maxSize: 1000"),
        "6: operations.scan.body.maxSize: unknown key; expected one of contentTypes, maxBytes",
    ),
    "no mapping": (
        (
            "    body:\n      contentTypes: [application/pdf, image/*]\n      maxBytes: 1000\n",
            "    body: true\n",
        ),
        "4: operations.scan.body: expected keys and values below it",
    ),
    "an argument that nothing gives": (
        ("        folder: {type: string}\n", "        folder: {type: string}\n        name: {}\n"),
        (
            "11: operations.scan.arguments.properties.name: the body is taken as it comes: "
            "expected one of `parameters` to give it"
        ),
    ),
    "a route without a body": (
        ("POST /scans", "DELETE /scans"),
        "4: operations.scan.body: expected a route with one of POST, PUT, PATCH",
    ),
    "an upstream without a body": (
        ("method: PUT", "method: DELETE"),
        "13: operations.scan.upstream.method: expected one of POST, PUT, PATCH",
    ),
    "a header that is forwarded with it": (
        ("headers: {X-Key: k}", "forwardHeaders: [Content-Language]"),
        "14: operations.scan.upstream.forwardHeaders: Content-Language goes with the body",
    ),
    "a type of its own": (
        ("{X-Key: k}", "{content-type: application/pdf}"),
        "14: operations.scan.upstream.headers.content-type: it is the caller's, as the body is",
    ),
}


@pytest.mark.parametrize(("change", "expected"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_is_told_by_line_and_key(change: tuple[str, str], expected: str):
    assert change[0] in GOOD
    assert fault_of(GOOD.replace(*change)).startswith(f"ops.yaml:{expected}")


@pytest.mark.parametrize(
    ("given", "is_taken"),
    [
        ("application/pdf", True),
        ("APPLICATION/PDF ; version=1", True),
        ("image/png", True),
        ("image/svg+xml", True),
        ("application/pdfx", False),
        ("application", False),
        ("images/png", False),
        ("text/plain", False),
        ("", False),
    ],
)
def test_which_types_are_taken(given: str, is_taken: bool):
    body = RawBody.model_validate({"contentTypes": ["Application/pdf", "image/*"]})
    assert body.takes(given) is is_taken


def test_all_types_are_taken_where_it_says_so():
    body = RawBody.model_validate({"contentTypes": ["*/*"]})
    assert body.takes("text/plain")
    assert not body.takes("text")
