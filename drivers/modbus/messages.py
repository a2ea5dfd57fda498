"""What client and transport say to each other: requests and replies as values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, Protocol

from drivers.modbus.address import Table


class ExceptionCode(IntEnum):
    """Why a device refuses.

    Source: MODBUS Application Protocol V1.1b3, 7 MODBUS Exception Responses.
    """

    ILLEGAL_FUNCTION = 1
    ILLEGAL_DATA_ADDRESS = 2
    ILLEGAL_DATA_VALUE = 3
    SERVER_DEVICE_FAILURE = 4
    ACKNOWLEDGE = 5
    SERVER_DEVICE_BUSY = 6
    MEMORY_PARITY_ERROR = 8
    GATEWAY_PATH_UNAVAILABLE = 10
    GATEWAY_TARGET_FAILED = 11


PERMANENT = frozenset(
    {ExceptionCode.ILLEGAL_FUNCTION, ExceptionCode.ILLEGAL_DATA_ADDRESS, ExceptionCode.ILLEGAL_DATA_VALUE}
)
BUSY = frozenset({ExceptionCode.ACKNOWLEDGE, ExceptionCode.SERVER_DEVICE_BUSY})
SILENT = frozenset({ExceptionCode.GATEWAY_PATH_UNAVAILABLE, ExceptionCode.GATEWAY_TARGET_FAILED})


class RefusalError(Exception):
    """A request that is answered with an exception code."""

    def __init__(self, code: ExceptionCode) -> None:
        super().__init__(code.name)
        self.code = code


_EXCEPTIONS = {each.value: each.name.replace("_", " ").lower() for each in ExceptionCode}


def exception_text(code: int) -> str:
    """Return what people read for an exception code."""
    return f"exception {code} ({_EXCEPTIONS.get(code, 'unknown')})"


@dataclass(frozen=True, slots=True)
class Request:
    """Read `count` places, or write `data` to them: packed bits of coils, or big-endian registers.

    With `keep` the device itself changes one register: bits of `keep` stay, the others become `data`.
    """

    unit: int
    table: Table
    start: int
    count: int
    data: bytes | None = None
    keep: int | None = None


class Reply(NamedTuple):
    """What came back, and when: the data of a read, or an exception code, or nothing in time.

    `came_ns` is of `runtime.clock.monotonic_ns`; 0 where nothing came. With `is_short` the device answered
    with fewer places than it was asked for, as some do at the end of a table.
    """

    data: bytes = b""
    exception: int = 0
    answered: bool = True
    came_ns: int = 0
    is_short: bool = False

    @property
    def ok(self) -> bool:
        return self.answered and not self.exception and not self.is_short

    @property
    def silent(self) -> bool:
        """Tell whether nothing came, or a gateway says that nothing came to it."""
        return not self.answered or self.exception in SILENT

    @property
    def permanent(self) -> bool:
        """Tell whether asking again now would not help."""
        return self.exception in PERMANENT

    @property
    def busy(self) -> bool:
        """Tell whether the device asks for patience."""
        return self.exception in BUSY

    @property
    def why(self) -> str:
        """Return what people read."""
        if self.is_short:
            return "it answers with fewer places than asked for"
        return exception_text(self.exception) if self.answered else "no answer"


SILENCE = Reply(answered=False)
TURN_NS = 20_000_000  # what was answered waits no longer for the rest of its scan
Gather = Callable[[Sequence[Reply]], None]


class Transport(Protocol):
    """A connection to a device."""

    async def exchange(
        self,
        requests: Sequence[Request],
        *,
        again: bool = True,
        until: Callable[[], bool] | None = None,
        gather: Gather | None = None,
    ) -> list[Reply]:
        """Send the requests and return their replies in the same order.

        `again` lets what is not answered be asked for again, as often as the plant file says. With `until` it
        may end early, and bring the replies of the first ones only: no further request goes out once one
        failed, `until` says so, or TURN_NS are over. `gather` may be given the replies so far, silent ones
        where none has come, once the last request has gone out.

        Raises:
            ConnectError: the connection was lost.
        """
        ...

    async def ask(self, unit: int, message: bytes) -> bytes | None:
        """Send any message, once; return the response, None where none came in time.

        Raises:
            ConnectError: the connection was lost.
        """
        ...

    @property
    def lost(self) -> str | None:
        """Return why the connection is gone; None while it is there."""
        ...

    def close(self) -> None: ...
