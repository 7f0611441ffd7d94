"""What is wrong with limits is told by line, key and what was expected."""

import pytest
from structlog.testing import capture_logs

from asynctasks.limits.limit import Limit
from asynctasks.operations.operations_file import parse_operations
from asynctestkit.operations_texts import fault_of

GOOD = """\
operations:
  create-client:
    route: POST /clients
    handler: a:b
    limits: [crm, mail]
    priority: 7
  report:
    route: POST /reports
    handler: a:b
    limits: [crm]
  free:
    route: POST /free
    handler: a:b
limits:
  crm:
    concurrency: 40
    ratePerSecond: 2.5
    burst: 20
    fairBy: tenant
    weights: {acme: 3}
    perKey: {concurrency: 10, ratePerSecond: 1, burst: 2}
    breaker: {failures: 5, withinSeconds: 30, openSeconds: [1, 60]}
  mail: {concurrency: 1}
"""
CRM = {
    "concurrency": 40,
    "rate_per_second": 2.5,
    "burst": 20,
    "fair_by": "tenant",
    "weights": {"acme": 3},
    "per_key": {"concurrency": 10, "rate_per_second": 1, "burst": 2},
    "breaker": {"failures": 5, "within_seconds": 30, "open_seconds": (1, 60)},
}


def test_operations_know_the_limits_that_they_name_and_those_without_have_none():
    operations = parse_operations(GOOD, name="ops.yaml")
    crm, mail = operations["create-client"].declared_limits
    assert crm.model_dump() == {"name": "crm", **CRM}
    assert mail == Limit(name="mail", concurrency=1)
    assert operations["report"].declared_limits == (crm,)
    assert operations["free"].declared_limits == ()
    assert [one.fair_by for one in operations.values()] == ["tenant", "tenant", None]
    assert [one.priority for one in operations.values()] == [7, 5, 5]


def test_a_limit_that_says_nothing_bounds_nothing():
    text = GOOD.replace("mail: {concurrency: 1}", "mail: {}")
    (_, mail) = parse_operations(text, name="ops.yaml")["create-client"].declared_limits
    assert mail == Limit(name="mail")
    assert (mail.concurrency, mail.rate_per_second, mail.breaker) == (None, None, None)


def test_a_limit_that_no_operation_names_is_told_in_the_log():
    with capture_logs() as logs:
        parse_operations(GOOD.replace("[crm, mail]", "[crm]"), name="ops.yaml")
    assert [line["limit"] for line in logs] == ["mail"]
    with capture_logs() as logs:
        parse_operations(GOOD, name="ops.yaml")
    assert logs == []


def test_in_a_json_schema_null_is_a_value():
    text = GOOD.replace(
        "    priority: 7", "    arguments: {type: object, properties: {a: {default: null}}}"
    )
    arguments = parse_operations(text, name="ops.yaml")["create-client"].arguments
    assert arguments["properties"] == {"a": {"default": None}}


@pytest.mark.parametrize("limits", ["", "limits:\n", "limits: {}\n"])
def test_a_file_needs_no_limits(limits: str):
    operations = "operations:\n  a:\n    route: POST /a\n    handler: a:b\n"
    assert parse_operations(operations + limits, name="ops.yaml")["a"].declared_limits == ()


def test_a_changed_limit_or_priority_makes_no_new_revision():
    before = parse_operations(GOOD, name="ops.yaml")["create-client"]
    text = GOOD.replace("priority: 7", "priority: 1").replace("[crm, mail]", "[mail]")
    after = parse_operations(text, name="ops.yaml")["create-client"]
    assert after.revision == before.revision
    assert after != before


