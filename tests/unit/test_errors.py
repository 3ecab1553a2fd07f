"""The tree of errors is part of the interface: codes stay, and each says what to do."""

import http
import re
from pathlib import Path

import pytest

from pivision import errors
from pivision.config import Settings
from pivision.errors import PiVisionError

DOCS = Path(__file__).parent.parent.parent / "docs"


def tree(root: type[PiVisionError] = PiVisionError) -> list[type[PiVisionError]]:
    """The class and all below it."""
    return [root, *(each for child in root.__subclasses__() for each in tree(child))]


KINDS = tree()


def test_all_of_them_are_in_one_file() -> None:
    assert {kind.__name__ for kind in KINDS} == {
        name for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, Exception)
    }
    assert len(KINDS) > 20


def test_codes_are_unique() -> None:
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_found_by_its_code(kind: type[PiVisionError]) -> None:
    assert errors.kind_of(kind.code) is kind


def test_a_code_that_is_not_known_is_an_error_all_the_same() -> None:
    assert errors.kind_of("of-an-older-program") is PiVisionError


@pytest.mark.parametrize("kind", KINDS)
def test_each_explains_itself(kind: type[PiVisionError]) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", kind.code)
    assert re.sub(r"(?<!^)([A-Z])", r"-\1", kind.__name__).lower() == kind.code or kind is PiVisionError
    assert "__doc__" in vars(kind)
    assert kind.title().endswith(".")
    assert "\n" not in kind.title()
    assert kind is PiVisionError or "remedy" in vars(kind)
    assert kind.remedy.endswith((".", "retry."))
    assert http.HTTPStatus(kind.status)
    assert kind.status >= 400
    assert str(kind()) == kind.title()
    assert str(kind("what happened")) == "what happened"


@pytest.mark.parametrize("kind", KINDS)
def test_only_what_may_pass_is_retryable(kind: type[PiVisionError]) -> None:
    assert kind.retryable == (kind.status in (408, 429, 503, 507))


@pytest.mark.parametrize("kind", KINDS)
def test_each_code_is_documented(kind: type[PiVisionError]) -> None:
    assert f"`{kind.code}`" in (DOCS / "api.md").read_text(encoding="utf-8")


def test_the_documents_that_remedies_name_are_there() -> None:
    named = {name for kind in KINDS for name in re.findall(r"docs/([\w.]+\.md)", kind.remedy)}
    assert named
    assert [name for name in sorted(named) if not (DOCS / name).exists()] == []


def test_the_settings_that_remedies_name_exist() -> None:
    named = {word for kind in KINDS for word in re.findall(r"\b(?:max|task|disk)_\w+", kind.remedy)}
    assert named <= set(Settings.__struct_fields__)
