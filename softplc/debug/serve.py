"""Serve: clients on a socket of this machine, one after the other."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

from runtime.errors import PlantError
from softplc.debug.protocol import Channel
from softplc.debug.session import Session

HOST = "127.0.0.1"


def listen(port: int, say: Callable[[str], None]) -> None:
    """Serve one client after the other, until somebody ends the process.

    Raises:
        PlantError: the port is taken.
    """
    try:
        server = socket.create_server((HOST, port))
    except OSError as exc:
        raise PlantError(
            f"port {port} cannot be had: {exc.strerror}", "choose another, or 0 for any"
        ) from exc
    with server:
        say(f"listening on {HOST}:{server.getsockname()[1]}")
        while True:
            client, _ = server.accept()
            try:
                with client, client.makefile("rb") as source, client.makefile("wb") as sink:
                    Session(Channel(source, sink), Path.cwd()).run()
            except OSError as exc:
                say(f"a client was lost: {exc.strerror}")
