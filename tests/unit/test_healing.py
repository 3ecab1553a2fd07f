"""When health acts: each row is one look, with the time, what supervisord says, the complaint, and what follows."""

import pytest

from pivision.health.healing import GRACE_SECONDS, MISSES, PAUSES_SECONDS, WELL_SECONDS, Patient, Remedy
from pivision.supervision import Program

Look = tuple[float, str, int, str | None, Remedy | None]
STOPPED_SECONDS = 300.0
OLD = GRACE_SECONDS + 1  # past the grace of a process that appeared at 0

HISTORIES: dict[str, list[Look]] = {
    "well": [(at, "RUNNING", 1, None, None) for at in range(0, 100, 2)],
    "one miss is an accident": [
        (0, "RUNNING", 1, None, None),
        (OLD, "RUNNING", 1, "silent", None),
        (OLD + 2, "RUNNING", 1, None, None),
        (OLD + 4, "RUNNING", 1, "silent", None),
        (OLD + 6, "RUNNING", 1, "silent", None),
        (OLD + 8, "RUNNING", 1, None, None),
    ],
    "three in a row are none": [
        (0, "RUNNING", 1, None, None),
        (OLD, "RUNNING", 1, "silent", None),
        (OLD + 2, "RUNNING", 1, "silent", None),
        (OLD + 4, "RUNNING", 1, "silent", Remedy.KILL),
        (OLD + 6, "RUNNING", 1, "silent", Remedy.KILL),
    ],
    "silent during the grace": [
        (0, "RUNNING", 1, "silent", None),
        (5, "RUNNING", 1, "silent", None),
        (10, "RUNNING", 1, "silent", None),
        (GRACE_SECONDS - 0.1, "RUNNING", 1, "silent", None),
        (GRACE_SECONDS, "RUNNING", 1, "silent", None),
        (GRACE_SECONDS + 2, "RUNNING", 1, "silent", None),
        (GRACE_SECONDS + 4, "RUNNING", 1, "silent", Remedy.KILL),
    ],
    "who has lived gets no more grace": [
        (0, "RUNNING", 1, "silent", None),
        (2, "RUNNING", 1, None, None),
        (4, "RUNNING", 1, "silent", None),
        (6, "RUNNING", 1, "silent", None),
        (8, "RUNNING", 1, "silent", Remedy.KILL),
    ],
    "who has lived while it was started, too": [
        (0, "STARTING", 1, None, None),
        (2, "RUNNING", 1, "silent", None),
        (4, "RUNNING", 1, "silent", None),
        (6, "RUNNING", 1, "silent", Remedy.KILL),
    ],
    "another process has its own grace": [
        (0, "RUNNING", 1, None, None),
        (OLD, "RUNNING", 1, "silent", None),
        (OLD + 2, "RUNNING", 1, "silent", None),
        (OLD + 4, "RUNNING", 2, "silent", None),
        (OLD + 6, "RUNNING", 2, "silent", None),
        (OLD + 8, "RUNNING", 2, "silent", None),
        (OLD + 4 + OLD, "RUNNING", 2, "silent", None),
        (OLD + 6 + OLD, "RUNNING", 2, "silent", None),
        (OLD + 8 + OLD, "RUNNING", 2, "silent", Remedy.KILL),
    ],
    "stopped by a person, or left so by a restart that was broken off": [
        (0, "RUNNING", 1, None, None),
        (50, "STOPPED", 0, None, None),
        (50 + STOPPED_SECONDS - 1, "STOPPED", 0, None, None),
        (50 + STOPPED_SECONDS, "STOPPED", 0, None, Remedy.START),
        (50 + STOPPED_SECONDS + 2, "RUNNING", 2, None, None),
        (1000, "STOPPED", 0, None, None),
        (1000 + STOPPED_SECONDS - 1, "STOPPED", 0, None, None),
    ],
    "being stopped": [(at, "STOPPING", 1, "silent", None) for at in range(0, 1000, 50)],
    "being started": [(at, "STARTING", 1, "silent", None) for at in range(0, 1000, 50)],
    "supervisord still tries": [(at, "BACKOFF", 0, "silent", None) for at in range(0, 1000, 50)],
    "unknown": [(at, "UNKNOWN", 0, "silent", None) for at in range(0, 1000, 50)],
    "given up": [
        (0, "BACKOFF", 0, None, None),
        (2, "FATAL", 0, None, Remedy.START),
        (4, "FATAL", 0, None, Remedy.START),
    ],
    "ended and started again": [
        (0, "RUNNING", 1, None, None),
        (2, "EXITED", 0, None, None),
        (4, "STARTING", 2, None, None),
    ],
    "ended for good": [
        (0, "RUNNING", 1, None, None),
        (2, "EXITED", 0, None, None),
        (4, "EXITED", 0, None, None),
        (6, "EXITED", 0, None, Remedy.START),
    ],
    "given up at the first look": [(0, "FATAL", 0, None, Remedy.START)],
    "stopped in the middle of its misses": [
        (0, "RUNNING", 1, None, None),
        (OLD, "RUNNING", 1, "silent", None),
        (OLD + 2, "RUNNING", 1, "silent", None),
        (OLD + 4, "STOPPING", 1, "silent", None),
        (OLD + 6, "STOPPED", 0, "silent", None),
    ],
}


