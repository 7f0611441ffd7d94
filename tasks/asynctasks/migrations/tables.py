"""The tables that the migrations make."""

from __future__ import annotations

from asynctasks.blob import BlobChunkRow, BlobRow
from asynctasks.executor import ExecutorRow
from asynctasks.operation_revision import OperationRevisionRow
from asynctasks.task import TaskRow

TABLES = (TaskRow, ExecutorRow, OperationRevisionRow, BlobRow, BlobChunkRow)
VERSION_TABLE = "asyncapiproxy_schema_version"
"""Of our own: another application in the database may keep its revisions under Alembic's name."""
