"""Reading codes: zxing-cpp, as `codes` uses it, against OpenCV's own detectors, on the same photographs.

The photographs are part of zxing-cpp's black-box tests, with the text that each must read beside it
(PIVISION_TEST_CODES, or ../shared/codes). In a process of its own, which has OpenCV.
"""

import multiprocessing
import os
import sys
import time
from pathlib import Path

from benchmarks.table import median, show
from pivision.config import ROOT

FOLDER = Path(os.environ.get("PIVISION_TEST_CODES", ROOT.parent / "shared" / "codes"))
ROUNDS = 3

Outcome = tuple[int, list[float]]
Read = list[str | bytes]


def main() -> None:
    """Let each reader read every photograph and print the table."""
    if not FOLDER.is_dir():
        sys.exit(f"there are no photographs of codes in {FOLDER}: set PIVISION_TEST_CODES")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        told = pool.apply(_read_all)
    show(
        "Codes: found and milliseconds",
        f"{sum(photographs for _, photographs, _ in told)} photographs, read {ROUNDS} times each; found: the "
        "right text. OpenCV's detectors know no Data Matrix; each is asked for what it knows.",
        ["codes", "photographs", "reader", "found", "median ms"],
        [
            [kind, str(photographs), reader, str(found), f"{median(milliseconds):.2f}"]
            for kind, photographs, readers in told
            for reader, (found, milliseconds) in readers.items()
        ],
    )


def _read_all() -> list[tuple[str, int, dict[str, Outcome]]]:
    import cv2

    from pivision.operations.codes import CodesParams
    from pivision.vision import codes, frame
    from pivision.vision.frame import Frame
    from tests.vision.test_codes import expected

    def by_zxing(picture: Frame) -> Read:
        found = codes.read_codes(picture, CodesParams()).codes
        return [*(code.text.strip() for code in found), *(code.bytes for code in found)]

    def by_opencv_qr(picture: Frame) -> Read:
        try:
            return list(cv2.QRCodeDetector().detectAndDecodeMulti(picture)[1])
        except UnicodeDecodeError:  # OpenCV gives bytes that are no UTF-8 as text
            return []

    def by_opencv_bars(picture: Frame) -> Read:
        return list(cv2.barcode.BarcodeDetector().detectAndDecodeMulti(picture)[1])

    readers = {"qrcode": {"OpenCV QRCodeDetector": by_opencv_qr}, "ean13": {"OpenCV BarcodeDetector": by_opencv_bars}}
    told = []
    for folder in sorted(path for path in FOLDER.iterdir() if path.is_dir()):
        kind = folder.name.partition("-")[0]
        photographs = [
            (frame.decode(picture.read_bytes()), expected(picture))
            for picture in sorted(folder.iterdir())
            if picture.suffix in (".png", ".webp")
        ]
        outcomes = {}
        for name, read in {"PiVision (zxing-cpp)": by_zxing, **readers.get(kind, {})}.items():
            found, milliseconds = 0, []
            for round_ in range(ROUNDS):
                for picture, text in photographs:
                    began = time.perf_counter()
                    texts = read(picture)
                    milliseconds.append((time.perf_counter() - began) * 1000)
                    found += round_ == 0 and text in texts
            outcomes[name] = (found, milliseconds)
        told.append((folder.name, len(photographs), outcomes))
    return told


if __name__ == "__main__":
    main()
