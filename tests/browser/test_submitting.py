"""Operations: what is declared of them, and the form by which they are submitted."""

from playwright.sync_api import expect

from asynctestkit.browsing import OpenPage
from asynctestkit.dashboard import Dashboard


def test_operations_are_listed_and_lead_to_their_form(quiet: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(quiet.at("operations"))
    rows = page.get_by_role("table", name="Operations").locator("tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("GET /clients/{id}")
    page.get_by_role("link", name="create-client").click()
    expect(page.get_by_label("Schema")).to_contain_text('"maxLength": 254')


def test_the_example_can_be_submitted_as_it_stands(quiet: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(quiet.at("operations?operation=create-client"))
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".outcome")).to_contain_text("Accepted: the work goes on.")
    page.locator(".outcome a").click()
    expect(page.locator(".head .status")).to_have_text("succeeded")
    expect(page.get_by_label("Body of the answer")).to_contain_text('"email": "ann@example.com"')


def test_what_is_not_valid_is_told_where_it_stands(quiet: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(quiet.at("operations?operation=create-client"))
    body = page.get_by_label("Body, as JSON")
    text = '{\n  "name": "Ann, \\"7\\" {",\n  "email": "ann",\n  "age": [7]\n}'
    body.fill(text)
    page.get_by_role("button", name="Submit").click()
    faults = page.locator(".faults li")
    expect(faults).to_have_count(2)
    email = faults.filter(has_text="/email")
    expect(email).to_have_text('/email, line 3 the value is not a "email"')
    email.get_by_role("button").click()
    chosen = """() => {
        const field = document.activeElement;
        return field.value.slice(field.selectionStart, field.selectionEnd);
    }"""
    assert page.evaluate(chosen) == '"ann"'
    faults.filter(has_text="/age").get_by_role("button").click()
    assert page.evaluate(chosen) == "[7]"
    body.fill("{")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".outcome .fault")).to_contain_text("400")


def test_an_answer_in_time_is_shown_with_its_task(quiet: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(quiet.at("operations?operation=create-client"))
    page.get_by_label("Body, as JSON").fill('{"email": "now@example.com", "name": "Now"}')
    page.get_by_label("The proxy shall").select_option("wait=30")
    page.get_by_role("button", name="Submit").click()
    expect(page.locator(".outcome")).to_contain_text("Answered 201.")
    expect(page.get_by_label("Body of the answer")).to_contain_text("now@example.com")
    expect(page.locator(".outcome a")).to_have_count(1)


def test_arguments_in_the_path_have_fields_of_their_own(quiet: Dashboard, open_page: OpenPage):
    page = open_page()
    page.goto(quiet.at("operations?operation=get-client"))
    field = page.get_by_label("id path")
    expect(field).to_have_value("7")
    field.fill("a/b c")
    page.get_by_text("As curl").click()
    line = f"curl -i -H 'Prefer: respond-async' '{quiet.service.url}/clients/a%2Fb%20c'"
    expect(page.get_by_label("The call as curl")).to_have_text(line)
    page.get_by_role("button", name="Submit").click()
    page.locator(".outcome a").click()
    expect(page.get_by_label("Arguments")).to_have_text('{ "id": "a/b c" }')


def test_one_like_another_begins_with_its_arguments(quiet: Dashboard, open_page: OpenPage):
    task_id = quiet.submit("like", name="Like")
    page = open_page()
    page.goto(quiet.at(f"task?id={task_id}"))
    page.get_by_role("link", name="Submit one like it").click()
    expect(page.get_by_label("Body, as JSON")).to_have_value(
        '{\n  "email": "like@example.com",\n  "name": "Like"\n}'
    )
