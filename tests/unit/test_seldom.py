"""What happens very often is told once in a while, with how often it was not."""

from asynctasks.seldom import Seldom


class _Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_first_is_told_at_once_and_then_one_in_so_many_seconds() -> None:
    clock = _Clock()
    seldom = Seldom(1.0, clock=clock)
    told: list[tuple[str, dict[str, object]]] = []

    def write(event: str, **values: object) -> None:
        told.append((event, values))

    for moment in (100.0, 100.2, 100.9, 101.0, 101.1, 105.0):
        clock.now = moment
        seldom.tell(write, "refused", reason=f"at {moment}")

    assert told == [
        ("refused", {"reason": "at 100.0", "untold_before": 0}),
        ("refused", {"reason": "at 101.0", "untold_before": 2}),
        ("refused", {"reason": "at 105.0", "untold_before": 1}),
    ]


def test_one_kind_does_not_keep_another_from_being_told() -> None:
    seldom = Seldom(1.0, clock=_Clock())
    told: list[str] = []

    def write(event: str, **_: object) -> None:
        told.append(event)

    for kind in ("a", "b", "a"):
        seldom.tell(write, kind, kind=kind)

    assert told == ["a", "b"]
