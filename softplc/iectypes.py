"""Types: elementary and derived, sizes, and which implicit conversions the standard allows.

Source: IEC 61131-3:2013, 6.4, table 10 and figure 11.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from softplc.profiles import current

if TYPE_CHECKING:
    from softplc.symbols import Pou
    from softplc.syntax import Init

STRING_HEADER = 4
DEFAULT_STRING_LENGTH = 254
MAX_STRING_LENGTH = 32_767


class Type:
    """Base of all types; types are compared by identity, or with `same`."""

    name: str
    size: int
    align: int

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Elementary(Type):
    """An elementary type. `kind`: bool, bits, int, uint, real, time, date, tod, dt, char or literal."""

    name: str
    size: int
    kind: str

    @property
    def align(self) -> int:  # type: ignore[override]
        return self.size

    @property
    def bits(self) -> int:
        return self.size * 8

    @property
    def signed(self) -> bool:
        return self.kind in ("int", "time", "date", "tod", "dt")

    @property
    def limits(self) -> tuple[int, int]:
        """Return the least and greatest whole number of the type."""
        if self.kind == "bool":
            return 0, 1
        if self.signed:
            return -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        return 0, (1 << self.bits) - 1

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class String(Type):
    """STRING[n] and WSTRING[n]: u16 length, u16 capacity, then n bytes of Latin-1 or n units of UTF-16."""

    capacity: int
    wide: bool = False

    @property
    def plain(self) -> str:
        return "WSTRING" if self.wide else "STRING"

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.plain if self.capacity == DEFAULT_STRING_LENGTH else f"{self.plain}[{self.capacity}]"

    @property
    def unit(self) -> int:
        """Return the bytes of one character."""
        return 2 if self.wide else 1

    @property
    def element(self) -> Elementary:
        return WCHAR if self.wide else CHAR

    @property
    def size(self) -> int:  # type: ignore[override]
        return align_up(STRING_HEADER + self.capacity * self.unit, 2)

    @property
    def align(self) -> int:  # type: ignore[override]
        return 2

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Enum(Type):
    """An enumeration: value names in the declared spelling; keys ignore case.

    One that is not `strict` takes numbers and counts as one: profile codesys, without {attribute 'strict'}.
    """

    name: str
    base: Elementary
    values: dict[str, tuple[str, int]]
    initial: int = 0
    strict: bool = True

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.base.size

    @property
    def align(self) -> int:  # type: ignore[override]
        return self.base.align

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Subrange(Type):
    """A whole number type with limits of its own, checked at assignment."""

    name: str
    base: Elementary
    low: int
    high: int

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.base.size

    @property
    def align(self) -> int:  # type: ignore[override]
        return self.base.align

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Array(Type):
    """An array, row-major; each range is low, high, both included; `init` is the element type's own."""

    element: Type
    ranges: tuple[tuple[int, int], ...]
    init: Init | None = None

    @property
    def name(self) -> str:  # type: ignore[override]
        ranges = ", ".join(f"{low}..{high}" for low, high in self.ranges)
        return f"ARRAY[{ranges}] OF {self.element}"

    @property
    def count(self) -> int:
        result = 1
        for low, high in self.ranges:
            result *= high - low + 1
        return result

    @property
    def stride(self) -> int:
        return align_up(self.element.size, self.element.align)

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.stride * self.count

    @property
    def align(self) -> int:  # type: ignore[override]
        return self.element.align

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class OpenArray(Type):
    """ARRAY[*]: in memory a pointer, then low and high of each dimension, 8 bytes each."""

    element: Type
    rank: int
    align = 8

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"ARRAY[{', '.join('*' * self.rank)}] OF {self.element}"

    @property
    def size(self) -> int:  # type: ignore[override]
        return 8 + 16 * self.rank

    @property
    def stride(self) -> int:
        return align_up(self.element.size, self.element.align)

    def takes(self, other: Type) -> bool:
        """Tell whether a variable of another type may be passed."""
        rank = len(other.ranges) if isinstance(other, Array) else 0
        if isinstance(other, OpenArray):
            rank = other.rank
        return (
            isinstance(other, Array | OpenArray) and rank == self.rank and same(other.element, self.element)
        )

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False)
class Reference(Type):
    """REF_TO: in memory the offset in the image, so that the image may move; NULL (no target) is 0.

    The target of a reference inside its own type is set when that type is complete.
    """

    target: Type | None
    implicit: bool = False  # REFERENCE TO: followed wherever it stands
    size = 8
    align = 8

    @property
    def name(self) -> str:  # type: ignore[override]
        word = "REFERENCE TO" if self.implicit else "REF_TO"
        return f"{word} {self.target}" if self.target is not None else "NULL"

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False)
class Pointer(Type):
    """POINTER TO: position in the image, and where its object begins and ends; NULL is 0.

    Made by ADR alone, so that it never leaves its object unseen. In memory 64 bits of position, then 32
    bits each of begin and end; the highest bit says that the object is the text of a string. The target
    of a pointer inside its own type is set when that type is complete.
    """

    target: Type | None
    size = 16
    align = 8

    @property
    def name(self) -> str:  # type: ignore[override]
        return f"POINTER TO {self.target}"

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class Field:
    """A member of a structure: byte offset and initialiser.

    `fixed` tells that the source gives its place; `bit` is the bit in its byte where that is a bit, else -1.
    `packed` are those of the CODESYS type BIT, which share bytes with their neighbours. `address` is the %I*
    of a member that has another address in each instance, `address_at` where that is written.
    """

    name: str
    type: Type
    offset: int
    init: Init | None = None
    fixed: bool = False
    bit: int = -1
    packed: bool = False
    address: str = ""
    address_at: int = 0


