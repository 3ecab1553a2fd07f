"""Sessions: what is on the disk, and when one ends."""

import hashlib
import shutil
from pathlib import Path

import pytest

from pivision import tokens
from pivision.errors import StorageUnavailable
from pivision.health.folders import Folders
from pivision.running_clock import RunningClock
from pivision.sessions import KEPT_PER_TOKEN, Sessions
from pivision.tokens import Token

IDLE_SECONDS, LONGEST_SECONDS = 1000.0, 5000.0


class Machine:
    """What a machine is up, by a clock that the test turns."""

    def __init__(self, secrets_dir: Path) -> None:
        self._file = secrets_dir / "session-clock"
        self._secrets_dir = secrets_dir
        self.up_seconds = 50.0
        self._boot = 1
        self.start_server()

    def start_server(self) -> None:
        clock = RunningClock(self._file, lambda: self.up_seconds, lambda: f"boot-{self._boot}")
        self.sessions = Sessions(self._secrets_dir, IDLE_SECONDS, LONGEST_SECONDS, clock)

    def reboot(self) -> None:
        self._boot += 1
        self.up_seconds = 0.0
        self.start_server()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def token(secrets_dir: Path, name: str = "phone") -> Token:
    made = tokens.find(secrets_dir, tokens.create(secrets_dir, name))
    assert made
    return made


def file_of(secrets_dir: Path, cookie: str) -> Path:
    return secrets_dir / "sessions" / hashlib.sha256(cookie.encode()).hexdigest()


def test_only_hashes_are_kept_and_only_for_the_owner(tmp_path: Path, machine: Machine) -> None:
    phone = token(tmp_path)
    cookie = machine.sessions.create(phone)
    (file,) = (tmp_path / "sessions").iterdir()
    assert file == file_of(tmp_path, cookie)
    assert file.read_text() == f"phone\n{phone.digest}\n50\n50\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_session_is_its_token(tmp_path: Path, machine: Machine) -> None:
    phone, laptop = token(tmp_path), token(tmp_path, "laptop")
    cookies = [machine.sessions.create(each) for each in (phone, laptop)]
    assert [machine.sessions.find(cookie) for cookie in cookies] == [phone, laptop]


def test_it_ends_with_its_token_and_with_the_next_of_that_name(tmp_path: Path, machine: Machine) -> None:
    phone, laptop = token(tmp_path), token(tmp_path, "laptop")
    cookies = [machine.sessions.create(each) for each in (phone, laptop)]
    tokens.remove(tmp_path, "phone")
    tokens.create(tmp_path, "laptop")
    assert [machine.sessions.find(cookie) for cookie in cookies] == [None, None]


def test_it_is_ended(tmp_path: Path, machine: Machine) -> None:
    phone = token(tmp_path)
    cookies = [machine.sessions.create(phone) for _ in range(2)]
    machine.sessions.remove(cookies[0])
    machine.sessions.remove(cookies[0])
    assert [machine.sessions.find(cookie) for cookie in cookies] == [None, phone]


def test_one_that_is_not_used_ends_and_one_that_is_goes_on_up_to_the_longest_time(
    tmp_path: Path, machine: Machine
) -> None:
    phone = token(tmp_path)
    idle, used = (machine.sessions.create(phone) for _ in range(2))
    for _ in range(9):
        machine.up_seconds += IDLE_SECONDS / 2
        assert machine.sessions.find(used) == phone
    assert machine.sessions.find(idle) is None
    machine.up_seconds += IDLE_SECONDS / 2
    assert machine.sessions.find(used) is None, "it was used all the time"


def test_time_counts_over_restarts_and_reboots_and_not_while_it_is_off(tmp_path: Path, machine: Machine) -> None:
    cookie = machine.sessions.create(phone := token(tmp_path))
    for _ in range(9):
        machine.up_seconds += 50
        machine.sessions.tend()
        machine.start_server()
        machine.up_seconds += 50
        machine.sessions.tend()
        machine.reboot()
    assert machine.sessions.find(cookie) == phone
    machine.reboot()
    for _ in range(20):
        machine.up_seconds += 51
        machine.sessions.tend()
        machine.reboot()
    assert machine.sessions.find(cookie) is None


def test_a_power_cut_right_after_the_sign_in_ends_nothing(tmp_path: Path, machine: Machine) -> None:
    machine.up_seconds = 5000.0
    cookie = machine.sessions.create(phone := token(tmp_path))
    machine.reboot()
    assert machine.sessions.find(cookie) == phone


def test_what_has_ended_is_removed_and_nothing_else(tmp_path: Path, machine: Machine) -> None:
    phone = token(tmp_path)
    ended = machine.sessions.create(phone)
    machine.up_seconds += IDLE_SECONDS
    kept = machine.sessions.create(phone)
    machine.sessions.tend()
    assert not file_of(tmp_path, ended).exists()
    assert machine.sessions.find(kept) == phone


