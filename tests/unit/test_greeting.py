"""What `make run` prints: every address, and a code that another reader than its writer's can read."""

import io
import ipaddress
import re
import socket
import sys
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from pivision import greeting
from pivision.config import Settings

TOKEN = "x" * 43
URL = f"http://192.168.178.123:8080/?token={TOKEN}"
_BLOCKS = {" ": (0, 0), "▄": (0, 1), "▀": (1, 0), "█": (1, 1)}


def read(lines: list[str], *, are_blocks_light: bool) -> str:
    """What OpenCV reads in the code as a camera sees it on a terminal, on its background."""
    rows = []
    for line in lines:
        pairs = [_BLOCKS[character] for character in line]
        rows += [[upper for upper, _ in pairs], [lower for _, lower in pairs]]
    picture = np.array(rows, np.uint8) * 255
    if not are_blocks_light:
        picture = 255 - picture
    framed = np.pad(picture, 8, constant_values=0 if are_blocks_light else 255)
    return cv2.QRCodeDetector().detectAndDecode(framed.repeat(8, axis=0).repeat(8, axis=1))[0]


@pytest.mark.parametrize("text", [URL, "http://[2001:db8::5]:8080/", "http://the-pi.local:8080/?token=" + TOKEN])
def test_the_code_can_be_read_from_a_terminal(text: str) -> None:
    plain = list(greeting.qr_code(text, is_coloured=False))
    assert read(plain, are_blocks_light=True) == text
    coloured = list(greeting.qr_code(text, is_coloured=True))
    assert all(line.startswith("\x1b[38;5;16;48;5;231m") and line.endswith("\x1b[0m") for line in coloured)
    bare = [re.sub(r"\x1b\[[\d;]*m", "", line) for line in coloured]
    assert read(bare, are_blocks_light=False) == text
    assert max(map(len, plain)) <= 76, "it fits a terminal of 80 columns"


def printed(monkeypatch: pytest.MonkeyPatch, host: str, token: str | None = TOKEN, encoding: str = "utf-8") -> str:
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", output)
    greeting.show(Settings(host=host, log_dir=Path("/srv/logs")), token)
    output.seek(0)
    return output.read()


def test_every_address_of_this_machine_is_printed_and_the_last_line_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(monkeypatch, "::")
    addresses = re.findall(r"PiVision: (\S+)", text)
    assert text.splitlines()[-1].strip() == f"PiVision: {addresses[-1]}"
    assert all(address.endswith(f":8080/?token={TOKEN}") for address in addresses)
    assert f"http://127.0.0.1:8080/?token={TOKEN}" == addresses[min(1, len(addresses) - 1)], "the local one is second"
    for name, each in psutil.net_if_addrs().items():
        for address in each:
            if address.family == socket.AF_INET and name.startswith(("eth", "wlan", "en")):
                assert f"http://{address.address}:8080/" in text
    assert "/srv/logs" in text


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", ["http://127.0.0.1:8080/"]),
        ("127.0.0.2", ["http://127.0.0.2:8080/"]),
        ("::1", ["http://[::1]:8080/"]),
        ("192.0.2.77", ["http://192.0.2.77:8080/", "http://192.0.2.77:8080/"]),
        ("fe80::1%eth0", ["http://[fe80::1%25eth0]:8080/"]),
    ],
)
def test_one_address_is_printed_as_it_is_reached(
    monkeypatch: pytest.MonkeyPatch, host: str, expected: list[str]
) -> None:
    text = printed(monkeypatch, host, token=None)
    assert re.findall(r"PiVision: (\S+)", text) == expected[:1]


def test_a_machine_that_others_reach_by_name_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(greeting, "_AVAHI", tmp_path)
    name = socket.gethostname().partition(".")[0]
    assert f"{name}.local" in greeting.reaching("0.0.0.0")
    assert f"{name}.local" not in greeting.reaching("127.0.0.1")


def test_an_address_of_ipv6_that_passes_or_is_of_one_link_is_left_out() -> None:
    lines = [
        "20010db8000000000000000000000005 02 40 00 00     eth0",
        "20010db8000000000000000000000006 02 40 00 01     eth0",  # temporary
        "20010db8000000000000000000000007 02 40 00 20     eth0",  # deprecated
        "20010db8000000000000000000000008 02 40 00 40     eth0",  # tentative
        "fe800000000000000000000000000001 02 40 20 80     eth0",
        "fd000000000000000000000000000002 04 40 00 82  docker0",
        "00000000000000000000000000000001 01 80 10 80       lo",
    ]
    assert list(greeting._lasting(lines)) == ["2001:db8::5"]
    assert ipaddress.ip_address("2001:db8::5").version == 6


def test_a_terminal_without_unicode_gets_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(monkeypatch, "::", encoding="ascii")
    assert f"http://127.0.0.1:8080/?token={TOKEN}" in text
    assert "??" not in text
