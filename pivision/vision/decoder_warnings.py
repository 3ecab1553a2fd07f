"""What decoders say of a damaged file. libjpeg prints it on the standard error and goes on with what it can guess.

OpenCV gives no other way: so the descriptor of the standard error leads to memory while a file is decoded. What other
threads of this process say meanwhile, and what is no warning of ours, is passed on afterwards.
"""

import contextlib
import os
import re
import sys
from collections.abc import Iterator

_STDERR = 2
_LIMIT_BYTES = 64 * 1024
_KEPT = 5  # a damaged file can have thousands of faults
_DAMAGE = re.compile(
    r"(?:Corrupt JPEG data|Premature end of JPEG|Inconsistent progression|Invalid SOS|Unsupported marker|libpng warning"
    r"|Application transferred too few scanlines|Unknown Adobe color|Warning: unknown JFIF)"
)


@contextlib.contextmanager
def heard() -> Iterator[list[str]]:
    """Yield a list that holds the decoder's warnings, each once, when the block has ended."""
    warnings: list[str] = []
    sys.stderr.flush()
    memory = os.memfd_create("decoder", os.MFD_CLOEXEC)
    before = os.dup(_STDERR)
    os.dup2(memory, _STDERR)
    try:
        yield warnings
    finally:
        sys.stderr.flush()
        os.dup2(before, _STDERR)
        said = os.pread(memory, _LIMIT_BYTES, 0)
        for descriptor in (before, memory):
            os.close(descriptor)
        other = []
        for line in said.decode(errors="replace").splitlines():
            if not _DAMAGE.match(line):
                other.append(line)
            elif line not in warnings and len(warnings) < _KEPT:
                warnings.append(line)
        if other:
            os.write(_STDERR, "\n".join((*other, "")).encode())
