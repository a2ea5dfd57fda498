"""How a variable lies in the image: one number for each width and reading of a raw pattern."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from runtime.contract import DataType

BYTE_BOOL, BIT, I8, U8, I16, U16, I32, U32, I64, F32, F64 = range(11)

_INTEGERS = {("i", 8): I8, ("u", 8): U8, ("i", 16): I16, ("u", 16): U16, ("i", 32): I32, ("u", 32): U32}
_FORMATS = ("B", "B", "b", "B", "h", "H", "i", "I", "q", "f", "d")
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class Variable:
    """A place in the image; `bit` counts in the byte at `offset` for a packed BOOL."""

    offset: int
    kind: int
    bit: int = 0

    @classmethod
    def of(cls, offset: int, data_type: DataType, bit: int = -1) -> Variable:
        """Describe a variable; `bit` is -1 where a BOOL has a byte of its own.

        Raises:
            ValueError: the type has no 64-bit pattern (STRING).
        """
        if data_type is DataType.BOOL:
            kind = BYTE_BOOL if bit < 0 else BIT
        elif data_type.kind == "f":
            kind = F32 if data_type is DataType.REAL else F64
        elif data_type.kind == "s":
            raise ValueError(f"{data_type.iec} has no 64-bit pattern")
        else:
            kind = _INTEGERS.get((data_type.kind, data_type.bits), I64)
        return cls(offset, kind, max(bit, 0))

    def raw(self, image: bytes) -> int:
        """Return the raw pattern that the variable has in a copy of the image."""
        value = struct.unpack_from(f"<{_FORMATS[self.kind]}", image, self.offset)[0]
        if self.kind == BYTE_BOOL:
            return int(value != 0)
        if self.kind == BIT:
            return int(value >> self.bit & 1)
        if isinstance(value, float):
            return int(struct.unpack("<Q", struct.pack("<d", value))[0])
        return int(value) & _MASK
