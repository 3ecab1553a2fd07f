"""PiVision on an emulated ARM64 Debian: installed, rebooted, and its plug pulled again and again."""

import collections
import functools
import random
import time
from typing import Any

from tests.appliance.pictures import photograph_of_code
from tests.box import eventually
from tests.pi.guest import Guest
from tests.pi.ledger import Ledger

LOAD_SECONDS = 15.0
"""At most so long after the first acknowledgement of a boot the plug is pulled."""

START_SECONDS = 40.0
"""At most so long after power-on it is pulled once more, every third time."""

DONE_SECONDS = 600.0
"""For what has been acknowledged and not done when it stops."""

CLIENTS = 6


def test_serves_after_its_installation(installed: Guest) -> None:
    assert installed.types("systemctl is-active pivision").stdout == "active\n"
    assert installed.types("uname -m").stdout == "aarch64\n"
    picture, text = photograph_of_code()
    task = installed.post(picture, wait=20).json
    assert text_in(task) == text
    memory_bytes = int(installed.types("systemctl show --property=MemoryCurrent --value pivision").stdout)
    print(f"\n{installed.board.name}: the unit has {memory_bytes / 1e6:.0f} MB,", end=" ")
    print(f"a photograph of a code took {task['result']['codes']['milliseconds']:.0f} ms")


def test_serves_after_a_reboot(installed: Guest) -> None:
    picture, text = photograph_of_code()
    before = installed.post(picture, wait=20).json
    print(f"\n{installed.board.name}: {installed.reboot():.0f} s from `sudo reboot` to the first 200")
    assert installed.types("systemctl is-active pivision").stdout == "active\n"
    assert installed.task(before["id"]) == before
    assert text_in(installed.post(picture, wait=20).json) == text


def test_loses_nothing_when_the_plug_is_pulled(installed: Guest) -> None:
    """After every third pull, it is pulled once more before the machine serves again."""
    seed = random.randrange(1 << 32)
    print(f"\n{installed.board.name}, seed {seed}")
    chance = random.Random(seed)
    ledger = Ledger(installed)
    with ledger.filling(CLIENTS):
        for pull in range(1, installed.board.pulls + 1):
            had = len(ledger.ids)
            eventually(functools.partial(ledger.has, had + 1), "a picture is acknowledged", 300)
            time.sleep(chance.uniform(0, LOAD_SECONDS))
            in_flight = eventually(lambda: ledger.in_flight, "a request is in flight")
            installed.pull_plug()
            print(f"pull {pull}: {len(ledger.ids) - had} acknowledged since the last, {in_flight} in flight", end="; ")
            if pull % 3 == 0:
                installed.switch_on()
                seconds = chance.uniform(0, START_SECONDS)
                time.sleep(seconds)
                installed.pull_plug()
                print(f"pulled again after {seconds:.0f} s", end="; ")
            print(f"the first 200 came {installed.boot():.0f} s after power-on")
    states = ledger.check(DONE_SECONDS)
    print(f"{len(ledger.ids)} acknowledged, 0 lost, {ledger.repeated} found by their key, {dict(states)}")
    restarts = collections.Counter(event["cause"] for event in installed.get("/v1/system").json["restarts"])
    print(f"restarted, by cause: {dict(restarts)}")
    assert ledger.repeated > 0, "else no picture was stored and not acknowledged"


def text_in(task: dict[str, Any]) -> str:
    """The text of the one code in the picture of a task that is done."""
    assert task["state"] == "done", task
    (code,) = task["result"]["codes"]["codes"]
    return str(code["text"])
