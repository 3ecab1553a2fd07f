"""The networks alone: OpenCV's versions against onnxruntime, one thread against all, FP32 against int8.

Each in a process of its own, round by round. The int8 files are those of the catalogue where they are installed, else
made here from the FP32 files by onnxruntime's static quantization, calibrated on the photographs of the tests.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.table import median, show, spread
from pivision.config import ROOT
from tests import opencvs, weights

ROUNDS = 3
_FORWARD = ROOT / "benchmarks" / "forward.py"


class Network(NamedTuple):
    """One file to run forward."""

    name: str
    kind: str
    file: Path
    side_px: int


def main() -> None:
    """Measure every network with every runtime and print the table."""
    cores = len(os.sched_getaffinity(0))
    runtimes = [("opencv", Path(sys.executable)), ("opencv", opencvs.with_opencv_4() / "bin" / "python")]
    runtimes.append(("onnxruntime", Path(sys.executable)))
    with tempfile.TemporaryDirectory() as folder:
        networks = _networks(Path(folder))
        cells = [
            (network, runtime, threads)
            for network in networks
            for runtime in runtimes
            for threads in sorted({1, cores})
        ]
        told: dict[tuple[str, str, str, int], list[float]] = {}
        for _round in range(ROUNDS):
            for network, (runtime, python), threads in cells:
                answer = _forward(network, runtime, python, threads)
                times = told.setdefault((network.name, network.kind, answer["runtime"], threads), [])
                times += [median(answer["milliseconds"])] if answer["milliseconds"] else []
    fastest = {name: min(median(times) for key, times in told.items() if times and key[0] == name) for name, *_ in told}
    show(
        "Networks: bare forward",
        f"Medians of {ROUNDS} processes each (min-max of their medians), in ms; a random picture.",
        ["network", "file", "runtime", "threads", "ms", "x the fastest"],
        [
            [name, kind, runtime, str(threads), spread(times, 1), f"{median(times) / fastest[name]:.2f}"]
            if times
            else [name, kind, runtime, str(threads), "does not run", ""]
            for (name, kind, runtime, threads), times in told.items()
        ],
    )


def _forward(network: Network, runtime: str, python: Path, threads: int) -> Any:
    command: list[str | Path] = [python, _FORWARD, runtime, network.file, str(network.side_px), str(threads)]
    return json.loads(subprocess.check_output(command, timeout=300))


def _networks(folder: Path) -> list[Network]:
    networks = []
    for name in ("yunet", "nanodet"):
        model, int8 = weights.model(name), weights.model(f"{name}-int8")
        full, small = weights.find(model.file), weights.find(int8.file)
        if full is None:
            sys.exit(f"{name} is not installed: .venv/bin/python -m pivision models install {name}")
        networks.append(Network(name, "FP32", full, model.input_side_px))
        kind = "int8" if small else "int8, made here"
        networks.append(
            Network(name, kind, small or _quantized(full, model.input_side_px, folder), model.input_side_px)
        )
    return networks


def _quantized(file: Path, side_px: int, folder: Path) -> Path:
    """The same network with 8-bit weights and activations. In a process of its own: it needs OpenCV and onnx."""
    target = folder / f"{file.stem}_int8.onnx"
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.quantize", file, str(side_px), target]
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, "ORT_DISABLE_TELEMETRY": "1"})
    return target


if __name__ == "__main__":
    main()
