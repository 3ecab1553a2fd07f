"""What a client sends to have a picture looked at: a multipart form, or the raw picture with the rest in the query."""

import contextlib
from collections.abc import Iterator

import falcon
import msgspec

from pivision import operations, picture
from pivision.errors import ImageEmpty, ImageTooManyPixels, InvalidRequest
from pivision.images import Images, ReceivedImage
from pivision.task import Image, NewTask

SOURCE_LIMIT_CHARACTERS = 200
_FIELD_LIMIT_BYTES = 64 * 1024
_IDEMPOTENCY_KEY_LIMIT_CHARACTERS = 200


class Uploads:
    """Reads uploads within the limits; streams the picture to the disk, so that its size is no matter of memory."""

    def __init__(self, images: Images, max_upload_bytes: int, max_image_pixels: int) -> None:
        self._images = images
        self._max_upload_bytes = max_upload_bytes
        self._max_image_pixels = max_image_pixels

    @contextlib.contextmanager
    def receive(self, req: falcon.Request) -> Iterator[tuple[ReceivedImage, NewTask]]:
        """Read one upload. The image is gone after the block unless it was kept in it.

        Raises UploadTooLarge, ImageEmpty, ImageUnsupported, ImageTruncated, ImageTooManyPixels, StorageFull,
        InvalidRequest, InvalidJson, UnknownOperation, InvalidParameter.
        """
        with contextlib.ExitStack() as stack:
            fields = {name: req.get_param(name) for name in ("operations", "source")}
            if (req.content_type or "").partition(";")[0].strip().lower() == falcon.MEDIA_MULTIPART:
                image = self._receive_form(req, stack, fields)
            else:
                image = stack.enter_context(self._images.receive(req.bounded_stream, self._max_upload_bytes))
            calls = operations.parse(fields["operations"] or "")
            yield (
                image,
                NewTask(
                    image=self._described(image),
                    operations=msgspec.Raw(msgspec.json.encode(calls)),
                    source=_bounded("source", fields["source"], SOURCE_LIMIT_CHARACTERS),
                    idempotency_key=_bounded(
                        "Idempotency-Key", req.get_header("Idempotency-Key"), _IDEMPOTENCY_KEY_LIMIT_CHARACTERS
                    ),
                ),
            )

    def _receive_form(
        self, req: falcon.Request, stack: contextlib.ExitStack, fields: dict[str, str | None]
    ) -> ReceivedImage:
        """Read the form's parts in whatever order they come; fields of the form win over those of the query."""
        image: ReceivedImage | None = None
        for part in req.get_media():
            if part.name == "image":
                if image is not None:
                    raise InvalidRequest("the form has more than one part `image`; make one task for each picture")
                image = stack.enter_context(self._images.receive(part.stream, self._max_upload_bytes))
            elif part.name in fields:
                fields[part.name] = _text(part.name, part.stream.read(_FIELD_LIMIT_BYTES + 1))
            else:
                raise InvalidRequest(f"the form has an unknown part {part.name!r}; it takes image, operations, source")
        if image is None:
            raise ImageEmpty("the form has no part `image`")
        return image

    def _described(self, image: ReceivedImage) -> Image:
        with image.bytes() as content:
            described = picture.inspect(content)
        pixels = described.width_px * described.height_px
        if pixels > self._max_image_pixels:
            size = f"{described.width_px} x {described.height_px}"
            raise ImageTooManyPixels(f"{size} pixels are more than {self._max_image_pixels} (max_image_pixels)")
        return Image(image.sha256, described.format, described.width_px, described.height_px, image.size_bytes)


def _text(name: str, value: bytes) -> str:
    if len(value) > _FIELD_LIMIT_BYTES:
        raise InvalidRequest(f"the field `{name}` has more than {_FIELD_LIMIT_BYTES} bytes")
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InvalidRequest(f"the field `{name}` is not UTF-8") from None


def _bounded(name: str, value: str | None, limit_characters: int) -> str | None:
    if value is not None and not 0 < len(value) <= limit_characters:
        raise InvalidRequest(f"{name} must have 1 to {limit_characters} characters")
    return value
