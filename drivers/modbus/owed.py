"""Which answers of a unit may still come, on lines whose answers do not say to what they belong.

An RTU response to a read looks the same for any address: one that comes after its time would pass for the
answer to the next read of as many registers. A unit answers in the order in which it was asked, so an answer
to another function proves that what was asked before has come or is lost. Until there was one, no request of
an owed function is sent; the unit is asked for an echo (function 8) instead, or for one place of another
table. A refusal proves as much.
"""

from __future__ import annotations

import struct

ECHO = 8  # Return Query Data. Source: MODBUS Application Protocol V1.1b3, 6.8.1
_READS = (4, 3, 1, 2)


class Owed:
    """One unit.

    Attributes:
        forget_ns: an answer does not come later than that.
        wary_ns: how long a unit that answered twice is thought to do it again.
    """

    def __init__(self, forget_ns: int, wary_ns: int) -> None:
        self._forget_ns, self._wary_ns = forget_ns, wary_ns
        self._asked: list[tuple[int, int]] = []
        self._wary_until_ns = 0
        self._echo_next = True
        self._token = 0

    def missed(self, function: int, now_ns: int) -> None:
        """Note that a request was not answered in time."""
        if self._asked and self._asked[-1][0] == function:
            self._asked.pop()
        self._asked.append((function, now_ns))

    def answered(self, function: int, now_ns: int) -> None:
        """Note an answer in time: it is the first of its function, so what was asked before is over."""
        if not self._drop_through(function):
            self._asked.clear()
        if now_ns < self._wary_until_ns:
            self.missed(function, now_ns)

    def strayed(self, function: int, now_ns: int) -> None:
        """Note a response that nobody waits for: late, or the second to one request."""
        if not self._drop_through(function):
            self._wary_until_ns = now_ns + self._wary_ns
            self.missed(function, now_ns)

    def _drop_through(self, function: int) -> bool:
        for at, (each, _) in enumerate(self._asked):
            if each == function:
                del self._asked[: at + 1]
                return True
        return False

    def is_clear(self, function: int, now_ns: int) -> bool:
        """Tell whether the next answer of a function can only be that to the next request."""
        self._asked = [each for each in self._asked if now_ns - each[1] < self._forget_ns]
        return all(each != function for each, _ in self._asked)

    def probe(self) -> bytes:
        """Return a request whose answer proves something; an echo and a read take turns while none comes."""
        owed = {function for function, _ in self._asked}
        free = [each for each in _READS if each not in owed]
        if self._echo_next or not free:
            self._echo_next = False
            self._token = (self._token + 1) % 0x1_0000
            return struct.pack(">BHH", ECHO, 0, self._token)
        self._echo_next = True
        return bytes([free[0], 0, 0, 0, 1])

    def proved(self, probe: bytes) -> None:
        """Note that a probe was answered: its like comes first the next time."""
        self._echo_next = probe[0] == ECHO
