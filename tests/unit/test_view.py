"""The objects as far as we have seen them."""

from dataclasses import replace
from datetime import timedelta

from asyncoperator.mirror.view import View
from asynctasks.task import TaskStatus
from asynctestkit.mirrored import NOW, row, seen


def test_an_object_is_found_by_its_task():
    view, one = View(), seen()
    view.see(one)
    assert view.of_task(row()) is one
    assert view.of_task(row(1)) is None


def test_what_is_older_than_known_is_left_out():
    view = View()
    new = seen(resource_version=5, task_status=TaskStatus.SUCCEEDED)
    view.see(new)
    view.see(seen(resource_version=4))
    assert view.get(new.name) is new


def test_an_earlier_object_of_the_name_neither_hides_nor_takes_the_later():
    view = View()
    later = seen(uid="later", created_at=NOW)
    view.see(later)
    view.see(seen(uid="earlier", created_at=NOW - timedelta(seconds=9)))
    view.see(seen(uid="earlier", created_at=NOW - timedelta(seconds=9), is_going=True))
    assert list(view) == [later]


def test_a_persons_object_that_shows_a_task_does_not_hide_the_mirrors_own():
    view, own = View(), seen()
    theirs = seen(name="theirs", uid="theirs", is_ours=False)
    view.see(own)
    view.see(theirs)
    assert view.of_task(row()) is own
    view.forget(theirs)
    assert view.of_task(row()) is own


def test_what_is_going_or_gone_is_no_more():
    view = View()
    view.see(seen())
    view.see(seen(resource_version=2, is_going=True))
    assert (len(view), view.of_task(row())) == (0, None)


def test_a_list_is_all_there_is_but_for_what_was_seen_meanwhile():
    view = View()
    stays, went, came, changed = (seen(number) for number in range(4))
    view.see(stays)
    view.see(went)
    view.see(changed)
    view.begin_listing()
    view.see(came)
    newer = replace(changed, resource_version=9)
    view.see(newer)
    view.listed([stays, changed])
    assert {one.name: one for one in view} == {one.name: one for one in (stays, came, newer)}
