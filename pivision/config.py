"""The settings: pivision.toml and PIVISION_* variables, read here and nowhere else.

Every field of `Settings` may stand in pivision.toml under its own name, and in the environment as PIVISION_NAME,
which wins. Whatever is unknown, of the wrong type, out of range or contradictory is refused with its origin and key.
"""

import contextlib
import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from pivision import instance, memory, models
from pivision.errors import ConfigInvalid

ROOT = Path(__file__).resolve().parent.parent
"""The project's folder: where conf/ is, and data/, logs/ and run/ unless they are moved."""

_PREFIX = "PIVISION_"
_NOT_SETTINGS = {
    "PIVISION_CLIENT_TOKEN",
    "PIVISION_CONFIG",
    "PIVISION_DESCRIPTORS",
    "PIVISION_LOG_FILES",
    "PIVISION_PARENT",
    "PIVISION_PYTHON",
    "PIVISION_ROOT",
    "PIVISION_TO_JOURNAL",
    "PIVISION_WEB_PASSWORD_SHA",
}
"""PIVISION_CONFIG names another pivision.toml, PIVISION_CLIENT_TOKEN is the commands' of client/; the others are what
appliance.py tells conf/supervisord.conf."""

_SOCKET_PATH_LIMIT_BYTES = 107  # sun_path of unix(7), less the closing zero
_LONGEST_SOCKET_NAME = "supervisor.sock.1234567"  # supervisord binds NAME.PID first

_NOT_IN_FOLDERS = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")  # control characters, and bytes that are not UTF-8
_NOT_IN_ROOT = re.compile(
    r'["$`\\:]'
)  # pip's commands in .venv/bin do not start below such a folder, and : ends a PATH

_MODEL_USERS = (*models.OPERATIONS, "text")
_MIRROR_SCHEMES = ("http", "https", "file")

_FOLDERS = ("data_dir", "log_dir", "models_dir", "run_dir")
_PLACES = ("host", "port", "supervisor_port", "auth", *_FOLDERS)

Port = Annotated[int, Meta(ge=1, le=65535)]
SessionDays = Annotated[float, Meta(gt=0, le=365)]
Seconds = Annotated[float, Meta(gt=0, le=86400)]


SERVICE_RUN_DIR = Path("/run/pivision")
"""Where the run folder of the installed service is."""

_LONGEST_PATH = 4096  # PATH_MAX of limits.h
ROOT_NOTE = "root"
"""The file in a run folder that names the project's folder whose programs use it."""


