"""What client and transport say to each other: requests and replies as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from drivers.s7.address import Area

MAX_ITEMS = 20  # of one read; what CPUs and python-snap7 take


class Code(IntEnum):
    """Why a CPU refuses an item.

    Source: Snap7 1.4 reference manual, error codes of the client; python-snap7 3.3.0, `S7_RETURN_CODES`.
    """

    HARDWARE = 0x01
    NOT_ALLOWED = 0x03
    OUT_OF_RANGE = 0x05
    TYPE_NOT_SUPPORTED = 0x06
    TYPE_DIFFERS = 0x07
    NO_SUCH_OBJECT = 0x0A
    OK = 0xFF


_TEXTS: dict[int, str] = {
    Code.HARDWARE: "hardware error",
    Code.NOT_ALLOWED: "access not allowed",
    Code.OUT_OF_RANGE: "address out of range",
    Code.TYPE_NOT_SUPPORTED: "data type not supported",
    Code.TYPE_DIFFERS: "data type inconsistent",
    Code.NO_SUCH_OBJECT: "no such object",
}
_PERMANENT: frozenset[int] = frozenset(
    {
        Code.NOT_ALLOWED,
        Code.OUT_OF_RANGE,
        Code.TYPE_NOT_SUPPORTED,
        Code.TYPE_DIFFERS,
        Code.NO_SUCH_OBJECT,
    }
)
_NO_RESOURCES = 0x83  # class of an error of a whole message; others of 0x81 to 0x87 are refusals


@dataclass(frozen=True, slots=True)
class Item:
    """`count` places from `start`: bytes, timers or counters; or one bit of a byte."""

    area: Area
    db: int
    start: int
    count: int
    bit: int | None = None

    @property
    def size(self) -> int:
        """Return the bytes of its data."""
        return self.count * self.area.place_size

    def __str__(self) -> str:
        block = f"DB{self.db}.DB" if self.area is Area.DB else self.area.letter
        if self.area.place_size > 1:
            first, last = f"{block}{self.start}", f"{block}{self.start + self.count - 1}"
        elif self.bit is not None:
            return f"{block}{'X' if self.area is Area.DB else ''}{self.start}.{self.bit}"
        else:
            first, last = f"{block}B{self.start}", f"{self.start + self.count - 1}"
        return first if self.count == 1 else f"{first}..{last}"


@dataclass(frozen=True, slots=True)
class Read:
    """Read some items at once."""

    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True)
class Write:
    """Write one item; the data of a bit is one byte, 0 or 1."""

    item: Item
    data: bytes


@dataclass(frozen=True, slots=True)
class AskState:
    """Ask whether the CPU runs."""


Request = Read | Write | AskState


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back for an item: the data of a read, or why not, or nothing in time.

    `code` is one of Code, or of two bytes where the whole message was refused.
    """

    data: bytes = b""
    code: int = Code.OK
    silent: bool = False

    @property
    def ok(self) -> bool:
        return not self.silent and self.code == Code.OK

    @property
    def denied(self) -> bool:
        """Tell whether all of the memory is refused, not this place of it."""
        return self.code == Code.NOT_ALLOWED or self.code > 0xFF

    @property
    def permanent(self) -> bool:
        """Tell whether asking again now would not help."""
        if self.code > 0xFF:
            return 0x81 <= self.code >> 8 <= 0x87 and self.code >> 8 != _NO_RESOURCES
        return self.code in _PERMANENT

    @property
    def busy(self) -> bool:
        """Tell whether the CPU has no resources for it now."""
        return self.code > 0xFF

    @property
    def why(self) -> str:
        """Return what people read."""
        if self.silent:
            return "the CPU does not answer"
        if self.code > 0xFF:
            text = "the CPU refuses the request"
            hint = " (PUT/GET not permitted, or protected?)" if self.code in (0x8104, 0x8404, 0x8703) else ""
            return f"{text}: error {self.code:#06x}{hint}"
        return f"the CPU refuses: {_TEXTS.get(self.code, 'unknown reason')} ({self.code:#04x})"


SILENCE = Reply(silent=True)


class Transport(Protocol):
    """A connection to a CPU.

    Attributes:
        pdu: greatest length of a message, as negotiated.
        depth: requests that may be under way at once, as negotiated.
        items: how many a read may have.
    """

    pdu: int
    depth: int
    items: int

    async def exchange(self, requests: Sequence[Request]) -> list[tuple[Reply, ...]]:
        """Send the requests; return a reply for each item, in the same order.

        Raises:
            ConnectError: the connection was lost.
        """
        ...

    @property
    def lost(self) -> str | None:
        """Return why the connection is gone; None while it is there."""
        ...

    def close(self) -> None: ...
