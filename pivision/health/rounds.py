"""The rounds: look at every program, heal, tell, feed systemd's watchdog, wait."""

import contextlib
import logging
import os
import select
import time
from pathlib import Path
from typing import NamedTuple

from pivision import heartbeat
from pivision.health import tree
from pivision.health.database import RecoveryReports
from pivision.health.deaths import Deaths
from pivision.health.disk import Disk
from pivision.health.folders import Folders
from pivision.health.healing import MISSES, UP, Finding, Patient, Remedy
from pivision.health.ladder import HEALINGS, Ladder, Rung
from pivision.health.notices import Notices
from pivision.health.signs import Signs, Unknown
from pivision.health.systemd import Systemd
from pivision.history import Cause, History
from pivision.supervision import Program, Supervisor, Unreachable, is_own_lack

READY_SECONDS = 60.0
"""`systemctl start` waits no longer for port 8080: a database that is being recovered must not restart everything."""

_INTERVAL_SECONDS = 2.0
_STARTING_INTERVAL_SECONDS = 0.1
_TIMEOUT_SECONDS = 2.0
_SHORTEST_PAUSE_SECONDS = 0.02  # between two looks, when programs die one after the other
_REPORT_SECONDS = 30.0  # how old health.json may get while nothing changes
_DOWN = ("BACKOFF", "EXITED", "FATAL")
_BITE_SECONDS = 10.0
_BLIND_SECONDS = 300.0  # while health itself lacks what it needs for a look, nothing is restarted for it
_FOLDER_MISSES = 2 * MISSES  # the programs look every 5 seconds, and save what they still have open


class Settings(NamedTuple):
    """What health is told in its environment; docs/configuration.md describes each."""

    host: str
    port: int
    run_dir: Path
    data_dir: Path
    log_dir: Path
    stopped_seconds: float
    reboots_max: int