@dataclass(eq=False)
class Struct(Type):
    """A structure; `fields` by casefolded name, in order."""

    name: str
    fields: dict[str, Field] = field(default_factory=dict)
    size: int = 0
    align: int = 1
    overlap: bool = False

    def add(self, member: Field) -> None:
        """Append a member."""
        self.fields[member.name.casefold()] = member
        self.lay_out()

    def is_bit(self, name: str) -> bool:
        """Tell whether a member is one bit of a byte."""
        member = self.fields.get(name.casefold())
        return member is not None and member.bit >= 0

    def lay_out(self) -> None:
        """Give the members that have no place of their own an offset, each at its natural alignment."""
        end, bit = 0, -1
        for member in self.fields.values():
            bit = (bit + 1) % 8 if member.packed else -1
            if member.packed:
                member.bit = 0 if self.overlap else bit
            if member.packed and bit > 0 and not self.overlap:
                member.offset = end - 1
            elif not member.fixed:
                member.offset = 0 if self.overlap else align_up(end, member.type.align)
                self.align = max(self.align, member.type.align)
            end = max(end, member.offset + member.type.size)
        self.size = align_up(end, self.align)

    def __str__(self) -> str:
        return self.name


@dataclass(eq=False)
class BlockType(Type):
    """The instance type of a function block; members are laid out by `softplc.layout`."""

    pou: Pou
    size: int = 0
    align: int = 8

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.pou.name

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Interface(Type):
    """A variable of an interface: in memory a reference to an instance that has it."""

    pou: Pou
    size = 8
    align = 8

    @property
    def name(self) -> str:  # type: ignore[override]
        return self.pou.name

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Alias:
    """A named type with an initial value of its own."""

    type: Type
    init: Init | None


def is_plain(type_: Type | None) -> bool:
    """Tell whether any bytes are a value of a type: no text with its length, no reference, no instance."""
    if isinstance(type_, Array):
        return is_plain(type_.element)
    if isinstance(type_, Struct):
        return all(is_plain(each.type) for each in type_.fields.values())
    return isinstance(type_, Elementary | Enum | Subrange)


def align_up(offset: int, align: int) -> int:
    return (offset + align - 1) // align * align


BOOL = Elementary("BOOL", 1, "bool")
SINT, INT, DINT, LINT = (Elementary(n, 1 << i, "int") for i, n in enumerate(("SINT", "INT", "DINT", "LINT")))
USINT, UINT, UDINT, ULINT = (
    Elementary(n, 1 << i, "uint") for i, n in enumerate(("USINT", "UINT", "UDINT", "ULINT"))
)
BYTE, WORD, DWORD, LWORD = (
    Elementary(n, 1 << i, "bits") for i, n in enumerate(("BYTE", "WORD", "DWORD", "LWORD"))
)
REAL, LREAL = Elementary("REAL", 4, "real"), Elementary("LREAL", 8, "real")
TIME, LTIME = Elementary("TIME", 8, "time"), Elementary("LTIME", 8, "time")
DATE, TOD, DT = Elementary("DATE", 8, "date"), Elementary("TOD", 8, "tod"), Elementary("DT", 8, "dt")
LDATE, LTOD, LDT = Elementary("LDATE", 8, "date"), Elementary("LTOD", 8, "tod"), Elementary("LDT", 8, "dt")
LONG = {TIME: LTIME, DATE: LDATE, TOD: LTOD, DT: LDT}
CHAR, WCHAR = Elementary("CHAR", 1, "char"), Elementary("WCHAR", 2, "char")
INT_LITERAL, REAL_LITERAL = Elementary("whole number", 8, "literal"), Elementary("real number", 8, "literal")
ADDRESS = Elementary("POINTER", 16, "pointer")  # what carries a pointer
SIGNED, UNSIGNED = (SINT, INT, DINT, LINT), (USINT, UINT, UDINT, ULINT)
BITS = (BOOL, BYTE, WORD, DWORD, LWORD)

