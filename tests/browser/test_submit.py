"""Pictures are sent from the page, and what was found is drawn where it is."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, JSHandle, Page, expect

from tests.api.conftest import Api
from tests.browser.conftest import PICTURE_SIZE, Visit, code_picture

HOSTILE = ("<img src=x onerror=alert(1)>", "javascript:alert(1)", "<script>alert(1)</script>")


def choose(page: Page, content: bytes, name: str = "code.png", media_type: str = "image/png") -> None:
    page.locator("#choose").set_input_files(FilePayload(name=name, mimeType=media_type, buffer=content))


def send(page: Page, picture: bytes) -> None:
    choose(page, picture)
    page.get_by_role("button", name="Look at it").click()


def given(page: Page, picture: bytes, name: str) -> JSHandle:
    """The file as it comes with a drop or a paste."""
    return page.evaluate_handle(
        """([bytes, name]) => { const given = new DataTransfer();
        given.items.add(new File([new Uint8Array(bytes)], name, {type: "image/png"})); return given; }""",
        [list(picture), name],
    )


def test_a_picture_that_was_chosen_is_looked_at_while_one_watches(visit: Visit) -> None:
    page = visit.open("/new")
    send(page, code_picture("hello")[0])
    expect(page.locator(".result .badge")).to_have_text("done")
    expect(page.locator(".result .finding-text")).to_have_text("hello")
    page.get_by_text("Result as JSON").click()
    expect(page.locator(".result pre")).to_contain_text('"format": "QRCode"')


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (320, 640)])
def test_what_was_found_is_drawn_where_it_is(visit: Visit, width: int, height: int) -> None:
    page = visit.open("/new")
    page.set_viewport_size({"width": width, "height": height})
    picture, corners = code_picture(f"at {width}")
    send(page, picture)
    edge = page.locator(".result .overlay .edge")
    expect(edge).to_have_count(1)
    shown = page.locator(".result .picture img").bounding_box()
    drawn = edge.evaluate("""edge => { const matrix = edge.getScreenCTM();
        return [...edge.points].map(point => { const at = point.matrixTransform(matrix); return [at.x, at.y]; }); }""")
    assert shown is not None
    scale = min(shown["width"] / PICTURE_SIZE[0], shown["height"] / PICTURE_SIZE[1])
    left = shown["x"] + (shown["width"] - PICTURE_SIZE[0] * scale) / 2
    top = shown["y"] + (shown["height"] - PICTURE_SIZE[1] * scale) / 2
    places = (min(x for x, _ in drawn), min(y for _, y in drawn), max(x for x, _ in drawn), max(y for _, y in drawn))
    expected = [offset + corner * scale for offset, corner in zip((left, top, left, top), corners, strict=True)]
    assert places == pytest.approx(expected, abs=3)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_code_says_stays_text(visit: Visit, text: str) -> None:
    page = visit.open("/new")
    send(page, code_picture(text)[0])
    expect(page.locator(".result .finding-text")).to_have_text(text)
    page.get_by_role("link", name="Tasks").click()
    expect(page.locator(".tile-text").first).to_have_text(text)
    assert page.locator("main img:not([src^='/v1/tasks/'])").count() == 0
    assert page.locator("a[href^='javascript']").count() == 0


@pytest.mark.parametrize("name", [f"{text}.png" for text in HOSTILE])
def test_what_a_file_is_called_stays_text(visit: Visit, name: str) -> None:
    page = visit.open("/new")
    choose(page, code_picture("named")[0], name)
    expect(page.get_by_text(f"{name} is chosen.", exact=True)).to_be_visible()
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_label("The curl command")).to_contain_text(f'image=@"{name}"')
    assert page.locator("main img:not([src^='blob:'])").count() == 0
    page.get_by_role("button", name="Look at it").click()
    expect(page.locator(".result .finding-text")).to_have_text("named")


@pytest.mark.parametrize(
    ("content", "media_type"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "image/svg+xml"),
        (b"<!doctype html><script>alert(1)</script>", "image/png"),
    ],
)
def test_what_is_no_picture_for_the_box_is_refused_and_leaves_nothing(
    visit: Visit, box: Api, content: bytes, media_type: str
) -> None:
    before = box.files(), box.store.counts()
    page = visit.open("/new")
    choose(page, content, "picture.png", media_type)
    page.get_by_role("button", name="Look at it").click()
    expect(page.locator("form .error")).to_contain_text("JPEG, PNG, WebP or BMP")
    expect(page.locator(".result")).to_be_empty()
    assert (box.files(), box.store.counts()) == before


def test_a_picture_can_be_dropped_anywhere(visit: Visit) -> None:
    page = visit.open("/")
    expect(page.get_by_role("search")).to_be_visible()
    page.dispatch_event("main", "drop", {"dataTransfer": given(page, code_picture("dropped")[0], "dropped.png")})
    page.get_by_role("button", name="Look at it").click()
    expect(page.locator(".result .finding-text")).to_have_text("dropped")


def test_a_picture_can_be_pasted(visit: Visit) -> None:
    page = visit.open("/new")
    expect(page.get_by_role("button", name="Look at it")).to_be_disabled()
    pasted = given(page, code_picture("pasted")[0], "image.png")
    page.evaluate("given => document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: given}))", pasted)
    page.get_by_role("button", name="Look at it").click()
    expect(page.locator(".result .finding-text")).to_have_text("pasted")


def test_the_copied_command_does_the_same(visit: Visit, box: Api, tmp_path: Path) -> None:
    page = visit.open("/new")
    (tmp_path / 'it\'s a "code".png').write_bytes(code_picture("by curl")[0])
    page.locator("#choose").set_input_files(tmp_path / 'it\'s a "code".png')
    page.get_by_label("Source").fill("the 'front' door; $HOME")
    page.locator(".operation", has=page.locator("#operation-codes")).get_by_text("Parameters").click()
    page.get_by_label("QRCode", exact=True).check()
    page.get_by_role("button", name="Copy as curl").click()
    command = page.get_by_label("The curl command").text_content()
    assert command is not None
    assert "$TOKEN" in command
    environment = {**os.environ, "TOKEN": box.token}
    ran = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=environment, capture_output=True, check=True)
    task = json.loads(ran.stdout)
    assert task["source"] == "the 'front' door; $HOME"
    assert task["operations"][0] == {"name": "codes", "params": {"formats": ["QRCode"]}}
    assert [code["text"] for code in task["result"]["codes"]["codes"]] == ["by curl"]


def test_what_is_no_number_within_the_limits_is_not_sent(visit: Visit) -> None:
    page = visit.open("/new")
    page.locator(".operation", has=page.locator("#operation-quality")).get_by_text("Parameters").click()
    page.get_by_label("Shadow level").fill("256")
    send(page, code_picture("never sent")[0])
    expect(page.locator("form .error")).to_contain_text("Shadow level")
    expect(page.locator(".result")).to_be_empty()
