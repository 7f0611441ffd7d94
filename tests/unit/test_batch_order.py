"""What is told of an order for a batch that means nothing."""

import json
from typing import Any

import pytest

from asyncproxy.batch_order import read_order
from asynctasks.errors import BatchInvalidError
from asynctasks.response import TYPE_PREFIX


@pytest.mark.parametrize("empty", ['{"operation": null}', '{"status": null}', '{"label": []}'])
def test_an_empty_variable_in_a_filter_does_not_mean_all(empty: str):
    with pytest.raises(BatchInvalidError) as refused:
        read_order({"action": "delete", "filter": json.loads(empty)})
    (fault,) = refused.value.violations
    assert fault.pointer == f"/filter/{next(iter(json.loads(empty)))}"
    assert fault.detail == "expected a value; leave it out for tasks of any"


@pytest.mark.parametrize(
    ("body", "pointer", "told"),
    [
        ([], "", "expected a JSON object"),
        ({"filter": {}}, "/action", 'it is missing; expected such as "retry"'),
        ({"action": "retry"}, "/filter", "it is missing"),
        ({"action": "pause", "filter": {}}, "/action", "expected 'cancel', 'retry' or 'delete'"),
        ({"action": "retry", "filter": []}, "/filter", "expected a JSON object"),
        ({"action": "retry", "filter": {}, "dryrun": True}, "/dryrun", "did you mean dryRun?"),
        ({"action": "retry", "filter": {}, "dryRun": 1}, "/dryRun", "boolean"),
        ({"action": "retry", "filter": {"stauts": "failed"}}, "/filter/stauts", "mean status?"),
        ({"action": "retry", "filter": {"created_after": 5}}, "/filter/created_after", "RFC 3339"),
        ({"action": "retry", "filter": {"operation": 5}}, "/filter/operation", "create-client"),
        ({"action": "retry", "filter": {"label": "team=a"}}, "/filter/label", "valid list"),
        (
            {"action": "retry", "filter": {"label": ["team=a", "team=b"]}},
            "/filter/label",
            "expected each label once, and there are several named team",
        ),
        (
            {"action": "retry", "filter": {"label": [f"n{number}=1" for number in range(21)]}},
            "/filter/label",
            "expected at most 20 items, not 21",
        ),
        (
            {"action": "retry", "filter": {"error_type": "Timeout"}},
            "/filter/error_type",
            "expected a problem's name, such as upstream-timeout, or its URI",
        ),
        (
            {"action": "retry", "filter": {"batch": "a b"}},
            "/filter/batch",
            "expected a name of letters, digits",
        ),
        (
            {"action": "retry", "filter": {"status": "succeeded"}},
            "/filter/status",
            "expected failed, cancelled or expired, to retry it",
        ),
        (
            {"action": "cancel", "filter": {"status": "failed"}},
            "/filter/status",
            "expected queued or running, to cancel it",
        ),
    ],
)
def test_an_order_that_means_nothing_says_where_and_why(body: Any, pointer: str, told: str):
    with pytest.raises(BatchInvalidError) as raised:
        read_order(body)
    (violation,) = raised.value.violations
    assert violation.pointer == pointer
    assert told in violation.detail


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(BatchInvalidError) as raised:
        read_order(
            {"action": "pause", "filter": {"created_after": "soon", "label": ["a=1", "team"]}}
        )
    assert [one.pointer for one in raised.value.violations] == [
        "/action",
        "/filter/label/1",
        "/filter/created_after",
    ]


def test_a_filter_is_kept_in_the_words_of_the_list():
    order = read_order(
        {
            "action": "delete",
            "filter": {
                "created_before": "2026-01-01T02:00:00+02:00",
                "label": ["team=a", "tier=1"],
                "error_type": f"{TYPE_PREFIX}upstream-timeout",
            },
        }
    )
    assert order.words == {
        "created_before": "2026-01-01T00:00:00Z",
        "label": ["team=a", "tier=1"],
        "error_type": "upstream-timeout",
    }
    assert read_order({"action": "delete", "filter": order.words}).words == order.words
    assert order.pairs == [
        "label=team=a",
        "label=tier=1",
        "error_type=upstream-timeout",
        "created_before=2026-01-01T00:00:00Z",
    ]
    assert order.filter.which(None).labels == {"team": "a", "tier": "1"}
    assert not order.dry_run
