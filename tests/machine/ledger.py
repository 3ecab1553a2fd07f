"""A client of a machine, and its ledger of what it was promised: kept outside, where no fault reaches it."""

import contextlib
import functools
import http.client
import itertools
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.appliance.pictures import qr_code
from tests.appliance.test_ledger import done_with
from tests.box import eventually
from tests.machine.machine import Machine

_PATH = "/v1/tasks?operations=codes"
_ANSWER_SECONDS = 5.0
_PAUSE_SECONDS = 0.1  # between two pictures of the steady sender
_SEND_SECONDS = 120.0  # how long one picture is repeated


class Ledger:
    """Every picture that the machine has answered with 201: the text in it, and the id of its task."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._numbers = itertools.count(1)
        self.ids: dict[str, int] = {}

    def post(self, within_seconds: float = _SEND_SECONDS) -> int:
        """Send a new picture until it is acknowledged, and return the id of its task."""
        text = f"picture {next(self._numbers)}"
        picture = qr_code(text)
        what = f"{text} is acknowledged"
        return eventually(functools.partial(self._acknowledged, text, picture), what, within_seconds)

    def post_and_read(self, within_seconds: float) -> None:
        """Send a new picture and wait until its task is done."""
        self._machine.finished(self.post(within_seconds), within_seconds)

    @contextlib.contextmanager
    def steadily(self) -> Iterator[None]:
        """Meanwhile, pictures are sent one after the other; some are acknowledged before this begins."""
        stop = threading.Event()

        def send() -> None:
            while not stop.wait(_PAUSE_SECONDS):
                self.post()

        had = len(self.ids)
        with ThreadPoolExecutor(1) as executor:
            sender = executor.submit(send)
            try:
                eventually(lambda: len(self.ids) >= had + 3 or sender.done(), "three pictures are acknowledged")
                yield
            finally:
                stop.set()
            sender.result()

    def check(self) -> None:
        """Each entry is done, with the text of its picture, or quarantined; and no picture has become two tasks."""
        tasks = eventually(self._finished, "every task is finished", 90)
        lost = {text: task_id for text, task_id in self.ids.items() if task_id not in tasks}
        assert not lost, f"{len(lost)} of {len(self.ids)} acknowledged tasks are gone"
        told = {text: tasks[task_id] for text, task_id in self.ids.items()}
        wrong = [task for text, task in told.items() if task["state"] != "quarantined" and done_with(task) != text]
        assert not wrong, f"{len(wrong)} of {len(told)} are not as promised: {wrong[:2]}"
        times = Counter(done_with(task) for task in tasks.values() if task["state"] == "done")
        assert {text: times[text] for text in self.ids if times[text] > 1} == {}, "done more than once"

    def _finished(self) -> dict[object, dict[str, object]] | None:
        """Every task by its id; None while one is waiting or at work, as after a database has been recovered."""
        tasks = {task["id"]: task for task in self._machine.tasks()}
        return None if any(task["finished_at"] is None for task in tasks.values()) else tasks

    def _acknowledged(self, text: str, picture: bytes) -> int | None:
        """The task's id; None when nobody knows whether it was stored, or when it was refused for now."""
        headers = {"Content-Type": "image/png", "Idempotency-Key": text}
        try:
            answer = self._machine.request("POST", _PATH, picture, headers, timeout=_ANSWER_SECONDS)
        except (OSError, http.client.HTTPException):
            return None
        if answer.status != 201:
            return None
        self.ids[text] = int(answer.json["id"])
        return self.ids[text]
