"""What the rules let a caller do, and which tasks they let it be listed."""

import re
import time
from collections.abc import Iterator
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncproxy.access.principal import ANONYMOUS, Principal
from asyncproxy.access.rules import Action, Rule, Rules, Scope, Verdict, fits
from asynctasks.statements.owners import Listed, Owner

SUBMIT, READ, CANCEL = Action.SUBMIT, Action.READ, Action.CANCEL
ALLOWED, FORBIDDEN, HIDDEN = Verdict.ALLOWED, Verdict.FORBIDDEN, Verdict.HIDDEN
ANN = Principal(name="ann", tenant="red", groups=frozenset({"staff"}))
ROB = Principal(name="rob", tenant="red")
BEA = Principal(name="bea", tenant="blue")
LONER, OTHER_LONER = Principal(name="loner"), Principal(name="another")


def rule(*may: Action, **more: object) -> Rule:
    return Rule(may=frozenset(may), **more)  # type: ignore[arg-type]


def task_of(caller: Principal, operation: str = "create-client", **more: bool) -> Owner:
    return Owner(operation=operation, principal=caller.name, tenant=caller.tenant, **more)


@pytest.mark.parametrize(
    ("scope", "reads"),
    [
        (Scope.OWN, {("ann", "ann"), ("loner", "loner"), ("", "")}),
        (
            Scope.TENANT,
            {("ann", "ann"), ("ann", "rob"), ("loner", "loner"), ("", "")},
        ),
        (Scope.ALL, set(product(("ann", "loner", ""), ("ann", "rob", "bea", "another", "")))),
    ],
)
def test_a_scope_says_whose_tasks_are_seen(scope: Scope, reads: set[tuple[str, str]]):
    rules = Rules((rule(READ, tasks=scope),))
    for caller, owner in product(
        (ANN, LONER, ANONYMOUS), (ANN, ROB, BEA, LONER, OTHER_LONER, ANONYMOUS)
    ):
        verdict = rules.on_task(caller, READ, task_of(owner))
        seen = (caller.name, owner.name) in reads | (
            {(caller.name, "loner")} if scope is Scope.ALL else set()
        )
        assert (verdict is ALLOWED) is seen, (caller, owner)
        assert verdict in {ALLOWED, HIDDEN}


def test_what_a_person_asked_for_by_an_asynctask_is_not_any_anonymous_callers():
    own = Rules((rule(READ),))
    by_kubectl = task_of(ANONYMOUS, is_of_asynctask=True)
    assert own.on_task(ANONYMOUS, READ, by_kubectl) is HIDDEN
    assert own.on_task(ANONYMOUS, READ, task_of(ANONYMOUS)) is ALLOWED
    everything = Rules((rule(READ, tasks=Scope.ALL),))
    assert everything.on_task(ANN, READ, by_kubectl) is ALLOWED


@pytest.mark.parametrize("action", [each for each in Action if each is not READ])
def test_who_may_see_a_task_is_told_that_more_is_forbidden_and_nobody_else(action: Action):
    reader, actor = Rules((rule(READ),)), Rules((rule(action),))
    full = Rules((rule(READ, action),))
    assert reader.on_task(ANN, action, task_of(ANN)) is FORBIDDEN
    assert reader.on_task(ANN, action, task_of(ROB)) is HIDDEN
    # What one may not read is not there to be changed: each change shows the task.
    assert actor.on_task(ANN, action, task_of(ANN)) is HIDDEN
    assert full.on_task(ANN, action, task_of(ANN)) is ALLOWED
    assert full.on_task(ANN, action, task_of(ROB)) is HIDDEN


def test_the_first_rule_that_fits_principal_and_operation_decides():
    rules = Rules(
        (
            rule(operations=("secret",)),
            rule(SUBMIT, READ, principals=("bea",), operations=("create-*", "report")),
            rule(READ, groups=("st*",), tasks=Scope.ALL),
            rule(SUBMIT, tenants=("red",)),
        )
    )
    told = {
        (ANN, "create-client"): (FORBIDDEN, ALLOWED),
        (ANN, "secret"): (FORBIDDEN, HIDDEN),
        (ROB, "create-client"): (ALLOWED, HIDDEN),
        (BEA, "create-client"): (ALLOWED, ALLOWED),
        (BEA, "report"): (ALLOWED, ALLOWED),
        (BEA, "reports"): (FORBIDDEN, HIDDEN),
        (LONER, "create-client"): (FORBIDDEN, HIDDEN),
        (ANONYMOUS, "create-client"): (FORBIDDEN, HIDDEN),
    }
    for (caller, operation), (submit, read) in told.items():
        assert rules.on_submit(caller, operation) is submit, (caller, operation)
        assert rules.on_task(caller, READ, task_of(caller, operation)) is read, (caller, operation)


def test_without_a_rule_nothing_is_allowed():
    for action in Action:
        assert Rules().on_task(ANN, action, task_of(ANN)) is HIDDEN
    assert Rules().on_submit(ANN, "create-client") is FORBIDDEN
    assert Rules().listed(ANN) == Rules().listed(ANN, operation="report") == ()


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*", ["a", "a\nb", "*"], [""]),
        ("ann", ["ann"], ["Ann", "anne", "xann", "ann\n", ""]),
        ("a*n", ["an", "ann", "a/\n n"], ["ana", "ban"]),
        ("system:serviceaccount:shop:*", ["system:serviceaccount:shop:web"], ["system:x"]),
        ("a?[b]c.+", ["a?[b]c.+"], ["axbc.+", "abc..", "a?[b]cc"]),
        ("**", ["a"], [""]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("*ab*bc*", ["abbc", "xab-bcx"], ["abc", "bcab"]),
        ("*b*b", ["bb", "abcb"], ["b", "bba"]),
        ("", [], ["", "a"]),
    ],
)
def test_a_star_is_all_that_is_special_in_a_pattern(pattern: str, yes: list[str], no: list[str]):
    assert [name for name in (*yes, *no) if fits(name, (pattern,))] == yes


