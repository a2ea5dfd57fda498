"""How a variable lies in the image: one number for each width and reading of a raw pattern.

A text is exchanged as the patterns of its parts, words of eight bytes and what is left.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from runtime.contract import DataType

BYTE_BOOL, BIT, I8, U8, I16, U16, I32, U32, I64, F32, F64 = range(11)

_INTEGERS = {("i", 8): I8, ("u", 8): U8, ("i", 16): I16, ("u", 16): U16, ("i", 32): I32, ("u", 32): U32}
FORMATS = ("B", "B", "b", "B", "h", "H", "i", "I", "q", "f", "d")
_MASK = (1 << 64) - 1
_HEADER = 4
_PARTS = ((8, I64), (4, U32), (2, U16), (1, U8))
MAX_TEXT_BYTES = 1_024


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

    @property
    def bits(self) -> tuple[int, int]:
        """Return its first bit in the image, and the one behind its last."""
        if self.kind == BIT:
            return 8 * self.offset + self.bit, 8 * self.offset + self.bit + 1
        return 8 * self.offset, 8 * (self.offset + struct.calcsize(f"<{FORMATS[self.kind]}"))

    @property
    def parts(self) -> tuple[Variable, ...]:
        """Return the variable itself, as a text returns its parts."""
        return (self,)

    def raw(self, image: bytes) -> int:
        """Return the raw pattern that the variable has in a copy of the image."""
        value = struct.unpack_from(f"<{FORMATS[self.kind]}", image, self.offset)[0]
        if self.kind == BYTE_BOOL:
            return int(value != 0)
        if self.kind == BIT:
            return int(value >> self.bit & 1)
        if isinstance(value, float):
            return int(struct.unpack("<Q", struct.pack("<d", value))[0])
        return int(value) & _MASK


@dataclass(frozen=True, slots=True)
class Text:
    """A STRING in the image, or a WSTRING (`wide`): u16 length, u16 capacity, then its characters.

    What it cannot hold is cut at its capacity, and `?` in a STRING; half of a surrogate pair reads as U+FFFD.
    """

    offset: int
    capacity: int
    wide: bool = False

    @property
    def size(self) -> int:
        return _HEADER + self.capacity * (1 + self.wide)

    @property
    def bits(self) -> tuple[int, int]:
        """Return its first bit in the image, and the one behind its last."""
        return 8 * self.offset, 8 * (self.offset + self.size)

    @property
    def parts(self) -> tuple[Variable, ...]:
        """Return the variables that together are the text."""
        parts: list[Variable] = []
        offset, end = self.offset, self.offset + self.size
        for size, kind in _PARTS:
            while end - offset >= size:
                parts.append(Variable(offset, kind))
                offset += size
        return tuple(parts)

    def pack(self, text: str) -> list[int]:
        """Return the raw patterns of the parts."""
        unit = 1 + self.wide
        data = text.encode("utf-16-le", "replace") if self.wide else text.encode("latin-1", "replace")
        data = data[: self.capacity * unit]
        if self.wide and data and 0xD8 <= data[-1] < 0xDC:
            data = data[:-unit]  # no first half of a pair that would lose its second
        head = struct.pack("<HH", len(data) // unit, self.capacity)
        memory = (head + data).ljust(self.size, b"\0")
        return [part.raw(memory) for part in Text(0, self.capacity, self.wide).parts]

    def unpack(self, raws: Sequence[int]) -> str:
        """Return the text that the patterns of the parts mean."""
        sizes = {kind: size for size, kind in _PARTS}
        parts = zip(raws, self.parts, strict=True)
        memory = b"".join((raw & _MASK).to_bytes(8, "little")[: sizes[part.kind]] for raw, part in parts)
        length = min(int.from_bytes(memory[:2], "little"), self.capacity)
        data = memory[_HEADER : _HEADER + length * (1 + self.wide)]
        return data.decode("utf-16-le" if self.wide else "latin-1", "replace")

    def refusal(self, text: str) -> str:
        """Return why the text cannot be kept as it is, or nothing."""
        kind = "WSTRING" if self.wide else "STRING"
        if not self.wide and any(ord(each) > 255 for each in text):
            return f"{text!r} has characters that {kind} does not have"
        length = len(text.encode("utf-16-le", "replace")) // 2
        if length > self.capacity:
            return f"{kind}[{self.capacity}] holds {self.capacity} characters, not {length}"
        return ""
