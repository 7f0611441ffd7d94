"""W3C Trace Context: what is read of the two headers, and what is passed on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctasks.traces.trace_context import MOST_STATE_CHARACTERS, TraceContext, trace_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("flags", "is_sampled"), [("00", False), ("01", True), ("02", False), ("03", True)]
)
def test_a_traceparent_is_passed_on_as_it_came(flags: str, is_sampled: bool):
    came = f"00-{TRACE}-{SPAN}-{flags}"
    context = trace_context([came])
    assert context is not None
    assert context == TraceContext(came)
    assert context.is_sampled is is_sampled
    assert context.headers == {"traceparent": came}


@pytest.mark.parametrize(
    "came",
    [
        "",
        "00",
        PARENT[:-1],
        PARENT + "0",
        PARENT + "-",
        PARENT + "-what-comes",
        PARENT + "\n",
        PARENT.upper(),
        PARENT.replace("-", "_"),
        f"ff-{TRACE}-{SPAN}-01",
        f"cc-{TRACE}-{SPAN}-01.what-comes",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{SPAN}-0g",
        f"00-{TRACE[:-1]}é-{SPAN}-01",
    ],
)
def test_a_wrong_traceparent_names_no_trace(came: str):
    assert trace_context([came], ["a=1"]) is None


def test_two_traceparents_name_no_trace():
    assert trace_context([PARENT, PARENT]) is None
    assert trace_context([]) is None


@pytest.mark.parametrize(
    ("came", "passed_on"),
    [
        (f"cc-{TRACE}-{SPAN}-01", PARENT),
        (f"01-{TRACE}-{SPAN}-ff-what-will-be", PARENT),
        (f"01-{TRACE}-{SPAN}-fe", PARENT[:-1] + "0"),
    ],
)
def test_of_a_later_version_is_passed_on_what_this_one_knows(came: str, passed_on: str):
    assert trace_context([came]) == TraceContext(passed_on)


@pytest.mark.parametrize(
    ("lines", "passed_on"),
    [
        (["a=1,b=2"], "a=1,b=2"),
        (["a=1", "b=2"], "a=1,b=2"),
        (["a=1 ,\t b=2,,"], "a=1,b=2"),
        (["0v@sys=x y", "_"], None),
        (["0v@sys=x y"], "0v@sys=x y"),
        (["t/a-b_c*=!~"], "t/a-b_c*=!~"),
        ([""], None),
        (["a=1,a=2"], None),
        (["a"], None),
        (["A=1"], None),
        (["a=1=2"], None),
        (["a=\x7f"], None),
        (["a=é"], None),
        (["a=" + "x" * 256], "a=" + "x" * 256),
        (["a=" + "x" * 257], None),
        (["k" * 256 + "=1"], "k" * 256 + "=1"),
        (["k" * 257 + "=1"], None),
        ([f"k{n}=1" for n in range(32)], ",".join(f"k{n}=1" for n in range(32))),
        ([f"k{n}=1" for n in range(33)], None),
    ],
)
def test_a_tracestate_is_passed_on_if_it_is_right(lines: list[str], passed_on: str | None):
    assert trace_context([PARENT], lines) == TraceContext(PARENT, passed_on)


def test_of_a_long_tracestate_the_first_members_are_passed_on():
    members = [f"k{n}=" + "x" * 96 for n in range(10, 17)]  # 100 characters each
    context = trace_context([PARENT], [",".join(members)])
    assert context is not None
    assert context.tracestate is not None
    assert context.tracestate == ",".join(members[:5])
    assert len(context.tracestate) <= MOST_STATE_CHARACTERS
    assert context.headers == {"traceparent": PARENT, "tracestate": context.tracestate}


@given(st.lists(st.text(max_size=80), max_size=3), st.lists(st.text(), max_size=3))
def test_whatever_comes_is_read_or_ignored(parents: list[str], states: list[str]):
    context = trace_context(parents, states)
    assert context is None or context.traceparent.isascii()


@given(st.text("ab1=,@ \t-", max_size=600))
def test_what_is_passed_on_is_read_the_same_once_more(state: str):
    context = trace_context([PARENT], [state])
    assert context is not None
    again = trace_context([PARENT], [context.tracestate or ""])
    assert again == context
    assert len(context.tracestate or "") <= MOST_STATE_CHARACTERS
