"""The application of a proxy, made anew for each operations file that it takes over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from asyncproxy.app import create_app
from asyncproxy.batch_routes import BatchEndpoints
from asyncproxy.callback_routes import CallbackEndpoints
from asyncproxy.caller_routes import CallerEndpoints
from asyncproxy.holds import Holds
from asyncproxy.many_calls import many_calls_endpoints
from asyncproxy.operating_routes import OperatingEndpoints
from asyncproxy.operation_routes import operation_endpoints
from asyncproxy.submission import Submission
from asyncproxy.task_routes import TaskEndpoints
from asynctasks.operations.operation import callable_ones
from asynctasks.statements.batch_search import BatchSearch
from asynctasks.statements.deliveries import Deliveries

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import ASGIApp

    from asyncproxy.access.access import Access
    from asyncproxy.access.authentication import Authentication
    from asyncproxy.access.quotas import Quotas
    from asyncproxy.admission import Admission
    from asyncproxy.body_budget import BodyBudget
    from asyncproxy.forwarded import PublicAddress
    from asyncproxy.health_routes import HealthEndpoints
    from asyncproxy.operation_routes import Endpoint
    from asyncproxy.overview import OverviewReader
    from asyncproxy.queue_windows import QueueWindows
    from asyncproxy.replies import Replies
    from asyncproxy.settings import ProxySettings
    from asyncproxy.watch import Watch
    from asynctasks.connections import Connections
    from asynctasks.limits.gates import Gates
    from asynctasks.operations.operation import Operations
    from asynctasks.operations.sealing import Sealing
    from asynctasks.releases import Releases
    from asynctasks.reserved_places import ReservedPlaces
    from asynctasks.statements.batches import Batches
    from asynctasks.statements.limit_states import LimitStates
    from asynctasks.statements.store import TaskStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """What the endpoints of one proxy ask, whichever operations they serve."""

    settings: ProxySettings
    connections: Connections
    sealing: Sealing
    access: Access | None
    ways: Callable[[], Authentication] | None
    quotas: Quotas | None
    public: PublicAddress
    store: TaskStore
    watch: Watch
    admission: Admission
    gates: Gates
    releases: Releases
    places: ReservedPlaces
    windows: QueueWindows
    bodies: BodyBudget
    batches: Batches
    limit_states: LimitStates
    overviews: OverviewReader
    health: HealthEndpoints

    def serving(
        self, operations: Operations, replies: Replies
    ) -> tuple[ASGIApp, Mapping[tuple[str, str], Endpoint]]:
        """The application that serves these operations, and its endpoints by method and path."""
        holds = Holds(self.gates, operations)
        called = callable_ones(operations)
        submission = self._submission(replies)
        calls = operation_endpoints(
            called,
            submission=submission,
            admission=self.admission,
            bodies=self.bodies,
            holds=holds,
            public=self.public,
            access=self.access,
            quotas=self.quotas,
            traces=self.connections.traces,
        ) | many_calls_endpoints(
            called,
            submission=submission,
            bodies=self.bodies,
            public=self.public,
            access=self.access,
            quotas=self.quotas,
            traces=self.connections.traces,
        )
        app = create_app(
            called,
            calls=calls,
            tasks=self._tasks(operations, holds),
            batches=self._batch_endpoints(),
            operating=self._operating(operations),
            callbacks=self._callbacks(),
            callers=CallerEndpoints(access=self.access),
            health=self.health,
            ways=self.ways,
            has_docs=self.settings.docs,
            has_dashboard=self.settings.ui,
        )
        return app, calls

    def _submission(self, replies: Replies) -> Submission:
        return Submission(
            store=self.store,
            broker=self.connections.broker,
            replies=replies,
            watch=self.watch,
            admission=self.admission,
            gates=self.gates,
            releases=self.releases,
            places=self.places,
            windows=self.windows,
            sealing=self.sealing,
            blobs=self.connections.blobs,
            settings=self.settings,
            traces=self.connections.traces,
        )

    def _tasks(self, operations: Operations, holds: Holds) -> TaskEndpoints:
        return TaskEndpoints(
            store=self.store,
            watch=self.watch,
            admission=self.admission,
            broker=self.connections.broker,
            blobs=self.connections.blobs,
            operations=operations,
            holds=holds,
            max_wait_seconds=self.settings.max_wait_seconds,
            list_seconds=self.settings.list_seconds,
            public=self.public,
            access=self.access,
            quotas=self.quotas,
        )

    def _batch_endpoints(self) -> BatchEndpoints:
        return BatchEndpoints(
            batches=self.batches,
            search=BatchSearch(self.connections.database, seconds=self.settings.list_seconds),
            bodies=self.bodies,
            public=self.public,
            access=self.access,
        )

    def _callbacks(self) -> CallbackEndpoints:
        return CallbackEndpoints(
            store=self.store,
            deliveries=Deliveries(self.connections.database),
            public_keys=self.settings.callback_keys.public_jwks(),
            are_on=bool(self.settings.callback_allow),
            public=self.public,
            access=self.access,
        )

    def _operating(self, operations: Operations) -> OperatingEndpoints:
        return OperatingEndpoints(
            states=self.limit_states,
            overviews=self.overviews,
            gates=self.gates,
            operations=operations,
            bodies=self.bodies,
            access=self.access,
        )
