"""How is it: /v1/system."""

import contextlib
import json
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import falcon
import msgspec
import psutil

from pivision import __version__, abilities, heartbeat, history
from pivision.api.endpoint import described
from pivision.api.last_hour import HourReport, LastHour
from pivision.config import Settings
from pivision.images import Images
from pivision.store import Store
from pivision.store.recovery import report_file
from pivision.task import State

_PACKAGES = ("zxing-cpp", "apsw", "falcon", "waitress", "supervisor")
_RESTARTS_SHOWN = 20
_OPENCV_PACKAGES = ("opencv-python", "opencv-python-headless")  # the second where a machine has no library for windows


class WorkerReport(msgspec.Struct, frozen=True):
    """One worker; without a pid it has not started."""

    number: int
    pid: int | None = None
    is_fresh: bool = False  # it was heard of when it had promised
    task_id: int | None = None
    started_seconds: int | None = None  # as uptime_seconds was then


class ProgramReport(msgspec.Struct, frozen=True):
    """One program, as supervisord sees it."""

    name: str
    state: str  # STOPPED STARTING RUNNING BACKOFF STOPPING EXITED FATAL
    pid: int  # 0 when it has none
    started_seconds: int | None = None  # as uptime_seconds was then


class HealthReport(msgspec.Struct, frozen=True):
    """What health has seen last."""

    boottime_seconds: int  # when; as uptime_seconds was then
    programs: list[ProgramReport]


class Restart(msgspec.Struct, frozen=True):
    """One restart and its cause, or one thing that could not be mended."""

    number: int
    at: str
    boot_id: str
    uptime_seconds: int
    program: str
    cause: history.Cause
    detail: str
    times: int


class DiskReport(msgspec.Struct, frozen=True):
    """The disk of the pictures."""

    free_bytes: int
    reserve_bytes: int


class MemoryReport(msgspec.Struct, frozen=True):
    """The machine's memory."""

    total_bytes: int
    available_bytes: int


class SystemReport(msgspec.Struct, frozen=True, kw_only=True):
    """How the machine and its programs are."""

    versions: dict[str, str | None]
    machine: str
    uptime_seconds: int
    tasks: dict[State, int]
    last_hour: HourReport
    workers: list[WorkerReport]
    health: HealthReport | None  # null while health does not run
    restarts: list[Restart]
    recovery: dict[str, Any] | None  # the last one
    disk: DiskReport
    memory: MemoryReport
    temperature_celsius: float | None
    supervisor_port: int  # of supervisord's web page, which listens on the box alone


class System:
    """/v1/system: everything that one wants to know from afar."""

    def __init__(self, settings: Settings, store: Store, images: Images, hour: LastHour) -> None:
        self._settings = settings
        self._hour = hour
        self._store = store
        self._images = images
        self._versions = {
            "pivision": __version__,
            "python": platform.python_version(),
            "opencv": _opencv_version(),
            **{package: metadata.version(package) for package in _PACKAGES},
        }

    @described({200: SystemReport})
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Versions, tasks by state, workers, restarts and recovery with their causes, disk, memory, temperature."""
        resp.data = msgspec.json.encode(self.look())

    on_head = on_get

    def look(self) -> SystemReport:
        """What is told, as it is now."""
        memory = psutil.virtual_memory()
        told = abilities.published(self._settings.run_dir)
        return SystemReport(
            versions={**self._versions, "opencv": self._versions["opencv"] or (told.opencv if told else None)},
            machine=platform.machine(),
            uptime_seconds=round(heartbeat.boottime()),
            tasks=self._store.counts(),
            last_hour=self._hour.look(),
            workers=[self._worker(number) for number in range(1, self._settings.workers + 1)],
            health=_health(self._settings.run_dir / "health.json"),
            restarts=_restarts(self._settings.data_dir),
            recovery=_read(report_file(self._settings.data_dir)),
            disk=DiskReport(self._images.disk.free_bytes(), self._settings.disk_reserve_bytes),
            memory=MemoryReport(memory.total, memory.available),
            temperature_celsius=temperature_celsius(),
            supervisor_port=self._settings.supervisor_port,
        )

    def _worker(self, number: int) -> WorkerReport:
        beat = heartbeat.read(self._settings.run_dir, number)
        if beat is None:
            return WorkerReport(number)
        return WorkerReport(number, beat.pid, beat.is_fresh(), beat.task_id, _started_seconds(beat.pid))


def _opencv_version() -> str | None:
    """From the packages' metadata: the server never imports OpenCV. Debian's has none: there a worker tells."""
    for package in _OPENCV_PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            return metadata.version(package)
    return None


def _restarts(data_dir: Path) -> list[Restart]:
    """The latest ones, oldest first; none while the history cannot be read."""
    with contextlib.suppress(OSError):
        return [Restart(**event._asdict()) for event in history.read(data_dir)[-_RESTARTS_SHOWN:]]
    return []


def _health(file: Path) -> HealthReport | None:
    try:
        report = msgspec.json.decode(file.read_bytes(), type=HealthReport)
    except (OSError, msgspec.DecodeError):
        return None
    programs = [msgspec.structs.replace(seen, started_seconds=_started_seconds(seen.pid)) for seen in report.programs]
    return HealthReport(report.boottime_seconds, programs)


def _started_seconds(pid: int) -> int | None:
    started = heartbeat.started(pid) if pid else None
    return None if started is None else round(started)


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None


def temperature_celsius() -> float | None:
    """The processor's, where the kernel tells: `cpu_thermal` on a Pi, `coretemp` on a PC."""
    sensors = psutil.sensors_temperatures()
    for name in ("cpu_thermal", "coretemp"):
        if sensors.get(name):
            return float(sensors[name][0].current)
    return None
