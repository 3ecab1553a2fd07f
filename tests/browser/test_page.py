"""The page for whoever looks: on a phone, with the keyboard alone, and while the server is gone."""

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from pivision import __version__
from pivision.errors import WorkerDied
from pivision.history import Cause, History
from pivision.task import TaskError
from tests.api.conftest import PATIENCE_SECONDS, PICTURES, Api, png, serving, stopped
from tests.box import eventually
from tests.browser.conftest import Visit, code_picture

VIEWS = ("/", "/new", "/system", "/tasks/{task_id}")


def quarantined(api: Api) -> int:
    """A task that a worker has given up; the server has none."""
    task_id: int = api.post(png()).json["id"]
    task = api.store.claim(1)
    assert task is not None
    api.store.quarantine(task, TaskError("worker-died", "its worker died three times"))
    return task_id


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(320, 640), (1280, 800), (3840, 2160)])
def test_nothing_stands_out_at_the_side(visit: Visit, box: Api, width: int, height: int, scheme: str) -> None:
    picture, _ = code_picture("a-very-long-word-" * 12)
    task_id = box.request("POST", "/v1/tasks?operations=codes&wait=10", picture).json["id"]
    visit.page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    visit.page.set_viewport_size({"width": width, "height": height})
    for view in VIEWS:
        page = visit.open(view.format(task_id=task_id))
        expect(page.locator("main h1")).to_have_count(1)
        expect(page.locator(".verdict, .new, .outcome")).to_have_count(1)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view


def test_a_quarantined_task_says_why_and_is_retried(browser: Browser) -> None:
    with serving(auth="none") as api:
        task_id = quarantined(api)
        visit = Visit(browser.new_context(), api)
        page = visit.open("/")
        expect(page.locator(".tile.is-quarantined")).to_contain_text("its worker died three times")
        page.get_by_role("link", name=f"Task {task_id}").click()
        expect(page.get_by_role("alert").filter(has_text="Set aside")).to_contain_text(WorkerDied.remedy)
        page.get_by_role("button", name="Retry").click()
        expect(page.locator("h1 .badge")).to_have_text("queued")
        with api.program("pivision.worker", "1"):
            expect(page.locator("h1 .badge")).to_have_text("done")
        visit.page.context.close()
        assert (visit.errors, visit.strangers) == ([], [])


def test_a_task_that_waits_is_cancelled(browser: Browser) -> None:
    with serving(auth="none") as api:
        task_id = api.post(png()).json["id"]
        page = Visit(browser.new_context(), api).open(f"/tasks/{task_id}")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("h1 .badge")).to_have_text("cancelled")
        page.context.close()


def test_the_page_goes_on_by_itself_when_the_server_is_back(browser: Browser) -> None:
    with stopped(auth="none") as api:
        context = browser.new_context()
        visit = Visit(context, api)
        with api.program("pivision.server") as server:
            eventually(api.is_up, "the server answers", PATIENCE_SECONDS)
            page = visit.open("/")
            expect(page.get_by_role("link", name="Send the first picture")).to_be_visible()
            page.evaluate("window.isTheSame = true")
            server.kill()
            expect(page.get_by_text("The connection is lost")).to_be_visible()
            expect(page.locator(".verdict")).to_have_text("PiVision cannot be reached.")
        with api.program("pivision.server"):
            eventually(api.is_up, "the server is back", PATIENCE_SECONDS)
            api.post(png())
            expect(page.locator(".tile")).to_have_count(1)
            expect(page.locator("#banner")).to_be_hidden()
            assert page.evaluate("window.isTheSame")
            context.close()
        assert (visit.errors, visit.strangers) == ([], [])


def focus_on(page: Page, selector: str) -> None:
    for _ in range(60):
        if page.evaluate("selector => document.activeElement?.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    pytest.fail(f"no Tab leads to {selector}")


def test_a_task_is_made_and_looked_at_with_the_keyboard_alone(visit: Visit) -> None:
    page = visit.open("/")
    expect(page.get_by_role("search")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    focus_on(page, "nav a[data-view=new]")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="New task")).to_be_visible()
    expect(page.locator("main")).to_be_focused()
    with page.expect_file_chooser() as chooser:  # the browser must know of this before the key is pressed
        focus_on(page, "#choose")
        page.keyboard.press("Enter")
    chooser.value.set_files({"name": "code.png", "mimeType": "image/png", "buffer": code_picture("by keyboard")[0]})
    focus_on(page, "#operation-quality")
    page.keyboard.press("Space")
    expect(page.locator("#operation-quality")).not_to_be_checked()
    focus_on(page, "form.new button[type=submit]")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(page.locator(".result .finding-text")).to_have_text("by keyboard")
    focus_on(page, ".result h2 a")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_contain_text("Task")


