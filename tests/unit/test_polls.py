"""What an answer says of an upstream's job, where that is, and when it is asked for again."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from asyncexecutor.failures import UpstreamJobAddressError
from asyncexecutor.job_addresses import JobAddresses
from asyncexecutor.poll_verdict import Ended, Failed, GoesOn, NotTold, verdict
from asyncexecutor.polled_upstream import pause_seconds
from asyncexecutor.retry import LONGEST_RETRY_AFTER_SECONDS
from asyncexecutor.runner import Answer, Attempt
from asynctasks.errors import OperationsFileError
from asynctasks.json_values import found_at, write_json
from asynctasks.operations.operation import Operation
from asynctasks.operations.upstream_poll import UpstreamPoll
from asynctasks.response import Response
from asynctasks.task import new_task_id

URL_OF_JOB = {"header": ["Location"]}
BY_WORD = {"pointer": "/status", "succeeded": ["done", True, 1.0], "failed": ["failed", 0]}
CALLED = URL("https://u.example/v1/scans?key=1")


def polled(**keys: Any) -> UpstreamPoll:
    declared = {"url": URL_OF_JOB, "until": BY_WORD, "progress": {"pointer": "/percent"}}
    return UpstreamPoll.model_validate(declared | keys)


def answer(status: int, document: Any = None, **headers: str) -> Answer:
    body = b"" if document is None else write_json(document)
    return Answer(Response(status, "application/json", body), headers=headers)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (answer(200, {"status": "done", "percent": 100}), Ended("done", 100)),
        (answer(200, {"status": True}), Ended("true")),
        (answer(200, {"status": "busy", "percent": 40.9}), GoesOn("busy", 40)),
        (answer(202, {"status": "busy", "percent": "41"}), GoesOn("busy")),
        (answer(202, {"status": "busy", "percent": True}), GoesOn("busy")),
        (answer(200, {"status": "busy", "percent": 101}), GoesOn("busy")),
        (answer(200, {"status": "busy", "percent": "soon"}), GoesOn("busy")),
        (answer(200, {}), GoesOn(lacks="/status")),
        (answer(200, {"status": None}), GoesOn(lacks="/status")),
        (answer(200, {"status": {"a": 1}}), GoesOn()),
        (answer(200, {"status": False}), GoesOn("false")),  # which is not 0
        (answer(303), Ended("303")),
        (answer(500), NotTold()),
        (answer(429), NotTold()),
    ],
)
def test_what_an_answer_says(given: Answer, said: Any):
    assert verdict(polled(), given) == said


@pytest.mark.parametrize(
    ("given", "state", "is_answer"),
    [
        (answer(200, {"status": "failed"}), "failed", True),
        (answer(200, {"status": 0}), "0", True),
        (answer(404), None, False),
        (answer(302), None, False),
        (answer(200), None, False),
    ],
)
def test_what_fails_a_job(given: Answer, state: str | None, is_answer: bool):
    said = verdict(polled(), given)
    assert isinstance(said, Failed)
    assert (said.state, said.is_answer) == (state, is_answer)
    if is_answer:
        assert said.detail == f"The upstream's job has failed: /status is {state}."


def test_an_error_is_a_failure_whatever_else_is_said():
    poll = polled(until={"pointer": "/done", "succeeded": [True], "error": "/error"})
    said = verdict(poll, answer(200, {"done": True, "error": {}}))
    assert isinstance(said, Failed)
    assert said.detail == "The upstream's job has failed: its answer has /error."
    assert verdict(poll, answer(200, {"done": True, "error": None})) == Ended("true")
    assert verdict(poll, answer(200, {"name": "a"})) == GoesOn(lacks="/done")


def test_by_status_only_those_are_the_last():
    poll = polled(until={"status": [200, 303, 422]})
    assert verdict(poll, answer(202, {"percent": 7})) == GoesOn("202", 7)
    assert verdict(poll, answer(422)) == Ended("422")
    assert isinstance(verdict(poll, answer(404)), Failed)
    assert verdict(poll, answer(503)) == NotTold()


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", {"a": [1, {"b/c~": 2}]}),
        ("/a/0", 1),
        ("/a/1/b~1c~0", 2),
        ("/a/2", None),
        ("/a/-1", None),
        ("/a/x", None),
        ("/b/c", None),
        ("/a/0/x", None),
    ],
)
def test_a_pointer_leads_to_what_stands_there(pointer: str, value: Any):
    assert found_at(pointer, {"a": [1, {"b/c~": 2}]}) == value


@given(
    st.integers(0, 10_000),
    st.floats(0, 1),
    st.none() | st.floats(0, 1e12),
)
def test_a_pause_lies_between_what_the_file_and_the_upstream_say(
    polls: int, jitter: float, asked: float | None
):
    pause = pause_seconds(
        polled(everySeconds=[2, 30]), polls=polls, jitter=jitter, upstream_asks_seconds=asked
    )
    longest = 30 if asked is None else max(2, min(asked, LONGEST_RETRY_AFTER_SECONDS))
    assert 2 <= pause <= longest * 1.1


def test_pauses_grow_and_the_upstreams_word_wins():
    def pause(polls: int, asked: float | None = None) -> float:
        return pause_seconds(
            polled(everySeconds=[2, 30]), polls=polls, jitter=0, upstream_asks_seconds=asked
        )

    assert [pause(polls) for polls in range(6)] == [2, 4, 8, 16, 30, 30]
    assert (pause(9, 5), pause(0, 60), pause(0, 0.1)) == (5, 60, 2)


def addresses(environment: dict[str, str] | None = None, **keys: Any) -> JobAddresses:
    operation = Operation.model_validate(
        {"name": "a", "route": "POST /a", "upstream": {"url": "https://u.example/v1/scans"}}
    )
    return JobAddresses(operation, polled(**keys), environment or {})


def of_job(given: Answer, arguments: dict[str, Any] | None = None, **keys: Any) -> str:
    attempt = Attempt(new_task_id(), arguments or {})
    environment = {"API": "https://u.example/v1", "BLOBS": "https://blobs.example/"}
    return str(addresses(environment, **keys).of_job(given, attempt, called=CALLED))


@pytest.mark.parametrize(
    ("given", "keys", "url"),
    [
        (answer(202, Location="jobs/1"), {}, "https://u.example/v1/jobs/1"),
        (answer(202, Location="/jobs/1?sig=a%2Fb"), {}, "https://u.example/jobs/1?sig=a%2Fb"),
        (answer(202, Location="https://x:y@u.example/jobs/1"), {}, "https://u.example/jobs/1"),
        (answer(202, {"a": {"b": "/c"}}), {"url": {"pointer": "/a/b"}}, "https://u.example/c"),
        (
            answer(202, {"name": "operations/1"}),
            {"url": {"template": "{API}/{+name}"}},
            "https://u.example/v1/operations/1",
        ),
        (
            answer(202, {"job": 7}),
            {"url": {"template": "{API}/{shop}/{job}"}},
            "https://u.example/v1/a%20b/7",
        ),
        (
            answer(202, Location="https://blobs.example/a"),
            {"allowOrigins": ["{BLOBS}"]},
            "https://blobs.example/a",
        ),
    ],
)
def test_an_address_is_told_relative_to_what_was_called(
    given: Answer, keys: dict[str, Any], url: str
):
    assert of_job(given, {"shop": "a b", "job": "mine"}, **keys) == url


@pytest.mark.parametrize(
    ("given", "keys", "told"),
    [
        (answer(202), {}, "no address in Location"),
        (answer(202, Location="//evil.example/x"), {}, "another origin, https://evil.example,"),
        (answer(202, Location="http://u.example/x"), {}, "another origin, http://u.example,"),
        (answer(202, Location="javascript:a"), {}, "no address that can be used"),
        (answer(202, Location="http://[::1"), {}, "no address that can be used"),
        (answer(202, Location="/" + "a" * 5_000), {}, "no address that can be used"),
        (answer(202, {"a": 3}), {"url": {"pointer": "/a"}}, "no address in /a"),
        (answer(202, {"name": ".."}), {"url": {"template": "{API}/{+name}"}}, '".."'),
        (answer(202, {}), {"url": {"template": "{API}/{name}"}}, "empty part of the path"),
    ],
)
def test_an_address_that_may_not_be_called_is_refused(
    given: Answer, keys: dict[str, Any], told: str
):
    with pytest.raises(UpstreamJobAddressError) as caught:
        of_job(given, **keys)
    assert told in str(caught.value)
    assert not caught.value.is_retryable


def test_what_the_environment_lacks_is_told_at_the_start():
    keys: dict[str, Any] = {"url": {"template": "{API}/{job}"}, "allowOrigins": ["{BLOBS}"]}
    with pytest.raises(OperationsFileError) as caught:
        addresses(**keys)
    assert str(caught.value).splitlines() == [
        "operations.a.upstream.poll: API is not set in the environment of this executor",
        "operations.a.upstream.poll: BLOBS is not set in the environment of this executor",
    ]
