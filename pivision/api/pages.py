"""/: the page that a person sees."""

from importlib import resources

import falcon

from pivision.api.endpoint import HTML, Answer, Content, Parameter, described
from pivision.errors import TooManyAttempts


class Page:
    """/"""

    def __init__(self) -> None:
        self._page = resources.files("pivision.web").joinpath("index.html").read_bytes()

    @described(
        {200: Content((HTML,), str), 303: Answer(None, "To the page, with a session if the token is valid.")},
        errors=(TooManyAttempts,),
        parameters=(Parameter("token", str, "A token to begin a session with."),),
    )
    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What this is and how to use it."""
        resp.content_type = "text/html; charset=utf-8"
        resp.data = self._page

    on_head = on_get
