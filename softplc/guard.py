"""Guard: asks a simulated scan that does not end to stop, as the live core's watchdog does.

Only a program that hangs ever notices: no result depends on real time.
"""

from __future__ import annotations

import struct
import threading
import weakref

from softplc.layout import STOP

TICK_S = 0.5
PATIENCE_TICKS = 10


class Watched:
    """One image; `serial` is odd while a task runs."""

    def __init__(self, image: memoryview) -> None:
        self.image = image
        self.serial = 0
        self._seen = -1
        self._ticks = 0

    def look(self) -> None:
        """Stop a task that has been running for as many looks as there is patience for."""
        same = self.serial % 2 == 1 and self.serial == self._seen
        self._seen, self._ticks = self.serial, self._ticks + 1 if same else 0
        if self._ticks >= PATIENCE_TICKS:
            self.stop()

    def stop(self) -> None:
        struct.pack_into("<i", self.image, STOP, 1)

    def clear(self) -> None:
        struct.pack_into("<i", self.image, STOP, 0)


class Guard:
    """One thread for all simulators of the process; it ends with the last of them."""

    def __init__(self) -> None:
        self._watched: weakref.WeakSet[Watched] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def watch(self, watched: Watched) -> None:
        """Look after an image until nobody holds it any more."""
        with self._lock:
            self._watched.add(watched)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="softplc-guard", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        tick = threading.Event()
        while True:
            tick.wait(TICK_S)
            with self._lock:
                present = list(self._watched)
                if not present:
                    self._thread = None
                    return
            while present:
                present.pop().look()


GUARD = Guard()
