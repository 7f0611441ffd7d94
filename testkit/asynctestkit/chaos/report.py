"""What a run came to, for people: tables, and the whole history of each offending task."""

from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from asynctestkit.chaos.checks import CHECKS, excuses
from asynctestkit.chaos.evidence import Evidence, Violation
from asynctestkit.chaos.ledger import Entry
from asynctestkit.chaos.system import PROXIES

SHOWN_VIOLATIONS = 5
"""Of one check: the first ones tell; the rest is counted."""
SHOWN_LOG_LINES = 40


def show(
    console: Console,
    evidence: Evidence,
    violations: dict[str, list[Violation]],
    *,
    seed: int,
    minutes: float,
    folder: Path,
) -> None:
    console.rule(f"chaos: {minutes:g} minutes, seed {seed}")
    console.print(_faults(evidence), _answers(evidence), _tasks(evidence), _facts(evidence))
    for name, found in violations.items():
        for violation in found[:SHOWN_VIOLATIONS]:
            console.rule(f"[red]{name}", align="left")
            console.print(violation.text, markup=False, highlight=False, soft_wrap=True)
            _show_history(console, evidence, violation, folder)
    console.print(_checks(violations))
    bad = sum(map(len, violations.values()))
    outcome = f"[red]{bad} violations[/]" if bad else "[green]clean[/]"
    machine = f"a machine that takes {evidence.machine.usual:.1f} times as long as an ordinary one"
    command = f"./dev chaos --minutes {minutes:g} --seed {seed}"
    console.print(f"{outcome}: {command}, on {machine}", soft_wrap=True)


def _faults(evidence: Evidence) -> Table:
    table = Table("fault", "times", title="Faults")
    for name, count in sorted(Counter(f.name for _, f in evidence.injected.faults).items()):
        table.add_row(name, str(count))
    late = Counter(d.service for d in evidence.injected.deaths if not d.was_ready)
    if late:
        table.add_row("(start repeated: database away)", str(late.total()))
    return table


def _answers(evidence: Evidence) -> Table:
    table = Table(
        "request",
        "sent",
        "2xx",
        "202",
        "4xx",
        "5xx",
        "none",
        "p50",
        "p95",
        "p99",
        "max",
        title="Answers",
    )
    outages = [o for o in evidence.injected.outages if o.service in PROXIES]
    groups = defaultdict[str, list[Entry]](list)
    for entry in evidence.ledger.entries:
        groups[entry.action if entry.action not in {"submit", "repeat"} else entry.kind].append(
            entry
        )
        groups["all"].append(entry)
    groups["all"] = groups.pop("all")
    for name, entries in groups.items():
        counts = Counter(_class(entry.status) for entry in entries)
        times = sorted(e.seconds for e in entries if not any(excuses(o, e) for o in outages))
        table.add_row(
            name,
            str(len(entries)),
            *(str(counts[column]) for column in ("2xx", "202", "4xx", "5xx", "none")),
            *(f"{_quantile(times, q):.2f} s" for q in (0.5, 0.95, 0.99, 1)),
        )
    return table


def _class(status: int | None) -> str:
    if status is None:
        return "none"
    return "202" if status == 202 else f"{status // 100}xx"


def _quantile(times: list[float], q: float) -> float:
    return times[min(len(times) - 1, int(q * len(times)))] if times else 0.0


def _tasks(evidence: Evidence) -> Table:
    table = Table("status", "error", "tasks", "attempts", "interrupted", title="Tasks")
    groups = defaultdict[tuple[str, str], list[dict[str, Any]]](list)
    for row in evidence.found.rows.values():
        groups[row.status, row.values["error_type"] or ""].append(row.values)
    for (status, error), rows in sorted(groups.items()):
        attempts, interruptions = (sum(r[c] for r in rows) for c in ("attempt", "interruptions"))
        table.add_row(status, error, str(len(rows)), str(attempts), str(interruptions))
    return table


def _facts(evidence: Evidence) -> Table:
    table = Table("fact", "value", title="Upstream and memory")
    for name in ("calls", "distinct_keys", "duplicate_calls", "created", "disconnects", "drops"):
        table.add_row(f"upstream {name}".replace("_", " "), str(evidence.upstream[name]))
    refused = Counter(
        e.problem for e in evidence.ledger.entries if e.problem and not e.headers.get("task-id")
    )
    for problem, count in refused.items():
        table.add_row(f"answered {problem}", str(count))
    ended = Counter(evidence.neighbour.statuses.values())
    for end, count in sorted(ended.items()):
        table.add_row(f"neighbour's tasks {end}", str(count))
    upstream = evidence.limited.upstream
    table.add_row("limited calls", str(len(upstream.calls)))
    table.add_row("limited calls while the upstream was down", str(upstream.refused))
    receivers, failures = evidence.callbacks.receivers, evidence.callbacks.failures
    for habit, came in receivers.came.items():
        table.add_row(
            f"calls of the receiver that is {habit}", f"{came}, failures {failures[habit]}"
        )
    table.add_row("ends told, and told again", f"{len(receivers.accepted)}, {receivers.repeats}")
    stalls = evidence.stalls.found
    longest = f"{len(stalls)} times, {evidence.stalls.longest:.1f} s at most"
    table.add_row("the callers' own process was held up", longest)
    for service, after in evidence.memory_after.items():
        before = evidence.memory_before[service]
        table.add_row(f"memory of {service}", f"{before >> 20} MiB, then {after >> 20} MiB")
    return table


def _checks(violations: dict[str, list[Violation]]) -> Table:
    table = Table("check", "violations", title="Checks")
    for check in CHECKS:
        count = len(violations.get(check.__name__, []))
        table.add_row(check.__name__.replace("_", " "), f"[red]{count}" if count else "0")
    return table


def _show_history(console: Console, evidence: Evidence, violation: Violation, folder: Path) -> None:
    def say(text: str) -> None:
        console.print(f"  {text}", markup=False, highlight=False, soft_wrap=True)

    if not violation.task_id and not violation.email:
        return
    for entry in evidence.ledger.about(violation.task_id, violation.email):
        say(f"ledger: {entry.line()}")
    row = evidence.found.rows.get(violation.task_id)
    if row is None:
        row = next((r for r in evidence.found.rows.values() if r.email == violation.email), None)
    if row is not None:
        for change in row.changes:
            say(f"change: {change.line()}")
        kept = {name: str(value) for name, value in row.values.items() if value is not None}
        say(f"row: {kept}")
    task_id = violation.task_id or (row.id if row else "")
    if task_id:
        for log in sorted(folder.glob("*.log")):
            with log.open(errors="replace") as lines:
                for line in [text for text in lines if task_id in text][:SHOWN_LOG_LINES]:
                    say(f"{log.stem}: {line.strip()}")
