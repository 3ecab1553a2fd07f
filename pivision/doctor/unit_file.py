"""Reads systemd's files as systemd does (systemd.syntax(7)): sections, continued lines, drop-ins, lists reset."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

CONFIG_DIRS = ("etc/systemd", "run/systemd", "usr/local/lib/systemd", "usr/lib/systemd", "lib/systemd")
"""Below the root; what stands in an earlier one hides its namesake in a later one."""

UNIT_DIRS = ("run/systemd/transient", *(f"{folder}/system" for folder in CONFIG_DIRS))

_SPAN = r"(\d+\.?\d*)\s*(us|usec|ms|msec|s|sec|seconds?|m|min|minutes?|h|hr|hours?|d|days?|w|weeks?|)(?![a-z])\s*"
_SECONDS = {"us": 1e-6, "ms": 1e-3, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


class UnitFile(NamedTuple):
    """A unit as systemd puts it together: its file first, then its drop-ins."""

    name: str
    files: tuple[Path, ...]
    lines: tuple[tuple[str, str, str], ...]  # section, key, value; in their order

    def values(self, section: str, key: str) -> list[str]:
        """Every value of a setting that may be given several times; an empty one drops those before it."""
        found: list[str] = []
        for line_section, line_key, value in self.lines:
            if (line_section, line_key) == (section, key):
                found = [*found, value] if value else []
        return found

    def value(self, section: str, key: str, default: str = "") -> str:
        """The value of a setting that counts once: the last one wins."""
        return (self.values(section, key) or [default])[-1]

    def words(self, section: str, key: str) -> list[str]:
        """The words of all values of a list."""
        return " ".join(self.values(section, key)).split()


def read(file: Path) -> UnitFile:
    """The unit in `file`, with the drop-ins in the folder FILE.d beside it. Raises OSError."""
    return _put_together(file.name, [file, *sorted(Path(f"{file}.d").glob("*.conf"))])


def find(root: Path, name: str) -> UnitFile | None:
    """The unit `name` of the system below `root`; None if it is not installed. Raises OSError."""
    for folder in UNIT_DIRS:
        if (file := root / folder / name).exists() or file.is_symlink():
            return _put_together(name, [_within(root, file), *_drop_ins(root, UNIT_DIRS, _drop_in_folders(name))])
    return None


def config(root: Path, name: str) -> UnitFile:
    """A file such as journald.conf with its drop-ins; without any line if there is none."""
    main = [root / folder / name for folder in CONFIG_DIRS if (root / folder / name).exists()]
    return _put_together(name, [*main[:1], *_drop_ins(root, CONFIG_DIRS, [f"{name}.d"])])


def seconds(text: str) -> float:
    """A time span such as `1min 30s` (systemd.time(7)) in seconds; raises ValueError."""
    if text == "infinity":
        return float("inf")
    if not re.fullmatch(f"(?:{_SPAN})+", text):
        raise ValueError(f"{text!r} is no time span")
    spans = re.findall(_SPAN, text)
    return sum(float(number) * (_SECONDS.get(unit[:2]) or _SECONDS[unit[:1]]) for number, unit in spans)


def _drop_in_folders(name: str) -> Iterator[str]:
    """Of a-b.service: service.d, a-.service.d, a-b.service.d; what comes later wins."""
    stem, _, kind = name.rpartition(".")
    yield f"{kind}.d"
    parts = stem.split("-")
    for count in range(1, len(parts)):
        yield f"{'-'.join(parts[:count])}-.{kind}.d"
    yield f"{name}.d"


def _drop_ins(root: Path, config_dirs: Iterable[str], folders: Iterable[str]) -> list[Path]:
    """In the order of their names, wherever they are; of two with one name, that of the stronger folder."""
    named: dict[str, Path] = {}
    for folder in folders:
        for config_dir in reversed(tuple(config_dirs)):
            named.update({file.name: file for file in (root / config_dir / folder).glob("*.conf")})
    return [_within(root, named[name]) for name in sorted(named)]


def _within(root: Path, file: Path) -> Path:
    """Where `file` leads: below another root, an absolute link means a place below that root."""
    if not file.is_symlink() or not (target := file.readlink()).is_absolute():
        return file
    return target if target == Path("/dev/null") else root / target.relative_to("/")


def _put_together(name: str, files: list[Path]) -> UnitFile:
    return UnitFile(name, tuple(files), tuple(line for file in files for line in lines(file)))


def lines(file: Path) -> Iterator[tuple[str, str, str]]:
    """Section, key and value of each setting in one file; the comments are left out. Raises OSError."""
    section = ""
    for line in _joined(file.read_text(encoding="utf-8", errors="replace").splitlines()):
        if header := re.fullmatch(r"\[(.+)\]", line):
            section = header[1]
        elif "=" in line:
            key, _, value = line.partition("=")
            yield section, key.strip(), value.strip()


def _joined(lines: Iterable[str]) -> Iterator[str]:
    """Without comments; a line that ends in a backslash goes on in the next one, across comments."""
    begun = ""
    for line in map(str.strip, lines):
        if line.startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            begun += line.removesuffix("\\") + " "
            continue
        yield (begun + line).strip()
        begun = ""
    yield begun.strip()
