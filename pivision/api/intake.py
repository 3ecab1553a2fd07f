"""The way into the queue, whatever protocol a client speaks: what can be refused is refused before anything is kept."""

import contextlib
from collections.abc import Callable

import msgspec

from pivision import abilities, operations, picture
from pivision.config import Settings
from pivision.errors import (
    ImageEmpty,
    ImageTooComplex,
    ImageTooManyPixels,
    ImageTruncated,
    ImageUnsupported,
    InvalidParameter,
    InvalidRequest,
    ModelMissing,
    ModelUnusable,
    PiVisionError,
    StorageFull,
    UploadTooLarge,
)
from pivision.images import Images, ReceivedImage
from pivision.models import Models
from pivision.operations import OperationCall
from pivision.store import Store
from pivision.task import Image, Lane, NewTask, Task

SOURCE_LIMIT_CHARACTERS = 200
IDEMPOTENCY_KEY_LIMIT_CHARACTERS = 200

ERRORS: tuple[type[PiVisionError], ...] = (
    InvalidRequest,
    ModelMissing,
    ModelUnusable,
    UploadTooLarge,
    ImageTooManyPixels,
    ImageTooComplex,
    ImageUnsupported,
    ImageEmpty,
    ImageTruncated,
    InvalidParameter,
    StorageFull,
)
"""Why a picture that is sent, or what is to be done with it, may be refused, whatever protocol a client speaks."""


class Intake:
    """Makes tasks."""

    def __init__(
        self, settings: Settings, store: Store, images: Images, models: Models, ring_workers: Callable[[], None]
    ) -> None:
        self._store = store
        self._images = images
        self._models = models
        self._run_dir = settings.run_dir
        self._max_image_pixels = settings.max_image_pixels
        self._deadline_seconds = settings.task_deadline_seconds
        self._ring_workers = ring_workers

    def add(
        self,
        image: ReceivedImage,
        calls: tuple[OperationCall, ...],
        *,
        source: str | None = None,
        idempotency_key: str | None = None,
        lane: Lane = "batch",
    ) -> tuple[Task, bool]:
        """Store a task; it and its picture are durable when this returns. Also tells whether it is new.

        Raises ModelMissing, ModelUnusable, InvalidParameter, InvalidRequest, ImageUnsupported, ImageTruncated,
        ImageTooManyPixels, ImageTooComplex, IdempotencyKeyReused, and what the store and the disk refuse; then
        nothing is left.
        """
        operations.require_source(calls, source)
        new = NewTask(
            image=self._described(image),
            operations=msgspec.Raw(msgspec.json.encode(calls)),
            source=_bounded("source", source, SOURCE_LIMIT_CHARACTERS),
            idempotency_key=_bounded("Idempotency-Key", idempotency_key, IDEMPOTENCY_KEY_LIMIT_CHARACTERS),
            lane=lane,
        )
        try:
            self._require_abilities(calls)
        except PiVisionError:
            if earlier := self._store.repeated(new):  # what has gone since does not undo what was acknowledged
                return earlier, False
            raise
        try:
            with image.kept():
                task, is_new = self._store.add(new)
        except PiVisionError:
            with contextlib.suppress(PiVisionError):  # else the worker's housekeeping does it
                self._images.remove_unreferenced({image.sha256}, self._store.is_image_referenced)
            raise
        if is_new:
            self._ring_workers()
        return task, is_new

    def _require_abilities(self, calls: tuple[OperationCall, ...]) -> None:
        told = abilities.published(self._run_dir)
        for call in calls:
            abilities.require(call, self._models, told)

    def _described(self, image: ReceivedImage) -> Image:
        with image.bytes() as content:
            described = picture.inspect(content)
        pixels = described.width_px * described.height_px
        if pixels > self._max_image_pixels:
            size = f"{described.width_px} x {described.height_px}"
            raise ImageTooManyPixels(f"{size} pixels are more than {self._max_image_pixels} (max_image_pixels)")
        picture.require_decodable_within(described, self._deadline_seconds)
        return Image(image.sha256, described.format, described.width_px, described.height_px, image.size_bytes)


def _bounded(name: str, value: str | None, limit_characters: int) -> str | None:
    if value is not None and not 0 < len(value) <= limit_characters:
        raise InvalidRequest(f"{name} must have 1 to {limit_characters} characters, not {len(value)}")
    return value
