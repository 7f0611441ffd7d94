"""Where the proxy has to know who looks: signing in, and no button that would be refused."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from asyncproxy.access.api_keys import new_key, sha256_of
from asynctestkit.browsing import OpenPage, Picture
from asynctestkit.dashboard import OPERATIONS, Dashboard
from asynctestkit.processes import Keep, up_service

KEYS = {name: new_key() for name in ("reader", "operator", "shop", "keeper")}
RULES = """
  apiKeys: {file: keys.yaml}
rules:
  - {principals: ["key:reader"], tasks: all, may: [read]}
  - {principals: ["key:operator"], tasks: all, may: [submit, read, cancel, retry, delete, operate]}
  - {principals: ["key:keeper"], operations: [get-client], tasks: all, may: [read]}
  - {principals: ["key:keeper"], operations: ["*-client"], tasks: all, may: [read, retry]}
  - {principals: ["key:shop"], operations: [create-client], may: [submit, read]}
"""


def write(folder: Path, *, more: str = "", without: str = "") -> Path:
    hashes = {name: sha256_of(key).hex() for name, key in KEYS.items() if name != without}
    (folder / "keys.yaml").write_text(
        "".join(f"{name}: {{sha256: {it}, tenant: acme}}\n" for name, it in hashes.items())
    )
    file = folder / "access.yaml"
    file.write_text(f"authentication:\n{more}{RULES}")
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("guarded")


@pytest.fixture(scope="module")
def guarded(folder: Path, keep_in_module: Keep) -> Dashboard:
    service = up_service(folder, operations=OPERATIONS, access_file=write(folder))
    proof = {"Authorization": f"Bearer {KEYS['operator']}"}
    guarded = Dashboard(keep_in_module(service).start(), proof)
    guarded.running("run")
    guarded.ended(guarded.submit("bad.fail+404"))
    return guarded


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("API key or token").fill(key)
    page.get_by_role("button", name="Sign in").click()


def test_who_signs_in_is_known_in_this_tab_until_signing_out(
    guarded: Dashboard, open_page: OpenPage, picture: Picture
):
    page = open_page()
    page.goto(guarded.at("tasks"))
    expect(page.get_by_label("API key or token")).to_be_focused()
    picture(page, "sign-in")
    sign_in(page, KEYS["operator"])
    expect(page.locator("#caller")).to_contain_text("key:operator of acme")
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("button", name="Pause queue clients")).to_be_visible()
    # Kept nowhere else.
    assert page.evaluate("localStorage.length + document.cookie.length") == 0
    other = page.context.new_page()
    other.goto(guarded.at())
    expect(other.get_by_label("API key or token")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key or token")).to_be_visible()


@pytest.mark.parametrize(
    ("proof", "told"),
    [
        ("aap_" + 43 * "x", "This key or token is not taken"),
        ("a.b.c", "This key or token is not taken"),
        ("two words", "no spaces"),
        ("schlüssel", "only plain letters"),
    ],
)
def test_a_wrong_proof_is_told_so_and_kept_nowhere(
    guarded: Dashboard, open_page: OpenPage, proof: str, told: str
):
    page = open_page()
    page.goto(guarded.at())
    sign_in(page, proof)
    expect(page.get_by_role("alert")).to_contain_text(told)
    assert page.evaluate("sessionStorage.length") == 0
    expect(page.get_by_label("API key or token")).to_be_focused()


def test_who_may_only_read_sees_all_and_has_no_button_that_would_be_refused(
    guarded: Dashboard, open_page: OpenPage
):
    page = open_page()
    refused: list[int] = []
    page.goto(guarded.at())
    sign_in(page, KEYS["reader"])
    expect(page.get_by_role("table", name="Queues and their operations")).to_be_visible()
    page.on("response", lambda answer: refused.append(answer.status))
    buttons = page.locator("main button")
    expect(buttons).to_have_count(0)
    page.goto(guarded.at("tasks?status=failed"))
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator(".bar button")).to_have_count(0)
    page.locator("tbody a").first.click()
    expect(page.locator(".head .status")).to_have_text("failed")
    expect(page.locator(".head button, .head a")).to_have_count(0)
    page.goto(guarded.at("operations?operation=create-client"))
    expect(page.get_by_text("You may not submit it.")).to_be_visible()
    page.goto(guarded.at("operations"))
    expect(page.locator("tbody tr")).to_have_count(3)
    expect(buttons).to_have_count(0)
    assert not [status for status in refused if status >= 400]


def test_who_may_submit_its_own_sees_its_own(guarded: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(guarded.at())
    sign_in(page, KEYS["shop"])
    expect(page.get_by_text("Queues and limits are shown to callers who")).to_be_visible()
    page.goto(guarded.at("operations?operation=create-client"))
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".outcome")).to_contain_text("Accepted")
    page.goto(guarded.at("tasks"))
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator(".bar button")).to_have_count(0)


def test_who_may_only_retry_has_that_alone_for_all_that_fit(
    guarded: Dashboard, open_page: OpenPage
):
    page = open_page()
    page.goto(guarded.at("tasks"))
    sign_in(page, KEYS["keeper"])
    page.get_by_role("button", name="Select all tasks").click()
    expect(page.locator(".bar .buttons button")).to_have_text(["Retry all"])
    page.get_by_role("button", name="Retry all").click()
    expect(page.get_by_role("dialog")).to_contain_text("Retry 1 task?")
    page.get_by_role("button", name="Leave it").click()
    page.goto(guarded.at("tasks?operation=get-client"))
    expect(page.get_by_text("No task fits.")).to_be_visible()
    expect(page.locator(".bar button")).to_have_count(0)


def test_who_is_no_longer_known_is_asked_again(
    guarded: Dashboard, open_page: OpenPage, folder: Path
):
    page = open_page()
    page.clock.install()
    page.goto(guarded.at("tasks"))
    sign_in(page, KEYS["reader"])
    expect(page.locator("tbody tr").first).to_be_visible()
    write(folder, without="reader")
    try:
        told = page.get_by_text("Your key or token is not taken any more.")
        for _ in range(20):
            page.clock.fast_forward(10_000)
            page.wait_for_timeout(500)
            if told.is_visible():
                break
        expect(told).to_be_visible()
    finally:
        write(folder)


def test_behind_a_proxy_that_says_who_calls_nobody_signs_in(
    tmp_path: Path, keep: Keep, open_page: OpenPage
):
    more = (
        "  headers:\n    principal: X-Forwarded-User\n    groups: X-Groups\n"
        "    trustedProxies: [127.0.0.0/8]\n"
    )
    file = write(tmp_path, more=more)
    file.write_text(file.read_text() + "  - {groups: [ops], tasks: all, may: [read]}\n")
    service = keep(up_service(tmp_path, operations=OPERATIONS, access_file=file)).start()
    page = open_page(extra_http_headers={"X-Forwarded-User": "ann", "X-Groups": "ops"})
    page.goto(Dashboard(service).at())
    expect(page.locator("#caller")).to_have_text("ann")
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
