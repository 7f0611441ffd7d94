"""What these tests stand on: Debian's Chromium, and installations in one process each.

All is synchronous: playwright's own loop runs beside, as long as the browser is open, and so none
of pytest's can.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from asynctestkit.browsing import OpenPage, Picture
from asynctestkit.dashboard import OPERATIONS, RECEIVER, Dashboard
from asynctestkit.eventually import PATIENCE_SECONDS
from asynctestkit.missing import skip_for_want_of
from asynctestkit.processes import Keep, up_service

PICTURES = Path(os.environ.get("TEST_PICTURES", Path(__file__).parents[2] / ".pictures"))
"""Where tests leave what they have seen."""
WIDE = {"width": 1440, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or skip_for_want_of("chromium")
    with sync_playwright() as playwright:
        # As root it runs only without its sandbox; all that it is shown here is ours.
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages that are somebody's alone; fails the test where a script of theirs has failed."""
    faults: list[str] = []
    expect.set_options(timeout=PATIENCE_SECONDS * 1000)

    def told(message: ConsoleMessage) -> None:
        # That an answer was no good is logged by the browser, and not by us.
        if message.type == "error" and "Failed to load resource" not in message.text:
            faults.append(message.text)

    def open_page(**context: Any) -> Page:
        given: dict[str, Any] = {"viewport": WIDE, **context}
        page = browser.new_context(**given).new_page()
        page.set_default_timeout(PATIENCE_SECONDS * 1000)
        page.on("console", told)
        page.on("pageerror", lambda error: faults.append(str(error)))
        return page

    yield open_page
    for context in browser.contexts:
        context.close()
    assert faults == []


@pytest.fixture
def picture() -> Picture:
    """Keeps what a page looks like, under a name."""

    def keep(page: Page, name: str) -> None:
        PICTURES.mkdir(exist_ok=True)
        page.screenshot(path=PICTURES / f"{re.sub(r'[^a-z0-9]+', '-', name)}.png")

    return keep


@pytest.fixture(scope="session")
def empty(tmp_path_factory: pytest.TempPathFactory, keep_in_session: Keep) -> Dashboard:
    """Nothing is ever submitted there."""
    folder = tmp_path_factory.mktemp("empty")
    return Dashboard(keep_in_session(up_service(folder, operations=OPERATIONS)).start())


@pytest.fixture(scope="session")
def quiet(tmp_path_factory: pytest.TempPathFactory, keep_in_session: Keep) -> Dashboard:
    """For tests that submit something themselves, and leave nothing paused."""
    folder = tmp_path_factory.mktemp("quiet")
    return Dashboard(keep_in_session(up_service(folder, operations=OPERATIONS)).start())


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory, keep_in_session: Keep) -> Dashboard:
    """With tasks of each kind, a breaker that is open, a pause, and a receiver that is away.

    Tests only look at it, and add nothing but deliveries.
    """
    folder = tmp_path_factory.mktemp("busy")
    service = up_service(folder, operations=OPERATIONS, callback_allow=RECEIVER)
    busy = Dashboard(keep_in_session(service).start())
    busy.fill()
    return busy
