"""Telling systemd how the service is: ready, alive, stopping. Source: sd_notify(3)."""

from __future__ import annotations

import logging
import os
import socket

log = logging.getLogger(__name__)


class Notifier:
    """Sends to the socket that systemd gave; without one, to nobody. Make it once a process.

    What systemd told it is not in the environment afterwards: no child speaks for the service.

    Attributes:
        every_s: how often the watchdog wants to hear of the service; 0 for never.
    """

    def __init__(self) -> None:
        name = os.environ.pop("NOTIFY_SOCKET", "")
        self._address = f"\0{name[1:]}" if name.startswith("@") else name
        mine = os.environ.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = os.environ.pop("WATCHDOG_USEC", "")
        self.every_s = int(microseconds) / 2e6 if mine and microseconds.isdecimal() else 0.0

    def send(self, *lines: str) -> None:
        """Send such as `READY=1`; a manager that is gone is no reason to stop a plant."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
                out.connect(self._address)
                out.send("\n".join(lines).encode())
        except OSError as exc:
            log.warning("the service manager cannot be told: %s", exc.strerror)
