"""Everything that PiVision refuses or cannot do, as one small tree of exceptions.

Each class is part of the interface: `code` never changes, `status` is its HTTP status, `retryable` says whether the
same request may succeed later, `remedy` tells the caller what to do. The docstring is the title that people read; the
message given when raising says what happened this time. Standard library only.
"""

import errno
from typing import ClassVar


class PiVisionError(Exception):
    """Something went wrong inside PiVision."""

    code: ClassVar[str] = "internal-error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    remedy: ClassVar[str] = "Look into the program's log; if it happens again, report it."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.title())

    @classmethod
    def title(cls) -> str:
        """The docstring's sentence: what this kind of error means."""
        return (cls.__doc__ or "").strip()


_PASSING = frozenset(
    {
        errno.EMFILE,
        errno.ENFILE,
        errno.EIO,
        errno.ENOMEM,
        errno.ENOBUFS,
        errno.EINTR,
        errno.EAGAIN,
        errno.EBUSY,
        errno.ESTALE,
        errno.ETIMEDOUT,
    }
)


def may_pass(error: OSError) -> bool:
    """Whether this says nothing about the file, and the same call may succeed a moment later."""
    return error.errno in _PASSING


def kind_of(code: str) -> type[PiVisionError]:
    """The error that has this code; PiVisionError itself for one that is not known, as of an older program."""
    kinds = [PiVisionError]
    for kind in kinds:  # grows while it is gone through
        if kind.code == code:
            return kind
        kinds += kind.__subclasses__()
    return PiVisionError


# What a request may get wrong


class InvalidRequest(PiVisionError):
    """The request is not what this address takes."""

    code, status = "invalid-request", 400
    remedy = "Compare the request with /docs on this box, which lists every address and all that it takes."


class InvalidJson(PiVisionError):
    """The JSON in the request cannot be read."""

    code, status = "invalid-json", 400
    remedy = "Correct the JSON at the position that the detail names."


class Unauthorized(PiVisionError):
    """The access token is missing or wrong."""

    code, status = "unauthorized", 401
    remedy = "Send the header 'Authorization: Bearer TOKEN'; `python -m pivision token make NAME` makes one."


class Forbidden(PiVisionError):
    """The access token's scope does not go so far."""

    code, status = "forbidden", 403
    remedy = "Use a token with the scope that the detail names: `python -m pivision token make NAME --scope SCOPE`."


class CrossSite(PiVisionError):
    """The browser does not say that a page of this server has sent this."""

    code, status = "cross-site", 403
    remedy = "Use the server's own page; a program sends the header 'Authorization: Bearer TOKEN' and no cookie."


class NotFound(PiVisionError):
    """There is nothing at this address."""

    code, status = "not-found", 404
    remedy = "Use one of the addresses that /docs on this box lists."


class TaskNotFound(PiVisionError):
    """There is no such task."""

    code, status = "task-not-found", 404
    remedy = "It may have been removed after max_age_days; GET /v1/tasks lists what is there."


class MethodNotAllowed(PiVisionError):
    """This address does not take this HTTP method."""

    code, status = "method-not-allowed", 405
    remedy = "The Allow header names the methods that it takes."


class TaskStateConflict(PiVisionError):
    """The task's state does not allow this."""

    code, status = "task-state-conflict", 409
    remedy = "Read the task's state with GET /v1/tasks/ID; the detail names the states from which this is possible."


class ModelMissing(PiVisionError):
    """The model that this operation needs is not installed."""

    code, status = "model-missing", 409
    remedy = "Run the command that the detail names, in the project's folder, and send the request again."


class ModelUnusable(PiVisionError):
    """The model that this operation needs is damaged, or cannot be loaded here."""

    code, status = "model-unusable", 409
    remedy = "Install it again with `python -m pivision models install NAME`, or choose another model."


class UploadTooLarge(PiVisionError):
    """The upload is larger than this machine takes."""

    code, status = "upload-too-large", 413
    remedy = "Send a smaller file, or raise max_upload_bytes."


class ImageTooManyPixels(PiVisionError):
    """The image has more pixels than this machine decodes."""

    code, status = "image-too-many-pixels", 413
    remedy = "Scale the image down, or raise max_image_pixels."


class ImageTooComplex(PiVisionError):
    """The image would take longer to decode than a task may."""

    code, status = "image-too-complex", 413
    remedy = "Save the image again, without progressive scans; or raise task_deadline_seconds."


