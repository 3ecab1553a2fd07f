"""Downloads of models: from real servers that break off, hang, lie or send too much, and from folders."""

import contextlib
import hashlib
import os
import random
import resource
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from pivision.errors import DownloadFailed
from pivision.models import Models, catalogue, download, source, starter
from pivision.models.model import Model, Origin
from pivision.models.progress import Progress

CONTENT = random.Random(7).randbytes(300_000)
FILE = "parcels_2024.onnx"
Answer = Callable[["Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers as the test wants it, and notes what was asked for."""

    protocol_version = "HTTP/1.0"  # the end of the connection is the end of the answer
    server: "Server"

    def do_GET(self) -> None:
        self.server.seen.append((self.path, self.headers["Range"]))
        answers = self.server.answers
        (answers.pop(0) if len(answers) > 1 else answers[0])(self)

    def tell(self, status: int, body: bytes = b"", length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # as in its base class
        """Not into the test's output."""


class Server(ThreadingHTTPServer):
    """Gives the answers one after the other, and the last one from then on."""

    daemon_threads = True

    def __init__(self, *answers: Answer) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers = list(answers)
        self.seen: list[tuple[str, str | None]] = []
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def ranges(self) -> list[str | None]:
        return [asked for _, asked in self.seen]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Starts servers, which end with the test."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with contextlib.ExitStack() as stack:

        def start(*answers: Answer) -> Server:
            server = Server(*answers)
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            stack.callback(server.over.set)
            return server

        yield start


def whole(request: Handler) -> None:
    """A server that knows no Range."""
    request.tell(200, CONTENT, len(CONTENT))


def ranged(request: Handler) -> None:
    """A server that knows Range."""
    if asked := request.headers["Range"]:
        first = int(asked.removeprefix("bytes=").removesuffix("-"))
        told = f"bytes {first}-{len(CONTENT) - 1}/{len(CONTENT)}"
        request.tell(206, CONTENT[first:], len(CONTENT) - first, Content_Range=told)
    else:
        whole(request)


def cut(request: Handler) -> None:
    """A line that breaks."""
    request.tell(200, CONTENT[:100_000], len(CONTENT))


def model(content: bytes = CONTENT, url: str = "", size_bytes: int | None = None) -> Model:
    sha256 = hashlib.sha256(content).hexdigest()
    return Model(
        name="parcels",
        operation="objects",
        family="yolox",
        file=FILE,
        labels=("parcel",),
        input_side_px=416,
        origin=Origin(url, len(content) if size_bytes is None else size_bytes, sha256, "MIT"),
    )


def install(folder: Path, mirror: str, wanted: Model | None = None, **options: Any) -> Path:
    return download.install(wanted or model(), folder, mirror, Progress(), **options)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.exists() else set()


def part(folder: Path, content: bytes) -> Path:
    """What an earlier attempt has left."""
    folder.mkdir(exist_ok=True)
    file = folder / f"{FILE}.part"
    file.write_bytes(content)
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Not there yet."""
    return tmp_path / "box" / "models"


@pytest.fixture
def there(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


def test_a_file_comes_whole_readable_for_all_and_once(serve: Callable[..., Server], folder: Path) -> None:
    server = serve(ranged)
    before = os.umask(0o077)
    try:
        assert install(folder, f"{server.url}/a/") == folder / FILE
    finally:
        os.umask(before)
    assert (folder / FILE).read_bytes() == CONTENT
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder / FILE, folder, folder.parent)] == [
        0o644,
        0o755,
        0o755,
    ]
    assert names(folder) == {FILE}
    install(folder, server.url)
    assert server.seen == [(f"/a/{FILE}", None)], "what is there is not asked for again"


def test_without_a_mirror_it_comes_from_its_origin(serve: Callable[..., Server], there: Path) -> None:
    server = serve(whole)
    install(there, "", model(url=f"{server.url}/zoo/file"))
    assert server.seen == [("/zoo/file", None)]


def test_after_a_cut_the_next_run_goes_on_behind_it(serve: Callable[..., Server], folder: Path) -> None:
    server = serve(cut, ranged)
    with pytest.raises(DownloadFailed, match=r"/parcels_2024\.onnx: the connection ended after 100000 of 300000 bytes"):
        install(folder, server.url)
    assert names(folder) == {f"{FILE}.part"}
    assert (folder / f"{FILE}.part").read_bytes() == CONTENT[:100_000]
    install(folder, server.url)
    assert server.ranges == [None, "bytes=100000-"]
    assert (folder / FILE).read_bytes() == CONTENT
    assert names(folder) == {FILE}


def refuses_range(request: Handler) -> None:
    request.tell(416) if request.headers["Range"] else whole(request)


def another_range(request: Handler) -> None:
    if request.headers["Range"]:
        request.tell(206, CONTENT[5:], Content_Range=f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}")
    else:
        whole(request)


def range_of_another_file(request: Handler) -> None:
    request.tell(206, b"x", Content_Range="bytes 100000-100000/100001") if request.headers["Range"] else whole(request)


@pytest.mark.parametrize(
    ("answer", "requests"), [(whole, 1), (refuses_range, 2), (another_range, 2), (range_of_another_file, 2)]
)
def test_where_the_rest_cannot_be_had_all_of_it_comes_anew(
    serve: Callable[..., Server], there: Path, answer: Answer, requests: int
) -> None:
    part(there, b"\0" * 100_000)
    server = serve(answer)
    install(there, server.url)
    assert (there / FILE).read_bytes() == CONTENT
    assert server.ranges == ["bytes=100000-", None][:requests]


@pytest.mark.parametrize(
    ("left", "asked"),
    [
        (CONTENT + b"x", [None]),
        (CONTENT, []),
        (b"\0" * 300_000, [None]),
        (
            b"\0" * 100_000,
            ["bytes=100000-", None],
        ),  # a power cut: its length is on the disk, its bytes not
        (b"", [None]),
    ],
)
def test_what_an_earlier_attempt_has_left_is_used_if_it_is_right(
    serve: Callable[..., Server], there: Path, left: bytes, asked: list[str | None]
) -> None:
    part(there, left)
    server = serve(ranged)
    install(there, server.url)
    assert server.ranges == asked
    assert (there / FILE).read_bytes() == CONTENT
    assert names(there) == {FILE}


def hangs_at_once(request: Handler) -> None:
    request.server.over.wait(60)


def hangs_later(request: Handler) -> None:
    cut(request)
    request.wfile.flush()
    request.server.over.wait(60)


@pytest.mark.parametrize(("answer", "left"), [(hangs_at_once, set()), (hangs_later, {f"{FILE}.part"})])
def test_a_server_that_hangs_is_left(serve: Callable[..., Server], there: Path, answer: Answer, left: set[str]) -> None:
    server = serve(answer)
    began = time.monotonic()
    with pytest.raises(DownloadFailed, match=r"no answer in time|nothing came for 0\.5 s"):
        install(there, server.url, silence_seconds=0.5)
    assert time.monotonic() - began < 3
    assert names(there) == left


def test_what_no_socket_limits_has_an_end_too(there: Path, tmp_path: Path) -> None:
    """A folder on a disk of the network that is gone, or a name server that is silent: here a pipe nobody writes to."""
    pipe = tmp_path / FILE
    os.mkfifo(pipe)
    began = time.monotonic()
    try:
        with pytest.raises(DownloadFailed, match=r"nothing came for 0\.3 s"):
            install(there, str(tmp_path), silence_seconds=0.3)
        assert time.monotonic() - began < 3
    finally:
        os.close(os.open(pipe, os.O_RDWR))  # lets the reader go
    assert names(there) == set()


def test_a_line_that_is_slow_but_brings_something_may_take_longer(serve: Callable[..., Server], there: Path) -> None:
    def slow(request: Handler) -> None:
        request.tell(200, b"", len(CONTENT))
        for first in range(0, len(CONTENT), 50_000):
            request.wfile.write(CONTENT[first : first + 50_000])
            request.server.over.wait(0.2)

    began = time.monotonic()
    install(there, serve(slow).url, silence_seconds=0.6)
    assert time.monotonic() - began > 0.6
    assert (there / FILE).read_bytes() == CONTENT


def endless(request: Handler) -> None:
    request.tell(200, CONTENT)
    with contextlib.suppress(ConnectionError):
        while not request.server.over.is_set():
            request.wfile.write(CONTENT)


def another_length(request: Handler) -> None:
    request.tell(200, CONTENT, len(CONTENT) + 1)


def other_bytes(request: Handler) -> None:
    request.tell(200, CONTENT[::-1], len(CONTENT))


def login_page(request: Handler) -> None:
    request.tell(200, b"<html>Please log in to this network</html>", 42)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (endless, "sends more than the 300000 bytes"),
        (another_length, "has 300001 bytes, the model's file 300000"),
        (other_bytes, "its sha256 differs"),
        (login_page, "has 42 bytes"),
        (lambda request: request.tell(404), "HTTP 404"),
        (lambda request: request.tell(500), "HTTP 500"),
        (lambda request: request.tell(204), "HTTP 204"),
        (lambda request: request.wfile.write(b"no HTTP at all\r\n\r\n"), "no HTTP at all"),
    ],
)
def test_what_is_not_the_file_is_refused_and_leaves_nothing(
    serve: Callable[..., Server], there: Path, answer: Answer, says: str
) -> None:
    server = serve(answer)
    with pytest.raises(DownloadFailed, match=says) as caught:
        install(there, server.url)
    assert f"{server.url}/{FILE}" in str(caught.value)
    assert names(there) == set()


def test_a_damaged_file_stays_until_a_right_one_replaces_it(serve: Callable[..., Server], there: Path) -> None:
    (there / FILE).write_bytes(b"damaged")
    server = serve(cut, ranged)
    with pytest.raises(DownloadFailed):
        install(there, server.url)
    assert (there / FILE).read_bytes() == b"damaged"
    install(there, server.url)
    assert (there / FILE).read_bytes() == CONTENT


def test_redirects_are_followed_also_for_the_rest(serve: Callable[..., Server], there: Path) -> None:
    last = serve(ranged)
    first = serve(lambda request: request.tell(302, Location=f"{last.url}/moved"))
    part(there, CONTENT[:1000])
    install(there, first.url)
    assert last.seen == [("/moved", "bytes=1000-")]
    assert (there / FILE).read_bytes() == CONTENT


@pytest.mark.parametrize("scheme", ["file", "ftp", "data"])
def test_a_redirect_leads_nowhere_else(serve: Callable[..., Server], there: Path, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "secret").write_bytes(CONTENT)
    to = {"file": (tmp_path / "secret").as_uri(), "ftp": "ftp://127.0.0.1/x", "data": "data:,x"}[scheme]
    with pytest.raises(DownloadFailed, match=r"is not allowed|unknown url type: ftp"):
        install(there, serve(lambda request: request.tell(302, Location=to)).url)
    assert names(there) == set()


def test_nobody_there_is_said_at_once(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))  # and nobody listens
        with pytest.raises(DownloadFailed, match="Connection refused"):
            install(there, f"http://127.0.0.1:{reserved.getsockname()[1]}")
    for nonsense in ("ftp://example.org", "http://exa mple/", "http://127.0.0.1:port/"):
        with pytest.raises(DownloadFailed) as caught:
            install(there, nonsense)
        assert nonsense in str(caught.value)
    assert names(there) == set()


@pytest.mark.parametrize("is_address", [False, True])
def test_a_folder_is_a_mirror_too(tmp_path: Path, folder: Path, is_address: bool) -> None:
    stick = tmp_path / "a stick, 50% full?"
    stick.mkdir()
    mirror = stick.as_uri() if is_address else str(stick)
    with pytest.raises(DownloadFailed, match="No such file or directory"):
        install(folder, mirror)
    (stick / FILE).write_bytes(CONTENT[:-1])
    with pytest.raises(DownloadFailed, match="has 299999 bytes"):
        install(folder, mirror)
    (stick / FILE).write_bytes(CONTENT[::-1])
    with pytest.raises(DownloadFailed, match="sha256"):
        install(folder, mirror)
    assert names(folder) == set()
    (stick / FILE).write_bytes(CONTENT)
    install(folder, mirror)
    assert (folder / FILE).read_bytes() == CONTENT


def test_two_at_once_wait_for_each_other_and_download_once(serve: Callable[..., Server], there: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def gated(request: Handler) -> None:
        begun.set()
        go_on.wait(30)
        whole(request)

    server = serve(gated)
    came: list[Path] = []
    both = [threading.Thread(target=lambda: came.append(install(there, server.url))) for _ in range(2)]
    both[0].start()
    assert begun.wait(10)
    both[1].start()
    with pytest.raises(DownloadFailed, match="another command"):
        install(there, server.url, is_patient=False)
    go_on.set()
    for each in both:
        each.join(10)
    assert came == [there / FILE] * 2
    assert len(server.seen) == 1


def test_a_full_disk_is_said_and_keeps_nothing(serve: Callable[..., Server], there: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))  # the kernel refuses to write more, as on a full disk
    try:
        with pytest.raises(DownloadFailed, match=r"cannot be written: File too large; what had come was removed"):
            install(there, serve(whole).url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(there) == set()


def test_a_disk_without_room_is_not_filled_up(serve: Callable[..., Server], there: Path) -> None:
    server = serve(whole)
    with pytest.raises(DownloadFailed, match=r"has room for .* MB, and 1152921504606\.8 MB are needed"):
        install(there, server.url, model(size_bytes=1 << 60))
    assert server.seen == []


def test_a_link_in_the_way_leads_nowhere(serve: Callable[..., Server], there: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (there / f"{FILE}.part").symlink_to(tmp_path / "precious")
    with pytest.raises(DownloadFailed, match="cannot be written"):
        install(there, serve(whole).url)
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DownloadFailed, match=r"/file cannot be written: File exists"):
        install(tmp_path / "file" / "models", "")


@pytest.mark.parametrize("mode", [0o755, 0o700])
def test_a_folder_of_somebody_else_is_said_with_his_name(mode: int) -> None:
    with tempfile.TemporaryDirectory() as parent:  # pytest's own folders are for its user alone
        Path(parent).chmod(0o755)
        folder = Path(parent, "models")
        folder.mkdir()
        (folder / catalogue.first("faces").file).touch()
        with as_nobody(folder, mode):
            with pytest.raises(DownloadFailed, match=rf"Permission denied; .* who owns {folder}: {folder.owner()}$"):
                install(folder, "")
            assert starter.missing(Models(folder)) == [catalogue.first("faces"), catalogue.first("objects")][mode & 1 :]


@contextlib.contextmanager
def as_nobody(folder: Path, mode: int) -> Iterator[None]:
    """As a user to whom the mode of somebody else's folder applies: root gives itself up, anybody else the folder."""
    uid = os.geteuid()
    folder.chmod(mode if uid == 0 else mode & 0o555 if mode & 1 else 0)
    if uid == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if uid == 0:
            os.seteuid(0)
        folder.chmod(0o755)


def test_removing_takes_what_is_left_of_an_attempt_along(there: Path) -> None:
    (there / FILE).write_bytes(CONTENT)
    part(there, b"half")
    (there / "other.onnx").touch()
    assert download.remove(model(), there)
    assert names(there) == {"other.onnx"}
    assert not download.remove(model(), there)


def test_the_address_is_that_of_the_mirror(tmp_path: Path) -> None:
    origin = Origin("https://example.org/zoo/x.onnx", 1, "", "MIT")
    assert source.address(origin, "a b.onnx", "") == "https://example.org/zoo/x.onnx"
    assert source.address(origin, "a b.onnx", "https://mirror/models/") == "https://mirror/models/a%20b.onnx"
    assert source.address(origin, "a b.onnx", "/media/a stick") == "file:///media/a%20stick/a%20b.onnx"
