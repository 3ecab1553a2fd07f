"""PiVision: a computer-vision server that nobody has to visit."""

import sys

__version__ = "0.1.0"

if sys.version_info < (3, 11):  # noqa: UP036  # an older Python comes as far as this line
    sys.exit(f"PiVision needs Python 3.11 or newer, as Debian 12 has it; this is {sys.version.split()[0]}")
