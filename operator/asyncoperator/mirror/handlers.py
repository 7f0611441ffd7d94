"""What kopf calls. Only `on.event`: it writes nothing, where others write to each object."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kopf

from asyncoperator.cluster.custom_object import GROUP, VERSION
from asyncoperator.mirror.asynctask import PLURAL, ObservedTask, parse_known

if TYPE_CHECKING:
    from collections.abc import Callable


def register(registry: kopf.OperatorRegistry, on_seen: Callable[[ObservedTask], None]) -> None:
    """Have `on_seen` called, in kopf's thread, with each AsyncTask as it is or was at its end."""

    async def seen(type: str | None, body: kopf.Body, **_: Any) -> None:  # noqa: A002 - kopf's name
        found = parse_known(body, is_gone=type == "DELETED")
        if found is not None:
            on_seen(found)

    kopf.on.event(GROUP, VERSION, PLURAL, registry=registry)(seen)
