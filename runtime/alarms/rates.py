"""How fast values change: what `rate_of_change` alarms are judged by.

The rate is the change between two samples that lie at least the window (`over`) apart, in units per second of
source time. Sources tell only changes, so a value holds until the next one:

- after a quiet time of a window or more the value is taken to have held until a window ago: a step is
  judged at once, and as a step;
- within a window, a change that alone exceeds the limit is judged at once, anything else with the next
  sample;
- when nothing came for a window and a half (in the kernel's time) the value held: what was left open is
  judged, and a value that stays is a rate of 0. The half is for sources that tell once a window, a little
  late at times: a ramp of theirs is no row of stops.

A bad value begins the measurement anew. A good one with an earlier source time than the newest seen is late
and says nothing. Where only such come for a window (in the kernel's time), the source's clock was set back:
that begins the measurement anew, too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
Mask = NDArray[np.bool_]
NEVER = np.iinfo(np.int64).max


class Rates:
    """The measurement of each alarm, in columns of shape (alarms,).

    Attributes:
        due_ns: when a value is taken to have held, in the kernel's time; `NEVER` if nothing is open.
    """

    def __init__(self, over_ns: NDArray[np.int64]) -> None:
        n = len(over_ns)
        self.due_ns = np.full(n, NEVER, np.int64)
        self._over_ns = over_ns
        self._known = np.zeros(n, np.bool_)
        self._value = np.zeros(n, np.float64)
        self._at_ns = np.zeros(n, np.int64)
        self._seen_ns = np.zeros(n, np.int64)
        self._late_ns = np.full(n, NEVER, np.int64)  # since when only late samples come, in the kernel's time
        self._from = np.zeros(n, np.float64)
        self._from_ns = np.zeros(n, np.int64)

    def late(self, alarms: Rows, at_ns: NDArray[np.int64], bad: Mask, now_ns: int) -> Mask:
        """Tell which samples are late: they are not to be taken."""
        late = ~bad & (at_ns < self._seen_ns[alarms])
        since = self._late_ns[alarms]
        since = np.where(late, np.minimum(since, now_ns), np.where(bad, since, NEVER))
        anew = late & (now_ns - since >= self._over_ns[alarms])
        self._late_ns[alarms] = np.where(anew, NEVER, since)
        self._known[alarms[anew]] = False
        return late & ~anew

    def take(
        self, alarms: Rows, value: NDArray[np.float64], at_ns: NDArray[np.int64], bad: Mask
    ) -> tuple[NDArray[np.float64], Mask]:
        """Take a sample of each alarm; return the rates per second, and which of them end a window."""
        over = self._over_ns[alarms]
        quiet = at_ns - self._at_ns[alarms] >= over
        origin = np.where(quiet, self._value[alarms], self._from[alarms])
        origin_ns = np.where(quiet, at_ns - over, self._from_ns[alarms])
        first = ~self._known[alarms]
        origin = np.where(first | bad, value, origin)
        origin_ns = np.where(first, at_ns, origin_ns)
        span = np.maximum(at_ns - origin_ns, over)
        rate = np.abs(value - origin) * 1e9 / span
        whole = (at_ns - origin_ns >= over) & ~bad
        self._known[alarms] = ~bad
        self._seen_ns[alarms] = np.where(bad, self._seen_ns[alarms], at_ns)
        self._value[alarms] = value
        self._at_ns[alarms] = np.where(first, at_ns, np.maximum(at_ns, self._at_ns[alarms]))
        self._from[alarms] = np.where(whole, value, origin)
        self._from_ns[alarms] = np.where(whole, at_ns, origin_ns)
        return rate, whole

    def watch(self, alarms: Rows, holds: Mask, bad: Mask, now_ns: int) -> None:
        """Await the end of the window where a change is open or the condition holds."""
        moving = ~bad & (holds | (self._value[alarms] != self._from[alarms]))
        over = self._over_ns[alarms]
        self.due_ns[alarms] = np.where(moving, now_ns + over + over // 2, NEVER)

    def shift(self, step_ns: int) -> None:
        """Move with a clock that was set."""
        self.due_ns[self.due_ns != NEVER] += step_ns
        self._late_ns[self._late_ns != NEVER] += step_ns
        self._at_ns += step_ns
        self._seen_ns += step_ns
        self._from_ns += step_ns

    def settle(self, alarms: Rows) -> NDArray[np.float64]:
        """End the windows in which no sample came; return the rates per second."""
        over = self._over_ns[alarms]
        with np.errstate(invalid="ignore"):  # from infinite to infinite is no rate
            rate: NDArray[np.float64] = np.abs(self._value[alarms] - self._from[alarms]) * 1e9 / over
        self._from[alarms] = self._value[alarms]
        self._at_ns[alarms] += over
        self._from_ns[alarms] = self._at_ns[alarms]
        return rate
