"""A real browser before a real server with a worker."""

import io
import os
from collections.abc import Iterator

import pytest
import qrcode
from PIL import Image as PillowImage
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from tests import needs
from tests.api.conftest import PATIENCE_SECONDS, Api, serving
from tests.box import eventually

PICTURE_SIZE = (640, 400)
CODE_AT = (380, 60)
CODE_MODULE_PX = 6
QUIET_MODULES = 4


@pytest.fixture(scope="session")
def playing() -> Iterator[Playwright]:
    needs.require("chromium")
    with sync_playwright() as playing:
        yield playing


@pytest.fixture(scope="session")
def browser(playing: Playwright) -> Iterator[Browser]:
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    browser = playing.chromium.launch(executable_path=needs.CHROMIUM, args=arguments)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def box() -> Iterator[Api]:
    """A server with a worker that asks for no token."""
    with serving(auth="none") as api, api.program("pivision.worker", "1"):
        eventually(lambda: api.get("/readyz").status == 200, "the worker is ready", PATIENCE_SECONDS)
        yield api


class Visit:
    """One page, and everything that it should not have done."""

    def __init__(self, context: BrowserContext, api: Api) -> None:
        self.origin = f"http://127.0.0.1:{api.port}"
        self.errors: list[str] = []
        self.strangers: list[str] = []
        context.on("weberror", lambda error: self.errors.append(str(error.error)))
        context.on("console", lambda message: self._said(message.type, message.text))
        context.on("request", lambda request: self._asked(request.url))
        context.on("dialog", lambda dialog: self.errors.append(f"a dialog: {dialog.message}"))
        self.page: Page = context.new_page()
        self.page.set_default_timeout(PATIENCE_SECONDS * 1000)
        expect.set_options(timeout=PATIENCE_SECONDS * 1000)

    def _said(self, kind: str, text: str) -> None:
        is_answer = "Failed to load resource" in text  # what the server refuses, the browser notes by itself
        if kind in ("error", "warning") and not is_answer:
            self.errors.append(text)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.origin, f"blob:{self.origin}")):
            self.strangers.append(url)

    def open(self, view: str = "/") -> Page:
        self.page.goto(f"{self.origin}/#{view}")
        return self.page

    def sees(self, script: str, what: str) -> None:
        """Ask the page again and again until `script` is true there.

        Playwright's own wait_for_function evaluates a string in the page, which the page's security policy forbids.
        """
        eventually(lambda: self.page.evaluate(script), what, PATIENCE_SECONDS)

    def sees_every_picture(self) -> None:
        self.sees("[...document.images].every(image => image.complete)", "every picture is loaded")


@pytest.fixture
def visit(browser: Browser, box: Api) -> Iterator[Visit]:
    """A visit to `box`; at its end, no error was seen and no other host was asked."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    visit = Visit(context, box)
    yield visit
    context.close()
    assert visit.errors == []
    assert visit.strangers == []


def code_picture(text: str) -> tuple[bytes, tuple[int, int, int, int]]:
    """A PNG with a QR code off its middle, and the code's left, top, right and bottom in its pixels."""
    code = qrcode.QRCode(box_size=CODE_MODULE_PX, border=QUIET_MODULES)
    code.add_data(text)
    drawn = code.make_image().get_image().convert("RGB")
    picture = PillowImage.new("RGB", PICTURE_SIZE, "white")
    picture.paste(drawn, CODE_AT)
    file = io.BytesIO()
    picture.save(file, "PNG")
    side = len(code.modules) * CODE_MODULE_PX
    left, top = (offset + QUIET_MODULES * CODE_MODULE_PX for offset in CODE_AT)
    return file.getvalue(), (left, top, left + side, top + side)
