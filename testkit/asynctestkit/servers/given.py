"""A server that an environment variable names."""

from typing import NoReturn, Self


class GivenServerError(RuntimeError):
    """A server that was given by its URL is not ours to start, stop or command."""


class GivenServer:
    """A server that somebody else runs, named by an environment variable. It can only be used."""

    def __init__(self, url: str, *, variable: str) -> None:
        self.url = url
        self._variable = variable

    def start(self) -> None:
        """Refuses, like all below: a test that does more than use a server starts a private one."""
        self._refuse()

    def stop(self) -> None:
        self._refuse()

    def kill(self) -> None:
        self._refuse()

    def ctl(self, *args: str) -> str:
        self._refuse(*args)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _refuse(self, *_: str) -> NoReturn:
        raise GivenServerError(f"{self._variable} names this server; it is not ours to control")
