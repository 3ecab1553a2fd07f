"""Exactly once: the client keeps the ledger, and whatever dies in between, each entry is done, once, and rightly."""

import contextlib
import functools
import http.client
import json
import queue
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from signal import SIGKILL

from pivision.store import Store
from tests.appliance.pictures import qr_code
from tests.box import Box, eventually, running_box

TASKS = 2000
CONNECTIONS = 8
KILLS = 20


class Ledger:
    """What the server has acknowledged: the id of each key's task, and the ids that repeats were told."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.repeated = 0
        self._lock = threading.Lock()

    def has(self, entries: int) -> bool:
        return len(self.ids) >= entries

    def enter(self, key: str, task_id: int, is_repeated: bool) -> None:
        with self._lock:
            self.ids[key] = task_id
            self.repeated += is_repeated


class Client:
    """One keep-alive connection. It repeats a request, with the same Idempotency-Key, until it has a 201.

    A client that waits for the result is, most of the time, one whose task is stored and not acknowledged.
    """

    def __init__(self, box: Box, ledger: Ledger, wait_seconds: int) -> None:
        self._path = f"/v1/tasks?operations=codes&wait={wait_seconds}"
        self._ledger = ledger
        self._headers = {"Authorization": f"Bearer {box.token}", "Content-Type": "image/png"}
        self._connection = http.client.HTTPConnection("127.0.0.1", box.port, timeout=10)

    def work(self, keys: "queue.Queue[str | None]") -> None:
        with contextlib.closing(self._connection):
            while (key := keys.get()) is not None:
                eventually(functools.partial(self._is_taken, key, qr_code(key)), f"{key} is taken", 120)

    def _is_taken(self, key: str, picture: bytes) -> bool:
        headers = {**self._headers, "Idempotency-Key": key}
        try:
            self._connection.request("POST", self._path, picture, headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()  # the server is dead: nobody knows whether the task was stored
            return False
        if answer.status == 503:
            return False
        assert answer.status == 201, content
        self._ledger.enter(key, json.loads(content)["id"], answer.headers["Idempotent-Replayed"] == "true")
        return True


def test_every_acknowledged_task_is_done_exactly_once_whatever_is_killed() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed: {seed}")
    chance = random.Random(seed)
    victims = ["server", "worker:worker_1"] * (KILLS // 2)
    chance.shuffle(victims)

    ledger = Ledger()
    keys: queue.Queue[str | None] = queue.Queue()
    with (
        running_box(max_attempts=KILLS + 1) as box,  # the worker's deaths are no picture's fault here
        ThreadPoolExecutor(CONNECTIONS) as executor,
    ):
        clients = [executor.submit(Client(box, ledger, 5 * (n % 2)).work, keys) for n in range(CONNECTIONS)]
        try:
            for kill, victim in enumerate(victims):  # each kill falls somewhere into its share of the requests
                share = range(TASKS * kill // KILLS, TASKS * (kill + 1) // KILLS)
                for number in share:
                    keys.put(f"task-{number:04}")
                moment = chance.randrange(share.start, share.stop)
                eventually(functools.partial(ledger.has, moment), f"{moment} tasks are acknowledged", 120)
                box.signal(victim, SIGKILL)
        finally:
            for _ in clients:
                keys.put(None)
        for client in clients:
            client.result()
        eventually(lambda: box.unfinished() == 0, "all is done", 120)

        print(f"{ledger.repeated} requests were repeated after they had been stored")
        assert ledger.repeated > 0, "else nothing was proved"
        tasks = {task["id"]: task for task in box.tasks()}
        assert {key: done_with(tasks[task_id]) for key, task_id in ledger.ids.items()} == {
            f"task-{number:04}": f"task-{number:04}" for number in range(TASKS)
        }
        assert len(set(ledger.ids.values())) == TASKS
        assert sum(Store(box.data_dir / "pivision.db").counts().values()) == TASKS, "none was stored twice"


def done_with(task: dict[str, object]) -> object:
    """The text in the picture of a task that is done, else its whole story."""
    match task:
        case {"state": "done", "error": None, "result": {"codes": {"codes": [{"text": text}]}}}:
            return text
    return task
