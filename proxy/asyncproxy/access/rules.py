"""What callers may do: the rules of the access file, and what they decide.

principal, operation ──▶ the first rule that fits both, if any
                            │ none: nothing is allowed, nothing is seen
                            ▼
submit: does the rule say it?              no: FORBIDDEN
a task: is it among the rule's `tasks`,
        and does the rule let it be read?  no: HIDDEN, as if it had never been
        does the rule say the action?      no: FORBIDDEN
what all tasks of some operations share, queues and limits: is each of these operations' tasks
        the caller's to read, everyone's?  no: HIDDEN
        do all rules say the action?       no: FORBIDDEN
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from functools import lru_cache
from typing import TYPE_CHECKING

from asynctasks.statements.owners import Listed

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from asyncproxy.access.principal import Principal
    from asynctasks.statements.owners import Owner

EVERYTHING = "*"


class Action(StrEnum):
    """What a caller may be allowed to do."""

    SUBMIT = "submit"
    READ = "read"
    CANCEL = "cancel"
    RETRY = "retry"
    DELETE = "delete"
    OPERATE = "operate"
    """To pause and change what all tasks share: queues, operations and limits."""


class Scope(StrEnum):
    """Whose tasks a rule is about."""

    OWN = "own"
    """Those that the caller itself has submitted."""
    TENANT = "tenant"
    """Those that anyone of the caller's tenant has submitted; its own, where it has no tenant."""
    ALL = "all"


class Verdict(Enum):
    """What becomes of a request."""

    ALLOWED = auto()
    FORBIDDEN = auto()
    """The caller may know what it asks about, and may not do this."""
    HIDDEN = auto()
    """To this caller the task does not exist."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What some principals may do with some operations and their tasks.

    In a pattern `*` stands for any characters, as in `system:serviceaccount:shop:*`, and nothing
    else is special. An empty name fits no pattern: `*` stands for whoever has one.
    """

    principals: tuple[str, ...] = ()
    """Patterns, one of which the name has to fit; with none every caller fits, anonymous ones too.
    So it is with tenants and groups, and a caller has to fit all three."""
    tenants: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """One of the caller's has to fit one of the patterns."""
    operations: tuple[str, ...] = (EVERYTHING,)
    tasks: Scope = Scope.OWN
    may: frozenset[Action]

    def is_for(self, principal: Principal) -> bool:
        """Whether it tells what this principal may do."""
        return (
            (not self.principals or fits(principal.name, self.principals))
            and (not self.tenants or fits(principal.tenant, self.tenants))
            and (not self.groups or any(fits(group, self.groups) for group in principal.groups))
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """In their order: the first that fits decides, and where none does nothing is allowed."""

    rules: tuple[Rule, ...] = ()

    def of(self, principal: Principal) -> Iterator[Rule]:
        """Those that are for the principal, of whichever operation."""
        return (rule for rule in self.rules if rule.is_for(principal))

    def first(self, principal: Principal, operation: str) -> Rule | None:
        """The one that decides."""
        for rule in self.rules:
            if rule.is_for(principal) and fits(operation, rule.operations):
                return rule
        return None

    def on_submit(self, principal: Principal, operation: str) -> Verdict:
        """Whether the principal may call the operation."""
        rule = self.first(principal, operation)
        is_allowed = rule is not None and Action.SUBMIT in rule.may
        return Verdict.ALLOWED if is_allowed else Verdict.FORBIDDEN

    def on_task(self, principal: Principal, action: Action, owner: Owner) -> Verdict:
        """Whether the principal may do this with a task of that owner."""
        rule = self.first(principal, owner.operation)
        if rule is None or Action.READ not in rule.may:
            return Verdict.HIDDEN
        if not _is_in(_scope(rule, principal), principal, owner):
            return Verdict.HIDDEN
        return Verdict.ALLOWED if action in rule.may else Verdict.FORBIDDEN

    def on_shared(
        self, principal: Principal, action: Action, operations: Collection[str]
    ) -> Verdict:
        """Whether the principal may do this with what all tasks of these operations share.

        It tells of everyone's tasks, so only who may read all of them may see it.
        """
        rules = [self.first(principal, operation) for operation in operations]
        seen = [rule for rule in rules if rule is not None and _reads_all(rule)]
        if not seen or len(seen) < len(rules):
            return Verdict.HIDDEN
        is_allowed = all(action in rule.may for rule in seen)
        return Verdict.ALLOWED if is_allowed else Verdict.FORBIDDEN

    def listed(
        self,
        principal: Principal,
        *,
        operation: str | None = None,
        action: Action = Action.READ,
    ) -> tuple[Listed, ...]:
        """With which tasks the principal may do this, of one operation or of all.

        In disjoint parts.
        """
        needed = {Action.READ, action}
        if operation is not None:
            rule = self.first(principal, operation)
            if rule is None or not needed <= rule.may:
                return ()
            return (_listed(rule, principal, operations=()),)
        parts: list[Listed] = []
        decided: list[str] = []
        for rule in self.of(principal):
            if needed <= rule.may:
                named = () if EVERYTHING in rule.operations else rule.operations
                parts.append(_listed(rule, principal, operations=named, but=tuple(decided)))
            if EVERYTHING in rule.operations:
                break
            decided += rule.operations
        return tuple(parts)


@lru_cache(maxsize=4096)
def fits(name: str, patterns: tuple[str, ...]) -> bool:
    """Whether the name is there and fits one of the patterns."""
    return bool(name) and any(_fits(name, pattern) for pattern in patterns)


def _fits(name: str, pattern: str) -> bool:
    """Each part is taken where it stands first, which leaves the most to those after it."""
    first, *others = pattern.split("*")
    if not others:
        return name == pattern
    *between, last = others
    place, end = len(first), len(name) - len(last)
    if place > end or not name.startswith(first) or not name.endswith(last):
        return False
    for part in between:
        found_at = name.find(part, place, end)
        if found_at < 0:
            return False
        place = found_at + len(part)
    return True


def _reads_all(rule: Rule) -> bool:
    return rule.tasks is Scope.ALL and Action.READ in rule.may


def _scope(rule: Rule, principal: Principal) -> Scope:
    """Who has no tenant shares none with the others who have none."""
    has_none = rule.tasks is Scope.TENANT and not principal.tenant
    return Scope.OWN if has_none else rule.tasks


def _is_in(scope: Scope, principal: Principal, owner: Owner) -> bool:
    if scope is Scope.ALL:
        return True
    if scope is Scope.TENANT:
        return owner.tenant == principal.tenant
    # What a person has asked for by an AsyncTask has no name, and is not any anonymous caller's.
    return owner.principal == principal.name and not (owner.is_of_asynctask and not principal.name)


def _listed(
    rule: Rule, principal: Principal, *, operations: tuple[str, ...], but: tuple[str, ...] = ()
) -> Listed:
    scope = _scope(rule, principal)
    return Listed(
        principal=principal.name if scope is Scope.OWN else None,
        tenant=principal.tenant if scope is Scope.TENANT else None,
        operations=operations,
        but=but,
    )
