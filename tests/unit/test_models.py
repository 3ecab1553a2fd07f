"""Which model looks, and what is said where none can: for files that are missing, damaged, replaced, or the owner's."""

import hashlib
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from pivision import abilities, operations
from pivision.abilities import Abilities
from pivision.errors import InvalidParameter, ModelMissing, ModelUnusable
from pivision.models import Models, catalogue, inventory, manifest, starter
from pivision.models.catalogue import CATALOGUE, FILES, OTHERS
from pivision.models.coco import LABELS
from pivision.models.progress import Progress
from tests import needs
from tests.vision.conftest import weights

YUNET = catalogue.first("faces")
NANODET = catalogue.first("objects")
PARCELS = 'file = "parcels.onnx"\nfamily = "yolox"\ninput_side_px = 416\nlabels = ["parcel", "letter"]\n'
OPENCV_5 = Abilities("5.0.0", stand_ins={}, text=False, models={})
OPENCV_4 = Abilities("4.6.0", stand_ins={"faces": "haar", "people": "hog"}, text=False, models={})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def put(folder: Path, *names: str) -> None:
    """Install models of the catalogue as copies, which a test may damage."""
    for model in CATALOGUE:
        if model.name in names:
            shutil.copyfile(weights(model.file), folder / model.file)


def put_own(folder: Path, name: str = "parcels", text: str = PARCELS) -> None:
    (folder / f"{name}.toml").write_text(text)
    (folder / "parcels.onnx").write_bytes(b"weights")


def damage(file: Path) -> None:
    """One bit is another, and nothing else tells."""
    content = bytearray(file.read_bytes())
    content[1000] ^= 1
    file.write_bytes(content)


def call(text: str) -> operations.OperationCall:
    (only,) = operations.parse(text)
    return only


# The catalogue


def test_the_catalogue_names_each_model_and_each_file_once() -> None:
    assert len(FILES) == len({file.file for file in FILES.values()}) == len(CATALOGUE) + len(OTHERS)
    assert {model.operation for model in CATALOGUE} == set(starter.OPERATIONS)
    assert not FILES.keys() & {"faces", "objects", "people", "text"}
    for file in FILES.values():
        assert file.origin is not None
        assert file.origin.url.startswith("https://")
        assert file.origin.url.endswith(f"/{file.file}")
        assert len(file.origin.sha256) == 64


@pytest.mark.parametrize("model", [YUNET, NANODET], ids=lambda model: model.name)
def test_the_catalogue_says_what_the_real_file_is(model: Any) -> None:
    content = weights(model.file).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (model.origin.size_bytes, model.origin.sha256)


def test_coco_has_its_eighty_labels_in_their_order() -> None:
    assert len(set(LABELS)) == len(LABELS) == 80
    assert (LABELS[0], LABELS[2], LABELS[16], LABELS[79]) == ("person", "car", "dog", "toothbrush")


# Choosing


def test_the_first_that_is_installed_looks(folder: Path) -> None:
    models = Models(folder)
    with pytest.raises(ModelMissing, match=r"no model for objects yet: .*models install objects$"):
        models.choose("objects")
    put_own(folder)
    assert models.choose("objects").model.name == "parcels"
    put(folder, "nanodet")
    assert models.choose("objects").model.name == "nanodet", "the catalogue comes before the owner's own"
    assert models.choose("objects", "parcels").path == folder / "parcels.onnx"
    with pytest.raises(ModelMissing):
        models.choose("faces")


def test_a_label_chooses_a_model_that_knows_it(folder: Path) -> None:
    put(folder, "nanodet")
    put_own(folder)
    models = Models(folder)
    assert models.choose("people").model.name == "nanodet"
    assert "parcels" not in [model.name for model in models.candidates("people")]
    (folder / NANODET.file).unlink()
    with pytest.raises(ModelMissing):
        models.choose("people")


def test_a_named_model_that_is_missing_says_what_installs_it(folder: Path) -> None:
    with pytest.raises(ModelMissing, match=r"No such file or directory: .*models install yolox$"):
        Models(folder).choose("objects", "yolox")


