"""Is it alive, can it work, and how is it: /healthz, /readyz, /v1/system."""

import contextlib
import json
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import falcon
import msgspec
import psutil

from pivision import __version__, abilities, heartbeat, history
from pivision.config import Settings
from pivision.errors import PiVisionError
from pivision.images import Images
from pivision.store import Store
from pivision.store.recovery import report_file

_PACKAGES = ("zxing-cpp", "apsw", "falcon", "waitress", "supervisor")
_RESTARTS_SHOWN = 20
_OPENCV_PACKAGES = ("opencv-python", "opencv-python-headless")  # the second where a machine has no library for windows


class Alive:
    """/healthz: touches nothing that could block, so that it tells of this process and of nothing else."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 whenever the server can answer at all."""
        resp.data = b'{"status":"ok"}'

    on_head = on_get


class Ready:
    """/readyz: can a task be taken and finished."""

    def __init__(self, settings: Settings, store: Store, images: Images) -> None:
        self._settings = settings
        self._store = store
        self._images = images

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 if all is there that a task needs, else 503; either way with what was found."""
        checks = self.checks()
        is_ready = all(found == "ok" for found in checks.values())
        resp.status = falcon.HTTP_200 if is_ready else falcon.HTTP_503
        resp.data = msgspec.json.encode({"status": "ready" if is_ready else "not ready", "checks": checks})

    on_head = on_get

    def checks(self) -> dict[str, str]:
        """What was found of each: "ok", or what is wrong."""
        return {"database": self._database(), "disk": self._disk(), "worker": self._worker()}

    def _database(self) -> str:
        try:
            self._store.page(1)
        except PiVisionError as error:
            return error.code
        return "ok"

    def _disk(self) -> str:
        try:
            self._images.require_room(0)
        except PiVisionError as error:
            return error.code
        return "ok"

    def _worker(self) -> str:
        beats = (heartbeat.read(self._settings.run_dir, worker) for worker in range(1, self._settings.workers + 1))
        return "ok" if any(beat and beat.is_fresh() for beat in beats) else "no worker has given a sign of life lately"


class NotReady:
    """/readyz while the database is not open."""

    def __init__(self, obstacle: Callable[[], PiVisionError]) -> None:
        self._obstacle = obstacle

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """503 with what stands in the way."""
        resp.status = falcon.HTTP_503
        resp.data = msgspec.json.encode({"status": "not ready", "checks": {"database": self._obstacle().code}})

    on_head = on_get


class Opening:
    """Everything under /v1 while the database is not open."""

    def __init__(self, obstacle: Callable[[], PiVisionError]) -> None:
        self._obstacle = obstacle

    def __call__(self, req: falcon.Request, resp: falcon.Response, **_: object) -> None:
        """Say what stands in the way."""
        raise self._obstacle().with_traceback(None)  # raised again and again


class System:
    """/v1/system: everything that one wants to know from afar."""

    def __init__(self, settings: Settings, store: Store, images: Images) -> None:
        self._settings = settings
        self._store = store
        self._images = images
        self._versions = {
            "pivision": __version__,
            "python": platform.python_version(),
            "opencv": _opencv_version(),
            **{package: metadata.version(package) for package in _PACKAGES},
        }

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Tell it as JSON."""
        resp.data = msgspec.json.encode(self.look())

    on_head = on_get

    def look(self) -> dict[str, Any]:
        """Versions, tasks by state, workers, restarts and recovery with their causes, disk, memory, temperature."""
        memory = psutil.virtual_memory()
        told = abilities.published(self._settings.run_dir)
        return {
            "versions": {**self._versions, "opencv": self._versions["opencv"] or (told.opencv if told else None)},
            "machine": platform.machine(),
            "uptime_seconds": round(heartbeat.boottime()),
            "tasks": self._store.counts(),
            "workers": [self._worker(number) for number in range(1, self._settings.workers + 1)],
            "health": _read(self._settings.run_dir / "health.json"),
            "restarts": [event._asdict() for event in history.read(self._settings.data_dir)[-_RESTARTS_SHOWN:]],
            "recovery": _read(report_file(self._settings.data_dir)),
            "disk": {"free_bytes": self._images.free_bytes(), "reserve_bytes": self._settings.disk_reserve_bytes},
            "memory": {"total_bytes": memory.total, "available_bytes": memory.available},
            "temperature_celsius": temperature_celsius(),
        }

    def _worker(self, number: int) -> dict[str, Any]:
        beat = heartbeat.read(self._settings.run_dir, number)
        if beat is None:
            return {"number": number, "pid": None, "is_fresh": False, "task_id": None}
        return {"number": number, "pid": beat.pid, "is_fresh": beat.is_fresh(), "task_id": beat.task_id}


def _opencv_version() -> str | None:
    """From the packages' metadata: the server never imports OpenCV. Debian's has none: there a worker tells."""
    for package in _OPENCV_PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return None


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None


def temperature_celsius() -> float | None:
    """The processor's, where the kernel tells: `cpu_thermal` on a Pi, `coretemp` on a PC."""
    sensors = psutil.sensors_temperatures()
    for name in ("cpu_thermal", "coretemp"):
        if sensors.get(name):
            return float(sensors[name][0].current)
    return None
