"""Breakers for tests whose operations have no limits: nothing is noted, and nothing known."""

from typing import Any

from asyncexecutor.breakers import Breakers

_NOTHING: Any = None
NO_BREAKERS = Breakers(_NOTHING, _NOTHING)
