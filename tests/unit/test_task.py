"""A task's status, its moves and its id."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasks.task import ALLOWED_MOVES, TaskStatus, may_move, new_task_id

statuses = st.sampled_from(TaskStatus)

# Written out once more by hand; from an end back to queued leads POST /tasks/{id}/retry alone.
MOVES = """
queued → running | cancelled | expired
running → succeeded | failed | cancelled | expired | queued
succeeded →
failed → queued
cancelled → queued
expired → queued
"""


def test_a_task_may_make_these_moves_and_no_others():
    moves = {
        TaskStatus(line.partition("→")[0].strip()): {
            TaskStatus(word.strip()) for word in line.partition("→")[2].split("|") if word.strip()
        }
        for line in MOVES.strip().splitlines()
    }
    assert moves == ALLOWED_MOVES


@given(status=statuses, to=statuses)
def test_a_final_status_only_leads_back_to_queued(status: TaskStatus, to: TaskStatus):
    if status.is_final and may_move(status, to):
        assert to is TaskStatus.QUEUED


@given(status=statuses)
def test_no_status_leads_to_itself(status: TaskStatus):
    assert not may_move(status, status)


@given(choices=st.lists(st.integers(0, 5), max_size=20))
def test_every_walk_runs_only_from_queued(choices: list[int]):
    status = TaskStatus.QUEUED
    for choice in choices:
        following = sorted(ALLOWED_MOVES[status])
        if not following:
            assert status is TaskStatus.SUCCEEDED
            return
        previous, status = status, following[choice % len(following)]
        assert (status is not TaskStatus.RUNNING) or previous is TaskStatus.QUEUED


def test_only_queued_and_running_change_by_themselves():
    assert {status for status in TaskStatus if not status.is_final} == {"queued", "running"}


@pytest.mark.parametrize("status", TaskStatus)
def test_the_name_of_a_status_is_its_value_in_capitals(status: TaskStatus):
    assert status.name == status.value.upper()


def test_an_id_is_a_uuid_of_version_7_of_now():
    before = time.time_ns() // 1_000_000
    task_id = new_task_id()
    after = time.time_ns() // 1_000_000
    assert (task_id.version, task_id.variant) == (7, "specified in RFC 4122")
    assert before <= task_id.int >> 80 <= after


def test_ids_sort_in_the_order_of_their_making():
    ids = [new_task_id() for _ in range(2_000)]
    assert ids == sorted(ids)
    assert [str(task_id) for task_id in ids] == sorted(map(str, ids))
    assert len(set(ids)) == len(ids)
