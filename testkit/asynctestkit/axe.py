"""What axe has against a page: the script of Deque, which a package on PyPI brings along."""

from importlib.resources import files
from typing import Any

from playwright.sync_api import Page

_SCRIPT = files("axe_playwright_python") / "axe.min.js"


def violations(page: Page) -> list[str]:
    """Of each rule that is broken its name, what it asks for and the elements that break it."""
    page.evaluate(_SCRIPT.read_text())
    found: dict[str, Any] = page.evaluate("axe.run()")
    return [
        f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes']]}"
        for each in found["violations"]
    ]
