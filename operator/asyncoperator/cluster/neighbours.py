"""Whose an object is where several installations share a namespace."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from asyncoperator.cluster.kube import Kube

KNOWN_SECONDS = 5.0
"""Installations come and go by `helm install`: a burst of objects asks for them once."""


class Neighbours:
    """The other installations of the namespace. Each is known by its operator's Lease."""

    def __init__(
        self, kube: Kube, installation: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.installation = installation
        self._kube = kube
        self._clock = clock
        self._others: set[str] = set()
        self._read_at = float("-inf")

    async def others(self) -> set[str]:
        """Their names. Raises a KubeError."""
        if self._clock() - self._read_at > KNOWN_SECONDS:
            self._others = await self._kube.installations() - {self.installation}
            self._read_at = self._clock()
        return self._others

    async def ambiguity(self) -> str | None:
        """Why an object that names no installation is not known to be ours; None where it is."""
        others = await self.others()
        if not others:
            return None
        names = ", ".join(sorted({self.installation, *others}))
        return (
            f"There are several installations in this namespace ({names}): "
            "name one in spec.installation."
        )
