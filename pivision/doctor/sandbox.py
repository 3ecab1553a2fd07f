"""What a unit's sandbox (systemd.exec(5)) lets PiVision write, and the mistakes by which it lets it write nothing."""

from collections.abc import Iterator
from pathlib import Path

from pivision.doctor.site import Site
from pivision.doctor.unit_file import UnitFile

_YES = ("yes", "true", "1", "on")
_HOMES = ("/home", "/root", "/run/user")
_DATABASE_SUFFIXES = (".db", ".sqlite", ".sqlite3")
_READ_ONLY_SYSTEM = {"strict": ("/",), "full": ("/usr", "/boot", "/efi", "/etc"), "yes": ("/usr", "/boot", "/efi")}
_OWN_FOLDERS = {  # systemd makes these itself and keeps them writable
    "RuntimeDirectory": "/run",
    "StateDirectory": "/var/lib",
    "CacheDirectory": "/var/cache",
    "LogsDirectory": "/var/log",
}


def faults(site: Site, unit: UnitFile) -> Iterator[str]:
    """What keeps the program from its folders, in a sentence each."""
    home = _setting(unit, "ProtectHome")
    project = unit.value("Service", "WorkingDirectory", str(site.project)).removeprefix("-")
    is_shown = home == "tmpfs" and any(Path(project).is_relative_to(path) for path in _binds(unit))
    if home in ("yes", "tmpfs") and not is_shown and any(Path(project).is_relative_to(folder) for folder in _HOMES):
        yield f"ProtectHome={home} hides {project} from it"
        return
    for entry in unit.words("Service", "ReadWritePaths"):
        path = site.root / entry.lstrip("-+").removeprefix("/")
        if path.suffix in _DATABASE_SUFFIXES or path.is_file():
            yield f"ReadWritePaths={entry} names a database file; its -wal beside it needs the folder"
        elif not entry.startswith("-") and "%" not in entry and not path.exists():
            yield f"ReadWritePaths={entry} is not there, and without a leading - the unit fails (226/NAMESPACE)"
    places = _places(unit)
    for folder in _needed(site, project):
        nearest = max((place for place in places if folder.is_relative_to(place)), key=lambda place: len(place.parts))
        if not places[nearest]:
            yield f"{folder} is read-only for it; ReadWritePaths= must name that folder"


def _setting(unit: UnitFile, name: str) -> str:
    value = unit.value("Service", name, "no").lower()
    return "yes" if value in _YES else value


def _binds(unit: UnitFile, *keys: str) -> list[str]:
    """Where BindPaths= and BindReadOnlyPaths= show a folder: SOURCE, or SOURCE:TARGET:OPTIONS."""
    words = [word for key in keys or ("BindPaths", "BindReadOnlyPaths") for word in unit.words("Service", key)]
    return [(word.lstrip("-").split(":") * 2)[1 if ":" in word else 0] for word in words]


def _needed(site: Site, project: str) -> Iterator[Path]:
    """The folders that PiVision writes to: those of the unit's own project where they are inside of ours."""
    for folder in (site.settings.data_dir, site.settings.log_dir, site.settings.run_dir):
        inside = folder.is_relative_to(site.project)
        yield Path(project) / folder.relative_to(site.project) if inside else folder


def _places(unit: UnitFile) -> dict[Path, bool]:
    """Which folders are writable; what is below one is like it, unless it stands here itself."""
    read_only = [*_READ_ONLY_SYSTEM.get(_setting(unit, "ProtectSystem"), ())]
    if _setting(unit, "ProtectHome") in ("read-only", "tmpfs"):
        read_only += _HOMES
    writable = [*(["/tmp", "/var/tmp"] if _setting(unit, "PrivateTmp") == "yes" else [])]  # noqa: S108  # names only
    for key, parent in _OWN_FOLDERS.items():
        writable += [f"{parent}/{name}" for name in unit.words("Service", key)]
    read_only += [*unit.words("Service", "ReadOnlyPaths"), *_binds(unit, "BindReadOnlyPaths")]
    writable += [
        path for path in unit.words("Service", "ReadWritePaths") if Path(path).suffix not in _DATABASE_SUFFIXES
    ]
    return {
        Path("/"): True,
        **{Path(path): True for path in _binds(unit, "BindPaths")},
        **{Path(path.lstrip("-+")): False for path in read_only},
        **{Path(path.lstrip("-+")): True for path in writable},
    }
