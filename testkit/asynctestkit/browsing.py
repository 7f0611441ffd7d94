"""What tests of pages are given to open and keep them."""

from collections.abc import Callable

from playwright.sync_api import Page

OpenPage = Callable[..., Page]
"""Opens an empty page that is somebody's alone; the arguments are those of a browser's context."""
Picture = Callable[[Page, str], None]
"""Keeps what a page looks like, under a name."""
