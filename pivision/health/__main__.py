"""`python -m pivision.health`, as conf/supervisord.conf starts it."""

import argparse
import os

from pivision import program
from pivision.health.rounds import Health, Settings


def main() -> None:
    """Read the command line and go round for ever."""
    parser = argparse.ArgumentParser(prog="python -m pivision.health")
    for name, kind in Settings.__annotations__.items():
        parser.add_argument(f"--{name.replace('_', '-')}", required=True, type=kind)
    settings = Settings(**vars(parser.parse_args()))
    notice_url = os.environ.get("PIVISION_NOTICE_URL", "")  # not on the command line: it may hold a secret
    Health(settings, notice_url, program.begin("health")).run()


if __name__ == "__main__":
    main()
