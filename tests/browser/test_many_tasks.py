"""Every page with 100,000 tasks: soon there, whole, and found one's way about in by filters."""

import re
import time
from statistics import median

import pytest
from playwright.sync_api import expect

from asynctestkit.axe import violations
from asynctestkit.browsing import PAGES, OpenPage, Picture
from asynctestkit.dashboard import OPERATIONS, Dashboard
from asynctestkit.many_tasks import PAUSED, add_many_tasks
from asynctestkit.processes import Keep, up_service

MANY = 100_000


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory, keep_in_session: Keep) -> Dashboard:
    folder = tmp_path_factory.mktemp("full")
    full = Dashboard(keep_in_session(up_service(folder, operations=OPERATIONS)).start())
    full.ask("POST", f"/operations/{PAUSED}/pause")
    now_ms = time.time_ns() // 1_000_000
    add_many_tasks(folder / "data" / "tasks.db", tasks=MANY, now_ms=now_ms)
    full.ask("POST", "/tasks:batch", {"action": "delete", "filter": {"label": ["team=none"]}})
    return full


def test_every_page_is_soon_there_and_whole(full: Dashboard, open_page: OpenPage, picture: Picture):
    (task, *_) = full.ask("GET", "/tasks?status=failed&page_size=1").json()["tasks"]
    page = open_page()
    painted: list[float] = []
    for address in PAGES:
        page.goto(full.at(address.format(task=task["id"], batch=full.batch())))
        expect(page.locator("table, form.submit, dl").first).to_be_visible()
        first = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        painted.append(page.evaluate(first))
        assert page.evaluate("document.documentElement.scrollWidth") == 1440, address
        picture(page, f"full-{address}")
        assert violations(page) == [], address
    # What else the machine does makes some of them late.
    assert median(painted) < 1_000


def test_filters_and_pages_find_their_tasks_among_all(full: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(full.at("tasks"))
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(25)
    newest = page.locator("a.id").first.inner_text()
    page.get_by_label("Status").select_option("failed")
    page.get_by_label("Operation").fill("create-client")
    page.get_by_label("Label").fill("team=sales")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("td[data-label=Status]")).to_have_text(["failed"] * 25)
    expect(page.locator("td[data-label=Why]").first).to_have_text("The upstream answered 422")
    first = page.locator("a.id").first.inner_text()
    page.get_by_role("link", name="Older").click()
    expect(page.locator("a.id").first).not_to_have_text(re.compile(f"{first}|{newest}"))
    expect(rows).to_have_count(25)
    page.get_by_role("link", name="Clear").click()
    expect(page.locator("a.id").first).to_have_text(newest)


def test_the_overview_and_a_dry_run_count_them_all(full: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(full.at())
    queues = page.get_by_role("table", name="Queues and their operations")
    held = queues.get_by_role("row", name=re.compile(f"^{PAUSED}"))
    expect(held.locator("td[data-label=Held]")).to_have_text(re.compile(r"^10\D000$"))
    page.goto(full.at("tasks?status=failed"))
    page.get_by_role("button", name="Select all that fit the filters").click()
    page.get_by_role("button", name="Retry all").click()
    expect(page.get_by_role("dialog")).to_contain_text(re.compile(r"Retry 1\D000 tasks\?"))
    page.get_by_role("button", name="Leave it").click()
