"""What clients send: a multipart form, or a raw picture with the rest in the query."""

import contextlib
from collections.abc import Collection, Iterator

import falcon

from pivision.errors import ImageEmpty, InvalidRequest
from pivision.images import Images, ReceivedImage

_FIELD_LIMIT_BYTES = 64 * 1024

Fields = dict[str, str]


class Uploads:
    """Reads uploads within the limits; streams the picture to the disk, so that its size is no matter of memory."""

    def __init__(self, images: Images, max_upload_bytes: int) -> None:
        self._images = images
        self._max_upload_bytes = max_upload_bytes

    @contextlib.contextmanager
    def receive(self, req: falcon.Request, names: Collection[str]) -> Iterator[tuple[ReceivedImage, Fields]]:
        """Read a picture and the fields of these names; those of a form win over those of the query.

        The image is gone after the block unless it was kept in it. Raises UploadTooLarge, ImageEmpty, StorageFull,
        InvalidRequest.
        """
        fields = {name: value for name in names if (value := req.get_param(name)) is not None}
        if not _is_form(req):
            with self._images.receive(req.bounded_stream, self._max_upload_bytes) as image:
                yield image, fields
            return
        with self.form(req, names) as (of_form, more):
            if of_form is None:
                raise ImageEmpty("the form has no part `image`")
            yield of_form, {**fields, **more}

    @contextlib.contextmanager
    def form(
        self, req: falcon.Request, names: Collection[str], *, is_strict: bool = True
    ) -> Iterator[tuple[ReceivedImage | None, Fields]]:
        """Read a form's parts in whatever order they come; without a form, there are none.

        The picture is the part `image`; where it need not be strict, also a file of another name, and other unknown
        parts are passed over. Raises as `receive` does.
        """
        image: ReceivedImage | None = None
        fields: Fields = {}
        with contextlib.ExitStack() as stack:
            for part in req.get_media() if _is_form(req) else ():
                if part.name in names:
                    fields[part.name] = _text(part.name, part.stream.read(_FIELD_LIMIT_BYTES + 1))
                elif part.name == "image" or (part.filename is not None and not is_strict):
                    if image is not None:
                        raise InvalidRequest("the form has more than one picture; send each by itself")
                    image = stack.enter_context(self._images.receive(part.stream, self._max_upload_bytes))
                elif is_strict:
                    takes = ", ".join(("image", *names))
                    raise InvalidRequest(f"the form has an unknown part {part.name!r}; it takes {takes}")
            yield image, fields


def _is_form(req: falcon.Request) -> bool:
    return (req.content_type or "").partition(";")[0].strip().lower() == falcon.MEDIA_MULTIPART


def _text(name: str, value: bytes) -> str:
    if len(value) > _FIELD_LIMIT_BYTES:
        raise InvalidRequest(f"the field `{name}` has more than {_FIELD_LIMIT_BYTES} bytes")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"the field `{name}` is not UTF-8") from None
