"""The benchmark's results: their JSON, what is made of them, and the published document."""

import json
from dataclasses import replace

import pytest

from benchmarks.machine.load import Load
from benchmarks.machine.machine import Machine
from benchmarks.machine.measure import Figures, Measured, Ratio
from benchmarks.report.document import DOCUMENT, filled
from benchmarks.report.promises import faults, promises
from benchmarks.report.results import PUBLISHED, Results
from benchmarks.report.tables import tables
from benchmarks.sections.against import AGAINST, Against, Pair
from benchmarks.sections.bulk import BULK, SERVERS, Bulk, Retried, Round, Waits
from benchmarks.sections.compare import COMPARE, Cell, Compared, Plan
from benchmarks.sections.limit_order import Flood, Weights
from benchmarks.sections.limits import LIMITS, Limits
from benchmarks.sections.registry import SECTIONS


@pytest.fixture(scope="module")
def published() -> Results:
    return Results.from_json(PUBLISHED.read_text())


def _measured(good: int, cpu_us: float, *, others: dict[str, int] | None = None) -> Measured:
    load = Load(seconds=2, sent=good, good=good, others=others or {}, p50_ms=good, p99_ms=good)
    return Measured(load, {"proxy": cpu_us}, {"upstream": 1})


def _compared(system: str, callers: int, *rounds: Measured) -> Compared:
    plan = Plan([system], [callers], [0.0], 2, len(rounds))
    return Compared(plan, {}, [Cell(system, 0.0, callers, Figures.of(rounds))])


def test_the_published_results_are_written_as_they_are_read(published: Results):
    assert published.to_json() == PUBLISHED.read_text()


def test_a_section_of_another_form_is_refused():
    document = json.loads(PUBLISHED.read_text())
    del document["lone"]["ratio"]["median"]
    with pytest.raises(ValueError, match="median"):
        Results.from_json(json.dumps(document))


def test_the_document_holds_what_is_published(published: Results):
    document = DOCUMENT.read_text()
    assert filled(document, published) == document


def test_every_usual_section_is_published(published: Results):
    usual = {name for name, section in SECTIONS.items() if section.is_usual}
    assert usual <= published.by_section.keys()


def test_a_promise_is_shown_though_nothing_was_measured():
    shown = list(promises(Results()))
    assert len(shown) == 34
    assert {promise.verdict for promise in shown} == {"not measured"}


def test_figures_are_medians_of_the_rounds():
    figures = Figures.of([_measured(2, 5), _measured(60, 1, others={"500": 3}), _measured(8, 3)])
    assert figures.per_second == 4
    assert (figures.per_second_min, figures.per_second_max) == (1, 30)
    assert figures.cpu_us == {"proxy": 3}
    assert figures.errors == {"500": 3}


def test_a_ratio_is_of_pairs_and_not_of_medians():
    # A machine that others slow down slows both of a pair.
    assert Ratio.of([(1, 2), (100, 50), (3, 3)]) == Ratio(median=1, lowest=0.5, highest=2)


def test_parts_of_one_section_are_merged_and_the_later_comes_before(published: Results):
    (machine, *_) = published.machines.values()
    early = _results(machine, _compared("ours", 1, _measured(10, 1)))
    late = _results(machine, _compared("ours", 256, _measured(20, 1)))
    again = _results(machine, _compared("ours", 1, _measured(30, 1)))
    merged = early.merged(late).merged(again)
    compared = merged.of(COMPARE)
    assert compared
    assert compared.plan.callers == [1, 256]
    speeds = [figures.per_second for n in (1, 256) if (figures := compared.figures("ours", n))]
    assert speeds == [15, 10]
    assert list(merged.machines) == [
        "compare (ours at 1 callers)",
        "compare (ours at 256 callers)",
    ]


def _results(machine: Machine, compared: Compared) -> Results:
    return Results().having(COMPARE, compared, machine)


def test_parts_of_limits_are_merged_and_shown_in_one_table(published: Results):
    (machine, *_) = published.machines.values()
    waits = Flood(100_000, [0.1] * 30, {}, 400), Flood(100_000, [3.0] * 30, {}, 400)
    early = Results().having(LIMITS, Limits(flood=waits[0]), machine)
    later = Results().having(
        LIMITS, Limits(weights=Weights(30, {"red": 330, "blue": 100})), machine
    )
    again = Results().having(LIMITS, Limits(flood=waits[1]), machine)
    merged = Results.from_json(early.merged(later).merged(again).to_json())
    assert merged.of(LIMITS) == Limits(
        flood=waits[1], weights=Weights(30, {"red": 330, "blue": 100})
    )
    assert list(merged.machines) == ["limits (flood)", "limits (weights)"]
    assert [row[0] for row in tables(merged)["limits"].rows] == ["flood", "flood", "weights"]
    held = {each.measured: each.holds for each in promises(merged) if each.measured}
    assert held == {"3.00 s": False, "3.30 : 1": True}


def _bulk(rows: int, *rounds: tuple[float, float, int]) -> Results:
    """Of rounds by seconds, p99 meanwhile, and tasks done; p99 without is 10 ms."""
    measured = [
        Round(seconds, done, done, Waits(5, 10, {}), Waits(6, p99_ms, {}))
        for seconds, p99_ms, done in rounds
    ]
    return Results(by_section={BULK.name: Bulk(rows, 50, [Retried(SERVERS, measured)])})


def test_a_batch_is_judged_by_the_median_of_its_rounds():
    rounds = (70, 15, 100_000), (40, 25, 100_000), (50, 19, 100_000)
    soon, beside = (each for each in promises(_bulk(100_000, *rounds)) if each.measured)
    assert (soon.measured, soon.holds) == ("50.0 s", True)
    assert (beside.measured.split()[0], beside.holds) == ("1.90", True)


def test_a_smaller_batch_keeps_no_promise():
    assert {each.holds for each in promises(_bulk(3_000, (1, 11, 3_000)))} == {None}


def test_a_task_that_a_batch_has_left_out_is_a_fault():
    found = list(faults(_bulk(100_000, (40, 15, 99_999))))
    assert found == [f"bulk, {SERVERS}: 99999 of 100000 done, 99999 held"]


@pytest.mark.parametrize(
    ("measured", "fault"),
    [
        (_measured(10, 1, others={"503": 2}), "ours at 32 callers: {'503': 2}"),
        (_measured(0, 1), "ours at 32 callers gave no result"),
    ],
)
def test_an_answer_that_is_none_is_a_fault(published: Results, measured: Measured, fault: str):
    results = replace(published, by_section={"compare": _compared("ours", 32, measured)})
    assert list(faults(results)) == [fault]


def test_a_run_without_errors_has_no_fault(published: Results):
    results = replace(published, by_section={"compare": _compared("ours", 32, _measured(10, 1))})
    assert list(faults(results)) == []


def test_two_builds_are_shown_by_their_ratios():
    other, this = _measured(100, 800), _measured(200, 600)
    pair = Pair(
        callers=32,
        other=Figures.of([other]),
        this=Figures.of([this]),
        cpu=Ratio(0.75, 0.7, 0.8),
        per_second=Ratio(2, 1.9, 2.1),
        p50=Ratio(2, 2, 2),
    )
    results = Results(by_section={AGAINST.name: Against("b5d6844", "fd0436e", [pair])})
    table = tables(results)["against"]
    assert table.title.startswith("fd0436e ÷ b5d6844")
    (row,) = table.rows
    assert row[:4] == ["32", "0.75 (0.70 to 0.80)", "600 ÷ 800", "2.00 (1.90 to 2.10)"]
