"""The formats that are not read, by name: a refusal says what was sent."""

import re

_ISO_BRANDS = {
    b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC",
    b"hevc": "HEIC", b"hevx": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF", b"crx ": "Canon CR3",
    b"isom": "MP4 (a video)", b"iso2": "MP4 (a video)", b"mp41": "MP4 (a video)", b"mp42": "MP4 (a video)",
    b"qt  ": "QuickTime (a video)", b"M4V ": "MP4 (a video)", b"avc1": "MP4 (a video)", b"3gp4": "3GP (a video)",
}  # fmt: skip
_SIGNATURES = (
    (rb"GIF8[79]a", "GIF"),
    (rb"II\x2b\0|MM\0\x2b", "BigTIFF"),
    (rb"II\*\0....CR", "Canon CR2"),
    (rb"II\*\0|MM\0\*", "TIFF, or a camera's raw format"),
    (rb"IIU\0", "Panasonic RW2"),
    (rb"FUJIFILMCCD-RAW", "Fujifilm RAF"),
    (rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", "JPEG 2000"),
    (rb"\xff\xd8\xff\xf7", "JPEG-LS"),
    (rb"II\xbc\x01", "JPEG XR"),
    (rb"%PDF", "PDF"),
    (rb"8BPS", "Photoshop"),
    (rb"\x1a\x45\xdf\xa3", "Matroska or WebM (a video)"),
    (rb"RIFF....AVI ", "AVI (a video)"),
    (rb"\x00\x00[\x01\x02]\x00", "ICO"),
    (rb"P[1-7][\s#]", "Netpbm"),
    (rb"#\?R(ADIANCE|GBE)", "Radiance HDR"),
    (rb"v/1\x01", "OpenEXR"),
    (rb"qoif", "QOI"),
    (rb"DDS ", "DDS"),
    (rb"\x8aMNG|\x8bJNG", "MNG or JNG"),
    (rb"PK\x03\x04", "ZIP archive"),
    (rb"\x1f\x8b", "gzip archive"),
    (rb"data:", "data: URL"),
    (rb"/9j/|iVBORw0KGgo|UklGR|Qk0", "base64 text"),
)  # fmt: skip
_PATTERNS = [(re.compile(pattern, re.DOTALL), name) for pattern, name in _SIGNATURES]
_TEXT = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml|<!--|<!DOCTYPE\s+|<)\s*", re.IGNORECASE)

HEAD_BYTES = 1024
"""How much of a file `name` looks at."""


def name(head: bytes) -> str | None:
    """Return what the first HEAD_BYTES of a file show it to be; None for what nobody knows."""
    if head[4:8] == b"ftyp":
        brands = (head[8:12], *(head[at : at + 4] for at in range(16, min(len(head), _box_bytes(head)), 4)))
        return next((_ISO_BRANDS[brand] for brand in _by_weight(brands) if brand in _ISO_BRANDS), "ISO media")
    for pattern, known in _PATTERNS:
        if pattern.match(head):
            return known
    if _TEXT.match(head):
        lower = head.lower()
        return "SVG" if b"<svg" in lower else "HTML" if b"<html" in lower else "XML"
    return None


def _box_bytes(head: bytes) -> int:
    return int.from_bytes(head[:4], "big")


def _by_weight(brands: tuple[bytes, ...]) -> list[bytes]:
    """AVIF and HEIC before the container's own brands, of which every file has some."""
    return sorted(brands, key=lambda brand: brand in (b"mif1", b"msf1", b"isom", b"iso2", b"mp41", b"mp42"))
