"""What holds for every test: no setting of this machine's owner counts, nor in CI a skip that is not announced."""

import os
from pathlib import Path

import pytest

from pivision import config
from tests import needs

_FOR_TESTS = ("PIVISION_MODEL_MIRROR", "PIVISION_TEST_CODES")

# An appliance may run beside the tests, as a service from this very folder: with a pivision.toml, and a run folder that
# commands prefer. Here and in every process that a test starts, only what the test sets counts.
for _name in [name for name in os.environ if name.startswith("PIVISION_") and name not in _FOR_TESTS]:
    del os.environ[_name]
os.environ["PIVISION_CONFIG"] = os.devnull
config.SERVICE_RUN_DIR = Path("/nonexistent")


def _unexpected_skips(reporter: pytest.TerminalReporter) -> list[str]:
    """Return the skips that nobody has announced: in CI, a skipped test is one that nobody has seen pass."""
    if not os.environ.get("CI"):
        return []
    reports = reporter.stats.get("skipped", [])
    return needs.unexpected(str(report.longrepr[2] if report.longrepr else "") for report in reports)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which skips count as failures."""
    for skip in sorted(set(_unexpected_skips(terminalreporter))):
        terminalreporter.write_line(f"counts as failed in CI, {needs.LACK} does not announce it: {skip}", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let such a run fail."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and _unexpected_skips(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
