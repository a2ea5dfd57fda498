"""The HTTP and WebSocket API of a running plant."""

from runtime.api.app import create_app
from runtime.api.server import ApiServer
from runtime.api.services import Services

__all__ = ["ApiServer", "Services", "create_app"]
