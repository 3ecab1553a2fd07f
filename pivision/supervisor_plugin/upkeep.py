"""What supervisord has open and somebody has deleted comes back: log files, the Unix socket, the locks."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supervisor.http import LogWrapper, supervisor_af_unix_http_server

from pivision import instance, program


class Upkeep:
    """Looks every five seconds, in supervisord's own loop; where nothing is missing, that is a few calls of stat(2)."""

    def __init__(self, supervisord: Any) -> None:
        self._options = supervisord.options
        self._groups = supervisord.process_groups
        self._said = ""

    def look(self, _: Any) -> None:
        """Bring back what is missing. What fails is logged once and tried again: supervisord must go on."""
        failures = []
        for bring_back in (self._run_folder, self._logs, self._socket, self._locks):
            try:
                bring_back()
            except Exception as error:  # noqa: BLE001  # whatever it is
                failures.append(f"{bring_back.__name__.strip('_')}: {error}")
        said = "; ".join(failures)
        if said and said != self._said:
            self._options.logger.warn(f"what is gone cannot be brought back: {said}")
        self._said = said

    def _run_folder(self) -> None:
        program.make_private_folder(Path(self._options.pidfile).parent)

    def _logs(self) -> None:
        """Let each log whose file is gone begin a new one; the folder of the logs is health's to make."""
        for handler in self._log_handlers():
            file = Path(handler.baseFilename)
            if not _is_same_file(file, handler.stream.fileno()) and file.parent.is_dir():
                handler.reopen()
                self._options.logger.info(f"{file} was gone: begun anew")

    def _log_handlers(self) -> Iterator[Any]:
        loggers = [self._options.logger]
        for group in self._groups.values():
            for process in group.processes.values():
                loggers += [getattr(dispatcher, "normallog", None) for dispatcher in process.dispatchers.values()]
        for logger in loggers:
            for handler in logger.handlers if logger else ():
                if hasattr(handler, "baseFilename") and not handler.closed:
                    yield handler

    def _socket(self) -> None:
        """Listen at a new Unix socket where the old one can no longer be found."""
        for number, (config, server) in enumerate(self._options.httpservers):
            if config["family"] == socket.AF_UNIX and not os.path.lexists(config["file"]):
                made = supervisor_af_unix_http_server(
                    config["file"], config["chmod"], config["chown"], logger_object=LogWrapper(self._options.logger)
                )
                made.handlers = server.handlers
                self._options.httpservers[number] = (config, made)
                server.close()
                self._options.logger.info(f"{config['file']} was gone: made anew")

    def _locks(self) -> None:
        """Hold the locks that others find, and not only files that nobody can find."""
        here = instance.noted(instance.DESCRIPTORS[1])  # of the run folder, which is mostly in memory
        for name, descriptor in zip(("data_dir", "run_dir"), instance.DESCRIPTORS, strict=True):
            folder = Path(here.settings[name])
            if folder.is_dir() and not instance.is_in_place(descriptor, folder):
                held = instance.hold(folder, here)
                os.dup2(held, descriptor, inheritable=True)
                os.close(held)


def _is_same_file(file: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
