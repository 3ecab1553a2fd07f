"""The ledger of requests: what it keeps, and what cannot spoil it."""

import threading
from pathlib import Path

import pytest

from pivision.store import Store, ledger
from pivision.store.ledger import Ledger
from tests.unit.conftest import new_task


def ids(file: Path) -> list[int]:
    return [request.id for request in ledger.read(file)]


@pytest.fixture
def file(store: Store) -> Path:
    return Ledger(store.file.parent).file


def test_each_request_is_a_line_with_all_that_was_asked_for(store: Store, file: Path) -> None:
    new = new_task("b" * 64, source="kitchen", idempotency_key="once")
    task, _ = store.add(new)
    store.add(new)  # a repetition is no other request
    (request,) = ledger.read(file)
    assert (request.id, request.image, request.source, request.idempotency_key) == (1, new.image, "kitchen", "once")
    assert bytes(request.operations) == bytes(new.operations)
    assert request.created_at == task.created_at
    assert file.stat().st_mode & 0o077 == 0


def fail_after_adding(store: Store) -> None:
    with store.together():
        store.add(new_task())
        raise ZeroDivisionError


def test_requests_of_a_block_are_noted_once_they_are_committed(store: Store, file: Path) -> None:
    with store.together():
        store.add(new_task())
        assert ids(file) == []
        store.add(new_task())
    assert ids(file) == [1, 2]
    with pytest.raises(ZeroDivisionError):
        fail_after_adding(store)
    store.add(new_task())
    assert ids(file) == [1, 2, 3]


@pytest.mark.parametrize(
    "torn", [b'\n{"id":2,"operat', b"\n\x00\x00\x00", b"\n\xff\xfe", b'\n{"id":"2"}', b"\n[1]", b'\n{"id":0}']
)
def test_a_line_that_was_cut_off_or_damaged_spoils_no_other(store: Store, file: Path, torn: bytes) -> None:
    store.add(new_task())
    with file.open("ab") as end:
        end.write(torn)
    assert ids(file) == [1]
    store.add(new_task())
    assert ids(file) == [1, 2]


def test_a_ledger_that_cannot_be_written_refuses_no_request(store: Store, file: Path) -> None:
    file.mkdir()
    assert store.add(new_task())[1]
    assert store.add(new_task())[1]
    file.rmdir()
    store.add(new_task())
    assert ids(file) == [3]


def test_threads_do_not_write_into_each_others_lines(store: Store, file: Path) -> None:
    threads = [
        threading.Thread(target=lambda: [store.add(new_task(source="x" * 5000)) for _ in range(20)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ids(file)) == list(range(1, 161))


def test_it_is_rotated_without_losing_a_line(store: Store, file: Path, tmp_path: Path) -> None:
    book = Ledger(file.parent)
    book.rotate(tmp_path / "0.jsonl")  # there is none yet
    store.add(new_task())
    book.rotate(tmp_path / "1.jsonl")
    assert book.size_bytes() == 0
    store.add(new_task())
    assert (ids(tmp_path / "1.jsonl"), ids(file)) == ([1], [2])
    assert book.size_bytes() == file.stat().st_size


def test_no_file_is_no_request(tmp_path: Path) -> None:
    assert ids(tmp_path / "none.jsonl") == []


def test_a_ledger_out_of_reach_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "requests.jsonl").mkdir()
    with pytest.raises(OSError):
        ids(tmp_path / "requests.jsonl")
