"""What is worth a sample: a deadband around the last one, or around the line, as each tag has it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from runtime.config import TagList
from runtime.contract import Batch
from runtime.historian.columns import Kinds
from runtime.historian.deadband import Deadband
from runtime.historian.door import HOLD_NS, SwingingDoor

_EVER = (1 << 63) - 1


class Compression:
    """Takes every change, returns what is kept now; nothing is held back for longer than `HOLD_NS`."""

    def __init__(self, tags: TagList, kinds: Kinds) -> None:
        self._deadband = Deadband(tags, kinds)
        self._door = SwingingDoor(tags, kinds)
        self.lined = self._door.mine
        self._any = bool(self.lined.any())

    def forget(self) -> None:
        """Keep the next row of every tag, and nothing of what is held back."""
        self._deadband.forget()
        self._door.forget()

    def knows(self, ids: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Tell of which tags there was a row since the last `forget`."""
        return np.where(self.lined[ids], self._door.known[ids], self._deadband.known[ids])

    def clock_set(self) -> Batch:
        """Take no row for late because the clock was set back; return what was held back."""
        self._deadband.clock_set()
        return self._door.clock_set()

    def keep(self, batch: Batch, steady_ns: int) -> Batch:
        """Return the samples that are kept now."""
        lined = self.lined[batch.ids] if self._any else np.zeros(0, np.bool_)
        if not lined.any():
            return self._deadband.keep(batch)
        if lined.all():
            return self._door.keep(batch, steady_ns)
        return Batch.joined(
            [self._deadband.keep(batch.take(~lined)), self._door.keep(batch.take(lined), steady_ns)]
        )

    def waiting(self) -> Batch:
        """Return the samples held back: the newest of their tags."""
        return self._door.waiting()

    def due(self, steady_ns: int) -> Batch:
        """Keep what has been held back for long enough."""
        return self._door.release(steady_ns - HOLD_NS)

    def rest(self) -> Batch:
        """Keep all that is held back."""
        return self._door.release(_EVER)
