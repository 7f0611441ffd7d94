"""What an Ingress or HTTPRoute leads to."""

from typing import Any

import pytest

from asynctestkit.helm import HelmError, Json, one, render

ROUTES = ["POST /invoices", "PUT /clients/{id}", "DELETE /clients/{id}/", "POST /a/{id}/b"]
BOTH: Json = {
    "ingress": {"enabled": True, "hosts": ["tasks.example.com"]},
    "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}]},
}
TASKS = {"Prefix /task", "Prefix /tasks"}
OPERATIONS = {"Exact /invoices", "Prefix /clients", "Prefix /a"}


def led_to(routes: list[str], **exposed: bool) -> set[str]:
    """Kinds and paths, which are the same by both."""
    operations: Json = {
        f"op-{number}": {"route": route, "handler": "a:b"} for number, route in enumerate(routes)
    }
    objects = render({**BOTH, "operations": operations, "exposed": exposed})
    (rule,) = one(objects, "Ingress", "proxy")["spec"]["rules"]
    by_ingress = [f"{each['pathType']} {each['path']}" for each in rule["http"]["paths"]]
    rules: list[Any] = one(objects, "HTTPRoute", "proxy")["spec"]["rules"]
    assert len(rules) <= 16
    assert all(len(each["matches"]) <= 8 for each in rules)
    matches = [match["path"] for each in rules for match in each["matches"]]
    by_route = [f"{each['type'].removeprefix('Path')} {each['value']}" for each in matches]
    kinds = {each.partition(" ")[2]: each for each in by_route}
    specific = [each.partition(" ")[2] for each in by_ingress if each.startswith("Impl")]
    assert specific == [path for path in kinds if ":" in path]
    by_ingress = [kinds[each.partition(" ")[2]] for each in by_ingress]
    assert by_ingress == by_route
    assert len(by_ingress) == len(set(by_ingress))
    return set(by_ingress)


def test_they_lead_to_the_operations_and_to_tasks_and_not_to_what_is_ours_alone():
    assert led_to(ROUTES) == OPERATIONS | TASKS


def test_tasks_may_be_left_out_and_the_documents_put_in():
    documents = {"Exact /docs", "Exact /openapi.json", "Prefix /swagger"}
    assert led_to(ROUTES, tasks=False) == OPERATIONS
    assert led_to(ROUTES, docs=True) == OPERATIONS | TASKS | documents


def test_the_dashboard_is_led_to_with_all_that_it_asks_for():
    asked = {"Exact /whoami", "Exact /ping", "Exact /openapi.json"}
    shared = {"Prefix /queues", "Prefix /operations", "Prefix /limits"}
    batches = {"Exact /tasks:batch", "Prefix /batches"}
    dashboard = {"Prefix /ui"} | TASKS | asked | shared | batches
    assert led_to(ROUTES, ui=True, tasks=False) == OPERATIONS | dashboard


def test_they_may_lead_to_everything():
    assert led_to(ROUTES, everything=True) == {"Prefix /"}


def test_many_operations_are_within_the_limits_of_a_route():
    routes = [f"POST /operation-{number}" for number in range(126)]
    assert len(led_to(routes)) == 128
    with pytest.raises(HelmError, match=r"httpRoute: one cannot lead to more than 128 paths"):
        led_to([*routes, "POST /one-more"])