ELEMENTARY = {
    each.name: each for each in (*BITS, *SIGNED, *UNSIGNED, REAL, LREAL, *LONG, *LONG.values(), CHAR, WCHAR)
} | {
    "DATE_AND_TIME": DT,
    "TIME_OF_DAY": TOD,
    "LTIME_OF_DAY": LTOD,
    "LDATE_AND_TIME": LDT,
}

WHOLE = ("int", "uint", "bits")
NUMERIC = ("int", "uint", "real", "literal")
CLASSES = {
    "ANY_NUM": ("int", "uint", "real"),
    "ANY_REAL": ("real",),
    "ANY_INT": ("int", "uint"),
    "ANY_BIT": ("bool", "bits"),
    "ANY_MAGNITUDE": ("int", "uint", "real", "time"),
    "ANY_DATE": ("date", "tod", "dt"),
    "ANY_CHAR": ("char",),
    "ANY_CHARS": ("char",),
    "ANY_STRING": (),
}


COUNTED = ("ANY_NUM", "ANY_INT", "ANY_BIT", "ANY_MAGNITUDE")  # of bits too, where these count as numbers


def _widenings() -> dict[Elementary, frozenset[Elementary]]:
    """Return for each type those it converts to implicitly: the cells marked I of figure 11."""
    table: dict[Elementary, set[Elementary]] = {each: set() for each in ELEMENTARY.values()}
    for family in (BITS, SIGNED, UNSIGNED):
        for i, small in enumerate(family):
            table[small].update(family[i + 1 :])
    for i, unsigned in enumerate(UNSIGNED):
        table[unsigned].update(SIGNED[i + 1 :])
    for small in (SINT, INT, USINT, UINT):
        table[small].update((REAL, LREAL))
    for wide in (DINT, UDINT):
        table[wide].add(LREAL)
    table[REAL].add(LREAL)
    for short, long in LONG.items():
        table[short].add(long)
    return {key: frozenset(value) for key, value in table.items()}


WIDENINGS = _widenings()
_RANK = [*BITS, *SIGNED, *UNSIGNED, REAL, LREAL, TIME, LTIME]


def is_literal_type(type_: Type) -> bool:
    return type_ is INT_LITERAL or type_ is REAL_LITERAL


def base_of(type_: Type | None) -> Type | None:
    """Return the type whose operations a subrange has."""
    return type_.base if isinstance(type_, Subrange) else type_


def _points_as(source: Pointer, target: Type) -> bool:
    """Tell whether a pointer may be used as another, or as the number of its position."""
    if isinstance(target, Elementary):
        return target.kind in ("bits", "uint", "int") and target.size >= 4
    if not isinstance(target, Pointer):
        return False
    before, after = source.target, target.target
    if before is None or after is None:
        return False
    if isinstance(before, String):
        if isinstance(after, String):
            return before.wide == after.wide
        return is_plain(after) and not before.wide
    if isinstance(before, BlockType) and isinstance(after, BlockType):
        return before.pou.offers(after.pou)
    return same(before, after) or (is_plain(before) and is_plain(after))


def same(left: Type, right: Type) -> bool:
    """Tell whether two types are one: by name for named types, by structure for arrays."""
    if left is right:
        return True
    if isinstance(left, Array) and isinstance(right, Array):
        return left.ranges == right.ranges and same(left.element, right.element)
    if isinstance(left, String) and isinstance(right, String):
        return left.capacity == right.capacity and left.wide == right.wide
    if isinstance(left, Reference) and isinstance(right, Reference):
        return left.target is right.target or bool(
            left.target and right.target and same(left.target, right.target)
        )
    if isinstance(left, Pointer) and isinstance(right, Pointer):
        return left.target is right.target or bool(
            left.target and right.target and same(left.target, right.target)
        )
    if isinstance(left, OpenArray) and isinstance(right, OpenArray):
        return left.rank == right.rank and same(left.element, right.element)
    return False


def is_null(type_: Type | None) -> bool:
    """Tell whether it is the type of NULL."""
    return isinstance(type_, Reference) and type_.target is None


