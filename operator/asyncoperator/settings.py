"""The operator's settings."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator

from asynctasks.settings import LONGEST_SECONDS, Settings

NAME = r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"
NAME_IN_WORDS = "a-z, 0-9, and '-' and '.' between them, 63 at most, such as shop"


class OperatorSettings(Settings):
    """The settings of an operator."""

    namespace: str | None = Field(default=None, pattern=NAME, description=NAME_IN_WORDS)
    """The one it works in; by default its pod's, or the kubeconfig's."""
    kubeconfig: Path | None = None
    """How it signs in: by default as its pod, else by what KUBECONFIG names."""
    operator_deployment: str | None = Field(default=None, pattern=NAME, description=NAME_IN_WORDS)
    """Owns the mirror's objects, so that they go with it; by default its pod's Deployment."""
    pod_name: str | None = None
    """The pod it runs in: its name as a leader, and the way to its Deployment."""
    installation: str = Field(
        default="asyncapiproxy",
        pattern=r"^[a-z0-9]([a-z0-9-]{0,51}[a-z0-9])?$",
        description="a-z, 0-9 and '-' between them, 53 at most, such as shop-asyncapiproxy",
    )
    """Whose objects it works on: one name for each task database, unique in the namespace."""
    leader_lease_seconds: int = Field(default=15, ge=2, le=3_600)
    """How long others wait for a leader that no longer renews; client-go's default."""
    leader_renew_seconds: float = Field(default=10, gt=0)
    """A leader that could not renew for as long ends; client-go's default."""
    leader_retry_seconds: float = Field(default=2, gt=0)
    """How often it renews, and others look; client-go's default."""
    mirror_min_age_seconds: float = Field(default=3, ge=0, le=3_600)
    """A task that succeeds sooner gets no object. So a slow one is seen within 5 s."""
    mirror_writes_per_second: float = Field(default=20, gt=0, le=1_000)
    """What the mirror may ask of the API server in the long run."""
    mirror_write_burst: int = Field(default=40, ge=1, le=10_000)
    """What it may ask at once after a quiet time."""
    mirror_ttl_succeeded_seconds: int = Field(default=3_600, ge=0, le=int(LONGEST_SECONDS))
    """How long the object of a task that succeeded is kept."""
    mirror_ttl_unsuccessful_seconds: int = Field(default=86_400, ge=0, le=int(LONGEST_SECONDS))
    """How long that of one that failed, expired or was cancelled is."""
    mirror_history_limit: int = Field(default=1_000, ge=0)
    """Finished tasks that keep an object; the oldest go first."""
    mirror_object_limit: int = Field(default=5_000, ge=1, le=50_000)
    """Objects in all that the mirror makes: etcd and the operator's memory hold no more."""
    mirror_resync_seconds: float = Field(default=600, ge=1, le=LONGEST_SECONDS)
    """How often all objects and all tasks are compared."""
    mirror_failures: bool = True
    """Whether a task that failed gets an object even if its caller was answered at once."""
    scaling_tick_seconds: float = Field(default=2, gt=0, le=60)
    """How often demand is read."""

    @property
    def lease_name(self) -> str:
        """The Lease that elects the leader among this installation's operators."""
        return f"{self.installation}-operator"

    @field_validator("leader_renew_seconds", "leader_retry_seconds")
    @classmethod
    def _is_shorter(cls, value: float, info: ValidationInfo) -> float:
        longer = {
            "leader_renew_seconds": "leader_lease_seconds",
            "leader_retry_seconds": "leader_renew_seconds",
        }[str(info.field_name)]
        if value >= info.data.get(longer, math.inf):
            raise ValueError(f"expected less than ASYNCAPIPROXY_{longer.upper()}")
        return value
