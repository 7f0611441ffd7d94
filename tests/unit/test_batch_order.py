"""What is told of an order for a batch that means nothing."""

from typing import Any

import pytest

from asyncproxy.batch_order import read_order
from asynctasks.errors import BatchInvalidError


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
        read_order({"action": "pause", "filter": {"created_after": "soon", "label": "team"}})
    assert [one.pointer for one in raised.value.violations] == [
        "/action",
        "/filter/label",
        "/filter/created_after",
    ]


def test_a_filter_is_kept_in_the_words_of_the_list():
    order = read_order(
        {
            "action": "delete",
            "filter": {"created_before": "2026-01-01T02:00:00+02:00", "tenant": None},
        }
    )
    assert order.words == {"created_before": "2026-01-01T00:00:00Z"}
    assert not order.dry_run
