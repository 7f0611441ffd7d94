"""Who calls."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A caller as we know it, once it has proven who it is."""

    name: str
    """Stable and unique among all ways to prove it; empty where callers are not told apart."""
    tenant: str = ""
    """The organisation it belongs to; empty where it has none."""
    groups: frozenset[str] = frozenset()


ANONYMOUS = Principal(name="")
"""Whoever calls where there is no access file, or where that lets in callers without a proof."""
