"""`python -m pivision.health`, as conf/supervisord.conf starts it."""

import os

from pivision import program
from pivision.health.rounds import Health, Settings


def main() -> None:
    """Go round for ever, with the settings that the appliance has put into the environment."""
    log = program.begin("health")
    settings = Settings(
        **{name: kind(os.environ[f"PIVISION_{name.upper()}"]) for name, kind in Settings.__annotations__.items()}
    )
    Health(settings, os.environ.get("PIVISION_NOTICE_URL", ""), log).run()


if __name__ == "__main__":
    main()
