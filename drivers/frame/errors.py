"""Why a device is not heard."""

from __future__ import annotations

from runtime.errors import ConnectError


class DeniedError(ConnectError):
    """The device does not let us in as we are configured: nothing that a further attempt would change."""
