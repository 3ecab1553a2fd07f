"""What code can do that has taken over a worker by a picture, tried from within one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pivision import landlock, seccomp
from tests import needs, weights
from tests.appliance.pictures import faulty, photograph
from tests.box import Box, eventually, running_box

NOTICE_SECRET = "a-secret-in-an-address"
HAS_LANDLOCK = landlock.abi() >= landlock.LEAST_ABI

BY_LANDLOCK = {
    "read a token",
    "list the secrets",
    "list their copy",
    "write a token",
    "make a token",
    "make a node",
    "move into the secrets",
    "link out of the secrets",
    "remove a token",
    "remove the database",
    "remove supervisord's socket",
    "write a log",
    "write the code",
    "write elsewhere",
    "read the users",
    "read supervisord's environment",
    "read its own memory by name",
}
BY_SECCOMP = {
    "truncate a token",
    "open a token to all",
    "connect to the server",
    "connect by IPv6",
    "connect to supervisord",
    "send a datagram",
    "open a netlink socket",
    "end supervisord",
    "end all",
    "end by a descriptor",
    "trace supervisord",
    "limit supervisord",
    "make a namespace",
}


@pytest.fixture(scope="module")
def intruded(faults: dict[str, str]) -> Iterator[Box]:
    """An appliance that holds secrets in every place where they may be."""
    secrets = {
        "PIVISION_NOTICE_URL": f"http://127.0.0.1:9/{NOTICE_SECRET}",
        "PIVISION_CLIENT_TOKEN": "a-token-of-the-owner",
        "OWNERS_KEY": "a-key-of-the-owner",
    }
    try:
        with weights.folder("yunet") as folder, running_box({**faults, **secrets}, models_dir=folder) as box:
            yield box
    except FileNotFoundError as error:
        needs.skip("models", str(error))


@pytest.fixture(scope="module")
def attempts(intruded: Box) -> dict[str, Any]:
    """How each attempt ended: done, or the name of an errno."""
    if not HAS_LANDLOCK:  # they would succeed, and end the appliance
        pytest.fail("this kernel has no Landlock: run the tests of the worker's sandbox on one that has")
    eventually(lambda: (intruded.run_dir / "secrets").is_dir(), "health has copied the secrets")
    answer = intruded.post(faulty("INTRUDE", intruded.port), "codes", wait=20)
    detail = answer.json["error"]["detail"]
    found: dict[str, Any] = json.loads(detail[detail.index("{") :])
    return found


@pytest.mark.parametrize("attempt", sorted(BY_LANDLOCK | BY_SECCOMP))
def test_what_a_worker_may_not(attempts: dict[str, Any], attempt: str) -> None:
    assert attempts[attempt] in ("EACCES", "EPERM", "EXDEV")


def test_every_attempt_is_looked_at(attempts: dict[str, Any]) -> None:
    assert attempts.keys() == BY_LANDLOCK | BY_SECCOMP | {"environment"}


def test_a_worker_is_told_no_secret(attempts: dict[str, Any], intruded: Box) -> None:
    environment = attempts["environment"]
    assert "PIVISION_DATA_DIR" in environment
    for secret in (NOTICE_SECRET, "a-token-of-the-owner", "a-key-of-the-owner", "{SHA}"):
        assert secret not in environment


def test_all_its_threads_are_restricted(intruded: Box) -> None:
    intruded.post(photograph(), "faces,codes", wait=20)
    threads = list(Path(f"/proc/{intruded.pid('worker:worker_1')}/task").iterdir())
    assert len(threads) > 3
    for thread in threads:
        status = (thread / "status").read_text()
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status


def test_it_says_in_its_log_what_it_has_given_up(intruded: Box) -> None:
    log = intruded.log("worker_1")
    assert ("restricted: Landlock" in log) == (HAS_LANDLOCK and seccomp.is_supported())
    assert log.count("sandbox") == 1


def test_it_works_all_the_same(intruded: Box) -> None:
    """A model that is tried in a process of its own, a drawing and a preview that are written."""
    answer = intruded.post(photograph(), "faces,codes,markers,quality,annotate", wait=30)
    assert answer.json["state"] == "done"
    assert all("error" not in found for found in answer.json["result"].values()), answer.json
    assert intruded.get(f"/v1/tasks/{answer.json['id']}/annotated").status == 200


def test_a_backup_is_made_and_the_ledger_rotated(intruded: Box) -> None:
    backups = intruded.data_dir / "backups"
    eventually(lambda: list(backups.glob("*.db")), "a worker has made a backup", 120)
    assert "no backup" not in intruded.log("worker_1")
    assert (intruded.data_dir / "requests.jsonl").exists()


def test_models_that_are_linked_from_elsewhere_later_are_read(tmp_path: Path) -> None:
    """A rule belongs to a file, and not to its name: a worker whose rules lack one is started again."""
    model = weights.model("yunet")
    if (found := weights.find(model.file)) is None:
        needs.skip("models", weights.how_to_install(model.file))
    with running_box(models_dir=tmp_path / "models") as box:
        assert box.post(photograph(), "quality", wait=20).json["state"] == "done"
        first = box.pid("worker:worker_1")
        (tmp_path / "models" / model.file).symlink_to(found)
        eventually(lambda: box.pid("worker:worker_1") != first, "the worker has been started again")
        answer = box.post(photograph(), "faces", wait=30)
        assert answer.json["result"]["faces"]["faces"], answer.json
