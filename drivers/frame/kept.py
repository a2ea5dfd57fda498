"""Which outputs a device keeps as they were written, by what was read back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from drivers.frame.connection import Link
from drivers.frame.outputs import Tagged
from runtime.contract import Event, Port


class Kept:
    """Tells each output once that a device does not keep, until it does, and counts them in its health."""

    def __init__(self, name: str, link: Link, port: Port) -> None:
        self._name, self._link, self._port = name, link, port
        self._differs: set[str] = set()  # paths

    def take(self, kept: Iterable[Tagged], lost: Iterable[Tagged]) -> None:
        """Take in whose values the device keeps, and whose it does not."""
        self._differs.difference_update(point.tag.path for point in kept)
        news = [path for path in (point.tag.path for point in lost) if path not in self._differs]
        if news:
            self._differs.update(news)
            text = f"{self._name} does not keep what is written: {some(news)}"
            now_ns = self._port.clock.now_ns()
            self._port.emit(Event("driver.write_differs", self._name, now_ns, text, {"tags": news}))
        text = f"{len(self._differs)} outputs are not as written: see the events driver.write_differs"
        self._link.trouble("differs", text if self._differs else "")


def some(paths: Sequence[str]) -> str:
    """Return the first paths, for people."""
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
