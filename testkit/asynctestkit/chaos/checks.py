"""What must be true in the end. Each check returns its violations."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import timedelta

from asyncproxy.settings import ProxySettings
from asynctasks.task import TaskStatus, may_move
from asynctestkit.chaos.evidence import Check, Evidence, Violation
from asynctestkit.chaos.faults import Outage
from asynctestkit.chaos.history import Change, Row
from asynctestkit.chaos.ledger import OUR_OWN_REFUSALS, Entry, Ledger
from asynctestkit.chaos.neighbour import faults_of
from asynctestkit.chaos.system import PREFIX, PROXIES

WRITE_SECONDS: float = ProxySettings.model_fields["write_seconds"].default
"""Above its window: what a proxy takes to see that the database does not answer."""
ANSWER_SECONDS = 1.0
"""What all else may take, on a machine of ordinary speed."""
MEMORY_GROWTH = 1.2
BURST_BYTES = 16 << 20
"""What the allocator may keep of a burst: 800 callers at once, when a stopped proxy goes on."""
TERMINATION_NOTICE_SECONDS = 1.0
"""A connection that is made just as a server closes its socket is refused or reset."""


def no_task_is_lost(evidence: Evidence) -> Iterator[Violation]:
    """Each task that a caller was told of exists and is final; so is every other."""
    for entry in evidence.ledger.entries:
        if entry.task_id and entry.status is not None and entry.task_id not in evidence.found.rows:
            yield Violation(
                "a caller was told of a task that is not there", entry.task_id, entry.email
            )
    for row in evidence.found.rows.values():
        if not TaskStatus(row.status).is_final:
            yield _of(row, f"still {row.status} after the quiet period")
    if evidence.found.deleted:
        yield Violation(f"{evidence.found.deleted} rows were deleted; nobody had asked for it")


def no_message_is_left(evidence: Evidence) -> Iterator[Violation]:
    """The queues are empty, and no reply queue outlives its proxy."""
    replies = f"{PREFIX}.replies."
    for name, messages in evidence.queues.items():
        if messages:
            yield Violation(f"{messages} messages are left on {name}")
    living = sum(name.startswith(replies) for name in evidence.queues)
    if living != len(PROXIES):
        yield Violation(f"{living} reply queues for {len(PROXIES)} proxies")


def changes_follow_the_rules(evidence: Evidence) -> Iterator[Violation]:
    """Each change adds one to the version and is an allowed move; a final task stays as it is."""
    retried = _asked(evidence.ledger, "retry")
    for row in evidence.found.rows.values():
        first = row.changes[0] if row.changes else None
        if first is None or (first.version, first.status, first.attempt) != (1, "queued", 0):
            yield _of(row, "did not begin as version 1, queued, attempt 0")
            continue
        for before, after in zip(row.changes, row.changes[1:], strict=False):
            for fault in _faults_of(before, after, is_retry_asked=row.id in retried):
                yield _of(row, f"version {before.version} to {after.version}: {fault}")
        last = row.changes[-1]
        if (last.version, last.status) != (row.values["version"], row.status):
            yield _of(row, "the row is not as its last change left it")


def _faults_of(before: Change, after: Change, *, is_retry_asked: bool) -> Iterator[str]:
    if after.version != before.version + 1:
        yield "the version did not grow by one"
    if before.is_final and not (after.status == "queued" and is_retry_asked):
        yield f"changed after it was {before.status}"
        return
    is_move = after.status != before.status
    if is_move and not may_move(TaskStatus(before.status), TaskStatus(after.status)):
        yield f"moved from {before.status} to {after.status}"
    is_claim = before.status == "queued" and after.status == "running"
    if after.attempt != before.attempt + is_claim:
        yield f"attempt {before.attempt} became {after.attempt}"
    if before.status == "running" and is_move:
        yield from _faults_of_an_end(before, after)
    if not is_move and not (after.cancel_requested and not before.cancel_requested):
        yield f"changed though it stayed {after.status}"


def _faults_of_an_end(before: Change, after: Change) -> Iterator[str]:
    if after.error_type == "task-interrupted-too-often":
        return
    if (after.recorded_number, after.recorded_executor) != (before.attempt, before.executor):
        yield (
            f"attempt {before.attempt} of {before.executor} was ended by the outcome of attempt "
            f"{after.recorded_number} of {after.recorded_executor}"
        )


def nothing_succeeds_twice(evidence: Evidence) -> Iterator[Violation]:
    """At most one change leads to `succeeded`, and it brings the response along."""
    for row in evidence.found.rows.values():
        successes = [after for after in row.changes[1:] if after.status == "succeeded"]
        if len(successes) > 1:
            yield _of(row, f"succeeded {len(successes)} times")
        if row.status == "succeeded" and row.values["response_status"] is None:
            yield _of(row, "succeeded without a response")


def no_answer_contradicts_the_row(evidence: Evidence) -> Iterator[Violation]:
    """2xx is the stored response byte by byte; 4xx and 5xx are the stored answer or problem."""
    retried = _asked(evidence.ledger, "retry")
    for entry in evidence.ledger.entries:
        if entry.action not in {"submit", "repeat"} or entry.status is None:
            continue
        row = evidence.found.rows.get(entry.task_id or "")
        if row is None:
            if entry.problem not in OUR_OWN_REFUSALS:
                yield _by(entry, f"answered {entry.status} {entry.problem} without a task")
        elif entry.status != 202 and (entry.status < 300 or row.id not in retried):
            yield from _contradictions(entry, row)


def _contradictions(entry: Entry, row: Row) -> Iterator[Violation]:
    values = row.values
    if entry.status is not None and entry.status < 300 and row.status != "succeeded":
        yield _by(entry, f"answered {entry.status}, but the task {row.status}")
    if values["response_status"] is not None:
        stored = (values["response_status"], values["response_content_type"], values["digest"])
        told = (entry.status, entry.headers.get("content-type"), entry.digest)
        if stored != told:
            yield _by(entry, f"answered {told}, but {stored} is stored")
    elif (entry.status, entry.problem) != (values["error_status"], values["error_type"]):
        stored = (values["error_status"], values["error_type"])
        yield _by(entry, f"answered {entry.status} {entry.problem}, but {stored} is stored")


def every_look_was_true(evidence: Evidence) -> Iterator[Violation]:
    """What a caller was shown of a task is a version that it really had."""
    for entry in evidence.ledger.entries:
        if entry.action != "look" or entry.status != 200:
            continue
        row = evidence.found.rows.get(entry.asked_task or "")
        version = int(entry.headers.get("etag", '"0"').strip('W/"'))
        seen = entry.start_of_body.partition(b'"status":"')[2].partition(b'"')[0].decode()
        if row and (version, seen) not in {(c.version, c.status) for c in row.changes}:
            yield _by(entry, f"was shown version {version} as {seen}, which never was")


def callers_get_what_they_asked_for(evidence: Evidence) -> Iterator[Violation]:
    """An upstream's refusal fails a task; a success is the client that was asked for."""
    emails = {email: (client, key) for client, email, key in evidence.customers}
    for row in evidence.found.rows.values():
        if row.values["response_status"] == 409:
            yield _of(row, "the upstream knew the email: it was called for it with two keys")
        if row.status == "succeeded" and emails.get(row.email, ("", ""))[1] != row.id:
            yield _of(row, f"succeeded, but the upstream has {emails.get(row.email)} for it")
        if row.status == "succeeded" and row.values["response_status"] != 201:
            yield _of(row, f"succeeded with {row.values['response_status']}")
        if ".fail+404" in row.email and (row.status, row.values["response_status"]) != (
            "failed",
            404,
        ):
            yield _unless_given_up(row, "was to fail with the upstream's 404")


