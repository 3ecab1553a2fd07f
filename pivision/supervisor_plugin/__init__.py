"""What PiVision adds to supervisord, in its process: a guard before its web page, and upkeep of its files.

conf/supervisord.conf names `make` as the factory of an RPC interface, the way in which supervisord loads other code.
"""

from typing import Any

from supervisor import events

from pivision.supervisor_plugin import page
from pivision.supervisor_plugin.guard import guard
from pivision.supervisor_plugin.upkeep import Upkeep


class Plugin:
    """An RPC interface without methods, which begins its work once supervisord listens."""

    def __init__(self, supervisord: Any) -> None:
        self._supervisord = supervisord
        events.subscribe(events.SupervisorRunningEvent, self._begin)

    def _begin(self, _: Any) -> None:
        """Begin. An error ends supervisord here, as it should: its page would be there without the guard."""
        guard(self._supervisord.options.httpservers)
        page.install()
        events.subscribe(events.Tick5Event, Upkeep(self._supervisord).look)


def make(supervisord: Any, **_: Any) -> Plugin:
    """Return the plugin of this supervisord, which asks for it once for each of its web servers."""
    if not hasattr(supervisord, "pivision_plugin"):
        supervisord.pivision_plugin = Plugin(supervisord)
    plugin: Plugin = supervisord.pivision_plugin
    return plugin
