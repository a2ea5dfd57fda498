"""Names that are locked after wrong secrets: at the address that gave them, after many others too."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runtime.clock import SECOND_NS
from runtime.journal.accounts import LockRecord

FREE, FREE_IN_ALL = 5, 50
EVERYWHERE = "*"
ANYBODY = "*"
_FIRST_NS = 5 * SECOND_NS
_LONGEST_NS = 300 * SECOND_NS
_FORGET_NS = 900 * SECOND_NS
_KEPT = 1000
_USUAL = 8
_NAME = 65  # characters of a name that are kept: no user's is as long, and a stranger's may be megabytes


@dataclass(frozen=True, slots=True)
class Lock:
    """A name was locked at an address: failures so far, and for how long."""

    name: str
    address: str
    via: str
    failures: int
    for_ns: int


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last_ns: int = 0
    until_ns: int = 0


class Lockout:
    """Counts wrong secrets of a name by address, and of all addresses together. Threads may share it.

    After five from one address the name is locked there for 5 s, then twice as long each time, up to 5 min;
    after fifty in all, likewise, everywhere but at the eight addresses from which it logged in last: a
    stranger locks out strangers. Fifty from one address, whatever the names, lock there all that did not log
    in from it last. Names that nobody has are locked alike.
    """

    def __init__(self, known: Callable[[str], bool], now_ns: Callable[[], int]) -> None:
        """`known` tells whether a user has that name."""
        self._known = known
        self._now_ns = now_ns
        self._failures: dict[tuple[str, str], _Failures] = {}
        self._usual: dict[str, dict[str, None]] = {}
        self._locks: list[Lock] = []
        self._unlocked: list[tuple[str, str]] = []
        self._guard = threading.Lock()  # secrets are checked in threads

    def left_ns(self, name: str, address: str) -> int:
        """Return how long a name is still locked at an address, 0 when it is not."""
        name = name[:_NAME]
        with self._guard:
            keys = [(name, address)]
            if address not in self._usual.get(name, ()):
                keys += [(name, EVERYWHERE), (ANYBODY, address)]
            found = [self._failures[key].until_ns for key in keys if key in self._failures]
            return max(0, max(found, default=0) - self._now_ns())

    def longest_ns(self, name: str) -> int:
        """Return how long a name is still locked anywhere, 0 when it is not."""
        with self._guard:
            found = [each.until_ns for (whose, _), each in self._failures.items() if whose == name]
            return max(0, max(found, default=0) - self._now_ns())

    def names(self) -> int:
        """Return how many names are locked now, at one address or more."""
        with self._guard:
            now_ns = self._now_ns()
            return len({name for (name, _), each in self._failures.items() if each.until_ns > now_ns})

    def wrong(self, name: str, address: str, via: str) -> None:
        """Note a wrong secret."""
        name = name[:_NAME]
        with self._guard:
            self._count(name, address, via, FREE)
            self._count(name, EVERYWHERE, via, FREE_IN_ALL)
            if address:
                self._count(ANYBODY, address, via, FREE_IN_ALL)

    def right(self, name: str, address: str) -> None:
        """Note that a user logged in."""
        with self._guard:
            for whose, free in ((name, FREE), (ANYBODY, FREE_IN_ALL)):
                before = self._failures.pop((whose, address), None)
                if before and before.count >= free:
                    self._unlocked.append((whose, address))
            usual = self._usual.setdefault(name, {})
            usual.pop(address, None)
            usual[address] = None
            if len(usual) > _USUAL:
                del usual[next(iter(usual))]

    def restore(self, locks: Iterable[LockRecord], now_ns: int) -> None:
        """Take up the locks of a kernel that has ended; `now_ns` is the time of day, as theirs."""
        with self._guard:
            for each in locks:
                left_ns = min(each.until_ns - now_ns, _LONGEST_NS)
                if self._told(each.name) and left_ns > -_FORGET_NS:
                    until_ns = self._now_ns() + left_ns
                    self._failures[each.name, each.address] = _Failures(each.failures, until_ns, until_ns)

    def forget(self) -> None:
        """Forget whence users came who are gone."""
        with self._guard:
            self._usual = {name: there for name, there in self._usual.items() if self._known(name)}

    def take_locks(self) -> list[Lock]:
        """Return the locks of known users since the last call, to be audited."""
        with self._guard:
            taken, self._locks = self._locks, []
        return taken

    def take_unlocked(self) -> list[tuple[str, str]]:
        """Return who was locked, and where, and has given the right secret there since the last call."""
        with self._guard:
            taken, self._unlocked = self._unlocked, []
        return taken

    def _count(self, name: str, address: str, via: str, free: int) -> None:
        now_ns = self._now_ns()
        found = self._failures.pop((name, address), None)
        if found is None or now_ns - max(found.last_ns, found.until_ns) > _FORGET_NS:
            found = _Failures()
        while len(self._failures) >= _KEPT:
            del self._failures[self._dispensable()]
        self._failures[name, address] = found
        found.count += 1
        found.last_ns = now_ns
        over = found.count - free
        if over >= 0:
            for_ns = min(_LONGEST_NS, _FIRST_NS << min(over, 10))
            found.until_ns = now_ns + for_ns
            if self._told(name) and len(self._locks) < _KEPT:
                self._locks.append(Lock(name, address, via, found.count, for_ns))

    def _told(self, name: str) -> bool:
        """Tell whether the audit has locks of that name: those that nobody has are anybody's guess."""
        return name == ANYBODY or self._known(name)

    def _dispensable(self) -> tuple[str, str]:
        """Return the oldest entry of a name that nobody has; the oldest of all where there is none."""
        return next((key for key in self._failures if not self._known(key[0])), next(iter(self._failures)))