def _unless_given_up(row: Row, text: str) -> Violation:
    return _of(row, f"{text}; it is {row.status} {row.values['error_type']}")


def upstream_creates_once(evidence: Evidence) -> Iterator[Violation]:
    """One client for each email and each key, and never a refusal: emails are unique."""
    for what, column in (("email", 1), ("key", 2)):
        counts = Counter(client[column] for client in evidence.customers)
        for value, count in counts.items():
            if count > 1:
                yield Violation(f"{count} clients for the {what} {value}")
    if evidence.refusals:
        yield Violation(f"the upstream refused {evidence.refusals} clients whose email it had")
    if evidence.upstream["created_by_key_max"] > 1:
        yield Violation(f"{evidence.upstream['created_by_key_max']} clients for one key")


def one_task_for_each_key(evidence: Evidence) -> Iterator[Violation]:
    """Equal posts with one key make one task, at whichever proxy; other arguments are refused."""
    tasks: defaultdict[str, set[str]] = defaultdict(set)
    for entry in evidence.ledger.entries:
        if entry.key and entry.action != "reuse" and entry.status and entry.headers.get("task-id"):
            tasks[entry.key].add(entry.headers["task-id"])
        if entry.action == "reuse" and entry.status is not None:
            refused = entry.status == 422 and entry.problem == "idempotency-key-reused"
            if not refused and entry.problem not in OUR_OWN_REFUSALS:
                yield _by(entry, f"a key with other arguments was answered {entry.status}")
    for key, ids in tasks.items():
        if len(ids) > 1:
            yield Violation(f"{key} led to {len(ids)} tasks: {sorted(ids)}", next(iter(ids)))
    rows = Counter(row.email for row in evidence.found.rows.values())
    for email, count in rows.items():
        if count > 1:
            yield Violation(f"{count} tasks for the one post or key of {email}", email=email)


