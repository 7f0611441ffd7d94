"""What the API server can answer that is not what was asked for."""

from __future__ import annotations

from asynctasks.errors import AsyncApiProxyError


class KubeError(AsyncApiProxyError):
    """The API server did not do what it was asked to."""


class KubeUnavailableError(KubeError):
    """The API server does not answer, or cannot serve now."""


class KubeThrottledError(KubeError):
    """The API server has too much to do: ask again later."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(f"The API server throttles us for {retry_after_seconds:g} s")
        self.retry_after_seconds = retry_after_seconds


class KubeConflictError(KubeError):
    """The object is not the one that was read."""


class KubeExistsError(KubeError):
    """There is an object of this name."""


class KubeGoneError(KubeError):
    """There is no such object."""


class KubeRefusedError(KubeError):
    """The API server refuses the request, and would again."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        """The API server's sentence."""
