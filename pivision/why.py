"""`python -m pivision why`: what happened to this box, newest last."""

from collections.abc import Iterator
from pathlib import Path

from pivision import history
from pivision.errors import FileUnreadable


def lines(data_dir: Path, last: int) -> Iterator[str]:
    """A table of the `last` events: when, what, why. Raises FileUnreadable."""
    try:
        events = history.read(data_dir)[-last:]
    except OSError as error:
        raise FileUnreadable(f"{error.filename}: {error.strerror}") from None
    if not events:
        yield "Nothing has been restarted yet."
        return
    boot_id = ""
    for event in events:
        if event.boot_id != boot_id:
            boot_id = event.boot_id
            yield f"--- boot {boot_id[:8]}"
        often = f" ({event.times} times)" if event.times > 1 else ""
        yield f"{event.at}  {event.program:<12} {event.cause:<9} {event.detail}{often}"
