"""What a component offers whose traffic can be recorded; the kernel judges and audits before."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol, runtime_checkable

LONGEST_NS = 600_000_000_000
LARGEST = 256 * 1024 * 1024


class Recording(Protocol):
    """A capture file on its way."""

    def pieces(self) -> AsyncGenerator[bytes, None]:
        """Yield the file piece by piece until its time or its size is over."""
        ...

    def close(self) -> None:
        """End it, whether it was fetched whole or not."""
        ...


class Recorder(Protocol):
    """Makes recordings, one at a time."""

    def begin(self, for_ns: int, most: int, peer: str = "") -> Recording:
        """Begin a recording of so long and so many bytes; the caller closes it.

        `peer` chooses connections by the address of their other end, or by address and port.

        Raises:
            WriteRejectedError: it cannot be made now; says why.
        """
        ...


@runtime_checkable
class Recordable(Protocol):
    """A component whose traffic can be recorded."""

    @property
    def recorder(self) -> Recorder: ...
