"""What `/ping` and `/readyz` tell of a part, and what only the log does."""

import structlog

from asyncproxy.probes import Probe
from asynctasks.errors import DatabaseUnavailableError


class Part:
    """Answers, or fails for a reason."""

    def __init__(self) -> None:
        self.reason: str | None = None

    async def ask(self) -> None:
        if self.reason is not None:
            raise DatabaseUnavailableError(reason=self.reason)


async def test_a_reason_is_logged_once_and_told_to_nobody():
    part = Part()
    probe = Probe("database", part.ask)
    with structlog.testing.capture_logs() as logs:
        await probe.ask()
        assert probe.finding.available
        part.reason = "connection to 10.1.2.3 refused"
        for _ in range(3):
            await probe.ask()
            assert not probe.finding.available
            assert probe.finding.detail == "The task database does not answer."
        part.reason = None
        await probe.ask()
    assert probe.finding.available
    assert [(entry["event"], entry.get("reason")) for entry in logs] == [
        ("probe failed", "The task database does not answer: connection to 10.1.2.3 refused"),
        ("probe succeeds again", None),
    ]