@pytest.mark.parametrize(
    ("operation", "name"),
    [
        ("objects", "yolo"),
        ("faces", "nanodet"),
        ("objects", "yunet"),
        ("faces", "parcels"),
        ("objects", "../x/parcels"),
    ],
)
def test_a_name_that_is_none_of_the_operations_lists_those(folder: Path, operation: str, name: str) -> None:
    put_own(folder)
    names = [model.name for model in CATALOGUE if model.operation == operation]
    with pytest.raises(ModelMissing, match=f"there are: {', '.join(names)}"):
        Models(folder).choose(operation, name)


def test_a_damaged_file_is_unusable_until_it_is_replaced(folder: Path) -> None:
    put(folder, "yunet")
    models = Models(folder)
    before = models.choose("faces").identity
    damage(folder / YUNET.file)
    with pytest.raises(ModelUnusable, match=r"damaged or another file: .*models install yunet"):
        models.choose("faces")
    with pytest.raises(ModelUnusable):
        models.choose("faces")
    put(folder, "yunet")
    assert models.choose("faces").identity != before, "another state of the file"


def test_another_length_is_damage_too(folder: Path) -> None:
    put(folder, "yunet")
    with (folder / YUNET.file).open("ab") as file:
        file.write(b"x")
    with pytest.raises(ModelUnusable):
        Models(folder).choose("faces")


def test_a_file_is_read_once_and_not_for_each_task(folder: Path) -> None:
    put(folder, "yunet")
    models = Models(folder)
    first = models.choose("faces")
    status = first.path.stat()
    damage(first.path)
    os.utime(first.path, ns=(status.st_atime_ns, status.st_mtime_ns))  # nobody can tell without reading it
    assert models.choose("faces") == first
    with pytest.raises(ModelUnusable):
        Models(folder).choose("faces")


# The owner's own


def test_a_manifest_describes_a_model(folder: Path) -> None:
    put_own(folder)
    (own,) = [model for model in Models(folder).known() if model.origin is None]
    assert (own.name, own.operation, own.family, own.file) == ("parcels", "objects", "yolox", "parcels.onnx")
    assert (own.labels, own.input_side_px) == (("parcel", "letter"), 416)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("file = ", "parcels.toml: "),
        ("\udcff", "parcels.toml: "),
        (PARCELS.replace("yolox", "yolov8"), "yolov8"),
        (PARCELS.replace("416", "400"), "multiple of 32"),
        (PARCELS.replace("416", '"416"'), "int"),
        (PARCELS.replace("parcels.onnx", "../parcels.onnx"), "file"),
        (PARCELS.replace("parcels.onnx", "parcels.pt"), "file"),
        (PARCELS.replace("parcels.onnx", r"\u0000.onnx"), "file"),
        (PARCELS.replace("parcels.onnx", f"{'ü' * 200}.onnx"), "file"),
        (PARCELS.replace("[", "[" * 5000), "recursion"),
        (PARCELS.replace('["parcel", "letter"]', "[]"), "labels"),
        (PARCELS + 'licence = "MIT"\n', "licence"),
        (PARCELS.replace("labels", "lables"), "lables"),
    ],
)
def test_a_wrong_manifest_is_told_and_disturbs_no_other(folder: Path, text: str, says: str) -> None:
    put_own(folder, "letters")
    (folder / "parcels.toml").write_bytes(text.encode(errors="surrogateescape"))
    models = Models(folder)
    with pytest.raises(ModelUnusable, match=r"parcels\.toml") as caught:
        models.choose("objects", "parcels")
    assert says in str(caught.value)
    assert models.choose("objects").model.name == "letters"
    assert list(inventory.wrong_manifests(models)) == [folder / "parcels.toml"]


@pytest.mark.parametrize("name", ["Parcels", "a b", "-x", "x" * 65])
def test_a_manifest_whose_name_no_request_could_give_is_wrong(folder: Path, name: str) -> None:
    put_own(folder, name)
    with pytest.raises(ModelUnusable, match="name"):
        manifest.read(folder / f"{name}.toml")


