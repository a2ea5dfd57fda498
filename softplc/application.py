"""Application: compiled program, initial image and symbols; loads and pickles without LLVM."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING

import msgspec

from runtime.errors import PlantError, UnknownVariableError
from softplc.addresses import parse_address
from softplc.diagnostics import Diagnostic

if TYPE_CHECKING:
    from softplc.simulator import Simulator

MAGIC = b"IWAP"
VERSION = 5
STEP = "_SFC_STEP"
_SIZES = {1: "BYTE", 2: "WORD", 4: "DWORD", 8: "LWORD"}
UnknownPathError = UnknownVariableError
_PART = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_]*)|\[([^\]]*)\]")
CLASS = "CLASS"


def is_hidden(name: str) -> bool:
    """Tell whether the compiler made a variable up."""
    return "$" in name


class Shape(msgspec.Struct, frozen=True, dict=True):
    """The shape of a type in memory.

    Attributes:
        kind: scalar, string, array or struct (structures and block instances); `reference` and `pointer` are
            among what is hidden.
        type: the elementary type that carries it (`STRING` or `WSTRING` for strings), else the type's name;
            of a reference that of its targets, empty where they are instances of classes.
        name: the declared type's name.
        members: name, offset, index of the shape, section; for structs.
        ranges: low and high of each dimension; for arrays.
        element: index of the element's shape, `stride` bytes apart.
        values: names of an enumeration by value.
        bit: the bit of a BOOL that is one bit of a structure, else -1.
        hidden: members that nobody sees from outside, and that keep their value all the same: references,
            what the compiler made up, and `CLASS`, the number of its class with which an instance begins.
        constants: names of members that the program cannot change, casefolded.
        limits: least and greatest value of a subrange, else None.
    """

    kind: str
    type: str
    name: str
    size: int
    members: tuple[tuple[str, int, int, str], ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()
    element: int = -1
    stride: int = 0
    values: dict[str, int] = {}
    bit: int = -1
    hidden: tuple[tuple[str, int, int, str], ...] = ()
    constants: tuple[str, ...] = ()
    limits: tuple[int, int] | None = None

    @cached_property
    def by_key(self) -> dict[str, tuple[str, int, int, str]]:
        return {member[0].casefold(): member for member in self.members}


class Root(msgspec.Struct, frozen=True):
    """A variable as declared: a global, or a variable of a program instance."""

    path: str
    shape: int
    offset: int
    bit: int
    section: str
    address: str | None
    retain: bool
    program: str
    read_only: bool = False
    constant: bool = False


class Symbol(msgspec.Struct, frozen=True):
    """One elementary variable: where it is in the image and what it is.

    Attributes:
        path: in the declared spelling.
        offset: byte offset in the image.
        bit: bit in that byte for a packed BOOL of the process image, else -1.
        size: bytes; a STRING is u16 length, u16 capacity, then Latin-1; a WSTRING has UTF-16 instead.
        type: elementary IEC type, `STRING` or `WSTRING` for strings; `declared` has the declared type.
        section: VAR, VAR_INPUT, VAR_OUTPUT, VAR_GLOBAL, ...
        address: direct address, or None.
        retain: keeps its value over a restart.
        read_only: an access path that says so.
        limits: least and greatest value of a subrange, else None.
    """

    path: str
    offset: int
    bit: int
    size: int
    type: str
    section: str
    address: str | None
    retain: bool
    declared: str = ""
    values: dict[str, int] = {}
    read_only: bool = False
    limits: tuple[int, int] | None = None


class Region(msgspec.Struct, frozen=True):
    """A part of the image: I, Q, M, RETAIN or DATA."""

    offset: int
    size: int


class TaskInfo(msgspec.Struct, frozen=True):
    """A task: entry point, interval (0: every scan), priority (0 is the highest), program instances.

    `programs` also has the paths of function blocks of programs that the task runs by themselves; `types` has
    the type of each, `resource` the resource that declares the task.
    """

    name: str
    symbol: str
    interval_ns: int
    priority: int
    programs: tuple[str, ...]
    types: tuple[str, ...] = ()
    resource: str = ""


class Application(msgspec.Struct, frozen=True, dict=True):
    """A compiled program.

    Attributes:
        object_code: relocatable object file for the host; exports `int32_t <task.symbol>(uint8_t *image)`.
        initial_image: the image at a cold start, `image_size` bytes; to be placed at a multiple of 64.
        tasks: in order of priority.
        files: names of the source files, by the index in the image header.
        regions: I, Q, M, RETAIN and DATA.
        access: access paths, other names of variables.
        hidden: what keeps its value and nobody sees from outside; see `Shape.hidden`.
        units: names of programs, blocks, functions and methods, by the index in the image header.
        warnings: what the compiler had to say about it.
    """

    object_code: bytes
    initial_image: bytes
    tasks: tuple[TaskInfo, ...]
    files: tuple[str, ...]
    regions: dict[str, Region]
    roots: tuple[Root, ...]
    shapes: tuple[Shape, ...]
    access: tuple[Root, ...] = ()
    hidden: tuple[Root, ...] = ()
    units: tuple[str, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()

    @property
    def image_size(self) -> int:
        return len(self.initial_image)

    @cached_property
    def symbols(self) -> Symbols:
        """Every elementary variable by casefolded path."""
        return Symbols(self)

    @cached_property
    def _roots(self) -> dict[str, Root]:
        return {root.path.casefold(): root for root in (*self.access, *self.roots)}

    def symbol(self, path: str) -> Symbol:
        """Return the variable of that path or direct address.

        Raises:
            UnknownPathError: there is none, or it is no elementary variable.
        """
        found = self.find(path)
        if isinstance(found, Symbol):
            return found
        root, shape, _offset = found
        raise UnknownPathError(
            f"{root.path} is a {shape.name}",
            "name one of its elements" if shape.kind == "array" else "name a member",
        )

    def find(self, path: str) -> Symbol | tuple[Root, Shape, int]:
        """Return a variable, or root, shape and offset of an array or structure.

        Raises:
            UnknownPathError: there is none of that path.
        """
        if path.startswith("%"):
            return self._direct(path)
        root, rest = self._split(path)
        shape, offset, section, position = self.shapes[root.shape], root.offset, root.section, 0
        declared = root.path
        while position < len(rest):
            part = _PART.match(rest, position)
            if part is None:
                raise UnknownPathError(f"{path!r} is no path", "write PROGRAM.variable.member[1, 2]")
            position = part.end()
            if part.group(1) is not None:
                member = shape.by_key.get(part.group(1).casefold())
                if member is None:
                    raise self._unknown(path, [each[0] for each in shape.members], part.group(1))
                name, inner, index, section = member
                declared += f".{name}"
                offset += inner
                shape = self.shapes[index]
            else:
                indices = _indices(shape, part.group(2), path)
                declared += f"[{','.join(map(str, indices))}]"
                offset += _element(shape, indices)
                shape = self.shapes[shape.element]
        if shape.kind in ("array", "struct"):
            return root, shape, offset
        return _leaf(root, declared, shape, offset, section)

    def is_constant(self, path: str) -> bool:
        """Tell whether a variable is a constant, or a part of one: the program has its value in its code."""
        if path.startswith("%"):
            return False
        root, rest = self._split(path)
        shape, constant = self.shapes[root.shape], root.constant
        for part in _PART.finditer(rest):
            name = part.group(1)
            constant = constant or (name is not None and name.casefold() in shape.constants)
            shape = self.shapes[shape.by_key[name.casefold()][2] if name is not None else shape.element]
        return constant

    def _split(self, path: str) -> tuple[Root, str]:
        """Split a path into the longest root and the rest."""
        key = path.casefold()
        for end in (each.start() for each in re.finditer(r"[.\[]|$", key)):
            root = self._roots.get(key[:end])
            if root is not None:
                return root, path[end:]
        raise self._unknown(path, [root.path for root in (*self.roots, *self.access)], path)

    @staticmethod
    def _unknown(path: str, known: list[str], part: str) -> UnknownPathError:
        from softplc.diagnostics import did_you_mean

        hint = did_you_mean(part, known) or f"known here: {', '.join(known[:12]) or 'nothing'}"
        return UnknownPathError(f"there is no variable {path!r}", hint)

    def _direct(self, path: str) -> Symbol:
        address = parse_address(path)
        region = self.regions.get(address.region) if address is not None else None
        if address is None or region is None:
            raise UnknownPathError(f"{path!r} is no direct address", "write %IX0.0, %QW4 or %MD8")
        size, type_ = (1, "BOOL") if address.bit >= 0 else (address.size, _SIZES[address.size])
        if address.offset + size > region.size:
            raise UnknownPathError(
                f"{path} is outside the process image", f"it has {region.size} bytes there"
            )
        place, shown = region.offset + address.offset, path.upper()
        return Symbol(shown, place, address.bit, size, type_, "DIRECT", shown, False, type_)

    def simulator(self) -> Simulator:
        """Return a simulator with a fresh image."""
        from softplc.simulator import Simulator

        return Simulator(self)

    def to_bytes(self) -> bytes:
        """Return the application as bytes for a cache; the format is versioned."""
        return MAGIC + bytes([VERSION]) + msgspec.msgpack.encode(self)

    @property
    def identity(self) -> bytes:
        """What it does, without what was said about it: two of the same identity are the same program."""
        return msgspec.structs.replace(self, warnings=()).to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Application:
        """Read what `to_bytes` wrote.

        Raises:
            PlantError: the data is something else, or of another version.
        """
        if data[: len(MAGIC)] != MAGIC or data[len(MAGIC)] != VERSION:
            raise PlantError("this is no compiled application of this version", "compile the sources again")
        try:
            return msgspec.msgpack.decode(data[len(MAGIC) + 1 :], type=cls)
        except msgspec.MsgspecError as exc:
            raise PlantError(
                f"the compiled application is damaged: {exc}", "compile the sources again"
            ) from exc

    def __reduce__(self) -> tuple[object, tuple[bytes]]:
        return (Application.from_bytes, (self.to_bytes(),))


class Symbols(Mapping[str, Symbol]):
    """Every elementary variable by casefolded path; arrays are expanded while iterating."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._count: int | None = None

    def __getitem__(self, path: str) -> Symbol:
        return self._application.symbol(path)

    def __contains__(self, path: object) -> bool:
        try:
            return isinstance(path, str) and bool(self._application.symbol(path))
        except UnknownPathError:
            return False

    def __iter__(self) -> Iterator[str]:
        return (symbol.path.casefold() for symbol in self.values_of())

    def __len__(self) -> int:
        if self._count is None:
            self._count = sum(1 for _ in self.values_of())
        return self._count

    def values_of(self) -> Iterator[Symbol]:
        """Yield every symbol in order of declaration."""
        for root in self._application.roots:
            shape = self._application.shapes[root.shape]
            yield from self._expand(root, root.path, shape, root.offset, root.section)

    def retained(self) -> Iterator[Symbol]:
        """Yield the symbols that keep their value over a restart, whatever has changed in the program.

        Constants are those of the program, and a chart begins at its initial step.
        """
        for root in self._application.roots:
            if root.retain and not root.constant:
                shape = self._application.shapes[root.shape]
                yield from self._expand(root, root.path, shape, root.offset, root.section, retained=True)

    def _expand(
        self, root: Root, path: str, shape: Shape, offset: int, section: str, *, retained: bool = False
    ) -> Iterator[Symbol]:
        expand = partial(self._expand, retained=retained)
        if retained and shape.name == STEP:
            return
        if shape.kind == "struct":
            for name, inner, index, own in shape.members:
                if not retained or name.casefold() not in shape.constants:
                    member = self._application.shapes[index]
                    yield from expand(root, f"{path}.{name}", member, offset + inner, own)
        elif shape.kind == "array":
            element = self._application.shapes[shape.element]
            for position, index_text in enumerate(index_texts(shape.ranges)):
                at = offset + position * shape.stride
                yield from expand(root, f"{path}[{index_text}]", element, at, section)
        else:
            yield _leaf(root, path, shape, offset, section)


