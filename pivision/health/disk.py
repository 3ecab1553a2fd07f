"""Whether pictures are refused because of the disk, as the server itself says: it knows the reserve and the folder."""

import http.client
import json
import time
from collections.abc import Callable

from pivision import listening

_TIMEOUT_SECONDS = 2.0
_INTERVAL_SECONDS = 10.0
_QUIET_SECONDS = 300.0  # so long it must have been well: a disk on the brink of its reserve is one notice and not many


class Disk:
    """Asks the server's /readyz now and then."""

    def __init__(self, host: str, port: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._host = host
        self._port = port
        self._clock = clock
        self._due = clock()
        self._complaint = ""
        self._failed_at = clock()

    def complaint(self) -> str:
        """What the disk lacks; "" when it lacks nothing. A server that does not answer says nothing of the disk."""
        now = self._clock()
        if now >= self._due:
            self._due = now + _INTERVAL_SECONDS
            found = self._ask()
            if found not in ("", "ok"):
                self._complaint, self._failed_at = f"{found}: new pictures are refused", now
            elif found and now >= self._failed_at + _QUIET_SECONDS:
                self._complaint = ""
        return self._complaint

    def _ask(self) -> str:
        """What /readyz says of the disk: ok, or the code of an error; "" if it says nothing."""
        host = listening.reachable_host(self._host)
        connection = http.client.HTTPConnection(host, self._port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return str(json.loads(connection.getresponse().read(1 << 16))["checks"].get("disk", ""))
        except (OSError, http.client.HTTPException, ValueError, TypeError, KeyError, AttributeError):
            return ""
        finally:
            connection.close()
