"""What a caller has written is shown as it was written, and never read as a part of the page."""

import pytest
from playwright.sync_api import Browser, expect

from asynctestkit.browsing import OpenPage
from asynctestkit.dashboard import MARKER, Dashboard


@pytest.mark.parametrize(
    "address",
    [
        "",
        "tasks",
        "task?id={task}",
        "operations",
        "operations?operation=create-client",
        "callbacks",
    ],
)
def test_no_marker_becomes_an_element(busy: Dashboard, open_page: OpenPage, address: str):
    told = busy.told()
    page = open_page()
    page.goto(busy.at(address.format(task=told)))
    expect(page.locator("table, form.submit").first).to_be_visible()
    assert page.locator("#marker").count() == 0


def test_arguments_and_answers_are_shown_word_for_word(busy: Dashboard, open_page: OpenPage):
    told = busy.told()
    page = open_page()
    page.goto(busy.at(f"task?id={told}"))
    for label in ("Arguments", "Body of the answer"):
        shown = page.get_by_label(label).evaluate("shown => JSON.parse(shown.textContent).name")
        assert shown == MARKER


def test_summaries_are_shown_word_for_word(busy: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(busy.at("operations"))
    expect(page.get_by_text(f"Create a client {MARKER}", exact=True)).to_be_visible()


def test_filters_and_ids_in_the_address_are_text(busy: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(busy.at(f"tasks?operation={MARKER.replace('&', '%26')}"))
    expect(page.get_by_label("Operation")).to_have_value(MARKER)
    expect(page.get_by_text("No task fits.")).to_be_visible()
    page.goto(busy.at(f"task?id={MARKER.replace('&', '%26')}"))
    expect(page.locator("h1")).to_have_text(f"Task {MARKER}")
    page.goto(busy.at(f"operations?operation={MARKER.replace('&', '%26')}"))
    expect(page.get_by_text(f"There is no operation {MARKER}.")).to_be_visible()
    assert page.locator("#marker").count() == 0


def test_the_browser_itself_refuses_html_from_a_script(empty: Dashboard, browser: Browser):
    # Not opened as other pages are: that it refuses is an error in its console.
    page = browser.new_page()
    page.goto(empty.at())
    put = "text => { try { document.body.innerHTML = text } catch (error) { return error.name } }"
    assert page.evaluate(put, MARKER) == "TypeError"
    page.close()
