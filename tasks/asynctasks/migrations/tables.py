"""The tables that the migrations make."""

from __future__ import annotations

from asynctasks.audit_entry import AuditEntryRow
from asynctasks.batch import BatchRow
from asynctasks.blob import BlobChunkRow, BlobRow
from asynctasks.executor import ExecutorRow
from asynctasks.limit_rows import LimitKeyRow, LimitRow, PauseRow, ReservedPlacesRow
from asynctasks.operation_revision import OperationRevisionRow
from asynctasks.proxy import ProxyRow
from asynctasks.task import TaskRow

TABLES = (
    TaskRow,
    ExecutorRow,
    ProxyRow,
    OperationRevisionRow,
    BlobRow,
    BlobChunkRow,
    AuditEntryRow,
    LimitRow,
    LimitKeyRow,
    PauseRow,
    ReservedPlacesRow,
    BatchRow,
)
VERSION_TABLE = "asyncapiproxy_schema_version"
"""Of our own: another application in the database may keep its revisions under Alembic's name."""
