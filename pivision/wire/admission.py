"""What the application says about a request of which only the head is known, and how the server passes that on."""

from typing import Any, NamedTuple, Protocol

REFUSAL = "pivision.refusal"
"""In the WSGI environment: the exception with which the head was refused; the application answers with it."""

ADMITTED = "pivision.admitted"
"""In the WSGI environment: true if the token was seen to be valid when the head arrived."""

RECOGNIZE = "pivision.recognize"
"""In the WSGI environment: a function to call once the client has shown a valid token."""

Environment = dict[str, Any]


class Verdict(NamedTuple):
    """What may follow the head of a request."""

    max_body_bytes: int  # 0: the answer does not depend on the body, which is not read
    is_admitted: bool  # False: a key is expected in the form, which is read within a small budget until it is seen
    reason: str = ""  # for max_body_bytes


class Gatekeeper(Protocol):
    """The application, as far as it decides on heads."""

    def judge(self, environment: Environment) -> Verdict:
        """Decide on a head. Raises what the request is to be answered with if its body must not be read."""

    def accept_key(self, environment: Environment, key: str) -> None:
        """Raise what the request is to be answered with unless `key`, found in its form, is a valid token."""
