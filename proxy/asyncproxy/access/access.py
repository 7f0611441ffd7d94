"""Asks who calls, and by the rules what that caller may do: for every route, before it does it."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from fastapi.routing import APIRoute

from asyncproxy.access.audit import Audit, Change
from asyncproxy.access.rules import Action, Verdict
from asyncproxy.problems import ForbiddenError
from asynctasks.errors import TaskNotFoundError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Collection, Coroutine, Generator
    from uuid import UUID

    from starlette.requests import Request
    from starlette.responses import Response

    from asyncproxy.access.principal import Principal
    from asyncproxy.access.quota import Quota
    from asyncproxy.access.rules import Rule, Rules
    from asynctasks.errors import AsyncApiProxyError
    from asynctasks.statements.owners import Listed, Owner
    from asynctasks.statements.store import TaskStore


class Authenticates(Protocol):
    """What knows callers by their requests."""

    def principal_of(self, request: Request) -> Principal:
        """Who calls; raises UnauthenticatedError."""
        ...


class Access:
    """What callers may do at one proxy, by the access file as it stands.

    To a caller who may not read it a task is as one that never was: TaskNotFoundError. Every method
    that takes a request raises UnauthenticatedError where its caller has not proven who it is.
    """

    def __init__(
        self, authenticator: Authenticates, rules: Rules, quotas: tuple[Quota, ...]
    ) -> None:
        self._authenticator = authenticator
        self._rules = rules
        self.quotas = quotas
        """How much callers may have at a time; another keeps count of it."""
        self.audit = Audit()

    def replace(
        self, authenticator: Authenticates, rules: Rules, quotas: tuple[Quota, ...]
    ) -> None:
        """Go by these from now on, for callers that wait already, too."""
        self._authenticator = authenticator
        self._rules = rules
        self.quotas = quotas

    def principal_of(self, request: Request) -> Principal:
        """Who calls."""
        return self._authenticator.principal_of(request)

    def rules_of(self, request: Request) -> tuple[Principal, tuple[Rule, ...]]:
        """Who calls, and by which rules it is decided what that caller may do."""
        principal = self.principal_of(request)
        return principal, tuple(self._rules.of(principal))

    def submit(self, request: Request, operation: str) -> Change:
        """Leave to call the operation; raises ForbiddenError.

        The change is to be told of, once it is made or refused.
        """
        change = self._change(request, Action.SUBMIT)
        change.operation = operation
        if self._rules.on_submit(change.principal, operation) is not Verdict.ALLOWED:
            error = ForbiddenError(f"You may not {Action.SUBMIT} {operation}.")
            change.refused(error)
            raise error
        return change

    async def read(self, request: Request, task_id: UUID, *, store: TaskStore) -> Grant:
        """Leave to read the task; raises TaskNotFoundError."""
        principal = self.principal_of(request)
        owner = await store.owner_of(task_id)
        self._check(principal, Action.READ, task_id, owner)
        return Grant(self, request, task_id, owner)

    @asynccontextmanager
    async def change(
        self, request: Request, action: Action, task_id: UUID, *, store: TaskStore
    ) -> AsyncGenerator[UUID]:
        """Leave to do this with the task within the context, and the audit of what comes of it.

        Raises TaskNotFoundError, ForbiddenError.
        """
        with self.audited(request, action) as change:
            change.task_id = task_id
            owner = await store.owner_of(task_id)
            change.operation = owner.operation
            self._check(change.principal, action, task_id, owner)
            yield task_id

    def sees(self, request: Request, operations: Collection[str]) -> bool:
        """Whether the caller may know how it stands with what all tasks of these share."""
        principal = self.principal_of(request)
        return self._rules.on_shared(principal, Action.READ, operations) is Verdict.ALLOWED

    @contextmanager
    def operate(
        self,
        request: Request,
        action: str,
        target: str,
        operations: Collection[str],
        *,
        hidden: AsyncApiProxyError,
    ) -> Generator[Change]:
        """Leave to change what all tasks of these operations share within the context.

        The audit tells of what comes of it. Raises ForbiddenError, and `hidden` where the caller is
        not to know that it is there.
        """
        with self.audited(request, action) as change:
            change.target = target
            self._check_shared(change.principal, operations, hidden)
            yield change

    @contextmanager
    def audited(self, request: Request, action: str) -> Generator[Change]:
        """A change that is made within the context; the audit tells of what comes of it."""
        change = self._change(request, action)
        try:
            yield change
        except Exception as error:
            change.refused(error)
            raise
        change.done()

    def listed(self, request: Request, *, operation: str | None) -> tuple[Listed, ...]:
        """Which tasks may be listed, of the operation or of all."""
        return self._rules.listed(self.principal_of(request), operation=operation)

    def acted_on(
        self, request: Request, action: Action, *, operation: str | None
    ) -> tuple[Listed, ...]:
        """With which tasks this may be done; raises ForbiddenError where with none."""
        principal = self.principal_of(request)
        parts = self._rules.listed(principal, operation=operation, action=action)
        if not parts:
            raise ForbiddenError(f"You may not {action} {operation or 'any'} tasks.")
        return parts

    def renew(self, grant: Grant) -> None:
        """Raise what asking for it anew would raise."""
        principal = self.principal_of(grant.request)
        self._check(principal, Action.READ, grant.task_id, grant.owner)

    def _check(self, principal: Principal, action: Action, task_id: UUID, owner: Owner) -> None:
        verdict = self._rules.on_task(principal, action, owner)
        if verdict is Verdict.HIDDEN:
            raise TaskNotFoundError(task_id)
        if verdict is Verdict.FORBIDDEN:
            raise ForbiddenError(f"You may read this task, and not {action} it.")

    def _check_shared(
        self, principal: Principal, operations: Collection[str], hidden: AsyncApiProxyError
    ) -> None:
        verdict = self._rules.on_shared(principal, Action.OPERATE, operations)
        if verdict is Verdict.HIDDEN:
            raise hidden
        if verdict is Verdict.FORBIDDEN:
            raise ForbiddenError(f"You may see this, and not {Action.OPERATE} it.")

    def _change(self, request: Request, action: str) -> Change:
        return Change(request, self.principal_of(request), action, audit=self.audit)


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to read a task, which may end while its holder waits for the task to change."""

    access: Access
    request: Request
    task_id: UUID
    owner: Owner

    def renew(self) -> None:
        """Raise UnauthenticatedError, TaskNotFoundError where it has ended."""
        self.access.renew(self)


def guarded_route(access: Access) -> type[APIRoute]:
    """A route that says nothing to callers who have not proven who they are.

    Before FastAPI has looked at the request, of which it would tell what is wrong with it.
    """

    class GuardedRoute(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            handle = super().get_route_handler()

            async def guarded(request: Request) -> Response:
                access.principal_of(request)
                return await handle(request)

            return guarded

    return GuardedRoute
