"""What every answer says to browsers and caches, whoever gives it."""

import falcon

_CACHE_CONTROL = "Cache-Control"
_POLICY = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' blob:",
    "connect-src 'self'",
    "manifest-src 'self'",
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
)
_FEATURES_OFF = (
    "accelerometer",
    "display-capture",
    "geolocation",
    "gyroscope",
    "hid",
    "magnetometer",
    "microphone",
    "midi",
    "payment",
    "serial",
    "usb",
    "xr-spatial-tracking",
)

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",  # types are as stated
    "Content-Security-Policy": "; ".join(_POLICY),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": ", ".join(["camera=(self)", *(f"{feature}=()" for feature in _FEATURES_OFF)]),
    "Referrer-Policy": "no-referrer",  # an address may carry a token
    "X-Frame-Options": "DENY",  # for browsers that do not know frame-ancestors
    _CACHE_CONTROL: "no-store",
}


class SafeHeaders:
    """Middleware: sets them."""

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Set the headers, on errors, too. Only about caching may a resource have said something else."""
        caching = resp.get_header(_CACHE_CONTROL) if req_succeeded else None
        resp.set_headers(SAFE_HEADERS)
        if caching:
            resp.set_header(_CACHE_CONTROL, caching)


def is_unchanged(req: falcon.Request, resp: falcon.Response, tag: str) -> bool:
    """Let the browser keep this answer, known by its ETag `tag`, and ask for it each time; True: it has it, say 304.

    It asks each time, so that an upgrade is seen at once, and nothing is shown to whoever may see it no longer.
    """
    resp.etag = tag
    resp.cache_control = ["private", "no-cache"]
    if not any(known in ("*", tag) for known in req.if_none_match or ()):
        return False
    resp.status = falcon.HTTP_304
    return True