def test_a_name_of_the_catalogue_stays_the_catalogues(folder: Path) -> None:
    put(folder, "nanodet")
    put_own(folder, "nanodet")
    models = Models(folder)
    assert models.choose("objects", "nanodet").model == NANODET
    assert "rename the file" in inventory.wrong_manifests(models)[folder / "nanodet.toml"]


def test_another_manifest_is_another_model_whatever_its_file(folder: Path) -> None:
    put(folder, "nanodet")
    models = Models(folder)
    german = PARCELS.replace("parcels.onnx", NANODET.file)
    (folder / "german.toml").write_text(german)
    before = models.choose("objects", "german")
    assert before.identity != models.choose("objects", "nanodet").identity, "each has faults of its own"
    told = Abilities("5.0.0", stand_ins={}, text=False, models={before.identity: "no yolox network"})
    assert abilities.require(call("objects"), models, told) is not None
    (folder / "german.toml").write_text(german.replace("yolox", "nanodet"))
    corrected = models.choose("objects", "german")
    assert corrected.identity != before.identity, "it was corrected"
    (folder / "german.toml").write_text(german.replace("yolox", "nanodet"))
    assert models.choose("objects", "german") == corrected, "and is the same as long as it says the same"


def test_an_own_model_without_its_file_is_missing(folder: Path) -> None:
    put_own(folder)
    (folder / "parcels.onnx").unlink()
    with pytest.raises(ModelMissing, match=r"No such file or directory$"):
        Models(folder).choose("objects", "parcels")


def test_no_folder_is_no_model(folder: Path) -> None:
    models = Models(folder / "nowhere")
    assert models.known() == CATALOGUE
    assert {entry.state for entry in inventory.entries(models)} == {"not installed"}


