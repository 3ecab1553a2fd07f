"""Sends many pictures to a box and waits for what it finds."""

import concurrent.futures
import contextlib
import hashlib
import os
import threading
import time
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pivision.client.connection import Connection
from pivision.errors import FileUnreadable, NotFinished, PiVisionError, ServerRefused, ServerUnreachable
from pivision.progress import ProgressLine

_AT_ONCE = 4
_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
_PAUSE_SECONDS = (0.05, 1.0)  # between two looks at a task: at first, and at last
_UNFINISHED = ("queued", "running")


class Outcome(NamedTuple):
    """What has become of one picture."""

    file: Path
    task: dict[str, Any] | None  # as the box tells it
    error: dict[str, str] | None  # code and detail, where no task has finished

    @property
    def is_done(self) -> bool:
        """Whether there is a result."""
        return self.error is None and self.task is not None and self.task["state"] == "done"


def pictures(paths: Sequence[Path]) -> list[Path]:
    """The files that are named, and the pictures in and below the folders. Raises FileUnreadable if there are none."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            for folder, folders, names in os.walk(path):
                folders.sort()
                found += [Path(folder, name) for name in sorted(names) if name.lower().endswith(_SUFFIXES)]
        else:
            found.append(path)
    if not found:
        raise FileUnreadable(f"no pictures ({', '.join(_SUFFIXES)}) in {', '.join(map(str, paths))}")
    return list(dict.fromkeys(found))


class Submission:
    """Sends pictures, four at a time, each for at most `timeout_seconds` until it has finished."""

    def __init__(self, box: Connection, operations: str, source: str | None, timeout_seconds: float) -> None:
        self._box = box
        self._fields = {"operations": operations, **({"source": source} if source else {})}
        self._timeout_seconds = timeout_seconds
        self._stopped = threading.Event()

    def of(self, files: Sequence[Path]) -> Iterator[Outcome]:
        """Send all of them and tell of each as it ends. Raises what would be in the way of every one of them."""
        self._greet()
        line = ProgressLine()
        line.begin(f"0 of {len(files)}")
        pool = concurrent.futures.ThreadPoolExecutor(_AT_ONCE)
        try:
            futures = [pool.submit(self._outcome, file) for file in files]
            for number, future in enumerate(concurrent.futures.as_completed(futures), 1):
                line.show("sending", number, len(files), f"{number} of {len(files)}")
                yield future.result()
        finally:
            self._stopped.set()
            pool.shutdown(cancel_futures=True)
            line.end()

    def _greet(self) -> None:
        try:
            self._box.ask("GET", "/v1/tasks?limit=1")
        except ServerRefused as refusal:
            if refusal.pause_seconds is None:
                raise

    def _outcome(self, file: Path) -> Outcome:
        task: dict[str, Any] | None = None
        give_up = time.monotonic() + self._timeout_seconds
        try:
            content = _read(file)
            headers = {"Content-Type": "application/octet-stream", "Idempotency-Key": self._key(content)}
            path = f"/v1/tasks?{urllib.parse.urlencode(self._fields)}"
            task = self._patiently(give_up, "POST", path, content, headers)
            pause_seconds, longest_seconds = _PAUSE_SECONDS
            while task["state"] in _UNFINISHED:
                self._wait(pause_seconds, give_up, f"task {task['id']} is {task['state']}")
                pause_seconds = min(2 * pause_seconds, longest_seconds)
                task = self._patiently(give_up, "GET", f"/v1/tasks/{task['id']}")
        except ServerRefused as refusal:
            return Outcome(file, task, {"code": refusal.problem_code, "detail": str(refusal)})
        except PiVisionError as error:
            return Outcome(file, task, {"code": error.code, "detail": str(error)})
        return Outcome(file, task, None)

    def _key(self, content: bytes) -> str:
        """The same for the same picture and question: however often it is sent, there is one task."""
        question = "\0".join(f"{name}={value}" for name, value in sorted(self._fields.items()))
        return hashlib.sha256(hashlib.sha256(content).digest() + question.encode()).hexdigest()

    def _patiently(self, give_up: float, *request: Any) -> dict[str, Any]:
        """Ask until there is an answer: a box that is busy, or just being restarted, has one later."""
        while True:
            try:
                answer: dict[str, Any] = self._box.ask(*request)
                return answer
            except ServerRefused as refusal:
                if refusal.pause_seconds is None:
                    raise
                self._wait(refusal.pause_seconds, give_up, str(refusal))
            except ServerUnreachable as error:
                self._wait(_PAUSE_SECONDS[1], give_up, str(error))

    def _wait(self, seconds: float, give_up: float, why: str) -> None:
        if time.monotonic() + seconds > give_up or self._stopped.wait(seconds):
            raise NotFinished(f"not within {self._timeout_seconds:g} s: {why}")


def _read(file: Path) -> bytes:
    with contextlib.suppress(OSError):
        if file.is_file():
            return file.read_bytes()
    raise FileUnreadable(f"{file} cannot be read")
