"""The disk under the simulated kernel: slow, full or failing, as SQLite and DuckDB would tell it."""

from __future__ import annotations

from typing import Any

from runtime.chaos.simloop import SimLoop
from runtime.kernel import Kernel

_PAGES = 1 << 30


class SimDisk:
    """What is wrong with it; `failing_since_s` is in the loop's time."""

    def __init__(self, loop: SimLoop, kernel: Kernel) -> None:
        self._loop = loop
        self._kernel = kernel
        self.failing = False
        self.troubled_s = 0.0  # when it was last not well

    def slow(self, factor: float) -> None:
        """Take so much longer for everything."""
        self._loop.slow = factor

    def fail(self, *, full: bool) -> None:
        """Take no more: for want of room (what fits into free pages still goes), or nothing at all."""
        self.failing = True
        connection = self._kernel.journal.connection
        if connection is not None:
            connection.set_progress_handler(None, 0)
        if connection is not None and full:
            connection.execute("PRAGMA max_page_count = 1")  # SQLite makes it the present size
        elif connection is not None:
            connection.set_progress_handler(lambda: 1, 1)
        self._history(True)

    def heal(self) -> None:
        """Work as ever."""
        if self.failing or self._loop.slow > 1:
            self.troubled_s = self._loop.time()
        self.failing = False
        self._loop.slow = 1.0
        connection = self._kernel.journal.connection
        if connection is not None:
            connection.set_progress_handler(None, 0)
            connection.execute(f"PRAGMA max_page_count = {_PAGES}")
        self._history(False)

    def well_for_s(self) -> float:
        """Return since how long it has been well."""
        if self.failing or self._loop.slow > 1:
            return 0.0
        return self._loop.time() - self.troubled_s

    def _history(self, failing: bool) -> None:
        historian = self._kernel.historian
        if historian is None:
            return
        store: Any = historian._store
        real = store._connection
        if isinstance(real, _Failing):
            real = real.real
        if real is not None:
            store._connection = _Failing(real) if failing else real


class _Failing:
    """A connection of DuckDB that commits nothing."""

    def __init__(self, real: Any) -> None:
        self.real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    def commit(self) -> None:
        """Fail as the library does."""
        from duckdb import IOException

        raise IOException('IO Error: Could not write file "history.duckdb.wal": No space left on device')
