"""The server: waitress around the API. Never imports OpenCV, so that it is back in a moment.

Run as `python -m pivision.server`.
"""

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from pivision import config, doorbell, listening, program
from pivision.api.app import create_app, create_opening_app
from pivision.api.auth import Access
from pivision.api.feed import Feed
from pivision.api.last_hour import LastHour
from pivision.api.waiting import Waiting
from pivision.errors import DatabaseRecovering, DatabaseUnusable, PiVisionError
from pivision.http_server import http_server
from pivision.opening import until_open
from pivision.wire.admission import Environment, Verdict

_OPENING_SECONDS = 1.0  # mostly the database is open sooner, and no client sees that it was not
_STOP_SECONDS = 8.0  # waitress gives its threads 5 to answer


class Application:
    """The WSGI application: answers what needs no database at once, and everything as soon as the database is open."""

    def __init__(
        self, settings: config.Settings, waiting: Waiting, feed: Feed, ring_workers: Callable[[], None]
    ) -> None:
        self._settings = settings
        self._waiting = waiting
        self._feed = feed
        self._ring_workers = ring_workers
        self._obstacle: PiVisionError = DatabaseRecovering()
        self.access = Access(settings)  # one for both: what it counts must not begin again with the second
        self._app = create_opening_app(settings, lambda: self._obstacle, self.access)
        self.is_open = threading.Event()
        self.damage = ""
        self._log = logging.getLogger("server")

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer one request."""
        return self._app(environ, start_response)

    def judge(self, environment: Environment) -> Verdict:
        """Decide on a head; see Heads."""
        return self._app.heads.judge(environment)

    def accept_key(self, environment: Environment, key: str) -> None:
        """Accept a key in a form, or raise; see Heads."""
        self._app.heads.accept_key(environment, key)

    def open(self) -> None:
        """Open the database, serve everything, and end this process when the database must be recovered."""
        try:
            gate, store, images = until_open(self._settings, self._note, lambda: None)
            hour = LastHour(store)
            threading.Thread(target=hour.keep, daemon=True).start()
            self._app = create_app(
                self._settings, store, images, self._waiting, self._feed, hour, self._ring_workers, self.access
            )
            self.is_open.set()
            self.damage = gate.watch(store)
            self._log.error("the server ends, so that the database is recovered: %s", self.damage)
            os.kill(os.getpid(), signal.SIGTERM)  # as when it is stopped: who has asked gets an answer
            time.sleep(_STOP_SECONDS)
        except BaseException:
            self._log.exception("the server ends: it can neither open the database nor watch over it")
            raise
        finally:
            os._exit(1)

    def _note(self, obstacle: PiVisionError) -> None:
        self._obstacle = obstacle


def serve(settings: config.Settings) -> None:
    """Serve until SIGTERM. Raises OSError when the port is taken, and DatabaseUnusable to end with the database."""
    log = logging.getLogger("server")
    program.make_private_folder(settings.run_dir)
    waiting = Waiting(seats=settings.server_threads - 2)
    feed = Feed(settings.event_streams)
    bell = doorbell.Doorbell(doorbell.server_bell(settings.run_dir))
    worker_bells = [doorbell.worker_bell(settings.run_dir, number) for number in range(1, settings.workers + 1)]

    def ring_workers() -> None:
        feed.ring()  # who adds or retries a task makes an event, too
        for worker_bell in worker_bells:
            doorbell.ring(worker_bell)

    def listen() -> None:
        while True:
            for message in bell.wait(timeout_seconds=60):
                if message.isdigit():
                    waiting.wake(int(message))
            feed.ring()

    def stop(*_: object) -> None:
        waiting.close()
        feed.close()
        raise SystemExit

    application = Application(settings, waiting, feed, ring_workers)
    server = http_server(application, settings)
    # The port came first: a server that finds it held must fail before it has opened anything.
    threading.Thread(target=application.open, daemon=True).start()
    threading.Thread(target=application.access.sessions.keep_tending, daemon=True).start()
    application.is_open.wait(_OPENING_SECONDS)
    threading.Thread(target=listen, daemon=True).start()
    signal.signal(signal.SIGTERM, stop)
    log.info("listening at %s", listening.url(server.effective_host, settings.port))
    server.run()
    if application.damage:
        raise DatabaseUnusable(application.damage)
    log.info("stopped")


def main() -> None:
    """`python -m pivision.server`"""
    program.begin("server")
    try:
        serve(config.load())
    except PiVisionError as error:
        sys.exit(f"{error.code}: {error}\n{error.remedy}")
    except OSError as error:
        sys.exit(f"the server cannot start: {error}")


if __name__ == "__main__":
    main()