def _default_run_dir() -> Path:
    """That of the installed service while it runs from this folder, so that commands find it; else one of our own."""
    with contextlib.suppress(OSError, ValueError):
        # Perhaps another user's service: neither a link nor a pipe there may lead or keep whoever asks.
        note = os.open(SERVICE_RUN_DIR / ROOT_NOTE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(note, encoding="utf-8") as text:
            if text.read(_LONGEST_PATH) == str(ROOT):
                return SERVICE_RUN_DIR
    return ROOT / "run"


def _default_workers() -> int:
    """One core is left for the server and everything else."""
    return max(1, len(os.sched_getaffinity(0)) - 1)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting with its unit in its name. docs/configuration.md says when to change which."""

    host: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:%_-]*$")] = (
        "::"  # every address, IPv6 and IPv4: it serves its network
    )
    port: Port = 8080
    supervisor_port: Port = 9001  # supervisord's web page, on 127.0.0.1 only
    auth: Literal["token", "none"] = "token"  # "none" lets everybody on the network in
    host_names: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._, -]*$")] = ""  # what else it is called, with commas

    session_idle_days: SessionDays = 14.0  # of running time without a request, then a browser must sign in again
    session_days: SessionDays = 30.0  # of running time after the sign-in, at the latest

    data_dir: Path = ROOT / "data"  # the database and the images: what must not be lost
    log_dir: Path = ROOT / "logs"
    models_dir: Path = ROOT / "models"  # apart from the data: nothing in it can be lost
    run_dir: Path = msgspec.field(
        default_factory=_default_run_dir
    )  # sockets, locks, heartbeats: worthless after a reboot

    workers: Annotated[int, Meta(ge=1, le=64)] = msgspec.field(default_factory=_default_workers)
    server_threads: Annotated[int, Meta(ge=4, le=256)] = 8  # all but two of them may hold requests that wait
    event_streams: Annotated[int, Meta(ge=1, le=256)] = 64  # each is a connection, and a thread that sleeps
    max_wait_seconds: Seconds = 60.0  # the most that ?wait= may ask for
    max_connections: Annotated[int, Meta(ge=16, le=8192)] = 512  # idle ones make room for new ones above that
    max_connections_per_address: Annotated[int, Meta(ge=8, le=8192)] = 128  # so that no single one takes all
    max_head_bytes: Annotated[int, Meta(ge=1024, le=1 << 20)] = 16384  # real ones have less than 4 KB
    max_head_lines: Annotated[int, Meta(ge=16, le=10_000)] = 100
    max_chunk_line_bytes: Annotated[int, Meta(ge=64, le=1 << 16)] = 4096  # a size line, or all trailers together
    head_timeout_seconds: Seconds = 10.0  # until the head of a request is there
    idle_timeout_seconds: Seconds = 30.0  # between two requests of a connection
    min_transfer_bytes_per_second: Annotated[float, Meta(ge=0, le=1e9)] = 1000.0  # of an upload, and of an answer
    transfer_window_seconds: Seconds = 20.0  # over which that rate is taken: a phone changes networks
    max_spool_bytes: Annotated[int, Meta(ge=1024, le=1 << 40)] = 64 << 20  # of all uploads that are arriving
    max_spool_bytes_per_address: Annotated[int, Meta(ge=1024, le=1 << 40)] = 40 << 20  # leaves room for another one
    max_keyless_form_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 2 << 20  # until its key was seen
    max_keyless_forms_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 16 << 20  # of all such forms

    max_upload_bytes: Annotated[int, Meta(ge=1024, le=1 << 30)] = 20_000_000
    max_image_pixels: Annotated[int, Meta(ge=1, le=1 << 32)] = 50_000_000
    database_timeout_seconds: Seconds = 5.0  # how long to wait while another process writes

    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 3  # deaths of a worker until its task is quarantined
    task_deadline_seconds: Seconds = 60.0
    task_memory_bytes: Annotated[int, Meta(ge=64 << 20, le=1 << 40)] = msgspec.field(
        default_factory=memory.task_bytes
    )  # on top of what the idle worker has mapped

    max_age_days: Annotated[float, Meta(gt=0, le=36500)] = 30.0  # of running time, after a task has finished
    images_max_bytes: Annotated[int, Meta(ge=0, le=1 << 50)] = 0  # quota of the pictures; 0: half of their disk's size
    backups_kept: Annotated[int, Meta(ge=1, le=100)] = 3  # whole copies of the database; the pictures are not in them
    backup_hours: Annotated[float, Meta(gt=0, le=8760)] = 6.0  # of running time; skipped when nothing has changed
    disk_reserve_bytes: Annotated[int, Meta(ge=0, le=1 << 50)] = 256 << 20  # kept free for everything else on the disk

    model_mirror: str = ""  # a folder or an address that has the models' files; empty: where they come from
    models_at_start: str = ""  # operations whose models are loaded at once and not on first use, with commas

    stopped_seconds: Annotated[float, Meta(ge=0, le=31_536_000)] = 300.0  # then a stopped program is started; 0: never
    reboots_max: Annotated[int, Meta(ge=0, le=10)] = 0  # by health, until a day without trouble; 0: it never reboots
    notice_url: Annotated[str, Meta(pattern=r"^(https?://[^/\s]+\S*)?$")] = ""  # where health's notices are posted to

    @property
    def database(self) -> Path:
        """The database file."""
        return self.data_dir / "pivision.db"

    @property
    def images_dir(self) -> Path:
        """The folder of the images."""
        return self.data_dir / "images"

    @property
    def secrets_dir(self) -> Path:
        """The folder of the token hashes and of supervisord's web password."""
        return self.data_dir / "secrets"

    @property
    def operations_at_start(self) -> list[str]:
        """What `models_at_start` names."""
        return [name for word in self.models_at_start.split(",") if (name := word.strip())]

    @property
    def known_hosts(self) -> list[str]:
        """What `host_names` names."""
        return [name for word in self.host_names.split(",") if (name := word.strip())]

    def places(self) -> dict[str, str]:
        """Where the appliance is, as a command must know to find it."""
        return {name: str(getattr(self, name)) for name in _PLACES}

    def environment(self) -> dict[str, str]:
        """Every setting as the PIVISION_* variable that would bring it about."""
        return {_PREFIX + name.upper(): str(getattr(self, name)) for name in self.__struct_fields__}


def load(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read pivision.toml, if there is one, and the environment. Raises ConfigInvalid."""
    file = Path(environment.get("PIVISION_CONFIG", ROOT / "pivision.toml"))
    values: dict[str, Any] = {}
    origins: dict[str, str] = {}
    in_file = _from_file(file, required="PIVISION_CONFIG" in environment)
    for origin, key, value in (*in_file, *_from_environment(environment)):
        if key not in Settings.__struct_fields__:
            near = difflib.get_close_matches(key, Settings.__struct_fields__, n=1)
            raise ConfigInvalid(f"{origin}: there is no such setting" + (f"; is it {near[0]!r}?" if near else ""))
        values[key], origins[key] = value, origin
    settings = _converted(values, origins)
    _refuse_contradictions(settings, origins)
    return settings


def in_use(environment: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings for a command: it finds the appliance that runs here, whatever that was started with.

    What the environment says all the same counts. Raises ConfigInvalid.
    """
    settings = load(environment)
    with contextlib.suppress(OSError):  # another user's
        if found := instance.running(settings.run_dir) or instance.running(settings.data_dir):
            places = {_PREFIX + name.upper(): value for name, value in found.settings.items() if name in _PLACES}
            return load({**places, **environment})
    return settings


def _from_file(file: Path, required: bool) -> Iterator[tuple[str, str, Any]]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if required:
            raise ConfigInvalid(f"PIVISION_CONFIG: there is no file {file}") from None
        return
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigInvalid(f"{file}: {error}") from None
    for key, value in content.items():
        yield f"{file}: {key}", key, value


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    for name, value in environment.items():
        if name.startswith(_PREFIX) and name not in _NOT_SETTINGS:
            yield name, name.removeprefix(_PREFIX).lower(), value


def _converted(values: dict[str, Any], origins: dict[str, str]) -> Settings:
    types = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    converted: dict[str, Any] = {}
    for key, value in values.items():
        from_environment = origins[key].startswith(_PREFIX)
        try:
            if types[key] is Path:
                path = ROOT / Path(msgspec.convert(value, str)).expanduser()
                converted[key] = Path(os.path.normpath(path))  # so that one folder has one name
            elif key == "model_mirror" and isinstance(value, str) and value and "://" not in value:
                converted[key] = os.path.normpath(ROOT / Path(value).expanduser())  # a folder
            else:
                converted[key] = msgspec.convert(value, types[key], strict=not from_environment)
        except msgspec.ValidationError as error:
            raise ConfigInvalid(f"{origins[key]}: {error}, not {value!r}") from None
    return Settings(**converted)


def _refuse_contradictions(settings: Settings, origins: dict[str, str]) -> None:
    def refuse(key: str, reason: str) -> None:
        raise ConfigInvalid(f"{origins.get(key, key)}: {reason}")

    if settings.host and not _is_name(settings.host):
        refuse("host", f"{settings.host!r} is no name and no address")
    if settings.port == settings.supervisor_port:
        refuse("supervisor_port", f"{settings.port} is the port of the HTTP server already")
    if settings.database_timeout_seconds >= settings.task_deadline_seconds:
        refuse("database_timeout_seconds", "must be shorter than task_deadline_seconds")
    for key, folder in (("the checkout", ROOT), *((name, getattr(settings, name)) for name in _FOLDERS)):
        found = _NOT_IN_FOLDERS.search(str(folder)) or (folder == ROOT and _NOT_IN_ROOT.search(str(folder)))
        if found:
            refuse(
                key, f"a folder with {found[0]!r} in its path is not supported; choose another one than {str(folder)!r}"
            )
    if len(os.fsencode(settings.run_dir / _LONGEST_SOCKET_NAME)) > _SOCKET_PATH_LIMIT_BYTES:
        refuse("run_dir", f"{settings.run_dir} is too long for a Unix socket below it; choose a shorter path")
    if len({settings.data_dir, settings.log_dir, settings.run_dir}) < 3:
        refuse("run_dir", "data_dir, log_dir and run_dir must be three different folders")
    if settings.models_dir in (settings.data_dir, settings.log_dir, settings.run_dir):
        refuse("models_dir", "must be another folder than data_dir, log_dir and run_dir")
    scheme, is_address, _ = settings.model_mirror.partition("://")
    if is_address and scheme not in _MIRROR_SCHEMES:
        refuse("model_mirror", f"must be a folder, or an address that begins with {', '.join(_MIRROR_SCHEMES)}")
    for name in settings.operations_at_start:
        if name not in _MODEL_USERS:
            refuse("models_at_start", f"{name!r} is none of {', '.join(_MODEL_USERS)}")


def _is_name(host: str) -> bool:
    try:
        host.encode("idna")  # as a name is looked up
    except UnicodeError:
        return False
    return True
