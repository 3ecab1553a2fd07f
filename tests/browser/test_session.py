"""Whoever looks signs in with a token, and sees what its scope allows."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from pivision import tokens
from tests.api.conftest import Api, png, serving
from tests.browser.conftest import Visit


@pytest.fixture(scope="module")
def closed() -> Iterator[Api]:
    """A server that asks for a token."""
    with serving() as api:
        yield api


@pytest.fixture
def visit(browser: Browser, closed: Api) -> Iterator[Visit]:
    context = browser.new_context()
    visit = Visit(context, closed)
    yield visit
    context.close()
    assert (visit.errors, visit.strangers) == ([], [])


def sign_in(visit: Visit, token: str) -> None:
    visit.page.get_by_label("Access token").fill(token)
    visit.page.get_by_role("button", name="Sign in").click()


def test_a_token_opens_the_page_until_one_signs_out(visit: Visit, closed: Api) -> None:
    task_id = closed.post(png()).json["id"]
    page = visit.open(f"/tasks/{task_id}")
    expect(page.get_by_label("Access token")).to_be_focused()
    sign_in(visit, "wrong")
    expect(page.get_by_role("alert")).to_have_text("This token is not valid.")
    sign_in(visit, closed.token)
    expect(page.get_by_role("heading", name=f"Task {task_id}")).to_be_visible()
    expect(page.locator(".picture img")).to_have_js_property("naturalWidth", 40)
    page.reload()
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("h1 .badge")).to_have_text("cancelled")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Access token")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Access token")).to_be_visible()


def test_who_may_only_read_sees_no_buttons_that_do_more(visit: Visit, closed: Api) -> None:
    task_id = closed.post(png()).json["id"]
    token = tokens.create(closed.folder / "data" / "secrets", "reader", tokens.Scope.READ)
    page = visit.open("/")
    sign_in(visit, token)
    page.get_by_role("link", name=f"Task {task_id}").click()
    expect(page.locator("h1 .badge")).to_have_text("queued")
    expect(page.locator("main button:not(dialog button)")).to_have_count(0)
    expect(page.get_by_role("link", name="New")).to_be_hidden()


def test_the_printed_address_signs_in(visit: Visit, closed: Api) -> None:
    page = visit.page
    page.goto(f"{visit.origin}/?token={closed.token}")
    expect(page.get_by_role("search")).to_be_visible()
    assert closed.token not in page.url
