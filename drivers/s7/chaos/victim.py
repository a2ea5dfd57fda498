"""The CPU that is tormented, in a process of its own: words that say where they are and when it is.

`python -m drivers.s7.chaos.victim '{"port": 1102}'` prints `ready` when it listens.
"""

from __future__ import annotations

import json
import logging
import struct
import sys
import threading

from snap7.server import Server

from drivers.chaos.marked import word
from runtime.clock import WallClock

_OK = 0xFF


class Victim(Server):  # type: ignore[misc]  # python-snap7 is untyped to us
    """python-snap7's server with data blocks 1 to 10 that are made when they are read."""

    def __init__(self) -> None:
        super().__init__(log=False)
        self.host = "127.0.0.1"
        self._clock = WallClock()

    def _read_from_memory_area(
        self, area: int, db_number: int, start: int, count: int
    ) -> tuple[int, bytearray]:
        return _OK, bytearray(struct.pack(">H", word(db_number, self._clock.now_ns())) * (count // 2))


def serve(port: int) -> None:
    """Answer reads until killed."""
    logging.disable(logging.CRITICAL)
    Victim().start(port)
    print("ready", flush=True)  # noqa: T201 - whoever started it waits for that
    threading.Event().wait()


if __name__ == "__main__":
    serve(**json.loads(sys.argv[1]))
