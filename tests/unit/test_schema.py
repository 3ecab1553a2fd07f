"""The database file: what is ours, what is refused, and what no statement may write."""

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path

import apsw
import pytest

from pivision.errors import DatabaseUnusable
from pivision.store import Store, queries, schema
from pivision.task import State
from tests.unit.conftest import new_task
from tests.unit.test_store import in_state


def foreign(file: Path, journal_mode: str) -> None:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal_mode}")
        connection.execute("CREATE TABLE task (id INTEGER PRIMARY KEY, state TEXT)")
        connection.execute("INSERT INTO task VALUES (1, 'queued')")
        connection.commit()


def with_header(file: Path, **pragmas: int) -> None:
    Store(file)
    with contextlib.closing(sqlite3.connect(file)) as connection:
        for name, value in pragmas.items():
            connection.execute(f"PRAGMA {name} = {value}")
        connection.commit()


def cut_off(file: Path) -> None:
    Store(file)
    assert not file.with_name(f"{file.name}-wal").exists(), "it is closed"
    os.truncate(file, 5000)


REFUSED: dict[str, Callable[[Path], object]] = {
    "zero bytes": lambda file: file.touch(),
    "foreign": lambda file: foreign(file, "DELETE"),
    "foreign, in WAL mode": lambda file: foreign(file, "WAL"),
    "garbage": lambda file: file.write_bytes(os.urandom(16384)),
    "short garbage": lambda file: file.write_bytes(b"\x01\x02\x03"),
    "a text": lambda file: file.write_text("SQLite format 3, or so one may think\n" * 100),
    "a newer schema": lambda file: with_header(file, user_version=99),
    "ours without its mark": lambda file: with_header(file, application_id=0),
    "ours, cut off": cut_off,
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_ours_is_refused_and_left_as_it_is(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "pivision.db"
    REFUSED[kind](file)
    before = file.read_bytes()
    for _ in range(2):
        with pytest.raises(DatabaseUnusable, match=re.escape(str(file))):
            Store(file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "pivision.db"
    file.mkdir()
    with pytest.raises(DatabaseUnusable):
        Store(file)


def test_a_database_that_is_damaged_later_is_found_out_by_who_opens_it_anew(store: Store) -> None:
    store.add(new_task())
    with contextlib.closing(apsw.Connection(str(store.file))) as raw:
        raw.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    store.file.write_bytes(b"\xff" * store.file.stat().st_size)
    assert not store.damaged.is_set()
    with ThreadPoolExecutor(1) as another_thread, pytest.raises(DatabaseUnusable):
        another_thread.submit(store.get, 1).result()
    assert store.damaged.is_set()
    assert store.damage


def test_a_database_cut_to_nothing_while_in_use_is_not_taken_for_an_empty_one(store: Store) -> None:
    store.add(new_task())
    for name in ("pivision.db", "pivision.db-wal"):
        os.truncate(store.file.with_name(name), 0)
    with ThreadPoolExecutor(1) as another_thread, pytest.raises(DatabaseUnusable):
        another_thread.submit(store.counts).result()
    assert store.damaged.is_set()


def test_a_database_is_made_from_nothing_with_its_folder(tmp_path: Path) -> None:
    file = tmp_path / "some" / "where" / "pivision.db"
    Store(file)
    Store(file)  # and found again
    with contextlib.closing(sqlite3.connect(file)) as raw:
        tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        assert {"task", "appliance_clock"} <= tables
        assert raw.execute("PRAGMA user_version").fetchone() == (len(migrations()),)
        assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert list(file.parent.glob("*.new*")) == []


def migrations() -> list[str]:
    return sorted(script.name for script in resources.files("pivision.store").joinpath("migrations").iterdir())


def test_migrations_are_numbered_without_a_gap() -> None:
    assert [int(name[:4]) for name in migrations()] == list(range(1, len(migrations()) + 1))
    assert all(re.fullmatch(r"\d{4}_\w+\.sql", name) for name in migrations())


def test_migrations_bring_a_database_of_the_first_version_up(tmp_path: Path) -> None:
    file = tmp_path / "pivision.db"
    with contextlib.closing(sqlite3.connect(file)) as raw:
        raw.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        raw.execute("PRAGMA journal_mode = WAL")
    assert Store(file).add(new_task())[1]


def test_a_migration_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    file = tmp_path / "pivision.db"
    with contextlib.closing(sqlite3.connect(file)) as raw:
        raw.execute(f"PRAGMA application_id = {schema.APPLICATION_ID}")
        raw.execute("CREATE TABLE appliance_clock (something_else)")
        raw.commit()
    with pytest.raises(apsw.SQLError, match="already exists"):
        Store(file)
    with contextlib.closing(sqlite3.connect(file)) as raw:
        assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("appliance_clock",)]
        assert raw.execute("PRAGMA user_version").fetchone() == (0,)


# What the state promises: each of these would break it.
BAD_UPDATES: list[tuple[State, str]] = [
    (State.QUEUED, "state = 'paused'"),
    (State.QUEUED, "state = 'running'"),
    (State.QUEUED, "state = 'running', worker = 1"),
    (State.QUEUED, "state = 'done', finished_at = 'now', finished_running_seconds = 1"),
    (State.QUEUED, "state = 'cancelled'"),
    (State.QUEUED, "state = 'cancelled', finished_at = 'now'"),
    (State.QUEUED, "worker = 1"),
    (State.QUEUED, "result = '{}'"),
    (State.QUEUED, "error_code = 'x', error_detail = 'y'"),
    (State.QUEUED, "finished_at = 'now', finished_running_seconds = 1"),
    (State.QUEUED, "operations = 'codes'"),
    (State.QUEUED, "image_sha256 = 'abc'"),
    (State.QUEUED, "image_format = 'gif'"),
    (State.QUEUED, "image_width_px = 0"),
    (State.QUEUED, "image_height_px = -1"),
    (State.QUEUED, "image_size_bytes = 0"),
    (State.QUEUED, "attempt = -1"),
    (State.QUEUED, "attempt = 'many'"),
    (State.QUEUED, "created_at = NULL"),
    (State.RUNNING, "worker = NULL"),
    (State.RUNNING, "attempt = 0"),
    (State.RUNNING, "state = 'queued'"),
    (State.RUNNING, "result = '{}'"),
    (State.RUNNING, "state = 'done', result = '{}', worker = NULL"),
    (State.DONE, "result = NULL"),
    (State.DONE, "result = 'no json'"),
    (State.DONE, "worker = 1"),
    (State.DONE, "error_code = 'x', error_detail = 'y'"),
    (State.DONE, "state = 'queued'"),
    (State.DONE, "finished_running_seconds = NULL"),
    (State.DONE, "finished_at = NULL"),
    (State.FAILED, "error_code = NULL, error_detail = NULL"),
    (State.FAILED, "error_detail = NULL"),
    (State.FAILED, "state = 'cancelled'"),
    (State.QUARANTINED, "error_code = NULL, error_detail = NULL"),
    (State.QUARANTINED, "state = 'queued'"),
    (State.CANCELLED, "error_code = 'x', error_detail = 'y'"),
    (State.CANCELLED, "state = 'failed'"),
]


@pytest.mark.parametrize(("state", "update"), BAD_UPDATES)
def test_no_statement_can_write_an_illegal_row(store: Store, state: State, update: str) -> None:
    before = in_state(store, state)
    with contextlib.closing(apsw.Connection(str(store._file))) as raw:
        with pytest.raises(apsw.ConstraintError):
            raw.execute(f"UPDATE task SET {update} WHERE id = ?", (before.id,))
    assert store.get(before.id) == before


def test_there_is_one_clock_and_it_cannot_be_negative(store: Store) -> None:
    with contextlib.closing(apsw.Connection(str(store._file))) as raw:
        for statement in (
            "INSERT INTO appliance_clock VALUES (2, '', 0, 0)",
            "UPDATE appliance_clock SET running_seconds = -1",
        ):
            with pytest.raises(apsw.ConstraintError):
                raw.execute(statement)


@pytest.mark.parametrize("name", queries.load())
def test_each_query_says_why_it_is_as_it_is_unless_it_only_reads(name: str) -> None:
    statement = queries.load()[name].strip()
    assert statement.startswith(("--", "SELECT")), f"{name} writes, and no comment says why so"


def test_each_query_is_used_and_no_other_is_asked_for() -> None:
    files = [resources.files("pivision.store").joinpath(name) for name in ("__init__.py", "statistics.py")]
    source = "".join(file.read_text(encoding="utf-8") for file in files)
    assert set(re.findall(r'[_.](?:read|write)\(\s*"(\w+)"', source)) == set(queries.load())


def test_each_query_of_the_recovery_is_used_and_no_other_is_asked_for() -> None:
    package = resources.files("pivision.store")
    source = "".join(package.joinpath(file).read_text(encoding="utf-8") for file in ("merge.py", "salvage.py"))
    used = set(re.findall(r'(?:_QUERIES\[|_run\(\s*)"(\w+)"', source)) | {"last_id", "largest_id"}
    assert used == set(queries.load("recovery.sql"))


@pytest.mark.parametrize("name", queries.load())
def test_each_query_is_one_statement(name: str) -> None:
    assert sqlite3.complete_statement(queries.load()[name])
    assert re.sub(r"--.*", "", queries.load()[name]).count(";") == 1


def plan(store: Store, name: str) -> list[str]:
    """How the SQLite that runs it would find its rows."""
    statement = queries.load()[name]
    parameters = dict.fromkeys(re.findall(r":(\w+)", re.sub(r"--.*", "", statement)), 1)
    with contextlib.closing(apsw.Connection(str(store._file))) as raw:
        return [str(row[3]) for row in raw.execute("EXPLAIN QUERY PLAN " + statement, parameters)]


@pytest.mark.parametrize("name", queries.load())
def test_no_query_looks_through_all_tasks(store: Store, name: str) -> None:
    assert "SCAN task" not in plan(store, name)


def test_each_index_is_used_by_a_query_or_keeps_a_promise(store: Store) -> None:
    with contextlib.closing(apsw.Connection(str(store._file))) as raw:
        indexes = {name for _, name, is_unique, *_ in raw.execute("PRAGMA index_list(task)") if not is_unique}
    steps = [step for name in queries.load() for step in plan(store, name)]
    unused = {index for index in indexes if not any(f"INDEX {index} " in step + " " for step in steps)}
    assert unused == set(), "each costs something in every write"
