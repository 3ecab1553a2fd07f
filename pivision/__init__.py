"""PiVision: a computer-vision server that nobody has to visit."""

import os
import sys

__version__ = "0.1.0"

if sys.version_info < (3, 11):  # noqa: UP036  # an older Python comes as far as this line
    sys.exit(f"PiVision needs Python 3.11 or newer, as Debian 12 has it; this is {sys.version.split()[0]}")

if os.geteuid() == 0 != os.stat(__file__).st_uid:  # noqa: PTH116  # pathlib is not worth its import here
    sys.dont_write_bytecode = True  # sudo leaves no files of root in the owner's folder
