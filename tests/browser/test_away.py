"""The proxy goes away and comes back, and the page with it."""

from pathlib import Path

from playwright.sync_api import Route, expect

from asynctestkit.browsing import OpenPage
from asynctestkit.dashboard import OPERATIONS, Dashboard
from asynctestkit.processes import Keep, up_service


def test_a_proxy_that_is_away_is_told_and_the_page_comes_back_by_itself(
    tmp_path: Path, keep: Keep, open_page: OpenPage
):
    service = keep(up_service(tmp_path, operations=OPERATIONS)).start()
    dashboard = Dashboard(service)
    dashboard.ended(dashboard.submit())
    pages = [open_page(), open_page()]
    for page, address in zip(pages, ("tasks", ""), strict=True):
        page.clock.install()
        page.goto(dashboard.at(address))
        expect(page.locator("tbody tr").first).to_be_visible()

    service.kill()

    for page in pages:
        page.clock.fast_forward(20_000)
        expect(page.locator("#banner")).to_contain_text("The proxy does not answer.")
        # What was known is still shown.
        expect(page.locator("tbody tr").first).to_be_visible()
    service.start()
    dashboard.ended(dashboard.submit("back"))
    for page in pages:
        page.clock.fast_forward(70_000)
        expect(page.locator("#banner")).to_be_empty()
        expect(page.locator("#announcement")).not_to_be_empty()
    expect(pages[0].locator("tbody tr")).to_have_count(2)


def test_a_followed_task_is_followed_on_after_a_restart(
    tmp_path: Path, keep: Keep, open_page: OpenPage
):
    service = keep(up_service(tmp_path, operations=OPERATIONS)).start()
    dashboard = Dashboard(service)
    task_id = dashboard.running("long")
    page = open_page()
    page.clock.install()
    page.goto(dashboard.at(f"task?id={task_id}"))
    expect(page.locator(".head .status")).to_have_text("running")
    service.kill()
    page.clock.fast_forward(15_000)
    expect(page.locator("#banner")).to_contain_text("The proxy does not answer.")
    service.start()
    dashboard.ask("POST", f"/tasks/{task_id}/cancel")
    dashboard.ended(task_id)
    page.clock.fast_forward(70_000)
    expect(page.locator(".head .status")).to_have_text("cancelled")
    expect(page.locator("#banner")).to_be_empty()


def test_a_page_that_is_opened_while_its_proxy_is_busy_begins_later(
    empty: Dashboard, open_page: OpenPage
):
    page = open_page()
    page.clock.install()
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.fulfill(status=503, headers={"Retry-After": "30"}, json={"detail": "It is busy."})

    page.route("**/whoami", refuse)
    page.goto(empty.at("tasks"))
    expect(page.locator("#banner")).to_contain_text("It is busy.")
    # As long as the proxy says, and not before.
    page.clock.fast_forward(20_000)
    page.wait_for_timeout(300)
    assert len(asked) == 1
    page.unroute("**/whoami")
    page.clock.fast_forward(20_000)
    expect(page.get_by_text("There are no tasks yet.")).to_be_visible()
    expect(page.locator("#banner")).to_be_empty()


def test_who_does_not_look_asks_for_nothing(empty: Dashboard, open_page: OpenPage):
    page = open_page()
    page.clock.install()
    page.goto(empty.at("tasks"))
    expect(page.get_by_text("There are no tasks yet.")).to_be_visible()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    hide = """isHidden => {
        Object.defineProperty(document, "hidden", { value: isHidden, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
    }"""
    page.evaluate(hide, True)
    page.clock.fast_forward(60_000)
    page.wait_for_timeout(300)
    assert asked == []
    page.evaluate(hide, False)
    expect(page.locator("main h1")).to_be_visible()
    page.wait_for_timeout(300)
    assert len(asked) == 1
