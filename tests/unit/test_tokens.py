"""Access tokens: what is on the disk, and who is let in."""

import hashlib
import os
from pathlib import Path

import pytest

from pivision import tokens
from pivision.errors import InvalidRequest
from pivision.tokens import Scope, Token
from tests import needs


def is_valid(secrets_dir: Path, token: str) -> bool:
    return tokens.find(secrets_dir, token) is not None


def test_only_the_hash_is_kept_and_only_for_the_owner(tmp_path: Path) -> None:
    secrets_dir = tmp_path / "secrets"
    token = tokens.create(secrets_dir, "phone")
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [file.name for file in files] == ["phone"]
    assert files[0].read_text() == hashlib.sha256(token.encode()).hexdigest()
    assert files[0].stat().st_mode & 0o777 == 0o600
    assert files[0].parent.stat().st_mode & 0o777 == 0o700
    assert not [file for file in files if token in file.read_text() or token in file.name]


def test_a_token_has_256_bits_and_never_comes_again(tmp_path: Path) -> None:
    made = {tokens.create(tmp_path, f"t{number}") for number in range(20)}
    assert len(made) == 20
    assert all(len(token) == 43 for token in made)  # 32 bytes in base64
    assert all(is_valid(tmp_path, token) for token in made)


def test_a_replaced_token_is_invalid_at_once(tmp_path: Path) -> None:
    old = tokens.create(tmp_path, "phone")
    other = tokens.create(tmp_path, "laptop")
    new = tokens.create(tmp_path, "phone")
    assert [is_valid(tmp_path, token) for token in (old, new, other)] == [False, True, True]


def test_a_removed_token_is_invalid_at_once(tmp_path: Path) -> None:
    token, other = tokens.create(tmp_path, "phone"), tokens.create(tmp_path, "laptop")
    (tmp_path / "tokens" / "phone").unlink()
    assert [is_valid(tmp_path, each) for each in (token, other)] == [False, True]


@pytest.mark.parametrize("change", [lambda t: "", lambda t: t[:-1], lambda t: t + "x", str.swapcase, lambda t: t[::-1]])
def test_whatever_else_is_invalid(tmp_path: Path, change: object) -> None:
    token = tokens.create(tmp_path, "phone")
    assert callable(change)
    assert not is_valid(tmp_path, change(token))
    assert not is_valid(tmp_path, hashlib.sha256(token.encode()).hexdigest())


@pytest.mark.parametrize("token", ["", "ä", "\udcff", "x" * 100_000, "\0"])
def test_odd_tokens_are_only_invalid(tmp_path: Path, token: str) -> None:
    assert not is_valid(tmp_path, token)
    tokens.create(tmp_path, "phone")
    assert not is_valid(tmp_path, token)


def test_files_that_are_no_tokens_let_nobody_in(tmp_path: Path) -> None:
    token = tokens.create(tmp_path, "phone")
    folder = tmp_path / "tokens"
    (folder / ".phone.4711").write_text(hashlib.sha256(b"half written").hexdigest())
    (folder / "Phone.bak").write_text(hashlib.sha256(b"backup").hexdigest())
    (folder / "empty").write_text("")
    assert not is_valid(tmp_path, "half written")
    assert not is_valid(tmp_path, "backup")
    assert not is_valid(tmp_path, "")
    assert is_valid(tmp_path, token)


@pytest.mark.parametrize("stray", ["folder", "text"])
def test_what_does_not_belong_there_keeps_nobody_out(tmp_path: Path, stray: str) -> None:
    token = tokens.create(tmp_path, "phone")
    if stray == "folder":
        (tmp_path / "tokens" / "old").mkdir()
    else:
        (tmp_path / "tokens" / "notes").write_text("Küche")
    assert is_valid(tmp_path, token)
    assert not is_valid(tmp_path, "other")


def test_a_token_has_the_scope_it_was_made_with(tmp_path: Path) -> None:
    for scope in Scope:
        token = tokens.create(tmp_path, f"a-{scope}", scope)
        kept = Token(f"a-{scope}", hashlib.sha256(token.encode()).hexdigest(), scope)
        assert tokens.find(tmp_path, token) == tokens.named(tmp_path, kept.name) == kept
    assert [token.name for token in tokens.kept(tmp_path)] == ["a-admin", "a-read", "a-submit"]
    assert (tmp_path / "tokens" / "a-read").read_text().splitlines()[1:] == ["read"]


def test_older_tokens_are_admins(tmp_path: Path) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "old").write_text(hashlib.sha256(b"old").hexdigest())
    assert tokens.find(tmp_path, "old") == Token("old", hashlib.sha256(b"old").hexdigest(), Scope.ADMIN)


@pytest.mark.parametrize("line", ["\n", "\nADMIN", "\nroot\n", "\nread\nadmin\n", " admin"])
def test_a_scope_that_is_none_lets_nobody_in(tmp_path: Path, line: str) -> None:
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens" / "odd").write_text(hashlib.sha256(b"odd").hexdigest() + line)
    assert tokens.find(tmp_path, "odd") is None


def test_each_scope_covers_those_before(tmp_path: Path) -> None:
    assert [[one.covers(other) for other in Scope] for one in Scope] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


def test_removing_says_whether_there_was_one_and_leaves_everything_else(tmp_path: Path) -> None:
    tokens.create(tmp_path, "phone")
    (tmp_path / "password").write_text("x")
    assert [tokens.remove(tmp_path, "phone") for _ in range(2)] == [True, False]
    with pytest.raises(InvalidRequest):
        tokens.remove(tmp_path, "../password")
    assert (tmp_path / "password").exists()


@pytest.mark.parametrize("name", ["", "A", "a b", "../x", "a/b", ".hidden", "-", "x" * 65, "ä", "a\n"])
def test_names_that_are_none(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest):
        tokens.create(tmp_path, name)
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("name", ["a", "0", "my-phone_2", "x" * 64])
def test_names_that_are_fine(tmp_path: Path, name: str) -> None:
    assert is_valid(tmp_path, tokens.create(tmp_path, name))


@needs.mark("root")
def test_what_root_makes_belongs_to_whom_the_folder_belongs(tmp_path: Path) -> None:
    os.chown(tmp_path, 1000, 1001)
    tokens.create(tmp_path, "made-with-sudo")
    for made in (tmp_path / "tokens", tmp_path / "tokens" / "made-with-sudo"):
        assert (made.stat().st_uid, made.stat().st_gid) == (1000, 1001)
