"""What every answer says to browsers and caches, whoever gives it."""

import falcon

SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",  # types are as stated
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
        "manifest-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",  # an address may carry a token
    "Cache-Control": "no-store",
}


class SafeHeaders:
    """Middleware: sets them."""

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, resource: object, req_succeeded: bool
    ) -> None:
        """Set the headers, on errors, too."""
        kept = resp.get_header("Cache-Control") or SAFE_HEADERS["Cache-Control"]
        resp.set_headers({**SAFE_HEADERS, "Cache-Control": kept})