@pytest.mark.parametrize("name", HISTORIES)
def test_what_follows_from_a_history(name: str) -> None:
    patient = Patient("server", STOPPED_SECONDS)
    for now, state, pid, complaint, expected in HISTORIES[name]:
        finding = patient.examine(Program("server", state, pid), now, complaint)
        assert (finding and finding.remedy) == expected, f"at {now} s"


def test_a_program_may_stay_stopped_for_ever() -> None:
    patient = Patient("server", stopped_seconds=0)
    assert not any(patient.examine(Program("server", "STOPPED", 0), at, None) for at in range(0, 10**6, 1000))


def test_the_cause_says_what_was_missing() -> None:
    patient = Patient("server", STOPPED_SECONDS)
    patient.examine(Program("server", "RUNNING", 1), 0, None)
    findings = [patient.examine(Program("server", "RUNNING", 1), OLD + at, "it is silent") for at in range(MISSES)]
    assert findings[-1] is not None
    assert findings[-1].cause == f"it is silent, {MISSES} looks in a row"
    given_up = patient.examine(Program("server", "FATAL", 0), 100, None)
    assert given_up is not None
    assert "FATAL" in given_up.cause


def test_a_healed_process_starts_with_no_misses() -> None:
    patient = Patient("server", STOPPED_SECONDS)
    program = Program("server", "RUNNING", 1)
    patient.examine(program, 0, None)
    for at in range(MISSES):
        patient.examine(program, OLD + at, "silent")
    patient.healed(OLD + MISSES)
    assert patient.examine(program, OLD + MISSES + 1, "silent") is None


def test_pauses_grow_to_the_last_and_stay_there() -> None:
    patient, now, pauses = Patient("server", STOPPED_SECONDS), 1000.0, []
    for _ in range(len(PAUSES_SECONDS) + 3):
        pause = patient.pause_left(now)
        pauses.append(pause)
        now += pause
        assert patient.pause_left(now) == 0
        patient.healed(now)
    assert pauses[: len(PAUSES_SECONDS)] == list(PAUSES_SECONDS)
    assert set(pauses[len(PAUSES_SECONDS) :]) == {PAUSES_SECONDS[-1]}
    assert list(PAUSES_SECONDS) == sorted(PAUSES_SECONDS)


def test_a_pause_runs_out() -> None:
    patient = Patient("server", STOPPED_SECONDS)
    for at in (100, 101, 102):
        patient.healed(at)
    assert patient.pause_left(102) == PAUSES_SECONDS[3]
    assert patient.pause_left(110) == PAUSES_SECONDS[3] - 8
    assert patient.pause_left(102 + PAUSES_SECONDS[3]) == 0


def test_who_was_well_for_long_starts_with_the_first_pause() -> None:
    patient = Patient("server", STOPPED_SECONDS)
    for at in range(100, 110):
        patient.healed(at)
    assert patient.pause_left(109) == PAUSES_SECONDS[-1]
    well_at = 109 + WELL_SECONDS + 1
    assert patient.pause_left(well_at) == 0
    patient.healed(well_at)
    assert patient.pause_left(well_at) == PAUSES_SECONDS[1]
    assert PAUSES_SECONDS[-1] < WELL_SECONDS, "or a flapping program would count as well"
