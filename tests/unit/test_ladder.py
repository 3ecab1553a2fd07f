"""The upper rungs: pauses between restarts of the tree, and a budget of reboots that no reboot can renew."""

import json
from pathlib import Path

import pytest

from pivision.health.ladder import (
    PAUSES_SECONDS,
    REBOOT_REFILL_SECONDS,
    TREES_BEFORE_REBOOT,
    WELL_SECONDS,
    Ladder,
    Rung,
)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "ladder.json"


def another_boot(memory: Path) -> None:
    memory.write_text(json.dumps({**json.loads(memory.read_text()), "boot_id": "another boot"}))


def test_restarts_of_the_tree_come_with_growing_pauses(memory: Path) -> None:
    now, pauses = 100.0, []
    for _ in range(len(PAUSES_SECONDS) + 2):
        since = now
        while Ladder(memory, 0, now).climb(now) is None:  # a new one each time: restarting the tree restarts health
            now += 1
        pauses.append(now - since)
    assert pauses == [*PAUSES_SECONDS, PAUSES_SECONDS[-1], PAUSES_SECONDS[-1]]


def test_it_never_reboots_unless_it_may(memory: Path) -> None:
    ladder = Ladder(memory, 0, 0)
    assert {ladder.climb(float(now)) for now in range(0, 100_000, 10)} == {Rung.TREE, None}


def test_a_reboot_comes_only_after_the_tree(memory: Path) -> None:
    ladder = Ladder(memory, 1, 0)
    taken = [rung for now in range(0, 100_000, 10) if (rung := ladder.climb(float(now)))]
    assert taken[: TREES_BEFORE_REBOOT + 1] == [Rung.TREE] * TREES_BEFORE_REBOOT + [Rung.REBOOT]
    assert taken.count(Rung.REBOOT) == 1


@pytest.mark.parametrize("budget", [1, 3])
def test_no_reboot_renews_the_budget(memory: Path, budget: int) -> None:
    reboots = 0
    for _ in range(20):  # boots, each as bad as the one before
        ladder = Ladder(memory, budget, 0)
        for now in range(0, 5000, 10):
            if ladder.climb(float(now)) is Rung.REBOOT:
                reboots += 1
                break
        another_boot(memory)
    assert reboots == budget


def test_a_day_without_trouble_does(memory: Path) -> None:
    memory.write_text(json.dumps({"boot_id": "another boot", "trees": 2, "last_tree": 0, "reboots": 1}))
    ladder = Ladder(memory, 1, 0)
    ladder.well(REBOOT_REFILL_SECONDS - 1)
    assert json.loads(memory.read_text())["reboots"] == 1
    ladder.trouble(REBOOT_REFILL_SECONDS - 1)
    ladder.well(REBOOT_REFILL_SECONDS)
    assert json.loads(memory.read_text())["reboots"] == 1, "it must be a day at a stretch"
    ladder.well(2 * REBOOT_REFILL_SECONDS)
    assert json.loads(memory.read_text())["reboots"] == 0


def test_the_pauses_start_anew_after_a_while_without_trouble(memory: Path) -> None:
    ladder = Ladder(memory, 0, 0)
    assert ladder.climb(10) is Rung.TREE
    assert ladder.climb(20) is None
    ladder.well(10 + WELL_SECONDS)
    assert ladder.climb(11 + WELL_SECONDS) is Rung.TREE


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"boot_id": 1}', b'{"reboots": "x", "boot_id": ""}'])
def test_a_memory_that_cannot_be_read_is_none(memory: Path, content: bytes) -> None:
    memory.write_bytes(content)
    assert Ladder(memory, 0, 0).climb(0) is Rung.TREE


def test_a_reboot_that_cannot_be_remembered_is_not_taken(tmp_path: Path) -> None:
    ladder = Ladder(tmp_path / "gone" / "ladder.json", 5, 0)
    assert Rung.REBOOT not in {ladder.climb(float(now)) for now in range(0, 100_000, 10)}
