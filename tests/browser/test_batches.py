"""All tasks that fit the filters are acted upon, on whatever page they stand, as one batch."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from asynctestkit.browsing import OpenPage, Picture
from asynctestkit.dashboard import OPERATIONS, Dashboard
from asynctestkit.processes import Keep, up_service

SOON = 3_000
"""A batch is looked at every 2 s; the clock of the page is put forward by so many ms."""


@pytest.fixture
def unhurried(tmp_path: Path, keep: Keep) -> Dashboard:
    """Its proxy begins with a batch once in a minute, and has just looked for one."""
    service = up_service(tmp_path, operations=OPERATIONS, relay_interval_seconds=60)
    return Dashboard(keep(service).start())


def select_all_that_fit(page: Page, dashboard: Dashboard, query: str) -> None:
    page.goto(dashboard.at(f"tasks{query}"))
    page.get_by_role("button", name=re.compile("^Select all")).click()


def batch_of(dashboard: Dashboard, label: str) -> str:
    order = {"action": "cancel", "filter": {"label": [label]}}
    return dashboard.ask("POST", "/tasks:batch", order).json()["id"]


def underway(route: Route, said: Mapping[str, Any]) -> None:
    """Answer as the proxy does, but with what is said of a batch that is not over yet."""
    answer = route.fetch()
    route.fulfill(response=answer, json={**answer.json(), **said})


def test_all_that_fit_are_acted_upon_after_a_word_on_how_many_and_which_they_are(
    open_page: OpenPage, quiet: Dashboard, picture: Picture
):
    ids = [quiet.submit(f"b{n}.fail+404", task_labels="team=many") for n in range(27)]
    other = quiet.submit("other.fail+404")
    for task_id in (*ids, other):
        quiet.ended(task_id)
    page = open_page()
    select_all_that_fit(page, quiet, "?status=failed&label=team%3Dmany")
    expect(page.locator(".bar p")).to_contain_text("All tasks that fit the filters selected")
    expect(page.locator("td input:checked")).to_have_count(25)
    # It is done with no task that has ended.
    expect(page.get_by_role("button", name="Cancel all")).to_be_disabled()
    picture(page, "all-selected")
    page.get_by_role("button", name="Delete all").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Delete 27 tasks?")
    expect(dialog.get_by_role("listitem")).to_have_text(
        ["27 failed", "Filters: status failed, label team=many"]
    )
    picture(page, "all-confirmed")
    dialog.get_by_role("button", name="Leave it").click()
    assert quiet.ask("GET", "/batches").json()["batches"] == []

    page.get_by_role("button", name="Delete all").click()
    dialog.get_by_role("button", name="Delete").click()

    expect(page).to_have_url(re.compile(r"/ui/batch\?id=[-0-9a-f]{36}&of=27$"))
    expect(page.locator(".head .status")).to_have_text("succeeded")
    for _ in range(2):
        expect(page.get_by_role("definition").first).to_have_text("27 tasks deleted")
        expect(page.get_by_role("button", name="Stop")).to_have_count(0)
        page.reload()
    page.get_by_role("link", name="All batches").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.locator("tbody a").click()
    page.get_by_role("link", name="status failed, label team=many").click()
    expect(page.get_by_text("No task fits.")).to_be_visible()
    assert quiet.task(other)["status"] == "failed"


def test_whoever_takes_one_out_has_selected_the_others_of_the_page(
    open_page: OpenPage, busy: Dashboard
):
    page = open_page()
    select_all_that_fit(page, busy, "")
    expect(page.locator(".bar p")).to_contain_text("All tasks selected")
    page.locator("td input").first.uncheck()
    expect(page.locator(".bar p")).to_contain_text("24 tasks selected")
    expect(page.get_by_label("Select all on this page")).not_to_be_checked()
    page.get_by_role("button", name="Select all tasks").click()
    page.get_by_role("button", name="Select none").click()
    expect(page.locator("td input:checked")).to_have_count(0)


def test_where_there_is_none_to_do_it_with_nothing_is_made(open_page: OpenPage, quiet: Dashboard):
    task_id = quiet.submit("fine", task_labels="team=fine")
    quiet.ended(task_id)
    before = quiet.ask("GET", "/batches").json()
    page = open_page()
    select_all_that_fit(page, quiet, "?label=team%3Dfine")
    page.get_by_role("button", name="Retry all").click()
    expect(page.locator("#notice")).to_contain_text("There is none to retry.")
    assert quiet.ask("GET", "/batches").json() == before


def test_a_batch_is_stopped(open_page: OpenPage, unhurried: Dashboard):
    task_id = unhurried.running("spared", task_labels="team=spared")
    page = open_page()
    select_all_that_fit(page, unhurried, "?label=team%3Dspared")
    page.get_by_role("button", name="Cancel all").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator(".head .status")).to_have_text("queued")
    expect(page.locator(".callout")).to_have_text("0 of about 1 task")

    page.get_by_role("button", name="Stop").click()

    expect(page.locator(".head .status")).to_have_text("cancelled")
    expect(page.locator(".callout")).to_contain_text("Stopped after 0 tasks.")
    expect(page.locator("#announcement")).to_have_text("The batch is over: 0 tasks cancelled.")
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    assert unhurried.task(task_id)["cancelRequested"] is False


def test_a_batch_that_is_over_as_it_is_stopped_says_so(open_page: OpenPage, unhurried: Dashboard):
    batch_id = batch_of(unhurried, "team=raced")
    unhurried.ask("POST", f"/batches/{batch_id}/cancel")
    page = open_page()
    page.clock.install()
    address = f"**/batches/{batch_id}"
    page.route(address, lambda route: underway(route, {"status": "running", "finishedAt": None}))
    page.goto(unhurried.at(f"batch?id={batch_id}"))
    stop = page.get_by_role("button", name="Stop")
    expect(stop).to_be_visible()
    page.unroute(address)
    stop.click()
    expect(page.locator("#notice")).to_contain_text("The batch has been cancelled.")
    expect(page.locator(".head .status")).to_have_text("cancelled")


def test_a_batch_tells_how_far_it_is_and_why_it_could_not_be_done_with_some(
    open_page: OpenPage, unhurried: Dashboard, picture: Picture
):
    batch_id = batch_of(unhurried, "team=far")
    page = open_page()
    page.clock.install()
    said: dict[str, Any] = {
        "status": "running",
        "finishedAt": None,
        "counts": {"matched": 1500, "done": 1200, "skipped": 20, "failed": 14},
        "failures": {"quota-exceeded": 14},
    }

    page.route(f"**/batches/{batch_id}", lambda route: underway(route, said))
    page.goto(unhurried.at(f"batch?id={batch_id}&of=5000"))
    expect(page.locator(".callout")).to_have_text("1\u202f234 of about 5\u202f000 tasks")
    progress = page.get_by_role("progressbar", name="Progress")
    assert progress.evaluate("bar => bar.value") == 1234
    shown = page.get_by_role("definition")
    expect(shown.nth(0)).to_have_text("1\u202f200 tasks cancelled")
    expect(shown.nth(1)).to_contain_text("20 changed by somebody else")
    expect(page.get_by_text("14 tasks: whoever submitted them has as many")).to_be_visible()
    picture(page, "batch-running")
    said["counts"] = {**said["counts"], "done": 2200}
    page.clock.fast_forward(SOON)
    expect(shown.nth(0)).to_have_text("2\u202f200 tasks cancelled")
    # More than there were as it was counted: how far it is cannot be told any more.
    said["counts"] = {**said["counts"], "done": 6000}
    page.clock.fast_forward(SOON)
    expect(page.locator(".callout")).to_have_text("6\u202f034 tasks")


def answer_dry_run(page: Page, counted: Mapping[str, Any]) -> None:
    """Answer what is counted alone; where a batch is to be made, nothing is answered."""

    def answer(route: Route) -> None:
        order: Any = route.request.post_data_json
        is_dry_run = order.get("dryRun", False)
        route.fulfill(json=dict(counted)) if is_dry_run else route.abort()

    page.route("**/tasks:batch", answer)


def test_more_than_are_counted_are_told_as_at_least_so_many(open_page: OpenPage, busy: Dashboard):
    page = open_page()
    statuses = {"queued": 100_000, "running": 3}
    counted = {"action": "cancel", "matched": 100_003, "statuses": statuses, "isComplete": False}
    answer_dry_run(page, counted)
    select_all_that_fit(page, busy, "")
    page.get_by_role("button", name="Cancel all").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Cancel at least 100\u202f003 tasks?")
    expect(dialog.get_by_role("listitem")).to_have_text(
        ["at least 100\u202f000 queued", "3 running", "Filters: all tasks"]
    )


def test_whoever_gets_no_answer_is_led_to_where_it_shows_whether_there_is_a_batch(
    open_page: OpenPage, busy: Dashboard
):
    page = open_page()
    statuses = {"queued": 1}
    counted = {"action": "cancel", "matched": 1, "statuses": statuses, "isComplete": True}
    answer_dry_run(page, counted)
    select_all_that_fit(page, busy, "")
    page.get_by_role("button", name="Cancel all").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator("#notice")).to_contain_text("The proxy does not answer.")
    page.get_by_role("link", name="Look whether there is a batch").click()
    expect(page).to_have_url(busy.at("batches"))


def test_an_unknown_batch_says_so(open_page: OpenPage, empty: Dashboard):
    page = open_page()
    page.goto(empty.at("batch?id=no-id"))
    expect(page.locator(".empty")).to_contain_text("There is no such batch")
