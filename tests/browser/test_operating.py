"""What is stuck, why, since when and by whom; and what is pressed about it."""

from typing import Any

from playwright.sync_api import Page, Route, expect

from asynctestkit.browsing import OpenPage
from asynctestkit.dashboard import Dashboard


def test_the_overview_tells_what_is_stuck_and_why(busy: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(busy.at())
    stuck = page.locator(".reasons li")
    expect(stuck.nth(0)).to_contain_text("get-client is paused, 1 task waits, since")
    expect(stuck.nth(1)).to_contain_text(
        "Limit old-system: its breaker is open, its upstream failed 2 times in a row, since"
    )
    limits = page.get_by_role("table", name="Limits")
    expect(limits).to_contain_text("down, breaker open since")
    expect(limits).to_contain_text("1 of 40")
    failures = page.get_by_role("table", name="Latest failures")
    expect(failures.locator("tbody tr")).to_have_count(4)


def test_without_anything_stuck_it_says_so(empty: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(empty.at())
    expect(page.get_by_text("Nothing is stuck")).to_be_visible()
    expect(page.get_by_text("No task has failed.")).to_be_visible()


def test_queues_operations_and_limits_are_paused_and_resumed(quiet: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(quiet.at())
    for name in ("queue clients", "operation create-client", "limit crm"):
        page.get_by_role("button", name=f"Pause {name}").click()
        resume = page.get_by_role("button", name=f"Resume {name}")
        # Who works by keyboard stays where it was.
        expect(resume).to_be_focused()
        expect(page.locator("#notice")).to_contain_text(f"{name.split()[1]} is paused.")
        kind = name.split()[0]
        told = {
            "queue": "Queue clients is paused",
            "operation": "create-client is paused",
            "limit": "Limit crm is paused",
        }[kind]
        expect(page.locator(".reasons")).to_contain_text(told)
        resume.click()
        expect(page.get_by_role("button", name=f"Pause {name}")).to_be_visible()
        expect(page.get_by_text("Nothing is stuck")).to_be_visible()


def say_of(page: Page, what: str, name: str, said: dict[str, Any]) -> None:
    """Have the page told something else of one queue or limit than the proxy says."""

    def answer(route: Route) -> None:
        answered = route.fetch()
        document = answered.json()
        next(one for one in document[what] if one["name"] == name).update(said)
        route.fulfill(response=answered, json=document)

    page.route(f"**/{what}", answer)


UP_AGAIN = {"state": "recovering", "failures": 0, "openedAt": None, "probeAt": None}


def test_an_upstream_that_is_up_again_is_not_told_as_down(quiet: Dashboard, open_page: OpenPage):
    page = open_page()
    say_of(page, "limits", "old-system", {"breaker": UP_AGAIN})
    page.goto(quiet.at())
    expect(page.get_by_role("table", name="Limits")).to_contain_text("up again, recovering")
    expect(page.get_by_text("Nothing is stuck")).to_be_visible()
    page.unroute("**/limits")
    say_of(page, "limits", "old-system", {"breaker": UP_AGAIN, "held": 4})
    page.reload()
    expect(page.locator(".reasons")).to_contain_text(
        "Limit old-system recovers: its upstream is up again, 4 wait"
    )


def test_what_waits_for_its_own_share_of_a_limit_is_not_told_as_not_due(
    quiet: Dashboard, open_page: OpenPage
):
    page = open_page()
    shares = {"perKey": {"concurrency": 3, "ratePerSecond": 2}, "fairBy": "tenant"}
    bounds = {"declared": shares, "held": 4, "ratePerSecond": None, "startsLeft": None}
    say_of(page, "limits", "crm", bounds)
    say_of(page, "queues", "clients", {"queued": 4, "held": 4})
    page.goto(quiet.at())
    told = "Limit crm bounds each of those who share it, 4 wait"
    expect(page.locator(".reasons")).to_contain_text(told)
    expect(page.get_by_role("table", name="Queues")).to_contain_text(told)
    expect(page.get_by_role("table", name="Limits")).to_contain_text("2 /s each")