def test_secrets_that_come_back_bring_their_sessions_back(tmp_path: Path) -> None:
    secrets_dir = tmp_path / "secrets"
    machine = Machine(secrets_dir)
    machine.up_seconds = 3000.0
    cookie = machine.sessions.create(phone := token(secrets_dir))
    machine.reboot()
    secrets_dir.rename(tmp_path / "away")
    assert machine.sessions.find(cookie) is None
    (tmp_path / "away").rename(secrets_dir)
    machine.sessions.tend()
    assert machine.sessions.find(cookie) == phone


@pytest.mark.parametrize("content", ["", "x", "boot-1 5", "boot-1 nan nan", "boot-1 inf inf", "boot-2 x 5"])
def test_without_its_clock_a_session_does_not_last_for_ever(tmp_path: Path, machine: Machine, content: str) -> None:
    machine.up_seconds = LONGEST_SECONDS * 2
    cookie = machine.sessions.create(token(tmp_path))
    (tmp_path / "session-clock").write_text(content)
    machine.reboot()
    assert machine.sessions.find(cookie) is None


def test_a_session_of_a_version_before_goes_on_and_begins_to_age(tmp_path: Path, machine: Machine) -> None:
    cookie = machine.sessions.create(phone := token(tmp_path))
    file_of(tmp_path, cookie).write_text(f"phone\n{phone.digest}\n")
    assert machine.sessions.find(cookie) == phone
    machine.sessions.tend()
    machine.up_seconds += IDLE_SECONDS + 1
    assert machine.sessions.find(cookie) is None


def test_the_latest_of_each_token_are_kept_and_nobody_elses_end(tmp_path: Path, machine: Machine) -> None:
    phone, laptop = token(tmp_path), token(tmp_path, "laptop")
    other = machine.sessions.create(laptop)
    cookies = []
    for _ in range(KEPT_PER_TOKEN + 10):
        machine.up_seconds += 1
        cookies.append(machine.sessions.create(phone))
    assert machine.sessions.find(other) == laptop
    assert [machine.sessions.find(cookie) for cookie in cookies] == [None] * 10 + [phone] * KEPT_PER_TOKEN


def test_the_one_idle_longest_makes_room(tmp_path: Path, machine: Machine) -> None:
    phone = token(tmp_path)
    cookies = [machine.sessions.create(phone) for _ in range(KEPT_PER_TOKEN)]
    machine.up_seconds += IDLE_SECONDS / 2
    for cookie in cookies[:-1]:
        machine.sessions.find(cookie)
    machine.sessions.create(phone)
    assert [machine.sessions.find(cookie) for cookie in cookies] == [phone] * (KEPT_PER_TOKEN - 1) + [None]


def test_a_disk_that_does_not_answer_signs_nobody_out(tmp_path: Path, machine: Machine) -> None:
    cookie = machine.sessions.create(phone := token(tmp_path))
    file = file_of(tmp_path, cookie)
    content = file.read_text()
    file.unlink()
    file.mkdir()  # reading it fails with another error than that there is no such file
    with pytest.raises(StorageUnavailable, match="sessions"):
        machine.sessions.find(cookie)
    file.rmdir()
    file.write_text(content)
    assert machine.sessions.find(cookie) == phone


@pytest.mark.parametrize("cookie", ["", "x", "../tokens/phone", "x" * 43, "ä" * 43, "\0", "x" * 10_000])
def test_whatever_else_is_none(tmp_path: Path, machine: Machine, cookie: str) -> None:
    machine.sessions.create(token(tmp_path))
    assert machine.sessions.find(cookie) is None
    machine.sessions.remove(cookie)
    assert tokens.named(tmp_path, "phone")


@pytest.mark.parametrize("content", ["", "phone", "phone\nx", "../x\nx", "a b c", "Küche"])
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, machine: Machine, content: str) -> None:
    cookie = machine.sessions.create(token(tmp_path))
    (file,) = (tmp_path / "sessions").iterdir()
    file.write_text(content)
    assert machine.sessions.find(cookie) is None


def test_sessions_outlive_the_data_folder(tmp_path: Path) -> None:
    secrets_dir = tmp_path / "data" / "secrets"
    (tmp_path / "run").mkdir()
    folders = Folders(tmp_path / "data", tmp_path / "logs", tmp_path / "run")
    phone = token(secrets_dir)
    sessions = Machine(secrets_dir).sessions
    kept, ended = sessions.create(phone), sessions.create(phone)
    folders.tend_secrets()
    folders.tend_secrets()  # at rest
    sessions.remove(ended)
    folders.tend_secrets()
    folders.tend_secrets()  # at rest
    shutil.rmtree(tmp_path / "data")
    folders.mend(tmp_path / "data")
    folders.tend_secrets()
    folders.tend_secrets()  # at rest
    sessions = Machine(secrets_dir).sessions  # as of a server that was started since
    assert sessions.find(kept) == phone
    assert sessions.find(ended) is None
