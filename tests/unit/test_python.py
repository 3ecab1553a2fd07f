"""Debian 12 has Python 3.11.2: nothing that came to the standard library in a later 3.11.x is used.

What came with 3.12 and later, mypy finds. It does not know of patch releases, so their few additions stand here, as the
"Changed in version" notes of Python's documentation have them.
"""

import ast

from pivision.config import ROOT

ARGUMENTS = {
    "filter": ("extract", "extractall", "unpack_archive"),  # 3.11.4
    "strict": ("getaddresses", "parseaddr"),  # 3.11.10
    "scripting": ("HTMLParser",),  # 3.11.14
}
NAMES = (
    *("data_filter", "tar_filter", "fully_trusted_filter", "FilterError", "extraction_filter"),  # tarfile, 3.11.4
    *("LinkFallbackError", "ALLOW_MISSING"),  # tarfile and os.path, 3.11.13
    *("SetReparseDeferralEnabled", "GetReparseDeferralEnabled"),  # pyexpat, 3.11.9
)
FILES = [
    file
    for folder in ("pivision", "tests", "benchmarks")
    for file in (ROOT / folder).rglob("*.py")
    if "node_modules" not in file.parts
]


def used_later(source: str) -> list[str]:
    """What of the additions a module uses, with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [word.arg for word in node.keywords if word.arg and name in ARGUMENTS.get(word.arg, ())]
            found += [f"line {node.lineno}: {name}({argument}=)" for argument in given]
        elif isinstance(node, ast.Attribute) and node.attr in NAMES:
            found.append(f"line {node.lineno}: {node.attr}")
    return found


def test_nothing_is_used_that_python_3_11_0_has_not() -> None:
    found = {str(file.relative_to(ROOT)): used_later(file.read_text(encoding="utf-8")) for file in FILES}
    assert len(found) > 300
    assert {file: uses for file, uses in found.items() if uses} == {}


def test_what_is_looked_for_is_found() -> None:
    assert used_later("tar.extract(member, folder, filter='data')") == ["line 1: extract(filter=)"]
    assert used_later("import tarfile\nx = tarfile.data_filter") == ["line 2: data_filter"]
    assert used_later("filter(None, extract(strict=True))") == []
