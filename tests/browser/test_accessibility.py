"""axe-core finds nothing serious in any view, light or dark, on a phone or a computer."""

from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from pivision.task import TaskError
from tests import needs
from tests.api.conftest import PATIENCE_SECONDS, PICTURES, Api, png, serving
from tests.box import eventually
from tests.browser.conftest import Visit, code_picture

SERIOUS = ("serious", "critical")
SIZES = {"phone": (375, 740), "computer": (1280, 800)}


@pytest.fixture(scope="module")
def lived_in() -> Iterator[Api]:
    """A server whose tasks have ended in every way that a person looks at."""
    needs.require("axe-core")
    with serving(auth="none") as api:
        quarantined = api.post(png()).json["id"]
        task = api.store.claim(1)
        assert task is not None
        assert task.id == quarantined
        api.store.quarantine(task, TaskError("worker-died", "its worker died at work on attempt 3 of 3"))
        api.store.cancel(api.post(png("blue")).json["id"])
        with api.program("pivision.worker", "1"):
            eventually(lambda: api.get("/readyz").status == 200, "the worker is ready", PATIENCE_SECONDS)
            for picture in (code_picture("https://example.org/")[0], (PICTURES / "dog.jpg").read_bytes()):
                done = api.request("POST", "/v1/tasks?operations=codes,quality&wait=20", picture)
                assert done.json["state"] == "done"
            yield api


def violations(page: Page) -> list[dict[str, Any]]:
    """What axe calls serious or worse, with the elements that it means."""
    page.evaluate(needs.AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(result => result.violations)")
    return [
        {"rule": each["id"], "elements": [node["html"] for node in each["nodes"]]}
        for each in found
        if each["impact"] in SERIOUS
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_every_view_can_be_used_by_everybody(
    browser: Browser, lived_in: Api, size: str, scheme: Literal["light", "dark"]
) -> None:
    width, height = SIZES[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    visit = Visit(context, lived_in)
    for view, heading in (("/", ""), ("/tasks/1", "Task"), ("/tasks/3", "Task"), ("/new", "New task"), ("/system", "")):
        page = visit.open(view)
        expect(page.locator("main h1").first).to_contain_text(heading)
        visit.sees_every_picture()
        assert violations(page) == [], f"{view} on a {size}, {scheme}"
    page.goto(f"{visit.origin}/docs")
    assert violations(page) == [], f"/docs on a {size}, {scheme}"
    context.close()


def test_axe_sees_what_is_wrong(browser: Browser, lived_in: Api) -> None:
    """The test above can fail: a picture without a text instead is found."""
    context = browser.new_context()
    page = Visit(context, lived_in).open("/")
    expect(page.locator("main h1").first).to_be_visible()
    page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert [found["rule"] for found in violations(page)] == ["image-alt"]
    context.close()
