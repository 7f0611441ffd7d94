"""Many calls by one request: what is sent, what is sent again, and what each has come to."""

import json
from typing import Any

import httpx
import pytest

from asyncapiproxy import BusyError, CallInvalidError, NotAProxyError, ProxyUnreachableError
from asyncapiproxy.client.many_calls import (
    MOST_BYTES,
    MOST_CALLS,
    SubmittedCall,
    groups_of,
    submit_group,
)
from asynctestkit.scripted_proxy import PROBLEMS, ScriptedProxy, lost, openapi, problem

WRONG: dict[str, Any] = {"type": PROBLEMS + "arguments-invalid", "status": 422, "detail": "No."}
FULL: dict[str, Any] = {"type": PROBLEMS + "queue-full", "status": 503, "detail": "Full."}
TOO_MANY: dict[str, Any] = {"type": PROBLEMS + "body-too-large", "status": 413, "detail": "More."}
KEYS = ("a", "b", "c")


def told(*lines: str | dict[str, Any]) -> httpx.Response:
    """The id of a task, or a problem, for each line."""
    answers = [
        {"line": number, **({"id": line} if isinstance(line, str) else {"problem": line})}
        for number, line in enumerate(lines, start=1)
    ]
    return httpx.Response(200, text="".join(json.dumps(answer) + "\n" for answer in answers))


def submitted(proxy: ScriptedProxy) -> list[SubmittedCall]:
    (group,) = groups_of([{"name": key} for key in KEYS], key=lambda arguments: arguments["name"])
    return proxy.run(submit_group(proxy, "create-client", group, {"Task-Batch": "import"}))


def sent(proxy: ScriptedProxy, number: int) -> list[dict[str, Any]]:
    body = proxy.calls[number].body
    assert body is not None
    return [json.loads(line) for line in b"".join(body.chunks()).splitlines()]


def outcome(calls: list[SubmittedCall]) -> list[str | int | None]:
    assert [call.key for call in calls] == list(KEYS)
    return [call.problem.status if call.problem else call.task_id for call in calls]


def test_each_call_is_a_line_with_its_key():
    proxy = ScriptedProxy(openapi(), told("1", "2", "3"))
    assert outcome(submitted(proxy)) == ["1", "2", "3"]
    assert proxy.asked == ["GET /openapi.json", "POST /clients:batch"]
    assert proxy.headers() == {"Task-Batch": "import"}
    assert sent(proxy, 1) == [{"key": key, "arguments": {"name": key}} for key in KEYS]


def test_what_is_wrong_with_one_is_told_of_it_alone():
    proxy = ScriptedProxy(openapi(), told("1", WRONG, "3"))
    assert outcome(submitted(proxy)) == ["1", 422, "3"]
    assert len(proxy.calls) == 2


def test_what_is_refused_for_now_is_sent_again_alone():
    proxy = ScriptedProxy(openapi(), told("1", FULL, FULL), told("2", FULL), told("3"))
    assert outcome(submitted(proxy)) == ["1", "2", "3"]
    assert [[line["key"] for line in sent(proxy, n)] for n in (2, 3)] == [["b", "c"], ["c"]]
    assert proxy.pauses == [0.1, 0.2]


def test_what_is_refused_for_longer_than_one_is_patient_has_its_problem():
    proxy = ScriptedProxy(openapi(), told("1", "2", FULL), told(FULL), patience_seconds=3)
    assert outcome(submitted(proxy)) == ["1", "2", 503]
    assert 0 < sum(proxy.pauses) <= 3


@pytest.mark.parametrize("most", [1, 2])
def test_a_proxy_that_takes_fewer_lines_gets_the_others_by_the_next_request(most: int):
    cut = told(*KEYS[:most], TOO_MANY)
    proxy = ScriptedProxy(openapi(), cut, told(*KEYS[most:]))
    assert outcome(submitted(proxy)) == ["a", "b", "c"]
    assert [line["key"] for line in sent(proxy, 2)] == list(KEYS[most:])
    assert proxy.pauses == []


def test_a_line_that_is_too_long_is_the_problem_of_that_line():
    proxy = ScriptedProxy(openapi(), told("1", TOO_MANY, "3"))
    assert outcome(submitted(proxy)) == ["1", 413, "3"]


def test_a_lost_answer_is_asked_for_again_by_the_same_keys():
    proxy = ScriptedProxy(openapi(), lost(), told("1", "2", "3"))
    assert outcome(submitted(proxy)) == ["1", "2", "3"]
    assert sent(proxy, 1) == sent(proxy, 2)


@pytest.mark.parametrize(
    ("last", "error"), [(lost(), ProxyUnreachableError), (problem(503, "busy"), BusyError)]
)
def test_whoever_is_patient_no_more_is_told_the_first_key_of_which_nobody_knows(
    last: Any, error: type[ProxyUnreachableError | BusyError]
):
    proxy = ScriptedProxy(openapi(), told("1", TOO_MANY), last, patience_seconds=0)
    with pytest.raises(error) as raised:
        submitted(proxy)
    assert raised.value.key == "b"


@pytest.mark.parametrize(
    "text",
    ["", "no JSON\n", "[]\n", '{"line": 2, "id": "x"}\n', '{"line": 1, "id": "x"}\n' * 2],
)
def test_what_no_proxy_answers_is_told(text: str):
    proxy = ScriptedProxy(openapi(), httpx.Response(200, text=text))
    with pytest.raises(NotAProxyError):
        submitted(proxy)


def test_more_answers_than_calls_are_none():
    proxy = ScriptedProxy(openapi(), told("1", "2", "3", "4"))
    with pytest.raises(NotAProxyError, match="4 lines of 3"):
        submitted(proxy)


def test_an_operation_that_takes_a_body_as_it_comes_takes_no_many_calls():
    proxy = ScriptedProxy(openapi())
    (group,) = groups_of([{}], key=None)
    with pytest.raises(CallInvalidError, match="takes no many calls"):
        proxy.run(submit_group(proxy, "scan", group, {}))


def test_without_a_key_each_has_one_of_its_own():
    (group,) = groups_of([{}, {}], key=None)
    assert len({call.key for call in group}) == 2


NO_CALLS: list[tuple[Any, Any]] = [("text", None), ({}, len), ({"a": object()}, None)]


@pytest.mark.parametrize(("call", "key"), NO_CALLS)
def test_what_is_no_call_is_told(call: Any, key: Any):
    with pytest.raises(CallInvalidError):
        list(groups_of([call], key))


def test_calls_are_taken_as_they_are_sent_in_groups_that_are_bounded():
    taken = 0

    def calls() -> Any:
        nonlocal taken
        for taken in range(1, MOST_CALLS * 2 + 1):
            yield {"number": taken}

    groups = groups_of(calls(), key=None)
    assert len(next(groups)) == MOST_CALLS
    assert taken == MOST_CALLS + 1
    assert [len(group) for group in groups] == [MOST_CALLS]

    large: list[dict[str, Any]] = [{"text": "x" * (MOST_BYTES // 2)}] * 3
    assert [len(group) for group in groups_of(large, key=None)] == [1, 1, 1]
