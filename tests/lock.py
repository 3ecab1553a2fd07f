"""Writes what follows from the pins: `make lock`, after a change of requirements*.txt.

- requirements.lock and requirements-text.lock: the SHA-256 of every file that PyPI has for each pin (uv asks PyPI). pip
  then takes no other file.
- docs/sbom.cdx.json, in CycloneDX: each package with its licence and the libraries that its wheel holds, as they are in
  the environment that runs this; on x86-64, with OpenCV's usual build. The table of docs/licences.md says the same.
"""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from pivision.config import ROOT

SBOM = ROOT / "docs" / "sbom.cdx.json"
TABLE = ROOT / "docs" / "licences.md"
LISTS = ("requirements", "requirements-text")
_BUNDLED = re.compile(r"^(\w+)\.libs/(lib.+?)(?:-[0-9a-f]{8})*\.so[.\d\w]*$")

LICENCES = {
    "libQt5": "LGPL-3.0-only",
    **dict.fromkeys(
        ("libavcodec", "libavdevice", "libavfilter", "libavformat", "libavutil", "libswresample", "libswscale"),
        "LGPL-2.1-or-later",
    ),
    **dict.fromkeys(("libX11", "libXau", "libxcb", "libxkbcommon", "libdrm"), "MIT"),
    **dict.fromkeys(("libcrypto", "libssl"), "OpenSSL"),
    **dict.fromkeys(("libaom", "libavif", "libopenjp2"), "BSD-2-Clause"),
    **dict.fromkeys(
        ("libvpx", "libpcre2", "libopenblas", "libscipy_openblas", "libwebp", "libsharpyuv", "libzstd"), "BSD-3-Clause"
    ),
    "libgfortran": "GPL-3.0-or-later WITH GCC-exception-3.1",
    "libquadmath": "LGPL-2.1-or-later",
    **dict.fromkeys(("libbrotli", "libharfbuzz", "liblcms2"), "MIT"),
    "libfreetype": "FTL",
    "libgeos": "LGPL-2.1-or-later",
    "libjpeg": "IJG AND BSD-3-Clause",
    "liblzma": "0BSD",
    "libpng16": "libpng-2.0",
    "libtiff": "libtiff",
}
"""Those of the libraries in wheels, by the beginnings of their names: a wheel does not always name them."""

_OF_PACKAGES = {
    "supervisor": "BSD-derived (Repoze)",
    "rapidocr": "Apache-2.0",
    "onnxruntime": "MIT",
    "opencv-python": "Apache-2.0",
    "waitress": "ZPL-2.1",
}
"""Where the metadata of a package do not say it in SPDX's words."""


def pins(name: str) -> dict[str, str]:
    """Return the packages of a list with their versions; where OpenCV is pinned, also its build without windows."""
    found = dict(re.findall(r"^([\w-]+)==([^\s;#]+)", (ROOT / f"{name}.txt").read_text(encoding="utf-8"), re.MULTILINE))
    if "opencv-python" in found:
        found["opencv-python-headless"] = found["opencv-python"]
    return found


def sbom() -> dict[str, Any]:
    """Return the bill of materials of this environment."""
    versions = {package: version for name in LISTS for package, version in pins(name).items()}
    del versions["opencv-python-headless"]  # in the place of opencv-python, not beside it
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "name": "pivision"}},
        "components": [component(name, versions[name]) for name in sorted(versions, key=str.lower)],
    }


def table(components: list[dict[str, Any]]) -> str:
    """Return the same for people: one row for each package."""
    rows = ["| package | version | licence | libraries in its wheel |", "|---|---|---|---|"]
    for each in components:
        by_licence: dict[str, list[str]] = {}
        for library in each.get("components", ()):
            by_licence.setdefault(_name(library), []).append(library["name"])
        libraries = "; ".join(f"{', '.join(names)} ({licence})" for licence, names in sorted(by_licence.items()))
        rows.append(f"| {each['name']} | {each['version']} | {_name(each)} | {libraries} |")
    return "\n".join(rows) + "\n"


def _name(component: dict[str, Any]) -> str:
    return str(component["licenses"][0]["license"]["name"])


def component(name: str, version: str) -> dict[str, Any]:
    """Return what is known of an installed package."""
    package = importlib.metadata.distribution(name)
    bundled = sorted({match[2] for file in package.files or () if (match := _BUNDLED.match(str(file)))})
    component = {
        "type": "library",
        "name": name,
        "version": version,
        "purl": f"pkg:pypi/{name.lower().replace('_', '-')}@{version}",
        "licenses": _licence(_OF_PACKAGES.get(name) or _said(package)),
    }
    if bundled:
        component["components"] = [
            {"type": "library", "name": library, "licenses": _licence(_of_library(library))} for library in bundled
        ]
    return component


def _said(package: importlib.metadata.Distribution) -> str:
    """What the metadata say of the licence, in one line."""
    metadata = package.metadata
    for expression in metadata.get_all("License-Expression", ()):
        return str(expression)
    classified = [word.rpartition(" :: ")[2] for word in metadata.get_all("Classifier", ()) if word[:9] == "License :"]
    return " AND ".join(classified) or next(iter(metadata.get_all("License", ())), "unknown").splitlines()[0]


def _of_library(library: str) -> str:
    return next(licence for beginning, licence in LICENCES.items() if library.startswith(beginning))


def _licence(text: str) -> list[dict[str, dict[str, str]]]:
    return [{"license": {"name": text}}]


def _write_lock(name: str) -> None:
    listed = "".join(f"{package}=={version}\n" for package, version in pins(name).items())
    command = (
        *(sys.executable, "-m", "uv", "pip", "compile", "--no-config", "--quiet", "--universal", "--no-deps"),
        *("--no-annotate", "--no-header", "--generate-hashes", "--python-version=3.11", "-"),
    )
    done = subprocess.run(command, input=listed, check=True, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    Path(ROOT, f"{name}.lock").write_text(done.stdout, encoding="utf-8")


if __name__ == "__main__":
    for each in LISTS:
        _write_lock(each)
    found = sbom()
    SBOM.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    above = TABLE.read_text(encoding="utf-8").partition("| package |")[0]
    TABLE.write_text(above + table(found["components"]), encoding="utf-8")
