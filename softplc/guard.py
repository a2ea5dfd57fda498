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
        seen: dict[int, tuple[int, int]] = {}
        tick = threading.Event()
        while True:
            tick.wait(TICK_S)
            with self._lock:
                present = list(self._watched)
                if not present:
                    self._thread = None
                    return
            seen = {id(each): self._look(each, *seen.get(id(each), (-1, 0))) for each in present}
            del present

    @staticmethod
    def _look(watched: Watched, serial: int, ticks: int) -> tuple[int, int]:
        """Return the serial number seen and for how many ticks the same task has been running."""
        if watched.serial % 2 == 0 or watched.serial != serial:
            return watched.serial, 0
        if ticks + 1 >= PATIENCE_TICKS:
            watched.stop()
        return serial, ticks + 1


GUARD = Guard()