class ImageUnsupported(PiVisionError):
    """The image is in no format that PiVision reads."""

    code, status = "image-unsupported", 415
    remedy = "Send JPEG, PNG, WebP or BMP; the bytes count, not the name."


class ImageEmpty(PiVisionError):
    """The request holds no image."""

    code, status = "image-empty", 422
    remedy = "Send the picture as the multipart part `image`, or as the body with an image/* content type."


class ImageTruncated(PiVisionError):
    """The image ends too early or is damaged."""

    code, status = "image-truncated", 422
    remedy = "Send the whole file again."


class UnknownOperation(PiVisionError):
    """There is no such operation."""

    code, status = "unknown-operation", 422
    remedy = "GET /v1/operations lists them."


class InvalidParameter(PiVisionError):
    """An operation's parameter has the wrong type or lies outside its range."""

    code, status = "invalid-parameter", 422
    remedy = "GET /v1/operations gives each parameter's type and range."


class IdempotencyKeyReused(PiVisionError):
    """This Idempotency-Key was used for a different request."""

    code, status = "idempotency-key-reused", 422
    remedy = "Use a new key for each new request, and the same key only to repeat one."


class HostUnknown(PiVisionError):
    """The server is not known by this name."""

    code, status = "host-unknown", 421
    remedy = "Use its IP address or its .local name, or put the name into the setting host_names."


class RequestTimeout(PiVisionError):
    """The request comes too slowly."""

    code, status, retryable = "request-timeout", 408, True
    remedy = "Send it again, over a faster network, or lower min_transfer_bytes_per_second."


class MediaTypeUnsupported(PiVisionError):
    """The body is of a type that this address does not read."""

    code, status = "media-type-unsupported", 415
    remedy = "Send a picture as image/*, or a multipart form; without Content-Encoding."


class HeaderTooLarge(PiVisionError):
    """The request's headers are too large."""

    code, status = "header-too-large", 431
    remedy = "Send fewer or shorter headers."


class HttpVersionUnsupported(PiVisionError):
    """The request is in a version of HTTP that is not spoken here."""

    code, status = "http-version-unsupported", 505
    remedy = "Use HTTP/1.1."


# What the machine cannot do right now


class TooManyAttempts(PiVisionError):
    """Too many wrong access tokens came from this address."""

    code, status, retryable = "too-many-attempts", 429, True
    remedy = "Wait a little; then send a token that is valid."


class TooManyWaiting(PiVisionError):
    """Too many requests are waiting for their results already."""

    code, status, retryable = "too-many-waiting", 503, True
    remedy = "Repeat the request a little later, or without ?wait and read the task afterwards."


class TooManyStreams(PiVisionError):
    """Too many event streams are open already."""

    code, status, retryable = "too-many-streams", 503, True
    remedy = "Close another one, or raise event_streams; GET /v1/tasks tells as much."


class TooManyUploads(PiVisionError):
    """The uploads that are arriving take all the room that there is for them."""

    code, status, retryable = "too-many-uploads", 503, True
    remedy = "Repeat the request a little later, or raise the setting that the detail names."


class DatabaseBusy(PiVisionError):
    """The database is locked by another process."""

    code, status, retryable = "database-busy", 503, True
    remedy = "Repeat the request a little later."


class DatabaseRecovering(PiVisionError):
    """The database is being checked or recovered."""

    code, status, retryable = "database-recovering", 503, True
    remedy = "Repeat the request a little later; GET /v1/system then says what was recovered."


class DatabaseUnusable(PiVisionError):
    """The database file is damaged, foreign or out of reach."""

    code, status, retryable = "database-unusable", 503, True
    remedy = "It is tried again by itself; if it lasts, look at what the detail names. docs/recovery.md tells more."


class StorageFull(PiVisionError):
    """The disk has no room for this above the reserve."""

    code, status, retryable = "storage-full", 507, True
    remedy = "Free some space, or lower max_age_days, images_max_bytes or disk_reserve_bytes."


class StorageUnavailable(PiVisionError):
    """A file cannot be read or written right now."""

    code, status, retryable = "storage-unavailable", 503, True
    remedy = "Repeat the request a little later. If this persists, check what the detail names, and the disk."


# What happens to a task at work


