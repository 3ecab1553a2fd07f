"""What only the environment's Python can do for an installation, as the service's user, since it needs the packages.

`python -m pivision.install.prepare` prints the settings that count, as JSON. With a word behind it: `secrets` makes the
web password and the owner's access token where they are missing, and prints the files, never what is in them;
`database-copy` and `database-back` serve an upgrade; `models` tries once to install those that are missing, from the
folder behind it unless there is a mirror.
"""

import json
import os
import sys

from pivision import appliance, config, owner, program
from pivision.errors import PiVisionError
from pivision.install import database
from pivision.install.place import Place
from pivision.install.steps import Steps
from pivision.models import Models, starter
from pivision.models.progress import Progress


def main() -> None:
    """Do it and print what was done, or end with one line that says why not."""
    os.umask(0o077)
    try:
        settings = config.load()
        for line in _done(settings, sys.argv[1:]):
            print(line)
    except (PiVisionError, OSError) as error:
        sys.exit(str(error))


def _done(settings: config.Settings, question: list[str]) -> list[str]:
    place = Place(**{name: getattr(settings, name) for name in Place._fields})
    match question:
        case ["secrets"]:
            return _make_secrets(settings, place)
        case ["database-copy"]:
            database.copy(settings)
            return []
        case ["database-back"]:
            return [line for line in [database.put_back(settings)] if line]
        case ["models", *other_mirror]:
            _bring_models(settings, *other_mirror)
            return []
        case _:
            return [json.dumps(place._asdict(), default=str)]


def _make_secrets(settings: config.Settings, place: Place) -> list[str]:
    made = []
    program.make_private_folder(settings.secrets_dir)
    if not appliance.web_password_file(settings).exists():
        appliance.web_password(settings)
        made.append(f"password of supervisord's web page: {appliance.web_password_file(settings)}")
    if not place.token_file.exists():
        owner.token(settings.secrets_dir)
        made.append(f"access token {owner.NAME!r}: {place.token_file}")
    return made


def _bring_models(settings: config.Settings, other_mirror: str = "") -> None:
    """Say what came of it as a step of the installation, which goes on either way."""
    steps, models = Steps(is_dry_run=False), Models(settings.models_dir)
    if not starter.missing(models):
        steps.already(f"models in {settings.models_dir}")
        return
    attempt = starter.try_once(models, settings.model_mirror or other_mirror, Progress())
    for path in attempt.installed:
        steps.taken(f"model {path}")
    if attempt.remedy:
        steps.warn(attempt.remedy)


if __name__ == "__main__":
    main()
