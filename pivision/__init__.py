"""PiVision: a computer-vision server that nobody has to visit."""

import sys

if sys.version_info < (3, 11):  # noqa: UP036  # said here, once, before a newer syntax stops every command
    sys.exit("PiVision needs Python 3.11 or newer; choose one with: make PYTHON=python3.12 …")

__version__ = "0.1.0"