def cancels_are_kept(evidence: Evidence) -> Iterator[Violation]:
    """Who is told 200 has a cancelled task; after 202 no further attempt is made."""
    for entry in evidence.ledger.entries:
        row = evidence.found.rows.get(entry.asked_task or "")
        if entry.action != "cancel" or row is None:
            continue
        if entry.status == 200 and row.status != "cancelled":
            yield _by(entry, f"was told that it is cancelled; it is {row.status}")
        if entry.status not in {200, 202, 409, 503, None}:
            yield _by(entry, f"a cancel was answered {entry.status}")
    for row in evidence.found.rows.values():
        for before, after in zip(row.changes, row.changes[1:], strict=False):
            if before.cancel_requested and after.status == "running" and before.status == "queued":
                yield _of(row, f"version {after.version}: claimed anew after its cancel")


def deadlines_are_kept(evidence: Evidence) -> Iterator[Violation]:
    """No attempt begins after the deadline."""
    for row in evidence.found.rows.values():
        deadline = row.values["deadline"]
        for before, after in zip(row.changes, row.changes[1:], strict=False):
            is_claim = before.status == "queued" and after.status == "running"
            began_at = after.started_at or after.at
            if deadline and is_claim and began_at > deadline + timedelta(seconds=1):
                yield _of(row, f"version {after.version}: claimed after its deadline {deadline}")


def every_caller_is_answered(evidence: Evidence) -> Iterator[Violation]:
    """Within its window and 5 s, unless its own proxy was killed, stopped or told to end.

    Of these the last second is what processes need that may start and share two cores just then:
    while the machine is slower it is as much longer. The time for which the callers' own process
    was held up is theirs.
    """
    outages = [o for o in evidence.injected.outages if o.service in PROXIES]
    for entry in evidence.ledger.entries:
        if entry.action == "leave" or any(excuses(outage, entry) for outage in outages):
            continue
        seconds = entry.seconds - evidence.stalls.seconds(entry.started, entry.ended)
        late = (seconds - entry.window_seconds - WRITE_SECONDS) / ANSWER_SECONDS
        if entry.status is None:
            yield _by(entry, f"had no answer: {entry.failure}")
        elif late > 1 and late > evidence.machine.slowest(entry.started, entry.ended):
            yield _by(entry, f"was answered after {seconds:.1f} s")
        elif entry.status == 500:
            yield _by(entry, f"was answered 500 {entry.problem}")


def excuses(outage: Outage, entry: Entry) -> bool:
    if outage.service != entry.proxy or outage.since > entry.ended or outage.until < entry.started:
        return False
    # A proxy that is told to end still answers those whom it holds.
    return (
        "SIGTERM" not in outage.cause or entry.started > outage.since - TERMINATION_NOTICE_SECONDS
    )


