"""Who guesses is slowed down, by a clock that the test turns."""

import hashlib
from pathlib import Path

import pytest

from pivision.api.slowing import Slowing
from pivision.errors import TooManyAttempts


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def guesses(slowing: Slowing, count: int, address: str = "guesser") -> int:
    """How many of so many wrong tokens are looked at."""
    for number in range(count):
        try:
            slowing.check(address, f"wrong {number}")
        except TooManyAttempts:
            return number
        slowing.wrong(address, f"wrong {number}")
    return count


def test_thirty_are_looked_at_and_one_more_each_second() -> None:
    clock = Clock()
    slowing = Slowing(clock)
    assert guesses(slowing, 100) == 30
    clock.now += 5
    assert guesses(slowing, 100) == 5
    clock.now += 10_000
    assert guesses(slowing, 100) == 30, "never more at once"


def test_other_addresses_are_not_slowed_down() -> None:
    slowing = Slowing(Clock())
    guesses(slowing, 100)
    assert guesses(slowing, 3, "somebody else") == 3


def test_a_token_that_was_right_is_looked_at_and_no_other() -> None:
    slowing = Slowing(Clock())
    slowing.right("guesser", "mine")
    guesses(slowing, 100)
    slowing.check("guesser", "mine")
    with pytest.raises(TooManyAttempts):
        slowing.check("guesser", "another")
    slowing.wrong("guesser", "mine")  # revoked meanwhile
    with pytest.raises(TooManyAttempts):
        slowing.check("guesser", "mine")


def test_what_is_kept_is_bounded() -> None:
    slowing = Slowing(Clock())
    guesses(slowing, 100)
    for number in range(5000):
        slowing.wrong(f"address {number}", "wrong")
        slowing.right(f"address {number}", "right")
    assert max(len(slowing._left), len(slowing._right)) == 1024


MINE, OTHER = (hashlib.sha256(name).hexdigest() for name in (b"mine", b"other"))


def test_one_client_is_one_address_however_it_is_written() -> None:
    slowing = Slowing(Clock())
    assert guesses(slowing, 20, "192.0.2.1") + guesses(slowing, 20, "::ffff:192.0.2.1") == 30
    assert sum(guesses(slowing, 20, f"2001:db8::{number}") for number in range(5)) == 30, "one /64, one customer"
    assert guesses(slowing, 20, "2001:db8:0:1::1") == 20
    assert guesses(slowing, 20, "fe80::1%eth0") == 20


def test_what_was_right_is_known_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "known-addresses"
    before = Slowing(Clock(), file)
    before.right("2001:db8::1", MINE)
    slowing = Slowing(Clock(), file)
    assert guesses(slowing, 100, "2001:db8::2") == 30
    slowing.check("2001:db8::3", MINE)
    with pytest.raises(TooManyAttempts):
        slowing.check("2001:db8::3", OTHER)


def test_one_token_used_from_everywhere_pushes_no_other_out(tmp_path: Path) -> None:
    slowing = Slowing(Clock(), tmp_path / "known-addresses")
    slowing.right("192.0.2.1", MINE)
    for number in range(2000):
        slowing.right(f"198.51.{number // 250}.{number % 250}", OTHER)
    guesses(slowing, 100, "192.0.2.1")
    slowing.check("192.0.2.1", MINE)


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"x y\n", b"a" * 100_000])
def test_a_damaged_list_is_an_empty_one(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "known-addresses"
    file.write_bytes(content)
    slowing = Slowing(Clock(), file)
    assert guesses(slowing, 100, "192.0.2.1") == 30
    slowing.right("192.0.2.1", MINE)
    Slowing(Clock(), file).check("192.0.2.1", MINE)


def test_where_nothing_can_be_kept_it_works_all_the_same(tmp_path: Path) -> None:
    slowing = Slowing(Clock(), tmp_path / "gone" / "known-addresses")
    slowing.right("192.0.2.1", MINE)
    assert guesses(slowing, 100, "192.0.2.1") == 30
    slowing.check("192.0.2.1", MINE)
