"""The git checkout that PiVision runs from, always touched as its owner."""

import shutil

from pivision.errors import InstallationFailed
from pivision.install.account import Account
from pivision.install.venv import ROOT

_SECONDS = 60.0
_FETCH_SECONDS = 300.0


def commit(owner: Account, name: str = "HEAD") -> str:
    """The commit's full name; empty where there is no git, no checkout or no such commit."""
    if not shutil.which("git"):
        return ""
    found = owner.attempt(_git("rev-parse", "--quiet", "--verify", f"{name}^{{commit}}"), _SECONDS)
    return found.stdout.strip() if found.returncode == 0 else ""


def local_changes(owner: Account, to: str) -> str:
    """What moving to another commit would lose: changed files, commits that are nowhere else. Empty when nothing."""
    changed = owner.run(_git("status", "--porcelain", "--untracked-files=no"), _SECONDS)
    unpublished = owner.run(_git("log", "--oneline", "HEAD", "--not", to, "--remotes", "--tags"), _SECONDS)
    return (changed + unpublished).rstrip()


def fetch(owner: Account) -> None:
    """Get what the remotes have. Raises InstallationFailed without network."""
    owner.run(_git("fetch", "--quiet", "--tags", "--all"), _FETCH_SECONDS)


def newest(owner: Account) -> str:
    """The newest commit of the branch that this checkout follows. Raises InstallationFailed when it follows none."""
    found = commit(owner, "@{upstream}")
    if not found:
        raise InstallationFailed(f"{ROOT} follows no remote branch; name the version: upgrade --to REF")
    return found


def read(owner: Account, at: str, path: str) -> str:
    """The text of a file at a commit."""
    return owner.run(_git("show", f"{at}:{path}"), _SECONDS)


def subject(owner: Account, at: str) -> str:
    """A commit's short name and its first line, for people."""
    return owner.run(_git("log", "-1", "--format=%h (%s)", at), _SECONDS).strip()


def move_to(owner: Account, at: str) -> None:
    """Let the branch, and every tracked file, be at this commit."""
    owner.run(["rm", "-f", ROOT / ".git" / "index.lock"], _SECONDS)  # of a git that was killed
    owner.run(_git("reset", "--hard", "--quiet", at), _FETCH_SECONDS)


def _git(*arguments: str) -> list[str]:
    return ["git", "-C", str(ROOT), *arguments]
