"""The operator's command: `python -m pivision …`."""

import argparse
import sys

from pivision import __version__, doctor
from pivision.errors import PiVisionError


def main() -> None:
    """Read the command line and do what it says; an error is one line and what to do about it."""
    parser = argparse.ArgumentParser(prog="python -m pivision", description="PiVision, the computer-vision box.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="start the appliance in the foreground")
    run.add_argument(
        "--unattended", action="store_true", help="at boot: start even when the port is held, print no token"
    )
    token = commands.add_parser("token", help="make an access token and print it; it is shown this once")
    token.add_argument("name", help="what it is for; a token of the same name is replaced")
    doctor.add_arguments(commands.add_parser("doctor", help="say what is wrong with this machine, and what mends it"))
    options = parser.parse_args()
    if options.command == "doctor":
        sys.exit(doctor.main(options))
    from pivision import appliance, config, tokens  # the other commands need packages

    try:
        settings = config.load()
        if options.command == "run":
            appliance.run(settings, options.unattended)
        print(tokens.create(settings.secrets_dir, options.name))
    except PiVisionError as error:
        sys.exit(f"pivision: {error} [{error.code}]\n{error.remedy}")


if __name__ == "__main__":
    main()
