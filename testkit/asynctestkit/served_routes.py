"""All that a proxy serves, without starting one."""

from typing import Any

from starlette.routing import Mount, Route

from asyncproxy.app import create_app
from asyncproxy.batch_routes import BatchEndpoints
from asyncproxy.callback_routes import CallbackEndpoints
from asyncproxy.caller_routes import CallerEndpoints
from asyncproxy.forwarded import PublicAddress
from asyncproxy.health_routes import HealthEndpoints
from asyncproxy.operating_routes import OperatingEndpoints
from asyncproxy.task_routes import TaskEndpoints


def served_routes(*calls: tuple[str, str]) -> list[tuple[str, str]]:
    """Method and path of each route, those of calls of operations, too; a folder is a GET."""
    of_tasks: Any = {**dict.fromkeys(TaskEndpoints.__dataclass_fields__), "public": PublicAddress()}
    of_batches: Any = dict.fromkeys(BatchEndpoints.__dataclass_fields__)
    of_operating: Any = dict.fromkeys(OperatingEndpoints.__dataclass_fields__)
    of_callbacks: Any = dict.fromkeys(CallbackEndpoints.__dataclass_fields__)
    of_health: Any = dict.fromkeys(HealthEndpoints.__dataclass_fields__)
    app = create_app(
        {},
        calls=dict.fromkeys(calls, _nothing),
        tasks=TaskEndpoints(**of_tasks),
        batches=BatchEndpoints(**of_batches),
        operating=OperatingEndpoints(**of_operating),
        callbacks=CallbackEndpoints(**of_callbacks),
        callers=CallerEndpoints(access=None),
        health=HealthEndpoints(**of_health),
    )
    found: list[tuple[str, str]] = []
    for route in app.routes:
        assert isinstance(route, Route | Mount)
        methods = {"GET"} if isinstance(route, Mount) else route.methods or set()
        found += [(method, route.path) for method in sorted(methods)]
    return found


async def _nothing(_: Any) -> Any:
    raise AssertionError("nobody calls this")
