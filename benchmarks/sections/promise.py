"""What a figure has to be, beside what it was."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise, and whether it holds; None where this run cannot tell."""

    text: str
    measured: str = ""
    """Empty where this run did not measure it."""
    holds: bool | None = None

    @property
    def verdict(self) -> str:
        """In words."""
        if self.holds is None:
            return "too small a run to tell" if self.measured else "not measured"
        return "holds" if self.holds else "does not hold"
