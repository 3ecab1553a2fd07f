"""JPEG (ITU-T T.81, annexes B and G): size, orientation, and how often a decoder goes over the pixels.

A progressive JPEG is decoded scan by scan, each over all blocks of its components, and a scan may have ten bytes:
417 KB with 3,000 scans of 49 million pixels are decoded for minutes.
"""

import re
import struct

import msgspec

from pivision.errors import ImageTruncated, ImageUnsupported
from pivision.formats import PARTS_LIMIT, Buffer, Picture, exif_orientation

SIGNATURE = re.compile(rb"\xff\xd8\xff")

_SIDE_LIMIT_PX = 65_500  # JPEG_MAX_DIMENSION of libjpeg
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # not a stuffed zero, not a fill byte, not a restart
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_DECODED_FRAMES = {0xC0, 0xC1, 0xC2, 0xC9, 0xCA}  # baseline, extended, progressive; the last two by arithmetic coding
_PROGRESSIVE = {0xC2, 0xCA}
_ARITHMETIC = {0xC9, 0xCA}
_ARITHMETIC_PASSES = 8.0  # a pass of an arithmetic decoder, in those of a Huffman decoder
_KINDS = {3: "lossless", 5: "hierarchical", 6: "hierarchical", 7: "lossless", 11: "lossless"}
_COMPONENTS = (1, 3, 4)
_COEFFICIENTS = 64
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_END = bytes((0xFF, _END_OF_IMAGE))


class _Frame:
    """The frame header, and how far the scans have come since."""

    def __init__(self, marker: int, segment: bytes) -> None:
        precision, self.height_px, self.width_px, count = struct.unpack_from(">BHHB", segment)
        if marker not in _DECODED_FRAMES:
            kind = _KINDS.get(marker & 0x0F, "hierarchical")
            raise ImageUnsupported(f"the JPEG is {kind}, which is not read; baseline and progressive ones are")
        if precision != 8:
            raise ImageUnsupported(f"the JPEG has {precision} bits for each sample; those with 8 are read")
        if not self.height_px:
            raise ImageUnsupported("the JPEG tells its height behind its first scan (DNL), which is not read")
        if count not in _COMPONENTS:
            raise ImageUnsupported(f"the JPEG has {count} components; those with 1, 3 or 4 are read")
        factors = [(segment[6 + 3 * n], segment[7 + 3 * n]) for n in range(count)]
        self.areas = {component: (factor >> 4) * (factor & 15) for component, factor in factors}
        self._largest = max(f >> 4 for _, f in factors) * max(f & 15 for _, f in factors) or 1
        self._is_progressive = marker in _PROGRESSIVE
        self._cost = _ARITHMETIC_PASSES if marker in _ARITHMETIC else 1.0
        self._missing_bits = {component: [16] * _COEFFICIENTS for component in self.areas}
        self.passes = 1.0  # the last one: inverse DCT, colours

    def scan(self, segment: bytes) -> None:
        """Count a scan, by the blocks of its components."""
        count = segment[0]
        components = [segment[1 + 2 * n] for n in range(count)]
        first, last, bits = segment[1 + 2 * count : 4 + 2 * count]
        for component in components:
            self.passes += self._cost * self.areas.get(component, 0) / self._largest
            if component in self._missing_bits and first <= last < _COEFFICIENTS:
                self._missing_bits[component][first : last + 1] = [bits & 15] * (last + 1 - first)

    def described(self, orientation: int) -> Picture:
        size = self.width_px, self.height_px
        if self.passes == 1.0:
            raise ImageTruncated("the JPEG has no scan")
        picture = Picture.stored("jpeg", size, _SIDE_LIMIT_PX, orientation, self.passes)
        if self._is_progressive and any(any(bits) for bits in self._missing_bits.values()):
            picture = msgspec.structs.replace(picture, warnings=("the JPEG lacks some of its scans",))
        return picture


def describe(data: Buffer) -> Picture:
    """Describe a JPEG. Raises ImageTruncated, ImageUnsupported, struct.error, IndexError."""
    frame: _Frame | None = None
    orientation = 1
    position = 2
    for _ in range(PARTS_LIMIT):
        found = _MARKER_IN_SCAN.search(data, position)
        if found is None:
            if frame is None or not _is_padded(data):
                raise ImageTruncated("the JPEG ends without its end marker")
            return frame.described(orientation)
        marker, position = data[found.end() - 1], found.end()
        if marker == _END_OF_IMAGE:
            if frame is None:
                raise ImageTruncated("the JPEG has no frame")
            return frame.described(orientation)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a segment
            continue
        (length,) = struct.unpack_from(">H", data, position)
        if length < 2 or position + length > len(data):
            raise ImageTruncated("the JPEG ends within a segment")
        segment = bytes(data[position + 2 : position + length])
        if marker in _FRAMES and frame is None:
            frame = _Frame(marker, segment)
        elif marker == _START_OF_SCAN and frame is not None:
            frame.scan(segment)
        elif marker == 0xE1 and orientation == 1 and segment.startswith(b"Exif\0\0"):
            orientation = exif_orientation(segment[6:])
        position += length
    raise ImageUnsupported(f"the JPEG has more than {PARTS_LIMIT} segments")


def essential(data: bytes) -> bytes:
    """Return what a decoder needs: as it is, with the end marker where padding stands in its place."""
    if not _is_padded(data):
        return data
    whole = data.rstrip(data[-1:])
    if whole.endswith(_END):
        return data
    return whole + (b"\0" if whole.endswith(b"\xff") else b"") + _END  # FF 00 is a byte of a scan


def _is_padded(data: Buffer) -> bool:
    """Whether a file ends with zeros, or as erased memory does: cameras leave them where the end marker was.

    A cut-off upload does not end so: in a scan, FF is followed by 00, and 00 rarely by another.
    """
    return data[-2:] == b"\0\0" or data[-4:] == b"\xff\xff\xff\xff"
