"""The appliance as a whole: its settings, and whether supervisord answers."""

from pivision.doctor.finding import Findings, failure, ok, warning
from pivision.doctor.site import ACTIVE, AS_ROOT, UNIT, NoAnswer, Site
from pivision.supervision import Supervisor, Unreachable

_ANSWER_SECONDS = 5.0
_RUNS = ("RUNNING", "STARTING")


def settings(site: Site) -> Findings:
    """Whether pivision.toml and the PIVISION_* variables can be read."""
    try:
        site.ask("settings")
    except NoAnswer as reason:
        if site.python.exists():
            yield failure(str(reason), "correct the setting; docs/configuration.md lists all of them")
        else:
            yield warning(f"not checked: {reason}", "make run, or sudo make install")
        return
    yield ok(f"valid; port {site.settings.port}, data in {site.settings.data_dir}")


def supervisord(site: Site) -> Findings:
    """Whether the service runs, and whether supervisord answers and has all programs running."""
    (state,) = site.active_states(UNIT) or ["inactive"]
    socket = site.settings.run_dir / "supervisor.sock"
    try:
        programs = Supervisor(str(socket), _ANSWER_SECONDS).programs()
    except PermissionError:
        yield warning(f"only {site.user} and root can ask it", AS_ROOT)
    except Unreachable as reason:
        if state in ACTIVE:
            yield failure(f"{UNIT} is {state}, but {socket}: {reason}", f"sudo systemctl restart {UNIT}")
        elif site.is_booted and site.unit:
            yield failure(f"{UNIT} is {state}", f"sudo systemctl start {UNIT}; journalctl -u {UNIT} says why it ended")
        else:
            yield ok("does not run, and no unit says that it should")
    else:
        ill = [f"{program.name} is {program.state}" for program in programs if program.state not in _RUNS]
        if ill:
            start = f"supervisorctl -s unix://{socket} start all"
            yield warning(", ".join(ill), f"{site.python.parent}/{start}; logs in {site.settings.log_dir}")
        else:
            yield ok(f"answers; {len(programs)} programs run")
