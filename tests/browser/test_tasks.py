"""The list of tasks and one task: found, followed as they change, and acted upon."""

import re

from playwright.sync_api import Page, Route, expect

from asynctestkit.browsing import OpenPage
from asynctestkit.dashboard import RECEIVER, Dashboard

SOON = 10_000
"""The list is looked at every 8 s; the clock of the page is put forward by so many ms."""


def opened(open_page: OpenPage, address: str) -> Page:
    page = open_page()
    page.clock.install()
    page.goto(address)
    return page


def row_of(page: Page, task_id: str):
    return page.locator("tbody tr", has=page.get_by_role("link", name=task_id))


def test_filters_stand_in_the_address_and_back_leads_to_what_was_shown(
    busy: Dashboard, open_page: OpenPage
):
    page = opened(open_page, busy.at("tasks"))
    page.get_by_label("Status").select_option("failed")
    page.get_by_label("Operation").fill("create-client")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(busy.at("tasks?status=failed&operation=create-client"))
    expect(page.locator("td[data-label=Status]")).to_have_text(["failed"] * 4)
    page.get_by_label("Operation").fill("")
    page.get_by_label("Label").fill("team=b")
    page.get_by_label("Status").select_option("running")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    page.go_back()
    expect(page.locator("td[data-label=Status]")).to_have_text(["failed"] * 4)
    expect(page.get_by_label("Status")).to_have_value("failed")
    page.get_by_role("link", name="Clear").click()
    expect(page.locator("tbody tr")).to_have_count(25)


def test_a_filter_that_cannot_be_used_says_so_at_its_field(busy: Dashboard, open_page: OpenPage):
    page = opened(open_page, busy.at("tasks?label=nothing"))
    field = page.get_by_label("Label")
    expect(field).to_have_accessible_description("expected a label's name=value, such as team=a")
    expect(field).to_have_attribute("aria-invalid", "true")
    page.get_by_label("Task id").fill("7")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_label("Task id")).to_have_accessible_description(re.compile("a whole id"))


def test_several_labels_and_an_error_type_are_filters_too(busy: Dashboard, open_page: OpenPage):
    page = opened(open_page, busy.at("tasks"))
    page.get_by_label("Labels").fill("team=b, batch=7")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(busy.at("tasks?label=team%3Db&label=batch%3D7"))
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_label("Labels")).to_have_value("team=b, batch=7")
    page.get_by_label("Labels").fill("team=a, batch=7")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No task fits.")).to_be_visible()
    page.goto(busy.at("tasks?batch=a%20b"))
    batch = page.get_by_label("Batch")
    expect(batch).to_have_accessible_description(re.compile("expected a name of letters"))
    page.goto(busy.at("tasks?error_type=Timeout"))
    field = page.get_by_label("Error type")
    expect(field).to_have_accessible_description(re.compile("such as upstream-timeout"))
    field.fill("no-such-problem")
    page.get_by_role("button", name="Show").click()
    expect(page).to_have_url(busy.at("tasks?error_type=no-such-problem"))
    expect(page.get_by_text("No task fits.")).to_be_visible()


