"""The request headers that say how a task is to be run: what is read of them."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from asyncproxy.options_headers import HEADERS, KEY_PATTERN, header_error, read_options
from asyncproxy.problems import HeaderInvalidError
from asynctasks.errors import TaskOption, TaskOptionsError
from asynctasks.operations.task_options import TaskOptions, check_options

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def read(**headers: str) -> TaskOptions:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_options(Headers(named))


def check(**headers: str) -> None:
    """What becomes of headers before the operation has a say."""
    try:
        check_options(read(**headers), now=NOW)
    except TaskOptionsError as error:
        raise header_error(error) from error


def test_without_headers_all_is_left_to_the_operation():
    assert read() == TaskOptions()


def test_a_delay_of_none_is_told_from_no_word_of_it():
    assert read(task_delay="0").delay_seconds == 0
    assert read(task_delay=" 2.5 ").delay_seconds == 2.5


def test_a_priority_is_one_digit():
    assert read(task_priority="0").priority == 0
    assert read(task_priority=" 9 ").priority == 9


@pytest.mark.parametrize("header", ["", "10", "-1", "5.0", "high", "05", "²"])
def test_any_other_priority_is_refused(header: str):
    with pytest.raises(HeaderInvalidError, match="Task-Priority: expected a whole number from 0"):
        check(task_priority=header)


@pytest.mark.parametrize("option", HEADERS)
def test_each_option_is_named_as_its_header(option: TaskOption):
    error = header_error(TaskOptionsError(option, "something else"))
    assert str(error) == f"{HEADERS[option]}: expected something else."


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("abc", "abc"),
        ('"abc"', "abc"),
        ('"a\\"b\\\\c"', 'a"b\\c'),
        ("8e03978e-40d5-43e8-bc93-6894a57f9324", "8e03978e-40d5-43e8-bc93-6894a57f9324"),
        (" spaced key ", "spaced key"),
        ("k" * 255, "k" * 255),
        ('a"b', 'a"b'),
    ],
)
def test_a_key_is_read_quoted_or_bare(header: str, key: str):
    assert read(idempotency_key=header).idempotency_key == key


@pytest.mark.parametrize("header", ["", '""', "   ", "k" * 256, "schlüssel", "a\x01b", "a\tb"])
def test_a_key_that_cannot_be_used_is_refused(header: str):
    with pytest.raises(HeaderInvalidError, match="Idempotency-Key"):
        check(idempotency_key=header)


@pytest.mark.parametrize("header", ['"', '"a', 'a"', '"a"b"', '"a\\"', '"a\\b"'])
def test_a_key_whose_quotes_are_not_those_of_a_string_is_refused(header: str):
    with pytest.raises(HeaderInvalidError, match=r"Idempotency-Key.*no quotes"):
        check(idempotency_key=header)


@given(key=st.from_regex(KEY_PATTERN, fullmatch=True, alphabet=st.characters(codec="ascii")))
def test_each_key_of_the_document_can_be_used(key: str):
    check(idempotency_key=key)


@pytest.mark.parametrize("header", ["90", "90.0", " 90 "])
def test_a_deadline_in_seconds_is_left_to_the_databases_clock(header: str):
    assert read(task_deadline=header) == TaskOptions(deadline_seconds=90)


@pytest.mark.parametrize(
    "header",
    [
        "2026-01-31T12:01:30Z",
        "2026-01-31T13:01:30+01:00",
        "2026-01-31t12:01:30.000Z",
        "Sat, 31 Jan 2026 12:01:30 GMT",
    ],
)
def test_a_deadline_may_be_a_date(header: str):
    assert read(task_deadline=header) == TaskOptions(deadline=NOW + timedelta(seconds=90))


@pytest.mark.parametrize(
    "header",
    [
        "0",
        "0.0",
        "-1",
        "soon",
        "",
        "1e3",
        "NaN",
        "99999999999",
        "31622401",
        "2026-01-31T11:59:59Z",
        "2026-01-31T12:00:00Z",
        "2026-01-31T12:01:30",
        "2028-01-31T12:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+23:59",
        "Sat, 31 Jan 2026 12:01:30",
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Sat, 99 Jan 2026 12:01:30 GMT",
    ],
)
def test_a_deadline_that_cannot_be_kept_is_refused(header: str):
    with pytest.raises(HeaderInvalidError, match="Task-Deadline"):
        check(task_deadline=header)


@pytest.mark.parametrize("header", ["-1", "soon", "", "31622401", "2026-01-31T12:01:30Z", "1e1"])
def test_a_delay_that_is_none_is_refused(header: str):
    with pytest.raises(HeaderInvalidError, match="Task-Delay"):
        check(task_delay=header)


@pytest.mark.parametrize(
    ("header", "labels"),
    [
        ("a=1", {"a": "1"}),
        (" a = 1 , b= ,, ", {"a": "1", "b": ""}),
        ("example.com/team=blue", {"example.com/team": "blue"}),
        ("a=1,a=2", {"a": "2"}),
        ("", {}),
    ],
)
def test_labels_are_pairs(header: str, labels: dict[str, str]):
    assert read(task_labels=header).labels == labels


@pytest.mark.parametrize(
    "name", ["Idempotency-Key", "Task-Deadline", "Task-Delay", "Task-Priority", "Task-Batch"]
)
def test_of_two_headers_none_is_chosen(name: str):
    twice = [(name.lower().encode(), value) for value in (b"1", b"2")]
    with pytest.raises(TaskOptionsError) as caught:
        read_options(Headers(raw=twice))
    assert str(header_error(caught.value)) == f"{name}: expected it once, not several times."


def test_labels_may_stand_in_several_headers():
    """A list may be sent in parts (RFC 9110 §5.3)."""
    headers = Headers(raw=[(b"task-labels", b"a=1"), (b"task-labels", b"b=2, c=3")])
    assert read_options(headers).labels == {"a": "1", "b": "2", "c": "3"}


@pytest.mark.parametrize(
    "header",
    [
        "a",
        "=1",
        "a=1=2",
        "ä=1",
        "a=b c",
        "-a=1",
        "a=" + "x" * 64,
        "x" * 64 + "=1",
        'a"b=1',
        ",".join(f"l{n}=1" for n in range(21)),
    ],
)
def test_a_label_that_is_none_is_refused(header: str):
    with pytest.raises(HeaderInvalidError, match="Task-Labels"):
        check(task_labels=header)


@pytest.mark.parametrize("header", ["a", "import-2026-01-31", "team/A.b_c", "x" * 63])
def test_a_batch_is_a_name(header: str):
    check(task_batch=header)
    assert read(task_batch=header).batch == header


@pytest.mark.parametrize("header", ["", " ", "-a", "a-", "a b", "ä", "a=b", "x" * 64])
def test_a_batch_by_which_no_task_could_be_found_is_refused(header: str):
    with pytest.raises(HeaderInvalidError, match="Task-Batch: expected a name of letters, digits"):
        check(task_batch=header)


@given(
    header=st.text(st.characters(max_codepoint=255), max_size=80),
    name=st.sampled_from(sorted(HEADERS.values())),
)
def test_any_header_is_read_or_refused(header: str, name: str):
    with contextlib.suppress(TaskOptionsError):
        check_options(read_options(Headers({name: header})), now=NOW)


@given(at=st.datetimes(timezones=st.timezones()), form=st.sampled_from(["iso", "http"]))
def test_any_date_is_read_or_refused(at: datetime, form: str):
    text = at.isoformat() if form == "iso" else at.strftime("%a, %d %b %Y %H:%M:%S %z")
    try:
        options = read(task_deadline=text)
        check_options(options, now=NOW)
    except TaskOptionsError:
        return
    assert options.deadline is not None
    assert NOW < options.deadline <= NOW + timedelta(days=366)