def test_the_list_is_filtered(visit: Visit, box: Api) -> None:
    box.request("POST", "/v1/tasks?operations=quality&source=garden&wait=10", png("green"))
    page = visit.open("/")
    page.get_by_label("State").select_option("failed")
    expect(page.get_by_text("No task is like this.")).to_be_visible()
    page.get_by_label("State").select_option("done")
    expect(page.locator(".tile").first).to_be_visible()


def test_what_happens_elsewhere_is_seen_without_asking(visit: Visit, box: Api) -> None:
    page = visit.open("/")
    page.route("**/v1/tasks?limit=50", lambda route: route.abort())  # what is asked without a stream
    expect(page.get_by_role("search")).to_be_visible()
    page.wait_for_load_state("load")
    picture, _ = code_picture("seen at once")
    task_id = box.request("POST", "/v1/tasks?operations=codes", picture).json["id"]
    tile = page.locator(f".tile[data-id='{task_id}']")
    expect(tile).to_contain_text("seen at once")
    box.request("DELETE", f"/v1/tasks/{task_id}?remove=true")
    expect(tile).to_have_count(0)


def test_without_a_stream_the_page_asks(visit: Visit, box: Api) -> None:
    streams: list[Route] = []
    visit.page.route("**/v1/events*", lambda route: streams.append(route))
    with visit.page.expect_response("**/v1/tasks?*"):
        page = visit.open("/")
    eventually(lambda: page.evaluate("1") == 1 and streams, "the stream was asked for", PATIENCE_SECONDS)
    for text in ("before the first answer", "after it"):
        picture, _ = code_picture(text)
        task_id = box.request("POST", "/v1/tasks?operations=codes&wait=10", picture).json["id"]
        for stream in streams:
            stream.fulfill(status=503)
        streams.clear()
        expect(page.locator(f".tile[data-id='{task_id}']")).to_contain_text(text)
    expect(page.locator("#banner")).to_be_hidden()


def test_the_system_says_how_the_workers_are_and_how_to_reach_supervisord(visit: Visit, box: Api) -> None:
    History(box.folder / "data").add("worker_1", Cause.SIGNAL, "terminated by SIGKILL")
    page = visit.open("/system")
    worker = page.get_by_role("region", name="Workers").get_by_role("row").nth(1)
    expect(worker).to_contain_text("fresh")
    expect(worker).to_contain_text("signal: terminated by SIGKILL")
    expect(page.get_by_role("list").filter(has_text="worker_1 signal")).to_have_count(1)
    expect(page.get_by_text(__version__, exact=True)).to_be_visible()
    port = box.environment["PIVISION_SUPERVISOR_PORT"]
    expect(page.get_by_role("link", name=f"http://127.0.0.1:{port}")).to_be_visible()
    expect(page.get_by_text(f"ssh -L {port}:127.0.0.1:{port} USER@127.0.0.1")).to_be_visible()


def test_a_task_is_deleted_when_one_has_said_so_twice(visit: Visit, box: Api) -> None:
    task_id = box.request("POST", "/v1/tasks?operations=quality&wait=10", png("red")).json["id"]
    page = visit.open(f"/tasks/{task_id}")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert box.get(f"/v1/tasks/{task_id}").status == 200
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("search")).to_be_visible()
    assert box.get(f"/v1/tasks/{task_id}").status == 404


def test_one_watches_a_task_wait_and_end(browser: Browser) -> None:
    with serving(auth="none") as api:
        context = browser.new_context()
        visit = Visit(context, api)
        page = visit.open("/new")
        page.locator("#choose").set_input_files(PICTURES / "qrcode-1.webp")
        page.get_by_role("button", name="Look at it").click()
        expect(page.locator(".result .badge")).to_have_text("queued")
        expect(page.locator("#spoken")).to_have_text("Task 1 is queued")
        with api.program("pivision.worker", "1"):
            expect(page.locator(".result .badge")).to_have_text("done")
            expect(page.locator("#spoken")).to_have_text("Task 1 is done")
        context.close()
        assert (visit.errors, visit.strangers) == ([], [])


def test_older_tasks_are_a_page_away(browser: Browser) -> None:
    with serving(auth="none") as api:
        for _ in range(30):
            api.post(png())
        context = browser.new_context()
        page = Visit(context, api).open("/")
        expect(page.locator(".tile")).to_have_count(24)
        page.get_by_role("button", name="Older").click()
        expect(page.locator(".tile")).to_have_count(6)
        expect(page.get_by_role("button", name="Older")).to_be_hidden()
        page.get_by_role("button", name="Newer").click()
        expect(page.locator(".tile").first).to_contain_text("#30")
        context.close()
