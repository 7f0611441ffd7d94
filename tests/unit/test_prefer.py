"""The Prefer header, as RFC 7240 has it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncproxy.prefer import Preferences, parse_prefer

NOTHING = Preferences()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], NOTHING),
        ([""], NOTHING),
        (["respond-async"], Preferences(respond_async=True)),
        (["wait=10"], Preferences(wait_seconds=10)),
        (["wait=0"], Preferences(wait_seconds=0)),
        (["respond-async, wait=10"], Preferences(respond_async=True, wait_seconds=10)),
        (["wait=10,respond-async"], Preferences(respond_async=True, wait_seconds=10)),
        # Our own: a redirect in place of a 202.
        (["redirect"], Preferences(redirect=True)),
        (["respond-async, redirect"], Preferences(respond_async=True, redirect=True)),
        (["redirect=no"], NOTHING),
        # Several headers are one list (§2).
        (["respond-async", "wait=10"], Preferences(respond_async=True, wait_seconds=10)),
        (["return=minimal", "handling=lenient, wait=3"], Preferences(wait_seconds=3)),
        # Names in any case; white space around the words; empty members of the list.
        (["WAIT=10, Respond-Async"], Preferences(respond_async=True, wait_seconds=10)),
        (["  wait =\t10  ,, ,respond-async "], Preferences(respond_async=True, wait_seconds=10)),
        # A word may be quoted, and an empty value is none.
        (['wait="10"'], Preferences(wait_seconds=10)),
        ([r'wait="1\0"'], Preferences(wait_seconds=10)),
        (['respond-async=""'], Preferences(respond_async=True)),
        (["respond-async="], Preferences(respond_async=True)),
        (["respond-async=please"], NOTHING),
        # Parameters are allowed and not ours.
        (["wait=10; foo=bar"], Preferences(wait_seconds=10)),
        (["respond-async;foo"], Preferences(respond_async=True)),
        (['wait=10; foo="a, respond-async"'], Preferences(wait_seconds=10)),
        (["foo; wait=10"], NOTHING),
        # A comma within quotes separates nothing.
        (['foo="bar, wait=10", respond-async'], Preferences(respond_async=True)),
        ([r'foo="\", wait=10", respond-async'], Preferences(respond_async=True)),
        (['foo="never closed, wait=10, respond-async'], NOTHING),
        # The first instance counts, even where it says nothing (§2).
        (["wait=10, wait=20"], Preferences(wait_seconds=10)),
        (["wait=10", "wait=20"], Preferences(wait_seconds=10)),
        (["wait=soon, wait=20"], NOTHING),
        # wait is delta-seconds: digits only.
        (["wait"], NOTHING),
        (["wait="], NOTHING),
        (["wait=-1"], NOTHING),
        (["wait=+1"], NOTHING),
        (["wait=1.5"], NOTHING),
        (["wait=1e3"], NOTHING),
        (["wait=1_000"], NOTHING),
        (["wait=ten"], NOTHING),
        (["wait=10 20"], NOTHING),
        (["wait=²"], NOTHING),
        (["wait=\u0661"], NOTHING),
        (["wait=007"], Preferences(wait_seconds=7)),
        (["wait=000000000000007"], Preferences(wait_seconds=7)),
        # Others' preferences and garbage are passed over.
        (["waiting=10"], NOTHING),
        (["x-wait=10"], NOTHING),
        (["=10"], NOTHING),
        (["(wait)=10"], NOTHING),
        (["\x00\xff", "wait=10"], Preferences(wait_seconds=10)),
    ],
)
def test_preferences_are_read_as_the_rfc_has_it(headers: list[str], expected: Preferences):
    assert parse_prefer(headers) == expected


@pytest.mark.parametrize("digits", ["9" * 12, "1" + "0" * 5_000])
def test_a_huge_wait_is_a_very_long_one(digits: str):
    preferences = parse_prefer([f"wait={digits}"])
    assert preferences.window(default_seconds=10, max_seconds=60) == 60


@pytest.mark.parametrize(
    "header",
    ['"' + '\\"' * 30_000, "wait=" + " " * 60_000 + "x", "wait" + " " * 60_000 + "x", "," * 60_000],
    ids=["quotes", "spaces after", "spaces before", "commas"],
)
def test_the_longest_header_is_read_in_one_pass(header: str):
    began = time.process_time()
    parse_prefer([header])
    assert time.process_time() - began < 1  # 12 s when each quote was looked at from each quote


@given(
    headers=st.lists(st.text() | st.text(alphabet='wait=respond-async0123456789;, "\\'), max_size=3)
)
def test_any_header_is_read(headers: list[str]):
    preferences = parse_prefer(headers)
    assert preferences.wait_seconds is None or preferences.wait_seconds >= 0


@pytest.mark.parametrize(
    ("preferences", "window", "applied"),
    [
        (Preferences(), 10, None),
        (Preferences(respond_async=True), 0, "respond-async"),
        (Preferences(wait_seconds=0), 0, "wait=0"),
        (Preferences(wait_seconds=3), 3, "wait=3"),
        (Preferences(wait_seconds=60), 60, "wait=60"),
        (Preferences(wait_seconds=61), 60, "wait=60"),
        (Preferences(wait_seconds=999_999_999), 60, "wait=60"),
        (Preferences(respond_async=True, wait_seconds=3), 3, "respond-async, wait=3"),
    ],
)
def test_the_window_is_what_is_preferred_and_allowed_and_it_is_said(
    preferences: Preferences, window: float, applied: str | None
):
    given = preferences.window(default_seconds=10, max_seconds=60)
    assert given == window
    assert preferences.applied(given) == applied


@given(wait=st.none() | st.integers(0), respond_async=st.booleans(), cap=st.floats(0, 600))
def test_no_window_is_negative_or_above_the_cap_asked_for(
    wait: int | None,
    respond_async: bool,
    cap: float,
):
    preferences = Preferences(respond_async=respond_async, wait_seconds=wait)
    window = preferences.window(default_seconds=0, max_seconds=cap)
    assert 0 <= window <= cap


def test_the_wait_that_is_said_is_whole_seconds():
    assert Preferences(wait_seconds=5).applied(2.5) == "wait=2"
