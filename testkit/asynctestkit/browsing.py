"""The pages, and what tests of them are given to open and keep them."""

from collections.abc import Callable

from playwright.sync_api import Page

PAGES = (
    *("", "tasks", "tasks?status=failed", "task?id={task}", "callbacks"),
    *("tasks?finished_after=2026-01-31T12:00:00Z", "batches", "batch?id={batch}"),
    *("operations", "operations?operation=create-client"),
)
"""Every page, by its address below the dashboard's."""
OpenPage = Callable[..., Page]
"""Opens an empty page that is somebody's alone; the arguments are those of a browser's context."""
Picture = Callable[[Page, str], None]
"""Keeps what a page looks like, under a name."""