@needs.mark("root")
@pytest.mark.parametrize("closed", ["house", "house/models"])
def test_a_folder_that_is_closed_to_this_user_holds_no_model(closed: str) -> None:
    """Of the service's user: what needs no model goes on, and the rest says what is the matter."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "house", "models")
        folder.mkdir(parents=True)
        put(folder, "yunet")
        put_own(folder)
        Path(temporary).chmod(0o755)
        Path(temporary, closed).chmod(0o700)
        os.seteuid(65534)
        try:
            models = Models(folder)
            assert models.known() == CATALOGUE
            with pytest.raises(ModelMissing):
                models.choose("faces")
            with pytest.raises(ModelMissing, match="Permission denied"):
                models.choose("faces", "yunet")
        finally:
            os.seteuid(0)


# What a task is run with


def test_operations_without_a_model_need_none(folder: Path) -> None:
    for name in ("codes", "markers", "motion", "quality"):
        assert abilities.require(call(name), Models(folder), OPENCV_5) is None


def test_each_operation_gets_its_model(folder: Path) -> None:
    put(folder, "yunet", "nanodet")
    put_own(folder)
    for text, name in (
        ("faces", "yunet"),
        ("objects", "nanodet"),
        ("people", "nanodet"),
        ('[{"name": "objects", "params": {"model": "parcels"}}]', "parcels"),
        ('[{"name": "objects", "params": {"labels": ["dog", "person"]}}]', "nanodet"),
    ):
        for told in (None, OPENCV_4, OPENCV_5):
            installed = abilities.require(call(text), Models(folder), told)
            assert installed is not None
            assert installed.model.name == name


@pytest.mark.parametrize(
    ("text", "told", "is_refused"),
    [
        ("faces", OPENCV_4, False),
        ("people", OPENCV_4, False),
        ("objects", OPENCV_4, True),
        ("faces", OPENCV_5, True),
        ("people", OPENCV_5, True),
        ("objects", OPENCV_5, True),
        ("faces", None, False),
        ("people", None, False),
        ("objects", None, True),
    ],
)
def test_opencv_itself_stands_in_where_it_can(
    folder: Path, text: str, told: Abilities | None, is_refused: bool
) -> None:
    if is_refused:
        with pytest.raises(ModelMissing):
            abilities.require(call(text), Models(folder), told)
    else:
        assert abilities.require(call(text), Models(folder), told) is None


def test_nothing_stands_in_for_what_is_damaged(folder: Path) -> None:
    put(folder, "yunet", "nanodet")
    damage(folder / YUNET.file)
    damage(folder / NANODET.file)
    for text in ("faces", "people"):
        with pytest.raises(ModelUnusable):
            abilities.require(call(text), Models(folder), OPENCV_4)


def test_a_model_that_opencv_could_not_load_is_refused_until_it_is_another_file(folder: Path) -> None:
    put(folder, "yunet")
    models = Models(folder)
    told = Abilities(
        "4.6.0", {"faces": "haar", "people": "hog"}, False, {models.choose("faces").identity: "no such layer"}
    )
    with pytest.raises(ModelUnusable, match=r"^model yunet: no such layer$"):
        abilities.require(call("faces"), models, told)
    os.utime(folder / YUNET.file, ns=(1, 1))
    assert abilities.require(call("faces"), models, told) is not None


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        ('["dgo"]', "'nanodet' knows no 'dgo'; is it 'dog'"),
        ('["dog", "zzz"]', "knows no 'zzz'$"),
        ('["parcel"]', "knows no 'parcel'"),
    ],
)
def test_a_label_that_the_model_does_not_know_is_refused(folder: Path, labels: str, says: str) -> None:
    put(folder, "nanodet")
    with pytest.raises(InvalidParameter, match=says):
        abilities.require(call(f'[{{"name": "objects", "params": {{"labels": {labels}}}}}]'), Models(folder), None)


def test_text_needs_its_package_once_that_is_known(folder: Path) -> None:
    with pytest.raises(ModelMissing, match=r"models install text$"):
        abilities.require(call("text"), Models(folder), OPENCV_5)
    assert abilities.require(call("text"), Models(folder), None) is None
    told = Abilities("5.0.0", stand_ins={}, text=True, models={})
    assert abilities.require(call("text"), Models(folder), told) is None


def test_what_a_worker_tells_is_what_the_server_reads(folder: Path) -> None:
    assert abilities.published(folder) is None
    abilities.publish(folder, OPENCV_4)
    assert abilities.published(folder) == OPENCV_4
    told = folder / "workers" / "abilities.json"
    assert list(told.parent.iterdir()) == [told]
    told.write_bytes(b'{"opencv": "5')
    assert abilities.published(folder) is None


# What a first start brings


def test_a_first_start_brings_what_is_missing_and_only_that(folder: Path) -> None:
    mirror = str(weights(YUNET.file).parent)
    weights(NANODET.file)
    models = Models(folder / "models")
    assert starter.missing(models) == [YUNET, NANODET]
    assert starter.try_once(models, mirror, Progress()).installed == [models.folder / m.file for m in (YUNET, NANODET)]
    assert starter.try_once(models, "/nowhere", Progress()) == ([], [], "")
    (folder / "models" / NANODET.file).unlink()
    attempt = starter.try_once(models, "/nowhere", Progress())
    assert attempt.installed == []
    assert attempt.remedy.startswith("no model for objects (file:///nowhere/object_detection_nanodet_2022nov.onnx: No")
    assert attempt.remedy.endswith("to turn it on: .venv/bin/python -m pivision models install objects")
    put_own(models.folder)
    assert starter.missing(models) == [], "the owner has chosen"


def test_a_first_start_waits_in_vain_once_and_not_for_each_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(starter, "_SILENCE_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        attempt = starter.try_once(Models(folder), f"http://127.0.0.1:{silent.getsockname()[1]}", Progress())
    assert 0.9 < time.monotonic() - began < 1.9
    assert (attempt.installed, attempt.missing) == ([], ["faces", "objects"])
    assert "no model for faces and objects (http://127.0.0.1:" in attempt.remedy
    assert attempt.remedy.endswith("models install faces objects")
    assert list(folder.iterdir()) == []
