"""A task as a command means it: by an id that may be shortened, at a proxy that may be away."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from asyncapiproxy.task.session import ExitCode, Format, ListFormat, open_proxy, show_error
from asyncapiproxy.task.submit_command import PATIENCE_SECONDS

if TYPE_CHECKING:
    from collections.abc import Generator

    from asyncapiproxy.client.task_handle import TaskHandle


@contextmanager
def open_task(
    typed: str, *, url: str, token: str | None, shown_as: Format | ListFormat = Format.TEXT
) -> Generator[TaskHandle]:
    """The task that the typed id, or its beginning, names."""
    with open_proxy(url, token=token, is_json=shown_as.value == Format.JSON.value) as client:
        from asyncapiproxy.task.task_ids import TaskIdUnknownError, whole_id  # noqa: PLC0415 - imports the client

        try:
            task = client.get(whole_id(client, typed))
        except TaskIdUnknownError as error:
            show_error(str(error))
            raise typer.Exit(ExitCode.FAILED) from error
        client.patience_seconds = PATIENCE_SECONDS
        yield task
