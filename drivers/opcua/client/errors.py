"""Why a server is not heard, or does not do what it is asked."""

from __future__ import annotations

from drivers.frame.errors import DeniedError
from runtime.errors import ConnectError

__all__ = ["DeniedError", "RefusedError", "SilentError", "SwitchError"]


class SilentError(ConnectError):
    """A request had no answer in time."""


class RefusedError(ConnectError):
    """The server answered a whole request with a bad status code.

    Attributes:
        code: that status code.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.code = code


class SwitchError(ConnectError):
    """The connection is given up because another server serves better.

    Attributes:
        url: that server.
    """

    def __init__(self, text: str, url: str) -> None:
        super().__init__(text)
        self.url = url
