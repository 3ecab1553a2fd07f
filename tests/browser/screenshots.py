"""`python -m tests.browser.screenshots`: makes the pictures of the README, from a running appliance that sees."""

import contextlib
from typing import Any

from playwright.sync_api import expect, sync_playwright

from pivision.config import ROOT
from tests import weights
from tests.api.conftest import PICTURES
from tests.box import Box, running_box
from tests.browser.conftest import code_picture
from tests.needs import CHROMIUM

_DESKTOP: dict[str, Any] = {"viewport": {"width": 1280, "height": 860}}
_PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 860}, "color_scheme": "dark"}
_OPERATIONS = "objects,faces,codes,quality"


def _fill(box: Box) -> int:
    """Send the photographs; return the id of the task to look at."""
    named = ("person.jpg", "astronaut.jpg", "marker.jpg", "ean13-41.webp", "qrcode-13.webp", "dog.jpg")
    pictures = [code_picture("https://example.org/parcel/4711")[0], *((PICTURES / name).read_bytes() for name in named)]
    answers = [box.post(picture, f"{_OPERATIONS}&source=front%20door", wait=30) for picture in pictures]
    return int(answers[-1].json["id"])


def main() -> None:
    """Write docs/dashboard.jpg and docs/task.jpg."""
    with contextlib.ExitStack() as stack:
        models = stack.enter_context(weights.folder("yunet", "nanodet"))
        box = stack.enter_context(running_box(models_dir=models))
        task_id = _fill(box)
        playing = stack.enter_context(sync_playwright())
        browser = playing.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        for name, view, options in (("dashboard", "/", _DESKTOP), ("task", f"/tasks/{task_id}", _PHONE)):
            context = browser.new_context(**options)
            page = context.new_page()
            page.goto(f"http://127.0.0.1:{box.port}/?token={box.token}")
            page.get_by_role("button", name="Sign in").click()
            expect(page.get_by_role("search")).to_be_visible()
            page.goto(f"http://127.0.0.1:{box.port}/#{view}")
            expect(page.get_by_role("img", name=f"Picture of task {task_id}").first).to_be_visible()
            page.wait_for_load_state("load")
            for image in page.locator("img").all():
                expect(image).to_have_js_property("complete", True)
            page.screenshot(path=ROOT / "docs" / f"{name}.jpg", type="jpeg", quality=85)
            context.close()
        browser.close()


if __name__ == "__main__":
    main()
