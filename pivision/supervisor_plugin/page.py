"""supervisord's page of all programs, with buttons where it has links: a link is a GET, and a GET changes nothing."""

import re
from typing import Any

from supervisor import web
from supervisor.http import NOT_DONE_YET

_LINK = re.compile(
    r'<a\b(?P<before>[^>]*?)\bhref="(?P<href>index\.html\?[^"]*\baction=(?P<action>\w+))"[^>]*>(?P<text>[^<]*)</a>'
)
_STAYS_A_LINK = "refresh"
_LOOK = (  # that of supervisord's links
    "<style>button{background:none;border:0;padding:0;font:inherit;color:inherit;cursor:pointer;text-decoration:underline}"
    "button.hidden{display:none}.action-button button{text-decoration:none}</style></head>"
)


class StatusPage(web.StatusView):  # type: ignore[misc]  # supervisor has no types
    """The page, whose buttons send a POST."""

    def render(self) -> Any:
        """Return the page, or say that an action is still under way."""
        html = super().render()
        return html if html is NOT_DONE_YET else with_buttons(html)


def install() -> None:
    """Let supervisord show this page in the place of its own."""
    web.VIEWS["index.html"]["view"] = StatusPage


def with_buttons(html: str) -> str:
    """Replace each link that does something by a button of the form that is around all of them already."""
    return _LINK.sub(_button, html).replace("</head>", _LOOK, 1)


def _button(link: re.Match[str]) -> str:
    if link["action"] == _STAYS_A_LINK:
        return link[0]
    # With a name and a value the form has a body: supervisord waits for ever for the end of an empty one.
    return f'<button name="action" value="{link["action"]}" formaction="{link["href"]}">{link["text"]}</button>'