FAULTS = {
    "no limits": (
        ("limits:\n  crm:", "limits: 3\nx:\n  crm:"),
        "14: limits: expected limits by their names: crm: {concurrency: 40}",
    ),
    "a name that no metric could have": (
        ("  mail: {", "  Mail_1: {"),
        (
            "23: limits.Mail_1: a limit's name is made of a-z, 0-9 and -, begins with a letter "
            "and ends with a letter or digit, 63 at most: crm"
        ),
    ),
    "no settings": (
        ("mail: {concurrency: 1}", "mail: 1"),
        "23: limits.mail: expected what it limits: concurrency, ratePerSecond, breaker, …",
    ),
    "a name where the key above is the name": (
        ("mail: {concurrency: 1}", "mail: {name: post}"),
        "23: limits.mail.name: unknown key; the name is the key above",
    ),
    "unknown key": (
        ("concurrency: 1}", "concurent: 1}"),
        (
            "23: limits.mail.concurent: unknown key; expected one of breaker, burst, concurrency, "
            "fairBy, perKey, ratePerSecond, weights; did you mean concurrency?"
        ),
    ),
    "unknown key of those who share it": (
        ("perKey: {concurrency: 10,", "perKey: {weight: 10,"),
        (
            "21: limits.crm.perKey.weight: unknown key; expected one of burst, concurrency, "
            "ratePerSecond"
        ),
    ),
    "unknown key of a breaker": (
        ("withinSeconds: 30", "within: 30"),
        (
            "22: limits.crm.breaker.within: unknown key; expected one of failures, openSeconds, "
            "withinSeconds; did you mean withinSeconds?"
        ),
    ),
    "nobody may run": (
        ("concurrency: 1}", "concurrency: 0}"),
        "23: limits.mail.concurrency: expected greater than or equal to 1 (it is 0)",
    ),
    "a rate of nothing": (
        ("ratePerSecond: 2.5", "ratePerSecond: 0"),
        "17: limits.crm.ratePerSecond: expected greater than or equal to 0.00001 (it is 0)",
    ),
    "half a burst": (
        ("burst: 20", "burst: 2.5"),
        "18: limits.crm.burst: expected a valid integer (it is 2.5)",
    ),
    "a rate of each that is hardly one": (
        ("ratePerSecond: 1, burst: 2", "ratePerSecond: 1.0e-300, burst: 2"),
        (
            "21: limits.crm.perKey.ratePerSecond: expected greater than or equal to 0.00001 "
            "(it is 1e-300)"
        ),
    ),
    "a burst without a rate": (
        ("mail: {concurrency: 1}", "mail: {burst: 3}"),
        "23: limits.mail: `burst` goes with a rate: expected `ratePerSecond`, too",
    ),
    "a burst of each without a rate": (
        ("perKey: {concurrency: 10, ratePerSecond: 1, burst: 2}", "perKey: {burst: 2}"),
        "21: limits.crm.perKey: `burst` goes with a rate: expected `ratePerSecond`, too",
    ),
    "nothing that each of those who share it may have": (
        ("perKey: {concurrency: 10, ratePerSecond: 1, burst: 2}", "perKey: {}"),
        "15: limits.crm: `perKey` bounds nothing: expected `concurrency` or `ratePerSecond`",
    ),
    "a breaker without a value": (
        ("breaker: {failures: 5, withinSeconds: 30, openSeconds: [1, 60]}", "breaker:"),
        "22: limits.crm.breaker: has no value; leave it out, or say what it is",
    ),
    "an operation's key without a value": (
        ("    priority: 7", "    delaySeconds:"),
        "6: operations.create-client.delaySeconds: has no value; leave it out, or say what it is",
    ),
    "a response without a value": (
        ("    priority: 7", "    response:"),
        "6: operations.create-client.response: has no value; leave it out, or say what it is",
    ),
    "shared by nobody that is known": (
        ("fairBy: tenant", "fairBy: team"),
        "19: limits.crm.fairBy: expected principal, tenant or label:NAME (it is 'team')",
    ),
    "shared by no label": (
        ("fairBy: tenant", "fairBy: 'label:-'"),
        "19: limits.crm.fairBy: expected principal, tenant or label:NAME (it is 'label:-')",
    ),
    "weights of nobody": (
        ("mail: {concurrency: 1}", "mail: {weights: {acme: 2}}"),
        "23: limits.mail: `weights` goes with `fairBy`, which says who shares it",
    ),
    "bounds of nobody": (
        ("mail: {concurrency: 1}", "mail: {perKey: {concurrency: 1}}"),
        "23: limits.mail: `perKey` goes with `fairBy`, which says who shares it",
    ),
    "a weight of nothing": (
        ("acme: 3", "acme: 0"),
        "20: limits.crm.weights.acme: expected greater than 0 (it is 0)",
    ),
    "a breaker that shortens": (
        ("openSeconds: [1, 60]", "openSeconds: [60, 1]"),
        (
            "22: limits.crm.breaker.openSeconds: the first number is the shortest time, the "
            "second the longest"
        ),
    ),
    "a breaker that never opens": (
        ("failures: 5", "failures: 0"),
        "22: limits.crm.breaker.failures: expected greater than or equal to 1 (it is 0)",
    ),
    "a limit that is not there": (
        ("limits: [crm]", "limits: [crn]"),
        "10: operations.report.limits.0: there is no 'crn' below `limits`",
    ),
    "a limit twice": (
        ("[crm, mail]", "[crm, mail, crm]"),
        "5: operations.create-client.limits.2: crm stands here twice",
    ),
    "a limit that is no list": (
        ("limits: [crm]", "limits: crm"),
        "10: operations.report.limits: expected a list (it is 'crm')",
    ),
    "limits that are shared in two ways": (
        ("mail: {concurrency: 1}", "mail: {fairBy: principal}"),
        (
            "5: operations.create-client.limits.1: mail is shared by principal, crm by tenant; "
            "expected limits with the same `fairBy`"
        ),
    ),
    "a priority beyond the highest": (
        ("priority: 7", "priority: 10"),
        "6: operations.create-client.priority: expected less than or equal to 9 (it is 10)",
    ),
}


@pytest.mark.parametrize(("change", "expected"), FAULTS.values(), ids=FAULTS)
def test_what_is_wrong_with_limits_is_told_once_with_its_line(
    change: tuple[str, str], expected: str
):
    assert change[0] in GOOD
    assert f"ops.yaml:{expected}" in fault_of(GOOD.replace(*change)).splitlines()


@pytest.mark.parametrize("name", ["a burst without a rate", "no settings", "unknown key"])
def test_of_a_limit_at_fault_nothing_is_told_where_it_is_named(name: str):
    change, expected = FAULTS[name]
    assert fault_of(GOOD.replace(*change)) == f"ops.yaml:{expected}"
