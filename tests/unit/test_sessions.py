"""Sessions: what is on the disk, and when one ends."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from pivision import sessions, tokens
from pivision.health.folders import Folders
from pivision.tokens import Token


def token(secrets_dir: Path, name: str = "phone") -> Token:
    made = tokens.find(secrets_dir, tokens.create(secrets_dir, name))
    assert made
    return made


def test_only_hashes_are_kept_and_only_for_the_owner(tmp_path: Path) -> None:
    phone = token(tmp_path)
    cookie = sessions.create(tmp_path, phone)
    (file,) = (tmp_path / "sessions").iterdir()
    assert file.name == hashlib.sha256(cookie.encode()).hexdigest()
    assert file.read_text() == f"phone\n{phone.digest}\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_a_session_is_its_token(tmp_path: Path) -> None:
    phone, laptop = token(tmp_path), token(tmp_path, "laptop")
    cookies = [sessions.create(tmp_path, each) for each in (phone, laptop)]
    assert [sessions.find(tmp_path, cookie) for cookie in cookies] == [phone, laptop]


def test_it_ends_with_its_token_and_with_the_next_of_that_name(tmp_path: Path) -> None:
    phone, laptop = token(tmp_path), token(tmp_path, "laptop")
    cookies = [sessions.create(tmp_path, each) for each in (phone, laptop)]
    tokens.remove(tmp_path, "phone")
    tokens.create(tmp_path, "laptop")
    assert [sessions.find(tmp_path, cookie) for cookie in cookies] == [None, None]


def test_it_is_ended(tmp_path: Path) -> None:
    phone = token(tmp_path)
    cookies = [sessions.create(tmp_path, phone) for _ in range(2)]
    sessions.remove(tmp_path, cookies[0])
    sessions.remove(tmp_path, cookies[0])
    assert [sessions.find(tmp_path, cookie) for cookie in cookies] == [None, phone]


@pytest.mark.parametrize("cookie", ["", "x", "../tokens/phone", "x" * 43, "ä" * 43, "\0", "x" * 10_000])
def test_whatever_else_is_none(tmp_path: Path, cookie: str) -> None:
    sessions.create(tmp_path, token(tmp_path))
    assert sessions.find(tmp_path, cookie) is None
    sessions.remove(tmp_path, cookie)
    assert tokens.named(tmp_path, "phone")


@pytest.mark.parametrize("content", ["", "phone", "phone\nx", "../x\nx", "a b c", "Küche"])
def test_a_damaged_file_lets_nobody_in(tmp_path: Path, content: str) -> None:
    cookie = sessions.create(tmp_path, token(tmp_path))
    (file,) = (tmp_path / "sessions").iterdir()
    file.write_text(content)
    assert sessions.find(tmp_path, cookie) is None


def test_a_hundred_are_kept_and_the_newest_is_one_of_them_whatever_the_clock_says(tmp_path: Path) -> None:
    phone = token(tmp_path)
    cookies = [sessions.create(tmp_path, phone) for _ in range(100)]
    for age, cookie in enumerate(cookies):  # all in the future
        os.utime(tmp_path / "sessions" / tokens.digest(cookie), (4e9 + age, 4e9 + age))
    newest = sessions.create(tmp_path, phone)
    assert len(list((tmp_path / "sessions").iterdir())) == 100
    assert sessions.find(tmp_path, cookies[0]) is None
    assert all(sessions.find(tmp_path, cookie) for cookie in (*cookies[1:], newest))


def test_sessions_outlive_the_data_folder(tmp_path: Path) -> None:
    secrets_dir = tmp_path / "data" / "secrets"
    (tmp_path / "run").mkdir()
    folders = Folders(tmp_path / "data", tmp_path / "logs", tmp_path / "run")
    phone = token(secrets_dir)
    kept, ended = sessions.create(secrets_dir, phone), sessions.create(secrets_dir, phone)
    folders.tend_secrets()
    sessions.remove(secrets_dir, ended)
    folders.tend_secrets()
    shutil.rmtree(tmp_path / "data")
    folders.mend(tmp_path / "data")
    folders.tend_secrets()
    assert sessions.find(secrets_dir, kept) == phone
    assert sessions.find(secrets_dir, ended) is None
