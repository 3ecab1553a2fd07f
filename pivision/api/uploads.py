"""What clients send: a form, JSON, or a raw picture with the rest in the query."""

import contextlib
import re
import urllib.parse
from collections.abc import Callable, Collection, Iterator

import falcon
import msgspec

from pivision import suggestion
from pivision.api import mime, multipart
from pivision.api.json_form import JsonForm
from pivision.errors import ImageEmpty, InvalidJson, InvalidRequest
from pivision.images import Images, Readable, ReceivedImage

FIELD_LIMIT_BYTES = 64 * 1024

_URLENCODED_LIMIT_BYTES = 4 * FIELD_LIMIT_BYTES  # a byte may be written as three
_FIRST_NAME = re.compile(rb"[A-Za-z_][A-Za-z0-9_.%\[\]-]*=")  # no picture begins like this
_PEEKED_BYTES = 64
_IMAGE = "image"


class Fields:
    """The fields of a request, each with every value that was sent; one that was sent again is the same one."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._values: dict[str, dict[str, None]] = {}

    def add(self, name: str, value: str) -> None:
        """Keep one more value."""
        self._values.setdefault(name, {})[value] = None

    def all(self, name: str) -> list[str]:
        """Return every value, in the order in which they came."""
        return list(self._values.get(name, {}))

    def one(self, name: str) -> str | None:
        """Return the value. Raises InvalidRequest when different ones were sent."""
        values = self.all(name)
        if len(values) > 1:
            shown = " and ".join(repr(value[:40]) for value in values[:2])
            raise InvalidRequest(f"`{name}` was sent more than once, as {shown}; send it once")
        return next(iter(values), None)

    def knows(self, name: str) -> bool:
        """Whether this address takes a field of this name."""
        return name in self._names

    def require_known(self, name: str) -> None:
        """Raise InvalidRequest for a field that this address does not take."""
        if not self.knows(name):
            takes = ", ".join((_IMAGE, *self._names))
            hint = suggestion.for_name(name, (_IMAGE, *self._names))
            raise InvalidRequest(f"there is no field {name[:80]!r} here; there are: {takes}{hint}")


class Uploads:
    """Reads uploads within the limits; streams the picture to the disk, so that its size is no matter of memory."""

    def __init__(self, images: Images, max_upload_bytes: int) -> None:
        self._images = images
        self._max_upload_bytes = max_upload_bytes

    @contextlib.contextmanager
    def receive(self, req: falcon.Request, names: Collection[str]) -> Iterator[tuple[ReceivedImage, Fields]]:
        """Read a picture and the fields of these names, of the query and of the body alike.

        The image is gone after the block unless it was kept in it. Raises UploadTooLarge, ImageEmpty, StorageFull,
        InvalidRequest, InvalidJson.
        """
        fields = Fields(names)
        for name in names:
            for value in req.get_param_as_list(name) or ():
                fields.add(name, value)
        body = _Peekable(req.bounded_stream)
        is_form = _media_type(req) in (multipart.MEDIA_TYPE, falcon.MEDIA_JSON)
        if is_form or (_media_type(req) == falcon.MEDIA_URLENCODED and _FIRST_NAME.match(body.peek(_PEEKED_BYTES))):
            with self._form(req, body, fields, is_strict=True) as image:
                if image is None:
                    raise ImageEmpty("the request has no `image`")
                yield image, fields
        else:
            with self._images.receive(body, self._max_upload_bytes) as image:
                yield image, fields

    @contextlib.contextmanager
    def form(self, req: falcon.Request, names: Collection[str]) -> Iterator[tuple[ReceivedImage | None, Fields]]:
        """Read a form of which only the fields of these names are known; without a form, there are none.

        The picture is the part `image`, or a file of another name; other unknown parts are passed over. Raises as
        `receive` does.
        """
        fields = Fields(names)
        if _media_type(req) not in (multipart.MEDIA_TYPE, falcon.MEDIA_URLENCODED):
            yield None, fields
            return
        with self._form(req, req.bounded_stream, fields, is_strict=False) as image:
            yield image, fields

    @contextlib.contextmanager
    def _form(
        self, req: falcon.Request, body: Readable, fields: Fields, *, is_strict: bool
    ) -> Iterator[ReceivedImage | None]:
        images: list[ReceivedImage] = []
        with contextlib.ExitStack() as stack:

            def receive(stream: Readable) -> None:
                if images:
                    raise InvalidRequest("the request has more than one picture; send each by itself")
                images.append(stack.enter_context(self._images.receive(stream, self._max_upload_bytes)))

            match _media_type(req):
                case multipart.MEDIA_TYPE:
                    _read_multipart(body, req.content_type or "", fields, receive, is_strict=is_strict)
                case falcon.MEDIA_JSON:
                    _read_json(body, fields, receive)
                case _:
                    _read_urlencoded(body, fields, is_strict=is_strict)
            yield images[0] if images else None


class _Peekable:
    """A stream of which the beginning can be looked at."""

    def __init__(self, stream: Readable) -> None:
        self._stream = stream
        self._begin = b""

    def peek(self, size: int) -> bytes:
        """Return the first bytes; they are still to be read."""
        while len(self._begin) < size and (more := self._stream.read(size - len(self._begin))):
            self._begin += more
        return self._begin

    def read(self, size: int, /) -> bytes:
        """Return at most `size` bytes; none at the end."""
        if self._begin:
            taken, self._begin = self._begin[:size], self._begin[size:]
            return taken
        return self._stream.read(size)


def _read_multipart(
    body: Readable, content_type: str, fields: Fields, receive: Callable[[Readable], None], *, is_strict: bool
) -> None:
    for part in multipart.parts(body, content_type):
        if part.name == _IMAGE or (part.is_file and not is_strict and not fields.knows(part.name)):
            receive(part)
        elif is_strict or fields.knows(part.name):
            fields.require_known(part.name)
            fields.add(part.name, part.text(FIELD_LIMIT_BYTES))


def _read_json(body: Readable, fields: Fields, receive: Callable[[Readable], None]) -> None:
    form, seen = JsonForm(body), set()
    for name in form.names():
        if name in seen:
            raise InvalidRequest(f"the body has {name[:80]!r} twice")
        seen.add(name)
        if name == _IMAGE:
            receive(form.base64())
        else:
            fields.require_known(name)
            value = _text(name, form.value(FIELD_LIMIT_BYTES))
            if value is not None:
                fields.add(name, value)


def _text(name: str, value: bytes) -> str | None:
    """A member's value as a form would have it: a string's text, a list as JSON; null is none."""
    try:
        decoded = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidJson(f"the body: {name!r}: {error}") from None
    if decoded is None:
        return None
    if not isinstance(decoded, str | list):
        shown = value[:40].decode(errors="replace")
        raise InvalidRequest(f"{name!r} must be a string, or a list where it names several, not {shown}")
    text = decoded if isinstance(decoded, str) else value.decode()
    mime.require_no_nul(f"the field {name!r}", text)
    return text


def _read_urlencoded(body: Readable, fields: Fields, *, is_strict: bool) -> None:
    content = b""
    while more := body.read(_URLENCODED_LIMIT_BYTES + 1 - len(content)):
        content += more
        if len(content) > _URLENCODED_LIMIT_BYTES:
            raise InvalidRequest(
                f"the form has more than {_URLENCODED_LIMIT_BYTES} bytes; send a file as multipart/form-data"
            )
    for pair in content.split(b"&"):
        name, _, value = (urllib.parse.unquote_to_bytes(each.replace(b"+", b" ")) for each in pair.partition(b"="))
        known = mime.decoded("the name of a field", name)
        if known == _IMAGE:
            raise InvalidRequest(
                "an image is not read from application/x-www-form-urlencoded: send multipart/form-data or JSON"
            )
        if pair and (is_strict or fields.knows(known)):
            fields.require_known(known)
            fields.add(known, mime.decoded(f"the field {known[:80]!r}", value))


def _media_type(req: falcon.Request) -> str:
    return mime.media_type(req.content_type or "")
