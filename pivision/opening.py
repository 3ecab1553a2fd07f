"""Opens what a program needs of the data folder, and waits for it as long as it takes."""

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from pivision import config, heartbeat
from pivision.errors import DatabaseRecovering, PiVisionError
from pivision.images import Images
from pivision.store import Store
from pivision.store.gate import Gate

_PAUSE_SECONDS = 1.0
_SHORT_PAUSE_SECONDS = 0.05  # while another program is at it: mostly it is done in a moment
_MOMENT_SECONDS = 5.0


class Opened(NamedTuple):
    """The data folder, ready for use."""

    gate: Gate
    store: Store
    images: Images


def until_open(
    settings: config.Settings, obstacle: Callable[[PiVisionError], None], progress: Callable[[], None]
) -> Opened:
    """Open store and images, however long that takes: a disk may be mounted late, and a permission given back.

    `obstacle` is told after each attempt what stands in the way; each new one is one line in the log. `progress` is
    called when a check begins, and again and again during a recovery.
    """
    gate = Gate(settings.database, settings.run_dir / heartbeat.FOLDER, settings.database_timeout_seconds)
    began, said = time.monotonic(), ""
    while True:
        try:
            images = Images(settings.images_dir, settings.disk_reserve_bytes)
            return Opened(gate, gate.open(images.names, progress), images)
        except PiVisionError as error:
            obstacle(error)
            is_brief = isinstance(error, DatabaseRecovering) and time.monotonic() - began < _MOMENT_SECONDS
            if str(error) != said and not is_brief:
                logging.getLogger("database").error("%s [%s]", error, error.code)
                said = str(error)
        time.sleep(_SHORT_PAUSE_SECONDS if is_brief else _PAUSE_SECONDS)
