"""What client and transport say to each other: requests and replies as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

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
SILENT = frozenset({ExceptionCode.GATEWAY_PATH_UNAVAILABLE, ExceptionCode.GATEWAY_TARGET_FAILED})


def exception_text(code: int) -> str:
    """Return what people read for an exception code."""
    known = {each.value: each.name.replace("_", " ").lower() for each in ExceptionCode}
    return f"exception {code} ({known.get(code, 'unknown')})"


@dataclass(frozen=True, slots=True)
class Request:
    """Read `count` places, or write `data` to them: packed bits of coils, or big-endian registers."""

    unit: int
    table: Table
    start: int
    count: int
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the data of a read, or an exception code, or nothing in time."""

    data: bytes = b""
    exception: int = 0
    silent: bool = False

    @property
    def ok(self) -> bool:
        return not self.silent and not self.exception


SILENCE = Reply(silent=True)


class Transport(Protocol):
    """A connection to a device."""

    async def exchange(self, requests: Sequence[Request]) -> list[Reply]:
        """Send the requests and return their replies in the same order.

        Raises:
            ConnectError: the connection was lost.
        """
        ...

    @property
    def lost(self) -> str | None:
        """Return why the connection is gone; None while it is there."""
        ...

    def close(self) -> None: ...