def converts(source: Type, target: Type) -> bool:
    """Tell whether a value of one type may be used for the other without a conversion function."""
    source, target = base_of(source) or source, base_of(target) or target
    if same(source, target):
        return True
    if isinstance(source, Pointer):
        return _points_as(source, target)
    if isinstance(target, Pointer):
        return is_null(source)
    if isinstance(target, String):
        return source is target.element or (isinstance(source, String) and source.wide == target.wide)
    if isinstance(source, Reference) and isinstance(target, Reference):
        both = source.target, target.target
        if isinstance(both[0], BlockType) and isinstance(both[1], BlockType):
            return both[0].pou.offers(both[1].pou)
        return source.target is None
    if isinstance(target, Interface):
        if isinstance(source, Reference):
            return source.target is None
        return isinstance(source, BlockType | Interface) and source.pou.offers(target.pou)
    if isinstance(target, Enum) and not target.strict:
        return converts(source.base if isinstance(source, Enum) else source, target.base)
    if isinstance(source, Enum) and isinstance(target, Elementary) and current().bits_count:
        return converts(source.base, target)
    if isinstance(source, Elementary) and isinstance(target, Elementary):
        return target in WIDENINGS.get(source, ()) or (current().bits_count and _counts_as(source, target))
    return False


def _counts_as(source: Elementary, target: Elementary) -> bool:
    """Tell whether a number of one type may stand for the other where bits count as numbers."""
    if source.kind not in WHOLE:
        return False
    return target.kind == "real" or (target.kind in WHOLE and target.size >= source.size)


def common(left: Type, right: Type) -> Type | None:
    """Return the smallest type both convert to, or None."""
    left, right = base_of(left) or left, base_of(right) or right
    if left is not right and (_is_whole(left) or _is_whole(right) or _is_loose(left)):
        left, right = number_of(left), number_of(right)
    if current().bits_count and _is_whole(left) and _is_whole(right):
        return _larger(left, right)
    if converts(left, right):
        return right
    if converts(right, left):
        return left
    if not isinstance(left, Elementary) or not isinstance(right, Elementary):
        return None
    both = WIDENINGS.get(left, frozenset()) & WIDENINGS.get(right, frozenset())
    return min(both, key=_RANK.index, default=None)


def _is_loose(type_: Type | None) -> bool:
    return isinstance(type_, Enum) and not type_.strict


def number_of(type_: Type) -> Type:
    """Return the number that a value of an enumeration counts as; other types are what they are."""
    return type_.base if isinstance(type_, Enum) and current().bits_count else type_


def is_position(type_: Type | None) -> bool:
    """Tell whether a value can be an index."""
    return in_class(type_, "ANY_INT") or (isinstance(type_, Enum) and current().bits_count)


def _is_whole(type_: Type | None) -> bool:
    return isinstance(type_, Elementary) and type_.kind in WHOLE


def _larger(left: Type, right: Type) -> Type | None:
    """Return the larger of two whole number types; of two of one size the signed one, then the number."""
    both = [each for each in (left, right) if isinstance(each, Elementary)]
    return max(both, key=lambda each: (each.size, each.signed, each.kind != "bits"), default=None)


def counts(kind: str) -> bool:
    """Tell whether values of a kind are added and multiplied."""
    return kind in NUMERIC or (kind == "bits" and current().bits_count)


def has_bits(kind: str) -> bool:
    """Tell whether values of a kind are combined bit by bit."""
    return kind in ("bool", "bits") or (kind in ("int", "uint") and current().bits_count)


def natural(value: int) -> Elementary | None:
    """Return the smallest signed (else unsigned) type that holds a whole number."""
    for type_ in (*SIGNED, ULINT):
        low, high = type_.limits
        if low <= value <= high:
            return type_
    return None


def default_int(value: int) -> Elementary:
    """Return the type of a whole number that nothing else gives a type."""
    for type_ in (DINT, LINT):
        low, high = type_.limits
        if low <= value <= high:
            return type_
    return ULINT


def in_class(type_: Type | None, name: str) -> bool:
    """Tell whether a type belongs to a generic type such as ANY_NUM."""
    type_ = base_of(type_)
    if name in ("ANY", "ANY_ELEMENTARY"):
        return name == "ANY" or isinstance(type_, Elementary | String | Enum)
    if name in ("ANY_STRING", "ANY_CHARS") and isinstance(type_, String):
        return True
    if name in COUNTED and current().bits_count and _is_whole(type_):
        return True
    return isinstance(type_, Elementary) and type_.kind in CLASSES[name]
