"""Who is to be told of a task's end: a callback, as a file declares it or a caller asks for it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from asynctasks.declarations.declared import Declared, NotEmpty

Event = Literal["succeeded", "failed", "cancelled", "expired"]
EVENTS: tuple[Event, ...] = ("succeeded", "failed", "cancelled", "expired")


class Callback(Declared):
    """A URL, and what it wants to hear."""

    url: str
    """Which has to fit one of ASYNCAPIPROXY_CALLBACK_ALLOW."""
    events: Annotated[tuple[Event, ...], NotEmpty] = EVENTS
    """The ends that it is told of."""
    include: Literal["nothing", "response"] = "nothing"
    """What it is sent beside the bare facts: the upstream's answer, where that is small."""

    def as_stored(self) -> dict[str, Any]:
        """As a task's row has it, which the database reads."""
        return {"url": self.url, "events": list(self.events), "include": self.include}
