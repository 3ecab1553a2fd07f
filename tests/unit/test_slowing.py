"""Who guesses is slowed down, by a clock that the test turns."""

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