def index_texts(ranges: tuple[tuple[int, int], ...]) -> Iterator[str]:
    """Yield the indices of an array in order of memory, as text."""
    low, high = ranges[0]
    for number in range(low, high + 1):
        if len(ranges) == 1:
            yield str(number)
        else:
            for rest in index_texts(ranges[1:]):
                yield f"{number},{rest}"


def _leaf(root: Root, path: str, shape: Shape, offset: int, section: str) -> Symbol:
    address = root.address if path == root.path else None
    bit = root.bit if path == root.path else shape.bit
    return Symbol(
        path,
        offset,
        bit,
        shape.size,
        shape.type,
        section,
        address,
        root.retain,
        shape.name,
        shape.values,
        root.read_only,
        shape.limits,
    )


def _indices(shape: Shape, text: str, path: str) -> list[int]:
    """Read the indices of an element."""
    if not text.isascii():
        raise UnknownPathError(f"{path!r} has an index that is no number")
    try:
        indices = [int(each) for each in text.split(",")]
    except ValueError:
        raise UnknownPathError(f"{path!r} has an index that is no number") from None
    if len(indices) != len(shape.ranges):
        raise UnknownPathError(f"{path!r} needs {len(shape.ranges)} indices")
    for index, (low, high) in zip(indices, shape.ranges, strict=True):
        if not low <= index <= high:
            raise UnknownPathError(f"{path!r}: index {index} is outside {low}..{high}")
    return indices


def _element(shape: Shape, indices: list[int]) -> int:
    """Return the byte offset of an element."""
    position = 0
    for index, (low, high) in zip(indices, shape.ranges, strict=True):
        position = position * (high - low + 1) + index - low
    return position * shape.stride
