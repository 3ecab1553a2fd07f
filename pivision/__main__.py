"""The operator's command: `python -m pivision …`."""

import argparse
import sys
from pathlib import Path

from pivision import __version__, appliance, archive, config, tokens
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
    back_up = commands.add_parser("backup", help="copy database and pictures to a tar file, while it serves or not")
    back_up.add_argument("file", type=Path, help="a file that is not there yet")
    restore = commands.add_parser("restore", help="put such a file in the place of what is there; that is moved aside")
    restore.add_argument("file", type=Path)
    options = parser.parse_args()
    try:
        settings = config.load()
        if options.command == "run":
            appliance.run(settings, options.unattended)
        elif options.command == "backup":
            archived = archive.back_up(settings, options.file)
            print(f"{options.file}: the tasks up to {archived.last_id}, {archived.images} pictures")
        elif options.command == "restore":
            replaced = archive.restore(settings, options.file)
            print(f"restored; what was there before is in {replaced}")
        else:
            print(tokens.create(settings.secrets_dir, options.name))
    except PiVisionError as error:
        sys.exit(f"pivision: {error} [{error.code}]\n{error.remedy}")


if __name__ == "__main__":
    main()
