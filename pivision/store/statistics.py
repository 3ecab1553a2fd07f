"""How many tasks there are, and when they ended: what metrics and plots are made of."""

from pivision.store.connections import Connections
from pivision.store.rows import End, to_end
from pivision.task import State


class Statistics:
    """Numbers of one database. Every method may raise what the store's do."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def unfinished(self) -> int:
        """How many tasks are waiting or at work."""
        return int(self._connections.read("unfinished", {})[0]["tasks"])

    def ended_by_minute(self, minutes: int) -> dict[int, int]:
        """How many tasks have ended so many minutes of running time ago, of the last `minutes`; zeros are left out."""
        return {
            row["minutes_ago"]: row["tasks"] for row in self._connections.read("ended_by_minute", {"minutes": minutes})
        }

    def counts_by_operation(self) -> dict[tuple[State, str], int]:
        """How many tasks there are in each state with each operation; zeros are left out. Reads every task."""
        rows = self._connections.read("counts_by_operation", {})
        return {(State(row["state"]), row["operation"]): row["tasks"] for row in rows}

    def queue_ends(self) -> tuple[int | None, int]:
        """The id of the task that waits longest, None if none does, and the last id that was given."""
        row = self._connections.read("queue_ends", {})[0]
        return row["oldest_id"], row["last_id"]

    def ended_since(self, seconds: int, task_id: int, limit: int) -> list[End]:
        """At most `limit` tasks that ended after `seconds` of running time, or then with larger ids; in this order."""
        rows = self._connections.read("ended_since", {"seconds": seconds, "id": task_id, "limit": limit})
        return [to_end(row) for row in rows]
