"""Whoever looks signs in with a token, and sees what its scope allows."""

import http.server
import threading
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


def open_printed(visit: Visit, token: str, *, how: str = "/?token=") -> None:
    visit.page.goto(f"{visit.origin}{how}{token}")


@pytest.mark.parametrize("how", ["/?token=", "/#token="])
def test_the_printed_address_asks_and_signs_in(visit: Visit, closed: Api, how: str) -> None:
    page = visit.page
    open_printed(visit, closed.token, how=how)
    button = page.get_by_role("button", name="Sign in")
    expect(button).to_be_focused()
    expect(page.locator("main")).to_contain_text("test, with the scope admin")
    assert page.url == f"{visit.origin}/", "the token is out of the address before anything else happens"
    assert page.context.cookies() == []
    page.keyboard.press("Enter")
    expect(page.get_by_role("search")).to_be_visible()
    open_printed(visit, closed.token, how=how)
    expect(page.get_by_role("search")).to_be_visible()
    expect(button).to_have_count(0)


def test_a_link_of_another_page_ends_no_session_unless_one_says_so(visit: Visit, closed: Api) -> None:
    page = visit.page
    open_printed(visit, closed.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("search")).to_be_visible()
    other = tokens.create(closed.folder / "data" / "secrets", "other", tokens.Scope.READ)
    for how in ("/?token=", "/#token="):
        open_printed(visit, other, how=how)
        expect(page.locator("main")).to_contain_text("signed in as test; that session would end")
        page.get_by_role("button", name="Stay signed in as test").click()
        expect(page.get_by_role("search")).to_be_visible()
        expect(page.get_by_role("link", name="New")).to_be_visible()
    open_printed(visit, other)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("search")).to_be_visible()
    expect(page.get_by_role("link", name="New")).to_be_hidden()


def test_an_address_with_a_wrong_token_asks_for_another_or_changes_nothing(visit: Visit, closed: Api) -> None:
    page = visit.page
    open_printed(visit, "wrong")
    expect(page.get_by_role("alert")).to_have_text("The token in this address is not valid.")
    sign_in(visit, closed.token)
    expect(page.get_by_role("search")).to_be_visible()
    open_printed(visit, "wrong")
    expect(page.get_by_role("search")).to_be_visible()


class Foreign(http.server.BaseHTTPRequestHandler):
    """A page of another site that leads to the box with a token of its own: by a redirect, or by a form."""

    target = ""

    def do_GET(self) -> None:
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", self.target)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(
            f'<meta name="referrer" content="no-referrer"><a href="{self.target}">win</a>'
            f'<iframe src="{self.target}"></iframe><img src="{self.target}">'.encode()
        )

    def log_message(self, *_: object) -> None: ...


def test_no_page_of_another_site_signs_this_browser_in(browser: Browser, closed: Api) -> None:
    Foreign.target = f"http://127.0.0.1:{closed.port}/?token={closed.token}"
    with http.server.ThreadingHTTPServer(("127.0.0.2", 0), Foreign) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        site = f"http://127.0.0.2:{server.server_address[1]}"
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{site}/redirect")  # to the box it looks like an address that was typed
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        page.goto(f"{site}/")
        page.get_by_role("link", name="win").click()
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()
        assert context.cookies() == []
        context.close()
        server.shutdown()
