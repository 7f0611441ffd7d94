"""Points in time: how the databases store them, and the database's own clock.

Leases, deadlines and due times are compared by the clock of the database alone, so that the clocks
of proxies and executors may differ or step without a task being run twice.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Float, TypeDecorator, cast
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime. SQLite has no time zones: there it is stored naive, in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse a naive datetime: it would mean another instant on another machine."""
        if value is None:
            return None
        value = aware(value).astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that what was stored is UTC."""
        del dialect
        if value is None or value.tzinfo is not None:
            return value
        return value.replace(tzinfo=UTC)


class seconds_from_now(FunctionElement[datetime]):  # noqa: N801 - reads as the SQL function it is
    """The database's clock plus so many seconds; NULL where the seconds are NULL."""

    type = UtcDateTime()
    inherit_cache = True
    name = "seconds_from_now"

    def __init__(self, seconds: Any) -> None:
        super().__init__(cast(seconds, Float))


@compiles(seconds_from_now, "postgresql")
def _postgresql(element: seconds_from_now, compiler: Any, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(now() + make_interval(secs => {seconds}))"


@compiles(seconds_from_now, "sqlite")
def _sqlite(element: seconds_from_now, compiler: Any, **kw: Any) -> str:
    # In the form that SQLAlchemy stores, six digits after the second, so that text compares right.
    seconds = compiler.process(element.clauses, **kw)
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', {seconds} || ' seconds')"


class seconds_from_this_moment(seconds_from_now):  # noqa: N801 - reads as the SQL function it is
    """The same from the moment at which a row is written.

    `seconds_from_now` counts from the start of the transaction, which may have waited for a lock
    since: a lease counted so would be over before the work has begun. No index serves this one.
    """

    inherit_cache = True
    name = "seconds_from_this_moment"


@compiles(seconds_from_this_moment, "postgresql")
def _moment_postgresql(element: seconds_from_this_moment, compiler: Any, **kw: Any) -> str:
    seconds = compiler.process(element.clauses, **kw)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))"


class seconds_between(FunctionElement[float]):  # noqa: N801 - reads as the SQL function it is
    """From the first instant to the second; NULL where either is NULL."""

    type = Float()
    inherit_cache = True
    name = "seconds_between"


def seconds_since(instant: Any) -> seconds_between:
    """How long ago it was by the database's clock."""
    return seconds_between(instant, seconds_from_now(0.0))


@compiles(seconds_between, "postgresql")
def _between_postgresql(element: seconds_between, compiler: Any, **kw: Any) -> str:
    earlier, later = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"EXTRACT(EPOCH FROM {later} - {earlier})::float"


@compiles(seconds_between, "sqlite")
def _between_sqlite(element: seconds_between, compiler: Any, **kw: Any) -> str:
    earlier, later = (compiler.process(clause, **kw) for clause in element.clauses)
    return f"((julianday({later}) - julianday({earlier})) * 86400.0)"


def aware(instant: datetime) -> datetime:
    """The instant, unless it would mean another one on another machine; then ValueError."""
    if instant.tzinfo is None:
        raise ValueError(f"a datetime without a time zone: {instant!r}")
    return instant


def rfc3339(instant: datetime, *, timespec: str = "auto") -> str:
    """The UTC instant as everything that is shown has it: 2030-01-01T12:00:00Z."""
    return instant.isoformat(timespec=timespec).replace("+00:00", "Z")


def utc_now() -> datetime:
    """This process's clock: for what is shown, never for what is compared."""
    return datetime.now(UTC)
