"""What travels on the broker arrives as it was sent, or is refused by one error."""

import contextlib
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asynctasks.broker.messages import (
    MAX_PACK_BYTES,
    MAX_REPLY_BODY_BYTES,
    Reply,
    ReplyInRow,
    TaskMessage,
    packed,
    unpacked,
)
from asynctasks.errors import MalformedMessageError
from asynctasks.response import Problem, Response
from asynctasks.task import TaskStatus, new_task_id

ID = UUID("0197b8a0-0000-7000-8000-000000000001")

headers = st.lists(st.tuples(st.text(), st.text())).map(tuple)
responses = st.builds(Response, st.integers(100, 599), st.text(), st.binary(), headers)
problems = st.builds(Problem, st.text(), st.text(), st.integers(400, 599), st.text())


@given(message=st.builds(TaskMessage, st.uuids(), st.text()))
def test_a_task_message_arrives_as_it_was_sent(message: TaskMessage):
    assert TaskMessage.decode(message.encode()) == message


@given(
    reply=st.builds(
        Reply,
        st.uuids(),
        st.sampled_from(TaskStatus),
        st.none() | responses,
        st.none() | problems,
    )
)
@example(Reply(ID, TaskStatus.SUCCEEDED, Response(200, "text/plain", b"\n{}\n\n\xff")))
@example(Reply(ID, TaskStatus.SUCCEEDED, Response(204, "", b"")))
def test_a_reply_arrives_as_it_was_sent(reply: Reply):
    assert Reply.decode(reply.encode()) == reply


def test_a_response_up_to_the_limit_travels_and_a_larger_one_is_left_to_the_row():
    task_id = new_task_id()
    fits = Response(200, "text/plain", b"x" * MAX_REPLY_BODY_BYTES)
    larger = Response(200, "text/plain", b"x" * (MAX_REPLY_BODY_BYTES + 1))
    travels = Reply(task_id, TaskStatus.SUCCEEDED, fits)
    stays = Reply(task_id, TaskStatus.SUCCEEDED, larger)
    assert Reply.decode(travels.encode()) == travels
    assert Reply.decode(stays.encode()) == ReplyInRow(task_id)
    assert len(stays.encode()) < 200


@given(replies=st.lists(st.binary(min_size=1, max_size=300)))
def test_replies_that_travel_together_arrive_each_as_it_was_sent(replies: list[bytes]):
    assert [reply for pack in packed(replies) for reply in unpacked(pack)] == replies


def test_a_pack_has_no_more_replies_than_its_length_allows_but_for_one_that_is_longer():
    half = b"x" * (MAX_PACK_BYTES // 2 - 4)
    lengths = [[len(reply) for reply in unpacked(pack)] for pack in packed([half] * 5)]
    assert lengths == [[len(half)] * 2, [len(half)] * 2, [len(half)]]
    longer = b"x" * MAX_PACK_BYTES
    assert [list(unpacked(pack)) for pack in packed([half, longer, half])] == [
        [half],
        [longer],
        [half],
    ]
    assert list(packed([])) == []


@pytest.mark.parametrize("tail", [b"\0", b"\0\0\0\x05abcd", b"\xff\xff\xff\xff", b"{}"])
def test_a_pack_that_breaks_off_gives_its_whole_replies_and_then_says_so(tail: bytes):
    (pack,) = packed([b"first", b"second"])
    unpacking = unpacked(pack + tail)
    assert [next(unpacking), next(unpacking)] == [b"first", b"second"]
    with pytest.raises(MalformedMessageError):
        next(unpacking)


GARBAGE = [
    b"",
    b"\n",
    b"{",
    b"null",
    b"[]",
    b"[1]",
    b'"task"',
    b"5",
    b"{}",
    b"\xff",
    b"[" * 2_000,
    b'{"task": null}',
    b'{"task": 5}',
    b'{"task": []}',
    b'{"task": "5"}',
    b'{"task": "%b"}' % str(ID).encode(),
]


@pytest.mark.parametrize("body", GARBAGE)
def test_what_is_no_message_is_refused(body: bytes):
    with pytest.raises(MalformedMessageError):
        TaskMessage.decode(body)
    with pytest.raises(MalformedMessageError):
        Reply.decode(body)


@pytest.mark.parametrize("operation", [None, 5, [], {}])
def test_a_task_message_names_its_operation_in_text(operation: Any):
    with pytest.raises(MalformedMessageError):
        TaskMessage.decode(orjson.dumps({"task": str(ID), "operation": operation}))


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "done"},
        {"status": None},
        {"response": 200},
        {"response": [200]},
        {"response": [200, "a", "b"]},
        {"response": ["200", "a"]},
        {"response": [True, "a"]},
        {"response": [200.5, "a"]},
        {"response": [200, None]},
        {"response": "ok"},
        {"response": {"status": 200, "content_type": "a"}},
        {"error": "broken"},
        {"error": [1]},
        {"error": {"type": "a"}},
        {"error": {"type": "a", "title": "b", "status": "500", "detail": "d"}},
        {"error": {"type": "a", "title": "b", "status": 500, "detail": None}},
        {"error": {"type": "a", "title": "b", "status": 500, "detail": "d", "more": 1}},
    ],
)
def test_a_reply_with_a_wrong_part_is_refused(fields: dict[str, Any]):
    head = {"task": str(ID), "status": "succeeded"} | fields
    with pytest.raises(MalformedMessageError):
        Reply.decode(orjson.dumps(head) + b"\n")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 999) | st.text(max_size=5) | st.just(str(ID)),
    lambda below: (
        st.lists(below, max_size=3)
        | st.dictionaries(
            st.sampled_from(["task", "operation", "status", "response", "error", "inRow", "type"]),
            below,
            max_size=4,
        )
    ),
)


@given(body=st.binary() | json_values.map(orjson.dumps), tail=st.binary(max_size=5))
def test_any_bytes_are_read_or_refused(body: bytes, tail: bytes):
    received = body + b"\n" + tail
    for decode in (TaskMessage.decode, Reply.decode):
        with contextlib.suppress(MalformedMessageError):
            decode(received)
    with contextlib.suppress(MalformedMessageError):
        list(unpacked(received))


def test_the_error_shows_only_the_beginning_of_a_message():
    for decode in (TaskMessage.decode, Reply.decode):
        with pytest.raises(MalformedMessageError) as caught:
            decode(b"x" * 10_000)
        assert len(str(caught.value)) < 250