def test_a_name_that_nearly_fits_many_stars_takes_no_longer_than_another():
    began_at = time.process_time()
    assert not fits("a" * 256, ("*a" * 100 + "*b*",))
    assert time.process_time() - began_at < 1


@given(st.text("ab\n", max_size=9), st.text("ab*", max_size=7))
def test_a_pattern_fits_what_its_expression_does(name: str, pattern: str):
    expression = ".*".join(map(re.escape, pattern.split("*")))
    expected = bool(name) and re.fullmatch(expression, name, re.DOTALL) is not None
    assert fits(name, (pattern,)) is expected


def test_a_rule_wants_each_of_what_it_names():
    both = rule(READ, principals=("ann", "rob"), tenants=("red",), groups=("staff", "ops"))
    assert both.is_for(ANN)
    assert not both.is_for(ROB)
    assert rule(READ).is_for(ANONYMOUS)
    for which in ("principals", "tenants", "groups"):
        assert not rule(READ, **{which: ("*",)}).is_for(ANONYMOUS)


def test_what_is_listed_is_in_disjoint_parts_as_the_rules_decide():
    rules = Rules(
        (
            rule(READ, operations=("create-*",), tasks=Scope.TENANT),
            rule(SUBMIT, operations=("secret",)),
            rule(READ, groups=("staff",), tasks=Scope.ALL),
            rule(READ),
        )
    )
    assert rules.listed(ANN) == (
        Listed(tenant="red", operations=("create-*",)),
        Listed(but=("create-*", "secret")),
    )
    assert rules.listed(LONER) == (
        Listed(principal="loner", operations=("create-*",)),
        Listed(principal="loner", but=("create-*", "secret")),
    )
    assert rules.listed(ANN, operation="create-client") == (Listed(tenant="red"),)
    assert rules.listed(ANN, operation="secret") == ()
    assert rules.listed(ROB, operation="report") == (Listed(principal="rob"),)


def _rule_sets() -> Iterator[Rules]:
    """All lists of two rules, out of those that differ in what listing depends on."""
    each = [
        rule(*may, operations=operations, tasks=scope)
        for may, operations, scope in product(((READ,), ()), (("a*",), ("ab", "b"), ("*",)), Scope)
    ]
    return (Rules(pair) for pair in product(each, each))


def test_a_list_has_exactly_what_can_be_read_one_by_one():
    owners = [
        task_of(caller, operation)
        for caller, operation in product((ANN, ROB, BEA, LONER), ("a", "ab", "b", "c"))
    ]
    for rules in _rule_sets():
        for owner in owners:
            readable = rules.on_task(ANN, READ, owner) is ALLOWED
            for asked in (None, owner.operation):
                times = [_has(part, owner) for part in rules.listed(ANN, operation=asked)]
                assert times.count(True) == int(readable), (rules, owner, asked)


def _has(part: Listed, owner: Owner) -> bool:
    return (
        part.principal in {None, owner.principal}
        and part.tenant in {None, owner.tenant}
        and (not part.operations or fits(owner.operation, part.operations))
        and not fits(owner.operation, part.but)
    )


OPERATE = Action.OPERATE


@pytest.mark.parametrize(
    ("rules", "read", "operate"),
    [
        ((rule(READ, OPERATE, tasks=Scope.ALL),), ALLOWED, ALLOWED),
        ((rule(READ, tasks=Scope.ALL),), ALLOWED, FORBIDDEN),
        ((rule(OPERATE, tasks=Scope.ALL),), HIDDEN, HIDDEN),
        ((rule(READ, OPERATE, tasks=Scope.TENANT),), HIDDEN, HIDDEN),
        ((rule(READ, OPERATE),), HIDDEN, HIDDEN),
        ((rule(READ, OPERATE, tasks=Scope.ALL, operations=("a",)),), HIDDEN, HIDDEN),
        (
            (
                rule(READ, tasks=Scope.ALL, operations=("a",)),
                rule(READ, OPERATE, tasks=Scope.ALL),
            ),
            ALLOWED,
            FORBIDDEN,
        ),
        (
            (rule(READ, tasks=Scope.OWN, operations=("a",)), rule(READ, tasks=Scope.ALL)),
            HIDDEN,
            HIDDEN,
        ),
        ((rule(READ, OPERATE, tasks=Scope.ALL, principals=("bea",)),), HIDDEN, HIDDEN),
        ((), HIDDEN, HIDDEN),
    ],
)
def test_what_operations_share_takes_a_rule_over_all_tasks_of_each(
    rules: tuple[Rule, ...], read: Verdict, operate: Verdict
):
    decided = Rules(rules)
    assert decided.on_shared(ANN, READ, ["a", "b"]) is read
    assert decided.on_shared(ANN, OPERATE, ["a", "b"]) is operate


def test_what_no_operation_shares_is_not_there():
    everything = Rules((rule(READ, OPERATE, tasks=Scope.ALL),))
    assert everything.on_shared(ANN, OPERATE, []) is HIDDEN
