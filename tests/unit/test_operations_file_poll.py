"""What an operations file may not say of how an upstream's job is asked for."""

import pytest

from asynctasks.operations.operations_file import parse_operations
from asynctestkit.operations_texts import fault_of, upstream

URL = "{header: [Location]}"
UNTIL = "{pointer: /status, succeeded: [done]}"
PLACE = "operations.a.upstream.poll"


def poll(**keys: str) -> str:
    given = {"url": URL, "until": UNTIL} | keys
    inner = ", ".join(f"{key}: {value}" for key, value in given.items() if value)
    return upstream(poll=f"{{{inner}}}")


FAULTS = {
    "no address": (poll(url=""), f"{PLACE}.url: is missing"),
    "an address of two kinds": (
        poll(url="{header: [Location], pointer: /a}"),
        f"{PLACE}.url: expected one of `header`, `pointer`, `template`",
    ),
    "no header": (poll(url="{header: []}"), f"{PLACE}.url.header: expected at least one"),
    "a header that is none": (
        poll(url="{header: ['a b']}"),
        f"{PLACE}.url.header: 'a b' is no name of a header",
    ),
    "a template that is none": (
        poll(url="{template: '{API/'}"),
        f"{PLACE}.url.template: a brace is not closed",
    ),
    "a pointer that is none": (
        poll(url="{pointer: status}"),
        f"{PLACE}.url.pointer: expected a JSON Pointer (RFC 6901): /status",
    ),
    "no end": (poll(until=""), f"{PLACE}.until: is missing"),
    "an end by nothing": (
        poll(until="{}"),
        f"{PLACE}.until: expected one of `pointer`, `status`",
    ),
    "no success": (
        poll(until="{pointer: /status, failed: [failed]}"),
        f"{PLACE}.until: expected `succeeded`: what stands at the pointer in the end",
    ),
    "a word for both ends": (
        poll(until="{pointer: /status, succeeded: [a, b], failed: [c, b]}"),
        f"{PLACE}.until: 'b' stands in `succeeded` and in `failed`",
    ),
    "a success that is an object": (
        poll(until="{pointer: /status, succeeded: [{a: 1}]}"),
        f"{PLACE}.until.succeeded: expected texts, numbers or booleans",
    ),
    "words beside statuses": (
        poll(until="{status: [200], failed: [failed]}"),
        f"{PLACE}.until: `succeeded`, `failed` and `error` go with `pointer`",
    ),
    "a server error as an end": (
        poll(until="{status: [500]}"),
        f"{PLACE}.until.status.0: expected less than or equal to 499 (it is 500)",
    ),
    "a start by a redirect": (
        poll(started="[302]"),
        f"{PLACE}.started.0: expected less than or equal to 299 (it is 302)",
    ),
    "pauses the wrong way round": (
        poll(everySeconds="[30, 2]"),
        f"{PLACE}.everySeconds: the first number is the shortest pause",
    ),
    "no pause": (poll(everySeconds="[0, 2]"), f"{PLACE}.everySeconds.0: expected"),
    "a result of two kinds": (
        poll(result="{header: Location, value: /a}"),
        f"{PLACE}.result: expected one of `header`, `pointer`, `value`, `append`",
    ),
    "an end of a path with a query": (
        poll(result="{append: '/results?a=b'}"),
        f"{PLACE}.result.append: expected the end of a path",
    ),
    "a cancel by GET": (poll(cancel="{method: GET}"), f"{PLACE}.cancel.method: expected"),
    "a job for ever": (poll(maxSeconds="1e9"), f"{PLACE}.maxSeconds: expected less than"),
    "an origin with a path": (
        poll(allowOrigins="['https://a/b']"),
        f"{PLACE}.allowOrigins: 'https://a/b' is no origin",
    ),
    "an unknown key": (poll(every="3"), f"{PLACE}.every: unknown key; expected one of "),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_told_by_its_line_and_key(name: str):
    text, told = FAULTS[name]
    assert fault_of(text).startswith(f"ops.yaml:6: {told}")


def test_a_poll_is_a_part_of_the_revision_and_its_defaults_are_not():
    def revision(**keys: str) -> str:
        return parse_operations(poll(**keys), name="ops.yaml")["a"].revision

    plain = parse_operations(upstream(), name="ops.yaml")["a"].revision
    assert revision() == revision(started="[202]", everySeconds="[2, 30]", maxSeconds="86400")
    assert len({plain, revision(), revision(cancel="{}"), revision(started="[201]")}) == 4
