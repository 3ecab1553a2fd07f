"""What an emulated machine has acknowledged, kept outside of it, and the clients that have it acknowledge pictures."""

import collections
import contextlib
import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from tests.appliance.pictures import qr_code
from tests.appliance.test_ledger import done_with
from tests.box import Client, eventually

_ANSWER_SECONDS = 30.0
_PAUSE_SECONDS = 0.5  # until a client asks again
_TAKEN_SECONDS = 900.0  # with pulls and boots in between
_WAIT_SECONDS = 5  # of every other client, for the result: its task is stored long before it is acknowledged


class Ledger:
    """The task of each picture that was answered with 201, by the text in the picture."""

    def __init__(self, client: Client) -> None:
        self.ids: dict[str, int] = {}
        self.repeated = 0
        """How many pictures were stored, not acknowledged, and found again by their Idempotency-Key."""
        self.in_flight = 0
        """How many requests are being made at this moment."""
        self._client = client
        self._earlier = {task["id"] for task in client.tasks()}
        self._texts = (f"picture {number}" for number in itertools.count(1))
        self._lock = threading.Lock()

    def has(self, entries: int) -> bool:
        return len(self.ids) >= entries

    @contextlib.contextmanager
    def filling(self, clients: int) -> Iterator[None]:
        """Meanwhile, so many clients send pictures, each one after the other. At the end, all they sent is entered."""
        stop = threading.Event()
        with ThreadPoolExecutor(clients) as executor:
            senders = [executor.submit(self._send, stop, _WAIT_SECONDS * (n % 2)) for n in range(clients)]
            try:
                yield
            finally:
                stop.set()
            for sender in senders:
                sender.result()

    def check(self, within_seconds: float) -> "collections.Counter[str]":
        """Each entry is there once: done with the text of its picture, or quarantined. How many in which state."""
        eventually(lambda: self._client.unfinished() == 0, "all is done", within_seconds)
        tasks = {task["id"]: task for task in self._client.tasks()}
        lost = {text: task_id for text, task_id in self.ids.items() if task_id not in tasks}
        assert not lost, f"{len(lost)} of {len(self.ids)} acknowledged tasks are gone: {lost}"
        wrong = {
            text: tasks[task_id]
            for text, task_id in self.ids.items()
            if tasks[task_id]["state"] != "quarantined" and done_with(tasks[task_id]) != text
        }
        assert not wrong
        assert len(set(self.ids.values())) == len(self.ids), "no two pictures are one task"
        assert tasks.keys() - self._earlier == set(self.ids.values()), "no picture is two tasks"
        return collections.Counter(tasks[task_id]["state"] for task_id in self.ids.values())

    def _send(self, stop: threading.Event, wait_seconds: int) -> None:
        while not stop.is_set():
            with self._lock:
                text = next(self._texts)
            picture = qr_code(text)
            give_up = time.monotonic() + _TAKEN_SECONDS
            while not self._is_acknowledged(text, picture, wait_seconds):
                assert time.monotonic() < give_up, f"{text} was not taken within {_TAKEN_SECONDS:g} s"
                time.sleep(_PAUSE_SECONDS)

    def _is_acknowledged(self, text: str, picture: bytes, wait_seconds: int) -> bool:
        path = f"/v1/tasks?operations=codes&wait={wait_seconds}"
        headers = {"Content-Type": "image/png", "Idempotency-Key": text}
        with self._lock:
            self.in_flight += 1
        try:
            answer = self._client.request("POST", path, picture, headers, timeout=_ANSWER_SECONDS)
        except (OSError, http.client.HTTPException):
            return False  # nobody knows whether it was stored
        finally:
            with self._lock:
                self.in_flight -= 1
        if answer.status >= 500:
            return False
        assert answer.status == 201, answer.body
        with self._lock:
            self.ids[text] = int(answer.json["id"])
            self.repeated += answer.headers["Idempotent-Replayed"] == "true"
        return True
