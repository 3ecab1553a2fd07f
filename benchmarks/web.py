"""The dashboard: its weight, how soon it is there, how soon it shows a new picture, and fifty of them at once.

In Debian's chromium over loopback, against an appliance with one worker, while tasks run.
"""

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator

from playwright.sync_api import Browser, Page, Response, sync_playwright

from benchmarks import pictures
from benchmarks.client import numbered
from benchmarks.table import median, percentile, show, spread, verdict
from tests.box import Box, running_box

CHROMIUM = "/usr/bin/chromium"
LOADS = 15
SHOWN_PICTURES = 40
DASHBOARDS = 50
LOAD_SECONDS = 20.0
TASKS_PER_SECOND = 2.0
_PICTURE_PX = (1280, 960)
SETTLE_SECONDS = 1.0  # between two pictures, so that each finds a worker that waits
TIMEOUT_MS = 30_000
WEIGHT_GOAL_KB = 60.0
SHOWN_GOAL_MS = 100.0
HEALTH_GOAL_MS = 50.0

_PICTURE_SHOWN = """id => new Promise(resolve => {
  const look = () => {
    const picture = document.querySelector(`img[src="/v1/tasks/${id}/preview"]`);
    if (picture && picture.complete && picture.naturalWidth) resolve(Date.now());
    else requestAnimationFrame(look);
  };
  look();
})"""


def main() -> None:
    """Measure and print the table."""
    with running_box() as box, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        weight_kb, files = _weight(browser, box)
        loads_ms = [_load_ms(browser, box) for _ in range(LOADS)]
        shown_ms = _shown_ms(browser, box)
        browser.close()
        health_ms, failed, tasks, told = _fifty(box)
    show(
        "The dashboard",
        f"Chromium over loopback, one worker. First load: with an empty cache, {LOADS} times. POST to picture: from "
        f"sending until the open dashboard has it decoded, {SHOWN_PICTURES} times. Fifty: the requests of {DASHBOARDS} "
        f"dashboards for {LOAD_SECONDS:.0f} s; {tasks} tasks were made meanwhile, and {told} pictures loaded.",
        ["", "measured", "goal"],
        [
            ["page weight, compressed, KB", f"{weight_kb:.1f} ({files} files)", verdict(weight_kb, WEIGHT_GOAL_KB)],
            ["first load, ms", spread(loads_ms), ""],
            ["POST to picture, ms", spread(shown_ms), verdict(median(shown_ms), SHOWN_GOAL_MS)],
            ["fifty dashboards: failed requests", str(failed), verdict(failed, 0)],
            [
                "fifty dashboards: /healthz p99, ms",
                f"{percentile(health_ms, 99):.1f} (median {median(health_ms):.1f})",
                verdict(percentile(health_ms, 99), HEALTH_GOAL_MS),
            ],
        ],
    )


@contextlib.contextmanager
def _dashboard(browser: Browser, box: Box) -> Iterator[Page]:
    """A signed-in page in a context of its own, so with an empty cache."""
    context = browser.new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(TIMEOUT_MS)
        page.goto(f"http://127.0.0.1:{box.port}/?token={box.token}")
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("search").wait_for()
        page.wait_for_load_state("load")
        yield page
    finally:
        context.close()


def _weight(browser: Browser, box: Box) -> tuple[float, int]:
    """What the page itself loads, as it goes over the wire, without pictures and answers of the API."""
    own: list[Response] = []
    with contextlib.closing(browser.new_context()) as context:
        page = context.new_page()
        page.on("response", lambda response: own.append(response) if "/v1/" not in response.url else None)
        page.goto(f"http://127.0.0.1:{box.port}/?token={box.token}")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_load_state("load")
        page.wait_for_timeout(SETTLE_SECONDS * 1000)
        sizes = [sum(response.request.sizes()[key] for key in ("responseBodySize",)) for response in own]
    return sum(sizes) / 1000, len(sizes)


def _load_ms(browser: Browser, box: Box) -> float:
    with _dashboard(browser, box) as page:
        return float(page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd"))


def _shown_ms(browser: Browser, box: Box) -> list[float]:
    shown_ms = []
    picture = pictures.photograph(*_PICTURE_PX)
    with _dashboard(browser, box) as page:
        page.wait_for_timeout(SETTLE_SECONDS * 1000)
        for number in range(SHOWN_PICTURES):
            began_ms = time.time() * 1000  # both ends read the clock of this one machine
            task_id = box.post(numbered(picture, number), "codes").json["id"]
            shown_ms.append(page.evaluate(_PICTURE_SHOWN, task_id) - began_ms)
            box.finished(task_id)
    return shown_ms


def _fifty(box: Box) -> tuple[list[float], int, int, int]:
    """Latencies of /healthz, failed requests, tasks made and pictures loaded, with fifty dashboards open."""
    stop = threading.Event()
    failed: list[str] = []
    told: list[int] = []
    dashboards = [threading.Thread(target=_watch, args=(box, stop, failed, told)) for _ in range(DASHBOARDS)]
    for dashboard in dashboards:
        dashboard.start()
    health_ms: list[float] = []
    tasks = 0
    picture = pictures.photograph(*_PICTURE_PX)
    give_up = time.monotonic() + LOAD_SECONDS
    while time.monotonic() < give_up:
        tasks += 1
        if box.post(numbered(picture, 1_000_000 + tasks), "codes").status != 201:
            failed.append("POST")
        next_task = time.monotonic() + 1 / TASKS_PER_SECOND
        while time.monotonic() < next_task:
            began = time.perf_counter()
            if box.get("/healthz").status != 200:
                failed.append("/healthz")
            health_ms.append((time.perf_counter() - began) * 1000)
            time.sleep(0.02)
    stop.set()
    for dashboard in dashboards:
        dashboard.join()
    return health_ms, len(failed), tasks, sum(told)


def _watch(box: Box, stop: threading.Event, failed: list[str], told: list[int]) -> None:
    """What an open dashboard asks for: the list, the stream, and the picture of each new task. None may fail."""
    shown: set[int] = set()
    with (
        contextlib.closing(box.connection(timeout=30)) as stream,
        contextlib.closing(box.connection(timeout=30)) as other,
    ):
        try:
            _read(other, box, "/v1/tasks?limit=24", failed)
            stream.request("GET", "/v1/events", headers={"Authorization": f"Bearer {box.token}"})
            answer = stream.getresponse()
            if answer.status != 200:
                failed.append("/v1/events")
                return
            while not stop.is_set() and (line := answer.readline()):
                if line.startswith(b'data: {"id":') and (task := json.loads(line[6:]))["id"] not in shown:
                    shown.add(task["id"])
                    _read(other, box, f"/v1/tasks/{task['id']}/preview", failed)
            if not stop.is_set():
                failed.append("/v1/events broke")
        except (OSError, http.client.HTTPException) as error:
            failed.append(repr(error))
    told.append(len(shown))


def _read(connection: http.client.HTTPConnection, box: Box, path: str, failed: list[str]) -> None:
    connection.request("GET", path, headers={"Authorization": f"Bearer {box.token}"})
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        failed.append(f"{path}: {answer.status}")