def test_more_filters_are_shown_where_one_of_them_is_set(busy: Dashboard, open_page: OpenPage):
    page = opened(open_page, busy.at("tasks?label=team%3Da"))
    finished = page.get_by_label("Finished before")
    expect(finished).to_be_hidden()
    page.get_by_text("More filters").click()
    finished.fill("2020-01-31T12:00")
    page.get_by_role("button", name="Show").click()
    expect(page.get_by_text("No task fits.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"label=team%3Da&finished_before=2020-01-31T"))
    expect(finished).to_have_value("2020-01-31T12:00")
    page.goto(busy.at("tasks?created_before=yesterday"))
    expect(page.get_by_label("Created before")).to_have_accessible_description(
        "expected RFC 3339, such as 2026-01-31T12:00:00Z"
    )


def test_pages_lead_to_every_task_and_to_none_twice(busy: Dashboard, open_page: OpenPage):
    page = opened(open_page, busy.at("tasks?label=team%3Da"))
    found: list[str] = []
    for rows in (25, 25, 10):
        expect(page.locator("tbody tr")).to_have_count(rows)
        found += page.locator("a.id").all_inner_texts()
        if rows == 25:
            last = page.url
            page.get_by_role("link", name="Older").click()
            expect(page).not_to_have_url(last)
    assert len(set(found)) == len(found) == 60
    expect(page.get_by_role("link", name="Older")).to_have_count(0)
    page.get_by_role("link", name="Newest").click()
    expect(page.locator("a.id").first).to_have_text(found[0])


def test_a_list_shows_by_itself_what_is_new_and_what_has_changed(
    open_page: OpenPage, quiet: Dashboard
):
    page = opened(open_page, quiet.at("tasks?label=team%3Dlive"))
    expect(page.get_by_text("No task fits.")).to_be_visible()
    task_id = quiet.running("live", task_labels="team=live")
    page.clock.fast_forward(SOON)
    expect(row_of(page, task_id)).to_contain_text("running")
    row_of(page, task_id).get_by_role("checkbox").check()
    quiet.ask("POST", f"/tasks/{task_id}/cancel")
    quiet.ended(task_id)
    page.clock.fast_forward(SOON)
    expect(row_of(page, task_id)).to_contain_text("cancelled")
    expect(page.locator("#announcement")).to_have_text("1 task changed status.")
    # What was selected still is.
    expect(row_of(page, task_id).get_by_role("checkbox")).to_be_checked()


def test_those_selected_are_acted_upon_after_a_word_on_how_many_they_are(
    open_page: OpenPage, quiet: Dashboard
):
    ids = [quiet.running(f"s{number}", task_labels="team=sel") for number in range(3)]
    page = opened(open_page, quiet.at("tasks?label=team%3Dsel"))
    page.get_by_label("Select all on this page").check()
    expect(page.locator(".bar p")).to_contain_text("3 tasks selected")
    # None of them has finished.
    expect(page.get_by_role("button", name="Retry")).to_be_disabled()
    page.get_by_role("button", name="Cancel 3").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Cancel 3 tasks?")
    expect(dialog).to_contain_text("3 of create-client, running")
    dialog.get_by_role("button", name="Leave it").click()
    assert {quiet.task(task_id)["cancelRequested"] for task_id in ids} == {False}
    page.get_by_role("button", name="Cancel 3").click()
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator("#notice")).to_contain_text("3 tasks cancelled.")
    assert [quiet.ended(task_id)["status"] for task_id in ids] == ["cancelled"] * 3
    page.clock.fast_forward(SOON)
    page.get_by_role("button", name="Delete 3").click()
    dialog.get_by_role("button", name="Delete").click()
    expect(page.get_by_text("No task fits.")).to_be_visible()


def test_what_is_refused_is_told_with_its_reason(open_page: OpenPage, quiet: Dashboard):
    task_id = quiet.running("race", task_labels="team=race")
    page = opened(open_page, quiet.at("tasks?label=team%3Drace"))
    row_of(page, task_id).get_by_role("checkbox").check()
    page.get_by_role("button", name="Cancel 1").click()
    quiet.ask("POST", f"/tasks/{task_id}/cancel")
    quiet.ended(task_id)
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    notice = page.locator("#notice")
    expect(notice).to_contain_text("0 tasks cancelled. 1 task not:")
    expect(notice).to_contain_text(task_id)


def test_a_task_is_followed_to_its_end_and_retried_and_followed_again(
    open_page: OpenPage, quiet: Dashboard
):
    task_id = quiet.running("follow")
    page = open_page()
    page.goto(quiet.at(f"task?id={task_id}"))
    expect(page.locator(".head .status")).to_have_text("running")
    page.get_by_role("button", name="Cancel").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    expect(page.locator(".head .status")).to_have_text("cancelled")
    expect(page.locator("#announcement")).to_have_text("The task is cancelled.")
    expect(page.locator(".timeline")).to_contain_text("attempt 1: cancelled")
    page.get_by_role("button", name="Retry").click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    expect(page.locator(".head .status")).to_have_text("running")
    expect(page.locator(".timeline")).to_contain_text("attempt 2 runs")
    quiet.ask("POST", f"/tasks/{task_id}/cancel")
    expect(page.locator(".head .status")).to_have_text("cancelled")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".empty")).to_contain_text("no task")


def test_a_task_tells_why_it_waits_and_why_it_failed(open_page: OpenPage, busy: Dashboard):
    page = open_page()
    (held,) = busy.ask("GET", "/tasks?operation=get-client").json()["tasks"]
    page.goto(busy.at(f"task?id={held['id']}"))
    expect(page.locator(".callout")).to_contain_text("operation get-client is paused since")
    failed = busy.ask("GET", "/tasks?operation=create-client&status=failed").json()["tasks"][0]
    page.goto(busy.at(f"task?id={failed['id']}"))
    expect(page.locator(".callout")).to_contain_text("The upstream answered 503")
    expect(page.locator(".timeline li")).to_have_count(5)


def test_progress_is_shown_in_percent_though_nothing_else_is_told(
    open_page: OpenPage, busy: Dashboard
):
    page = open_page()
    (task,) = busy.ask("GET", "/tasks?operation=get-client").json()["tasks"]

    def told(route: Route) -> None:
        document = route.fetch().json()
        route.fulfill(json=document | {"status": "running", "message": None, "progress": 40})

    page.route(re.compile(rf"/tasks/{task['id']}$"), told)
    page.route(re.compile(r"/events$"), lambda route: route.abort())
    page.goto(busy.at(f"task?id={task['id']}"))
    progress = page.get_by_role("progressbar", name="Progress")
    expect(progress).to_have_js_property("position", 0.4)


def test_the_call_is_a_line_of_a_shell(open_page: OpenPage, quiet: Dashboard):
    task_id = quiet.submit("curl")
    page = open_page()
    page.goto(quiet.at(f"task?id={task_id}"))
    page.get_by_text("As curl").click()
    line = page.get_by_label("The call as curl")
    expect(line).to_have_text(f"curl -i '{quiet.service.url}/tasks/{task_id}'")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#announcement")).to_have_text("Copied.")
    assert page.evaluate("navigator.clipboard.readText()") == line.inner_text()


def test_deliveries_are_shown_and_made_again(open_page: OpenPage, busy: Dashboard):
    page = open_page()
    page.goto(busy.at("callbacks"))
    failing = page.get_by_role("table", name="Failing receivers")
    expect(failing.locator("tbody tr")).to_have_count(1)
    expect(failing).to_contain_text(RECEIVER)
    page.get_by_role("table", name="Latest deliveries").locator(
        "td[data-label='Of task'] a"
    ).click()
    deliveries = page.get_by_role("table", name="Deliveries", exact=True)
    expect(deliveries.locator("tbody tr")).to_have_count(1)
    expect(deliveries).to_contain_text("its name was not found")
    page.get_by_role("button", name="Redeliver").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("once more?")
    dialog.get_by_role("button", name="Tell it").click()
    expect(deliveries.locator("tbody tr")).to_have_count(2)


def test_an_unknown_task_says_so(open_page: OpenPage, empty: Dashboard):
    page = open_page()
    page.goto(empty.at("task?id=no-id"))
    expect(page.locator(".empty")).to_contain_text("no task")