def who_has_left_keeps_no_place(evidence: Evidence) -> Iterator[Violation]:
    """When all callers are gone, none is counted as waiting."""
    for proxy, waiting in evidence.waiting.items():
        if waiting:
            yield Violation(f"{proxy} counts {waiting:g} callers that wait")


def a_changed_file_is_taken_over(evidence: Evidence) -> Iterator[Violation]:
    """Every proxy serves by the operations file as it was last written."""
    for proxy in evidence.stale:
        yield Violation(f"{proxy} has not taken over the last operations file")


def a_neighbour_is_left_alone(evidence: Evidence) -> Iterator[Violation]:
    """Another installation on the same servers loses, fails and cancels nothing."""
    for fault in faults_of(evidence.neighbour):
        yield Violation(f"neighbour: {fault}")


def no_job_is_begun_twice(evidence: Evidence) -> Iterator[Violation]:
    """Once the address of an upstream's job is stored nobody makes the call again; it succeeds."""
    for fault, task_id in evidence.reports.faults():
        yield Violation(fault, task_id)


def a_limit_is_kept(evidence: Evidence) -> Iterator[Violation]:
    """Never more at once, never more in a time; and no call fails, though its upstream does."""
    for fault, task_id in evidence.limited.faults():
        yield Violation(fault, task_id)


def a_stranger_learns_nothing(evidence: Evidence) -> Iterator[Violation]:
    """Of another tenant's tasks it is told what it is told of an id that never was."""
    for fault, task_id in evidence.strangers.faults():
        yield Violation(fault, task_id)


def each_end_is_told(evidence: Evidence) -> Iterator[Violation]:
    """To whom the caller names, by one signed delivery, at least once; and to nobody else."""
    for fault, task_id in evidence.callbacks.faults():
        yield Violation(fault, task_id)


def processes_live_until_ended(evidence: Evidence) -> Iterator[Violation]:
    """None ends by itself once it has started, and SIGTERM is obeyed in time, with status 0."""
    for death in evidence.injected.deaths:
        if death.was_ready:
            yield Violation(
                f"{death.service} ended by itself with {death.exit_code}:\n{death.last_lines}"
            )
    for text in evidence.injected.misbehaviour:
        yield Violation(text)


def nothing_meets_the_unexpected(evidence: Evidence) -> Iterator[Violation]:
    """Whatever is broken around a process is expected: none logs a traceback."""
    for line in evidence.exceptions:
        yield Violation(line)


def memory_is_given_back(evidence: Evidence) -> Iterator[Violation]:
    """After the quiet period within 20 % of the warm-up's, but for what a burst leaves behind."""
    for service, after in evidence.memory_after.items():
        before = max(
            size
            for name, size in evidence.memory_before.items()
            if name.partition("-")[0] == service.partition("-")[0]
        )
        if after > before * MEMORY_GROWTH + BURST_BYTES:
            yield Violation(f"{service} grew from {before >> 20} to {after >> 20} MiB")


CHECKS: tuple[Check, ...] = (
    no_task_is_lost,
    no_message_is_left,
    changes_follow_the_rules,
    nothing_succeeds_twice,
    no_answer_contradicts_the_row,
    every_look_was_true,
    callers_get_what_they_asked_for,
    upstream_creates_once,
    one_task_for_each_key,
    cancels_are_kept,
    deadlines_are_kept,
    every_caller_is_answered,
    who_has_left_keeps_no_place,
    a_changed_file_is_taken_over,
    a_neighbour_is_left_alone,
    no_job_is_begun_twice,
    a_limit_is_kept,
    a_stranger_learns_nothing,
    each_end_is_told,
    processes_live_until_ended,
    nothing_meets_the_unexpected,
    memory_is_given_back,
)


def _asked(ledger: Ledger, action: str) -> set[str]:
    return {
        entry.asked_task for entry in ledger.entries if entry.action == action and entry.asked_task
    }


def _of(row: Row, text: str) -> Violation:
    return Violation(text, row.id, row.email)


def _by(entry: Entry, text: str) -> Violation:
    return Violation(
        f"{entry.kind} {entry.action} at {entry.proxy}: {text}", entry.task_id or "", entry.email
    )
