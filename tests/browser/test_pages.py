"""Every page, with no task, one and many: it fits its window, and everyone can read it."""

import pytest
from playwright.sync_api import Page, expect

from asynctestkit.axe import violations
from asynctestkit.browsing import PAGES, OpenPage, Picture
from asynctestkit.dashboard import Dashboard

UNKNOWN = "01a21f04-b050-73d1-a200-391adb50f4c7"


def look_well(page: Page, name: str, picture: Picture) -> None:
    """No page scrolls sideways, and axe finds nothing against it, in any light."""
    for scheme in ("light", "dark"):
        # Without motion the new colours are there at once.
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        for width in (375, 768, 1440) if scheme == "light" else (1440, 768, 375):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") == width, (name, width)
            if width != 768:
                picture(page, f"{name}-{width}-{scheme}")
        assert violations(page) == []


@pytest.mark.parametrize("address", PAGES)
def test_every_page_fits_with_nothing_to_show(
    empty: Dashboard, open_page: OpenPage, picture: Picture, address: str
):
    page = open_page()
    page.goto(empty.at(address.format(task=UNKNOWN, batch=UNKNOWN)))
    expect(page.locator("main h1")).to_be_visible()
    expect(page.locator(".empty, .reasons, .status, table, form.submit").first).to_be_visible()
    look_well(page, f"empty-{address}", picture)


@pytest.mark.parametrize("address", PAGES)
def test_every_page_fits_with_much_to_show(
    busy: Dashboard, open_page: OpenPage, picture: Picture, address: str
):
    page = open_page()
    page.goto(busy.at(address.format(task=busy.told(), batch=busy.batch())))
    expect(page.locator("table, form.submit, dl").first).to_be_visible()
    look_well(page, f"busy-{address}", picture)


def test_with_one_task_there_is_one_row(busy: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(busy.at("tasks?label=team%3Db"))
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator(".bar p")).to_contain_text("1 task, the newest first")
    expect(page.get_by_role("link", name="Older")).to_have_count(0)


def test_it_is_painted_within_a_second_and_weighs_little(busy: Dashboard, open_page: OpenPage):
    painted: list[float] = []
    for _ in range(3):
        page = open_page()
        page.goto(busy.at())
        expect(page.locator("#queues")).to_be_visible()
        first = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
        painted.append(page.evaluate(first))
        sizes = "performance.getEntries().map(each => each.transferSize ?? 0)"
        assert sum(page.evaluate(sizes)) < 150_000
    # What else the machine does makes one of them late, and none early.
    assert min(painted) < 1_000


def test_all_is_reached_by_keyboard_and_where_one_is_can_be_seen(
    busy: Dashboard, open_page: OpenPage
):
    page = open_page()
    page.goto(busy.at("tasks"))
    expect(page.locator("tbody tr").first).to_be_visible()
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Batches")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Status")).to_be_focused()
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    box = page.locator("tbody input").first
    box.focus()
    page.keyboard.press("Space")
    expect(box).to_be_checked()
    page.locator("#cancel-selected").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Leave it")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_below_a_path_every_address_leads_below_it(busy: Dashboard, open_page: OpenPage):
    page = open_page()
    front = "http://front.test/some/api"
    page.route(
        f"{front}/**",
        lambda route: route.fulfill(
            response=route.fetch(url=busy.service.url + route.request.url.removeprefix(front))
        ),
    )
    page.goto(f"{front}/ui/")
    expect(page.get_by_role("table", name="Queues and their operations")).to_be_visible()
    page.get_by_role("link", name="create-client").first.click()
    expect(page).to_have_url(f"{front}/ui/tasks?operation=create-client")
    page.locator("tbody a").first.click()
    expect(page.get_by_role("heading", name="What happened")).to_be_visible()