class ImageLost(PiVisionError):
    """The task's image file is gone."""

    code, status = "image-lost", 410
    remedy = "Send the image again."


class ImageUndecodable(PiVisionError):
    """The image cannot be decoded."""

    code, status = "image-undecodable", 422
    remedy = "Open the picture in another program and save it anew."


class OutOfMemory(PiVisionError):
    """The operation needs more memory than a task may use."""

    code = "out-of-memory"
    remedy = "Scale the image down, or raise task_memory_bytes."


class OperationFailed(PiVisionError):
    """The operation could not work on this image."""

    code = "operation-failed"
    remedy = "Look at the picture; if it is in order, report it together with the detail."


class WorkerDied(PiVisionError):
    """The worker died while it had this task."""

    code = "worker-died"
    remedy = "Retry the task once; if that ends its worker again, report it with the picture and the worker's log."


class DeadlineExceeded(PiVisionError):
    """The task took longer than its deadline and its worker was ended."""

    code = "deadline-exceeded"
    remedy = "Scale the image down, or raise task_deadline_seconds; then retry the task."


# What stops a program from starting


class ConfigInvalid(PiVisionError):
    """The configuration is wrong."""

    code = "config-invalid"
    remedy = "Correct the setting that the detail names; docs/configuration.md lists all of them."


class PortTaken(PiVisionError):
    """Another program holds the port."""

    code = "port-taken"
    remedy = "Stop that program, or choose another port with PIVISION_PORT."


# What the operator's command refuses


class ApplianceRunning(PiVisionError):
    """The appliance is running."""

    code = "appliance-running"
    remedy = "Stop it first: sudo systemctl stop pivision, or Ctrl-C where `make run` runs."


class BackupInvalid(PiVisionError):
    """The file is no backup that can be restored."""

    code = "backup-invalid"
    remedy = "Choose another backup; nothing was changed."


class BackupNotWritten(PiVisionError):
    """The backup cannot be written there."""

    code = "backup-not-written"
    remedy = "Name a new file in a folder that is there; nothing is overwritten."


class NotRunning(PiVisionError):
    """The appliance is not running."""

    code = "not-running"
    remedy = "Start it: sudo systemctl start pivision; or, in a terminal: make run."


class DownloadFailed(PiVisionError):
    """A model could not be downloaded."""

    code = "download-failed"
    remedy = "Run the same command again: it goes on where it stopped. PIVISION_MODEL_MIRROR names another source."


class WrongFile(DownloadFailed):
    """What is there is not the model's file."""

    code = "wrong-file"
    remedy = "Look at what the detail names; PIVISION_MODEL_MIRROR names another source."


# What the commands that ask a box meet


class ServerUnreachable(PiVisionError):
    """There is no answer from the box."""

    code = "server-unreachable"
    remedy = "Name its address with --url, as in http://the-pi:8080; on the box, see that it runs: make run."


class ServerRefused(PiVisionError):
    """The box has refused the request."""

    code = "server-refused"
    remedy = "Do what the detail says; /docs on the box lists what each address takes and answers."

    def __init__(self, detail: str = "", problem_code: str = "", pause_seconds: float | None = None) -> None:
        super().__init__(detail)
        self.problem_code = problem_code
        self.pause_seconds = pause_seconds  # after which it is worth a repetition; None: it is not


class TokenMissing(PiVisionError):
    """The box asks for an access token, and there is none."""

    code = "token-missing"
    remedy = (
        "Make one on the box with `python -m pivision token make NAME --scope submit`, and name a file that has it "
        "with --token-file, or put it into the variable PIVISION_CLIENT_TOKEN."
    )


class FileUnreadable(PiVisionError):
    """A file cannot be read."""

    code = "file-unreadable"
    remedy = "Name a file that is there and that you may read."


class NotFinished(PiVisionError):
    """The box has not finished in time."""

    code = "not-finished"
    remedy = "Run the same command again, which goes on with the same tasks, or give it more time with --timeout."


# What stops an installation


class InstallationFailed(PiVisionError):
    """The installation cannot go on."""

    code = "installation-failed"
    remedy = "Do what the detail says and run the same command again: what is done already stays done."


class OpencvMissing(InstallationFailed):
    """OpenCV must come from Debian's packages."""

    code = "opencv-missing"
    remedy = "sudo apt install python3-opencv, then run the same command again."
