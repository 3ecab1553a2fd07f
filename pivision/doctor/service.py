"""The appliance as a whole: its settings, and whether supervisord answers."""

from pivision.doctor.finding import Findings, failure, ok, warning
from pivision.doctor.site import ACTIVE, AS_ROOT, INSTALL, UNIT, NoAnswer, Site, as_its_user
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
            yield warning(f"not checked: {reason}", INSTALL)
        return
    yield ok(f"valid; port {site.settings.port}, data in {site.settings.data_dir}")


@as_its_user
def supervisord(site: Site) -> Findings:
    """Whether the service runs, and whether supervisord answers and has all programs running."""
    (state,) = site.active_states(UNIT) or ["inactive"]
    socket = site.settings.run_dir / "supervisor.sock"
    try:
        programs = Supervisor(str(socket), _ANSWER_SECONDS).programs()
    except PermissionError:
        yield warning(f"only {site.user} and root can ask it", AS_ROOT)
    except (FileNotFoundError, ConnectionRefusedError):
        if site.is_booted and site.unit:
            remedy = f"sudo systemctl restart {UNIT}; journalctl -u {UNIT} says why it ended"
            yield failure(f"{UNIT} is {state}, and there is no supervisord at {socket}", remedy)
        else:
            yield ok("does not run, and no unit says that it should")
    except Unreachable as reason:
        remedy = f"sudo systemctl restart {UNIT}" if state in ACTIVE else "kill -9 supervisord, and make run"
        yield failure(f"does not answer at {socket}: {reason}", remedy)
    else:
        ill = [program for program in programs if program.state not in _RUNS]
        if ill:
            seen = ", ".join(f"{program.name} is {program.state}" for program in ill)
            start = f"{site.python.parent}/supervisorctl -s unix://{socket} start all"
            is_given_up = any(program.state == "FATAL" for program in ill)  # STOPPED is a person's wish
            yield (failure if is_given_up else warning)(seen, f"{start}; the logs in {site.settings.log_dir} say why")
        else:
            yield ok(f"answers; {len(programs)} programs run")
