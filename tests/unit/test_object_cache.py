"""The objects as far as we have seen them."""

from dataclasses import replace
from datetime import timedelta

from asyncoperator.mirror.object_cache import ObjectCache
from asynctasks.task import TaskStatus
from asynctestkit.mirrored import NOW, row, seen


def test_an_object_is_found_by_its_task():
    cache, one = ObjectCache(), seen()
    cache.see(one)
    assert cache.of_task(row()) is one
    assert cache.of_task(row(1)) is None


def test_what_is_older_than_known_is_left_out():
    cache = ObjectCache()
    new = seen(resource_version=5, task_status=TaskStatus.SUCCEEDED)
    cache.see(new)
    cache.see(seen(resource_version=4))
    assert cache.get(new.name) is new


def test_an_earlier_object_of_the_name_neither_hides_nor_takes_the_later():
    cache = ObjectCache()
    later = seen(uid="later", created_at=NOW)
    cache.see(later)
    cache.see(seen(uid="earlier", created_at=NOW - timedelta(seconds=9)))
    cache.see(seen(uid="earlier", created_at=NOW - timedelta(seconds=9), is_going=True))
    assert list(cache) == [later]


def test_a_persons_object_that_shows_a_task_does_not_hide_the_mirrors_own():
    cache, own = ObjectCache(), seen()
    theirs = seen(name="theirs", uid="theirs", is_ours=False)
    cache.see(own)
    cache.see(theirs)
    assert cache.of_task(row()) is own
    cache.forget(theirs)
    assert cache.of_task(row()) is own


def test_what_is_going_or_gone_is_no_more():
    cache = ObjectCache()
    cache.see(seen())
    cache.see(seen(resource_version=2, is_going=True))
    assert (len(cache), cache.of_task(row())) == (0, None)


def test_a_list_is_all_there_is_but_for_what_was_seen_meanwhile():
    cache = ObjectCache()
    stays, went, came, changed = (seen(number) for number in range(4))
    cache.see(stays)
    cache.see(went)
    cache.see(changed)
    cache.begin_listing()
    cache.see(came)
    newer = replace(changed, resource_version=9)
    cache.see(newer)
    cache.listed([stays, changed])
    assert {one.name: one for one in cache} == {one.name: one for one in (stays, came, newer)}
