"""Pictures to send: photographs, codes drawn here, and pictures that are made to do harm."""

import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import qrcode

_PHOTOGRAPHS = Path(__file__).parent.parent / "pictures"


def photograph() -> bytes:
    """A JPEG of a person, 35 KB or so."""
    return (_PHOTOGRAPHS / "astronaut.jpg").read_bytes()


def photograph_of_code() -> tuple[bytes, str]:
    """A photograph of a QR code, and the text that it must read."""
    return (_PHOTOGRAPHS / "qrcode-1.webp").read_bytes(), (_PHOTOGRAPHS / "qrcode-1.txt").read_text()


def qr_code(text: str) -> bytes:
    """A small PNG that holds `text` and nothing else."""
    code = qrcode.QRCode(mask_pattern=0)  # without a search for the most beautiful of the eight masks
    code.add_data(text)
    code.make()
    modules = np.where(np.array(code.get_matrix()), 0, 255).astype(np.uint8)
    return encoded(modules.repeat(4, axis=0).repeat(4, axis=1))


def noise(seed: int, side_px: int) -> bytes:
    """A BMP that no two seeds have in common and no compression makes smaller: 3 * side_px² bytes."""
    pixels = np.random.default_rng(seed).integers(0, 256, (side_px, side_px, 3), np.uint8)
    return encoded(pixels, ".bmp")


def faulty(fault: str, seconds: float | None = None, name: str = "") -> bytes:
    """A photograph whose decoding ends as faults/sitecustomize.py says: SEGFAULT, HANG, or SLOW for some seconds.

    `name` tells it from other pictures with the same fault.
    """
    comment = f"PIVISION-FAULT:{fault}:{'' if seconds is None else seconds};{name}".encode()
    whole = photograph()
    return whole[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + whole[2:]


def png_bomb(side_px: int) -> bytes:
    """A PNG whose header and structure are right and whose pixels would fill the memory: 1 KB of zeros, packed."""
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", header), (b"IDAT", zlib.compress(bytes(1024))), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def scan_bomb(side_px: int, scans: int) -> bytes:
    """A progressive JPEG of one grey whose last scan is repeated: a few bytes each, and a pass over all pixels."""
    whole = encoded(np.full((side_px, side_px), 128, np.uint8), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    end = whole.rindex(b"\xff\xd9")
    return whole[:end] + whole[whole.rindex(b"\xff\xda") : end] * scans + whole[end:]


def blank(width_px: int, height_px: int, kind: str = ".png") -> bytes:
    """A white picture: few bytes, many pixels."""
    return encoded(np.full((height_px, width_px, 3), 255, np.uint8), kind)


def encoded(pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", kind: str = ".png", *options: int) -> bytes:
    """The pixels as a file of this kind."""
    is_written, data = cv2.imencode(kind, pixels, options)
    assert is_written
    return data.tobytes()
