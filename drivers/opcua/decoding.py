"""asyncua's decoders, made to believe no count, length or enumeration. Importing it does that for both sides.

As they are, a length below zero reads the same bytes again, an array of nulls may be of any size, and a few
bytes of dimensions ask for a million elements: a message of a hundred bytes, before login, never ends.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from enum import IntFlag
from typing import Any

from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua import ua_binary

MAX_DIMENSIONS = 16

Decode = Callable[[Any], Any]


class TooMuchError(ua.UaError):  # type: ignore[misc]
    """A message of more parts than it may have."""


class Measured(Buffer):  # type: ignore[misc]
    """A buffer, and its copies, that may be read so many times: what decoding it may cost at most."""

    def __init__(self, data: bytes, start_pos: int, size: int, left: list[int]) -> None:
        super().__init__(data, start_pos, size)
        self._left = left

    @classmethod
    def of(cls, buffer: Any, reads: int) -> Measured:
        """Return what is left of a buffer, to be read at most so many times."""
        return cls(buffer._data, buffer._cur_pos, buffer._size, [reads])

    def read(self, size: int) -> Any:
        self._left[0] -= 1
        if self._left[0] < 0:
            raise TooMuchError("the message has more parts than it may have")
        return super().read(size)

    def copy(self, size: int = -1) -> Measured:
        if size == -1 or size > self._size:
            size = self._size
        return Measured(self._data, self._cur_pos, size, self._left)


def _forward(step: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    @functools.wraps(step)
    def forward(buffer: Any, size: int) -> Any:
        if size < 0:
            raise NotEnoughData(f"a length of {size}")
        return step(buffer, size)

    return forward


def _counted(make: Callable[[Any], Decode]) -> Callable[[Any], Decode]:
    """Make decoders of arrays refuse a count that is larger than the bytes that there are for it."""

    @functools.cache
    def make_counted(of: Any) -> Decode:
        decode = make(of)

        def counted(data: Any) -> Any:
            count = ua_binary.Primitives.Int32.unpack(data.copy(4))
            if count > len(data) - 4:
                raise NotEnoughData(f"{count} elements in {len(data) - 4} bytes")
            return decode(data)

        return counted

    return make_counted


def _exact(shape: Callable[[list[Any], list[int]], Any]) -> Callable[[list[Any], list[int]], Any]:
    """Give an array only dimensions that its elements fill. Source: OPC 10000-6, 5.2.2.16 Variant."""

    def exact(flat: list[Any], dimensions: list[int]) -> Any:
        if not dimensions or len(dimensions) > MAX_DIMENSIONS or min(dimensions) < 0:
            raise ua.UaError("dimensions that no array has")
        if math.prod(dimensions) != len(flat):
            raise ua.UaError(f"dimensions {dimensions} of {len(flat)} elements")
        return shape(flat, dimensions) if flat else flat

    return exact


def _open(make: Callable[[Any], Decode]) -> Callable[[Any], Decode]:
    """Let a number that an enumeration does not have stay a number: each service has a code for that."""

    def make_open(kind: Any) -> Decode:
        if issubclass(kind, IntFlag):
            return make(kind)

        def decode(data: Any) -> Any:
            number = ua_binary.Primitives.Int32.unpack(data)
            try:
                return kind(number)
            except ValueError:
                return number

        return decode

    return make_open


def _harden() -> None:
    Buffer.read, Buffer.skip = _forward(Buffer.read), _forward(Buffer.skip)
    for name in ("_create_uatype_array_deserializer", "_create_list_deserializer"):
        setattr(ua_binary, name, _counted(getattr(ua_binary, name)))
    ua_binary._reshape = _exact(ua_binary._reshape)
    ua_binary.create_enum_deserializer = _open(ua_binary.create_enum_deserializer)
    for made in (ua_binary._create_type_deserializer, ua_binary._create_dataclass_deserializer):
        made.cache_clear()  # they keep decoders that believe


_harden()
