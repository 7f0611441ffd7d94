"""A problem (RFC 9457) as the proxy tells it: its facts, for programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from asynctasks.json_values import as_array, as_object

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "https://asyncapiproxy.dev/problems/"
"""What the type of each of our own problems begins with."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One place where a call is wrong."""

    place: str
    """A JSON Pointer into the body, or the name of a parameter; empty for the whole."""
    detail: str


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, in the words of RFC 9457."""

    type: str
    """The whole URL, or `about:blank`."""
    title: str
    status: int
    detail: str
    faults: tuple[Fault, ...]
    """Each fault of a call, by its place; never with the value, which may be secret."""
    task_id: str | None
    """The task that it is about, if it is about one."""
    document: dict[str, Any]
    """All members, those of extensions too."""

    @property
    def name(self) -> str:
        """The last part of its type: `arguments-invalid`, `task-not-found`."""
        return self.type.rpartition("/")[2]

    def __str__(self) -> str:
        """For people: what is wrong, and where."""
        if self.faults:
            return "; ".join(
                f"{fault.place or 'the arguments'}: {fault.detail}" for fault in self.faults
            )
        return self.detail or self.title or f"The proxy answered {self.status}."


def problem_of(document: dict[str, Any], *, status: int = 0) -> Problem:
    """The problem that a document tells; what it lacks is empty, and its status the answer's."""
    task_id = document.get("taskId")
    told = document.get("status")
    return Problem(
        type=str(document.get("type") or "about:blank"),
        title=str(document.get("title") or ""),
        status=told if isinstance(told, int) else status,
        detail=str(document.get("detail") or ""),
        faults=tuple(_faults(document)),
        task_id=None if task_id is None else str(task_id),
        document=document,
    )


def _faults(document: dict[str, Any]) -> Iterator[Fault]:
    for one in as_array(document.get("errors")) or ():
        members = as_object(one) or {}
        place = members.get("pointer") or members.get("parameter") or ""
        yield Fault(str(place), str(members.get("detail") or ""))
