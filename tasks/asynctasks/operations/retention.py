"""How long finished tasks of an operation are kept."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from asynctasks.declarations.declared import Declared, Number
from asynctasks.settings import LONGEST_SECONDS

SHORTEST_SECONDS = 3_600.0
"""A caller who repeats a call has to find its idempotency key: no repeat comes later than that."""
KeptSeconds = Annotated[Number, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS)]


class Retention(Declared):
    """From its end on, by how a task ended. One number in its place is for all of them."""

    succeeded: KeptSeconds | None = None
    failed: KeptSeconds | None = None
    cancelled: KeptSeconds | None = None
    expired: KeptSeconds | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_status(cls, value: Any) -> Any:
        if isinstance(value, dict | Retention):
            return value  # pyright: ignore[reportUnknownVariableType] - of YAML
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not SHORTEST_SECONDS <= value <= LONGEST_SECONDS:
            raise ValueError(
                f"expected {SHORTEST_SECONDS:.0f} to {LONGEST_SECONDS:.0f} seconds, or as many for "
                f"one or more of {', '.join(cls.model_fields)}"
            )
        return dict.fromkeys(cls.model_fields, value)
