"""Whose a task is, and which tasks are a caller's to be listed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, bindparam, not_, or_, select, text

from asynctasks.statements.conditions import tasks

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What decides who may see a task, and never changes of it."""

    operation: str
    principal: str
    tenant: str
    is_of_asynctask: bool = False
    """Whether a person has asked for it by an AsyncTask, as whom only Kubernetes knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """Some of the tasks that a caller may be listed; what is None is not looked at."""

    principal: str | None = None
    """The empty one's are without those of AsyncTasks."""
    tenant: str | None = None
    operations: tuple[str, ...] = ()
    """Names, one of which the operation has to fit; `*` stands for any characters. With none every
    operation fits."""
    but: tuple[str, ...] = ()
    """Those that the operation must not fit."""


OWNER = select(
    tasks.c.operation,
    tasks.c.principal,
    tasks.c.tenant,
    tasks.c.asynctask.is_not(None).label("is_of_asynctask"),
).where(tasks.c.id == bindparam("task_id"))


def is_listed(listed: Listed, dialect: str) -> list[ColumnElement[bool]]:
    """The conditions on a row."""
    conditions: list[ColumnElement[bool]] = []
    if listed.principal is not None:
        conditions += is_of_principal(listed.principal)
        if not listed.principal:
            conditions.append(tasks.c.asynctask.is_(None))
    if listed.tenant is not None:
        conditions += is_of_tenant(listed.tenant)
    if listed.operations:
        conditions.append(_fits(listed.operations, dialect))
    if listed.but:
        conditions.append(not_(_fits(listed.but, dialect)))
    return conditions


def is_of_principal(name: str) -> list[ColumnElement[bool]]:
    """As its index has it, or that would not be used: it holds none without a name."""
    return [tasks.c.principal == name, *([tasks.c.principal != _NOBODY] if name else [])]


def is_of_tenant(name: str) -> list[ColumnElement[bool]]:
    """Likewise."""
    return [tasks.c.tenant == name, *([tasks.c.tenant != _NOBODY] if name else [])]


_NOBODY: Any = text("''")


def _fits(patterns: Sequence[str], dialect: str) -> ColumnElement[bool]:
    names = [pattern for pattern in patterns if "*" not in pattern]
    fits = [_is_like(pattern, dialect) for pattern in patterns if "*" in pattern]
    return or_(*([tasks.c.operation.in_(names)] if names else []), *fits)


def _is_like(pattern: str, dialect: str) -> ColumnElement[bool]:
    """SQLite's LIKE takes small letters for large ones, and PostgreSQL has no GLOB."""
    if dialect == "sqlite":
        glob = "".join(f"[{one}]" if one in "?[" else one for one in pattern)
        return tasks.c.operation.op("GLOB", is_comparison=True)(glob)
    like = "".join(f"\\{one}" if one in "%_\\" else one for one in pattern)
    return tasks.c.operation.like(like.replace("*", "%"), escape="\\")
