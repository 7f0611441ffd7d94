"""Every section, in the order in which they are run and shown."""

from typing import Any

from benchmarks.sections.against import AGAINST
from benchmarks.sections.backlog import BACKLOG
from benchmarks.sections.bulk import BULK
from benchmarks.sections.compare import COMPARE
from benchmarks.sections.dashboards import DASHBOARDS
from benchmarks.sections.embedded import EMBEDDED
from benchmarks.sections.headers import HEADERS
from benchmarks.sections.jobs import JOBS
from benchmarks.sections.limits import LIMITS
from benchmarks.sections.lone import LONE
from benchmarks.sections.parked import PARKED
from benchmarks.sections.profile_cpu import PROFILE
from benchmarks.sections.rows import ROWS
from benchmarks.sections.section import Section
from benchmarks.sections.tokens import TOKENS
from benchmarks.sections.traces import TRACES
from benchmarks.sections.workers import WORKERS

SECTIONS: dict[str, Section[Any]] = {
    section.name: section
    for section in (
        COMPARE,
        EMBEDDED,
        PARKED,
        JOBS,
        ROWS,
        WORKERS,
        BACKLOG,
        BULK,
        LONE,
        HEADERS,
        TOKENS,
        TRACES,
        LIMITS,
        DASHBOARDS,
        PROFILE,
        AGAINST,
    )
}