class Health:
    """Watches over the programs of one supervisord."""

    def __init__(self, settings: Settings, notice_url: str, log: logging.Logger) -> None:
        self._settings = settings
        self._log = log
        self._signs = Signs(settings.host, settings.port, settings.run_dir)
        self._supervisor = Supervisor(str(settings.run_dir / "supervisor.sock"), _TIMEOUT_SECONDS)
        self._systemd = Systemd()
        self._folders = Folders(settings.data_dir, settings.log_dir, settings.run_dir)
        self._folder_misses = 0
        self._ladder = Ladder(settings.data_dir / "ladder.json", settings.reboots_max, heartbeat.boottime())
        self._history = History(settings.data_dir)
        self._notices = Notices(settings.data_dir / "outbox", notice_url, log)
        self._deaths = Deaths(settings.run_dir)
        self._disk = Disk(settings.host, settings.port)
        self._recoveries = RecoveryReports(settings.data_dir)
        self._patients: dict[str, Patient] = {}
        self._programs: list[Program] = []
        self._killed: dict[str, str] = {}  # by health itself, and why
        self._troubles: dict[str, str] = {}
        self._reported: tuple[float, object] = (0.0, None)
        self._began = self._asked = time.monotonic()
        self._is_ready = False

    def run(self) -> None:
        """Go round for ever."""
        self._log.info("watching %s and the workers", self._signs.url)
        if self._deaths.is_unread:
            self._note("pivision", *tree.why_it_started(self._settings.data_dir, self._history.last))
        while True:
            began = time.monotonic()
            self._round()
            self._wait(began + (_INTERVAL_SECONDS if self._is_ready else _STARTING_INTERVAL_SECONDS))

    def _round(self) -> None:
        self._mend_folders()
        for death, cause in self._deaths.new():
            why = self._killed.pop(death.program, None)
            self._note(death.program, Cause.HEALTH if why else cause, f"{why}: killed" if why else death.how)
        report = self._recoveries.new()
        if report and not self._history.has("database", report):
            self._note("database", Cause.RECOVERY, report)
        try:
            self._programs = [seen for seen in self._supervisor.programs() if seen.name != "health"]
        except Unreachable as error:
            self._programs = []
            self._trouble("supervisord", f"it does not answer: {error}")
            if is_own_lack(error) and time.monotonic() - self._asked < _BLIND_SECONDS:
                self._systemd.well()
            return  # and the watchdog is not fed: for this there is only systemd
        self._asked = time.monotonic()
        self._trouble("supervisord", "")
        for seen in self._programs:
            self._examine(seen)
        self._trouble("disk", self._disk.complaint())
        self._report()
        self._tell_systemd()

    def _examine(self, seen: Program) -> None:
        patient = self._patients.setdefault(seen.name, Patient(seen.name, self._settings.stopped_seconds))
        try:
            complaint = self._signs.complaint(seen) if seen.state in UP else None
        except Unknown as reason:  # no reason to kill: look again
            self._trouble(seen.name, str(reason))
            return
        if seen.name == "server" and (obstacle := self._obstacle(seen, complaint)):
            self._trouble(seen.name, obstacle)
            return
        finding = patient.examine(seen, time.monotonic(), complaint)
        if finding is None:
            if complaint is None and seen.state in ("RUNNING", "STOPPED"):
                self._trouble(seen.name, "")
        elif patient.pause_left(time.monotonic()) > 0:
            self._troubles[seen.name] = f"{finding.cause}; the next {finding.remedy} waits"
        elif patient.healings < HEALINGS or not self._climb(f"{seen.name} has been healed in vain: {finding.cause}"):
            self._heal(patient, finding)

    def _obstacle(self, server: Program, complaint: str | None) -> str | None:
        """What keeps the server from serving and no healing would change: its port is held, its address not here."""
        if server.state in _DOWN:
            return self._signs.obstacle()
        return self._signs.absence() if complaint else None

    def _heal(self, patient: Patient, finding: Finding) -> None:
        call = self._supervisor.kill if finding.remedy is Remedy.KILL else self._supervisor.start
        try:
            call(patient.name)
        except Unreachable as error:
            self._trouble(patient.name, f"{finding.remedy} failed: {error}")
            return
        patient.healed(time.monotonic())
        self._log.warning("%s: %s, because: %s", patient.name, finding.remedy, finding.cause)
        name = patient.name.rpartition(":")[2]
        if finding.remedy is Remedy.KILL:
            self._killed[name] = finding.cause  # noted when supervisord tells of the death
        else:
            self._note(name, Cause.HEALTH, f"{finding.cause}: started")

    def _mend_folders(self) -> None:
        missing = self._folders.missing()
        self._folder_misses = self._folder_misses + 1 if missing else 0
        for folder in missing:
            try:
                self._folders.mend(folder)
            except OSError as error:
                self._trouble(str(folder), f"it is gone and cannot be made: {error.strerror}")
                if self._folder_misses >= _FOLDER_MISSES:
                    self._climb(f"{folder} is gone")
            else:
                self._trouble(str(folder), "")
                self._note("pivision", Cause.HEALTH, f"{folder} was gone: made anew")
        if not missing:
            self._folders.tend_secrets()

    def _climb(self, why: str) -> bool:
        """Take the next rung of the ladder, if there is one and it is time."""
        if not self._systemd.is_watching:
            return False
        rung = self._ladder.climb(heartbeat.boottime())
        if rung is None:
            return False
        self._note("pivision", Cause.HEALTH, f"{why}: {rung.value}")
        if rung is Rung.REBOOT:
            with contextlib.suppress(OSError):
                (self._settings.run_dir / "reboot-wanted").touch()  # what the unit's drop-in looks for
        self._systemd.restart_tree()
        time.sleep(_BITE_SECONDS)  # systemd kills everything, and this, in a moment: nothing else is worth noting
        return True

    def _tell_systemd(self) -> None:
        now = heartbeat.boottime()
        troubles = [f"{about}: {what}" for about, what in self._troubles.items() if what]
        if troubles:
            self._ladder.trouble(now)
        else:
            self._ladder.well(now)
        if not self._is_ready:
            self._is_ready = self._signs.is_serving() or time.monotonic() - self._began > READY_SECONDS
            if not self._is_ready:
                return
            self._systemd.ready()
        self._systemd.status("; ".join(troubles) or f"{len(self._programs) + 1} programs, all well")
        self._systemd.well()

    def _wait(self, until: float) -> None:
        """Wait for the next round; when a program dies before, let supervisord notice at once and look at once."""
        with contextlib.ExitStack() as stack:
            deaths = select.poll()
            for seen in self._programs:
                if seen.pid:
                    with contextlib.suppress(
                        OSError
                    ):  # it has gone, or a descriptor is lacking: then the round sees it
                        descriptor = os.pidfd_open(seen.pid)
                        stack.callback(os.close, descriptor)
                        deaths.register(descriptor, select.POLLIN)
            if deaths.poll(max(_SHORTEST_PAUSE_SECONDS, until - time.monotonic()) * 1000):
                time.sleep(_SHORTEST_PAUSE_SECONDS)  # supervisord reaps first; then the call makes it start the next
                with contextlib.suppress(*Unreachable):
                    self._supervisor.wake()

    def _trouble(self, about: str, what: str) -> None:
        """What lasts is said once; "" when it is over."""
        if what and self._troubles.get(about) != what:
            self._log.warning("%s: %s", about, what)
            self._note(about.rpartition(":")[2], Cause.UNHEALED, what)
        self._troubles[about] = what

    def _note(self, program: str, cause: Cause, detail: str) -> None:
        event = self._history.add(program, cause, detail)
        if cause is not Cause.OPERATOR:
            self._notices.put(event)

    def _report(self) -> None:
        content = {"programs": [seen._asdict() for seen in self._programs]}
        reported_at, reported = self._reported
        if content != reported or heartbeat.boottime() - reported_at > _REPORT_SECONDS:
            self._reported = heartbeat.boottime(), content
            with contextlib.suppress(OSError):  # a full disk must not end the healing
                heartbeat.write_whole(
                    self._settings.run_dir / "health.json", {"boottime_seconds": round(self._reported[0]), **content}
                )
