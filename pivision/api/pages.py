"""/ and /web/NAME: what a person's browser loads. Read and compressed once, when the server starts."""

import gzip
import hashlib
import urllib.parse
from importlib import resources
from typing import Annotated

import falcon
from msgspec import Meta

from pivision import suggestion
from pivision.api.endpoint import HTML, UNCHANGED, Answer, Content, Parameter, described
from pivision.api.headers import is_unchanged
from pivision.errors import NotFound

_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "webmanifest": "application/manifest+json",
}
_FileName = Annotated[str, Meta(pattern=r"^[a-z]+\.[a-z]+$")]


class File:
    """One file, plain and compressed, each with its own ETag."""

    def __init__(self, name: str, content: bytes) -> None:
        self._type = _TYPES[name.rpartition(".")[2]]
        self._plain = content
        self._packed = gzip.compress(content, mtime=0)
        self._digest = hashlib.sha256(content).hexdigest()[:20]

    def send(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send it, or 304 if the client has it already."""
        is_packed = _takes_gzip(req.get_header("Accept-Encoding") or "")
        tag = f"{self._digest}-gzip" if is_packed else self._digest
        resp.append_header("Vary", "Accept-Encoding")
        if is_unchanged(req, resp, tag):
            return
        resp.content_type = self._type
        if is_packed:
            resp.set_header("Content-Encoding", "gzip")
        resp.data = self._packed if is_packed else self._plain


class Page:
    """/"""

    def __init__(self) -> None:
        self._file = File("index.html", resources.files("pivision.web").joinpath("index.html").read_bytes())

    @described(
        {
            200: Content((HTML,), str),
            303: Answer(None, "To `/#token=TOKEN`, where the page asks whether to sign in with it."),
            304: UNCHANGED,
        },
        parameters=(Parameter("token", str, "A token to sign in with; the page asks first."),),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page; without JavaScript it says how to use the API."""
        if not req.has_param("token"):
            self._file.send(req, resp)
            return
        # A link or a redirect of another site may have led here: so no session begins by a GET (api/session.py).
        token = urllib.parse.quote((req.get_param("token") or "").strip(), safe="")
        resp.status = falcon.HTTP_303
        resp.set_header("Location", f"/#token={token}" if token else "/")

    on_head = on_get


class WebFile:
    """/web/{name}: what the page is made of."""

    def __init__(self) -> None:
        self._files = {
            file.name: File(file.name, file.read_bytes())
            for file in resources.files("pivision.web").iterdir()
            if file.name.rpartition(".")[2] in _TYPES
        }

    @described(
        {200: Content(tuple(_TYPES.values()), str), 304: UNCHANGED},
        errors=(NotFound,),
        parameters=(Parameter("name", _FileName, "The file's name.", "path", "style.css"),),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """One file of those that were there at the start; no path is made of the name."""
        file = self._files.get(name)
        if file is None:
            raise NotFound(f"the dashboard has no file {name[:80]!r}{suggestion.for_name(name, self._files)}")
        file.send(req, resp)

    on_head = on_get


def _takes_gzip(accepted: str) -> bool:
    for each in accepted.lower().split(","):
        coding, _, weight = each.partition(";")
        if coding.strip() in ("gzip", "*"):
            return weight.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False
