"""/: the page that a person sees."""

from importlib import resources

import falcon

from pivision.api.endpoint import HTML, Content, described


class Page:
    """/"""

    def __init__(self) -> None:
        self._page = resources.files("pivision.web").joinpath("index.html").read_bytes()

    @described({200: Content((HTML,), str)})
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What this is and how to use it."""
        resp.content_type = "text/html; charset=utf-8"
        resp.data = self._page

    on_head = on_get
