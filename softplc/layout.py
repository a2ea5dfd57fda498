"""Layout: where every variable lies, and the bytes it starts with.

One image: header, %I, %Q, %M, RETAIN, then everything else. Addresses count in their own size: %IW1 is the
bytes 2 and 3 of the inputs and holds %IX3.2; %ID1 is the bytes 4 to 7.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from softplc.addresses import Address, parse_address
from softplc.bind.fold import as_type
from softplc.iectypes import (
    ADDRESS,
    BOOL,
    LINT,
    Array,
    BlockType,
    Elementary,
    Enum,
    Field,
    Interface,
    OpenArray,
    Pointer,
    Reference,
    String,
    Struct,
    Subrange,
    Type,
    align_up,
    base_of,
)
from softplc.symbols import Instance, Pou, Project, Setting, Variable, VariablePath, all_pous, constant_of
from softplc.syntax import ArrayInit, Expr, Init, StructInit

if TYPE_CHECKING:
    from softplc.links import Links
    from softplc.lower.marks import Marks
    from softplc.lower.sites import Sites

HEADER_SIZE = 128
NOW_NS, SCAN_COUNT, FAULT_CODE, FAULT_LINE, FAULT_FILE, STOP, DT_NS = 0, 8, 16, 20, 24, 28, 32
LAPS, FAULT_OPERANDS, FAULT_UNIT, FAULT_UNSIGNED = 40, (48, 56, 64), 72, 76
REGION_ALIGN = 64
POINTER_SIZE = 8
NUMBER_SIZE = 4
_FORMATS = {
    ("int", 1): "<b",
    ("int", 2): "<h",
    ("int", 4): "<i",
    ("int", 8): "<q",
    ("uint", 1): "<B",
    ("uint", 2): "<H",
    ("uint", 4): "<I",
    ("uint", 8): "<Q",
    ("real", 4): "<f",
    ("real", 8): "<d",
}


@dataclass(slots=True)
class Layout:
    """Where the regions lie (offset, size) and where each program instance's variables are."""

    regions: dict[str, tuple[int, int]] = field(default_factory=dict)
    size: int = HEADER_SIZE
    programs: dict[Instance, dict[Variable, tuple[int, int]]] = field(default_factory=dict)

    def instance_of(self, program: Pou) -> Instance | None:
        """Return the instance that the name of a program stands for."""
        return next((each for each in self.programs if each.pou is program), None)

    def absolute(self, address: Address) -> int:
        return self.regions[address.region][0] + address.offset

    def direct(self, text: str, type_: Type | None) -> tuple[int, int]:
        """Return byte offset and bit (-1: none) of a direct address."""
        address = parse_address(text)
        if address is None:
            raise ValueError(f"{text} is no direct address")
        return self.absolute(address), address.bit if type_ is BOOL else -1

    def of_path(self, path: VariablePath, instance: Instance | None) -> tuple[int, int]:
        """Return byte offset and bit of what a path leads to."""
        if path.root is None:
            return self.direct(path.address, path.type)
        offset, bit = path.root.offset, path.root.bit
        if instance is not None:
            offset, bit = self.programs[instance][path.root]
        type_ = path.root.type
        for step in path.steps:
            if isinstance(step, int):
                if not isinstance(type_, Array):
                    raise ValueError("an index into what is no array")
                offset, type_ = offset + step * type_.stride, type_.element
            else:
                offset, type_ = offset + step.offset, step.type
                bit = step.bit if isinstance(step, Field) else -1
        return offset, bit


def format_of(type_: Elementary) -> str:
    """Return the struct format of a value in memory."""
    kind = type_.kind
    if kind in ("bool", "bits", "char"):
        kind = "uint"
    elif kind in ("time", "date", "tod", "dt"):
        kind = "int"
    return _FORMATS[kind, type_.size]


def scalar_of(type_: Type) -> Elementary | None:
    """Return the elementary type that holds values of a scalar type."""
    if isinstance(type_, Enum | Subrange):
        return type_.base
    if isinstance(type_, Reference | Interface):
        return LINT
    if isinstance(type_, Pointer):
        return ADDRESS
    return type_ if isinstance(type_, Elementary) else None


def has_number(pou: Pou) -> bool:
    """Tell whether instances begin with the number of their class: where methods or heirs may be."""
    root = pou.root
    return root.type is not None and any(
        each.methods or each.interfaces or each.base or each.derived for each in root.descendants()
    )


# Instances and frames --------------------------------------------------------------------------


class Sizes:
    """Lays out function block instances and function frames, each once."""

    def __init__(self) -> None:
        self._done: set[Pou] = set()
        self._initial: dict[Type, bytes] = {}
        self._retained: dict[Type, bool] = {}
        self.links: Links | None = None  # once everything is laid out
        self.marks: Marks | None = None  # where coverage is asked for
        self.sites: Sites | None = None  # where a debugger asks

    def pou(self, pou: Pou) -> None:
        """Give the variables of a block or function their offsets."""
        if pou in self._done:
            return
        self._done.add(pou)
        frame = local = 0
        if pou.kind == "METHOD":
            frame = POINTER_SIZE  # of the instance
        elif pou.base is not None:
            self.pou(pou.base)
            frame, local = pou.base.frame_size, pou.base.local_size
        elif has_number(pou):
            frame = NUMBER_SIZE
        for variable in pou.variables.values():
            if variable.elsewhere or variable.type is None or variable.pou is not pou:
                continue
            self.type(variable.type)
            in_local = variable.temporary
            pointer = variable.by_reference
            size = variable.type.size
            if pointer and not isinstance(variable.type, OpenArray):
                size = POINTER_SIZE
            align = POINTER_SIZE if pointer else variable.type.align
            if in_local:
                variable.offset = align_up(local, align)
                local = variable.offset + size
            elif pou.kind != "PROGRAM":
                variable.offset = align_up(frame, align)
                frame = variable.offset + size
        pou.frame_size = align_up(max(frame, 1), 8)
        pou.local_size = align_up(local, 8)
        if isinstance(pou.type, BlockType):
            pou.type.size = pou.frame_size

    def type(self, type_: Type) -> None:
        if isinstance(type_, Array):
            self.type(type_.element)
        elif isinstance(type_, BlockType):
            self.pou(type_.pou)
        elif isinstance(type_, Struct):
            for member in type_.fields.values():
                self.type(member.type)
            type_.lay_out()

    def retained(self, type_: Type | None) -> bool:
        """Tell whether a block instance holds retained variables: then all of it is retained."""
        while isinstance(type_, Array):
            type_ = type_.element
        if not isinstance(type_, BlockType):
            return False
        if type_ not in self._retained:
            variables = type_.pou.variables.values()
            self._retained[type_] = any(v.retain or self.retained(v.type) for v in variables)
        return self._retained[type_]

    # Initial values ------------------------------------------------------------------------------

    def initial(self, type_: Type) -> bytes:
        """Return the bytes a variable of the type starts with."""
        known = self._initial.get(type_)
        if known is None:
            known = self._initial[type_] = self._build(type_)
        return known

    def _build(self, type_: Type) -> bytes:
        if isinstance(type_, String):
            return struct.pack("<HH", 0, type_.capacity).ljust(type_.size, b"\0")
        if isinstance(type_, Enum):
            return struct.pack(format_of(type_.base), type_.initial)
        if isinstance(type_, Subrange):
            return struct.pack(format_of(type_.base), type_.low)
        if isinstance(type_, Array):
            element = bytearray(type_.stride)
            self.write(element, 0, type_.element, type_.init)
            return bytes(element) * type_.count
        data = bytearray(type_.size)
        if isinstance(type_, Struct):
            for member in type_.fields.values():
                if not type_.overlap or member.init is not None or any(self.initial(member.type)):
                    if member.bit < 0:
                        self.write(data, member.offset, member.type, member.init)
                    else:
                        self._member(data, 0, member, member.init)
        elif isinstance(type_, BlockType):
            self.write_frame(data, type_.pou)
        return bytes(data)

    def write_frame(self, data: bytearray, pou: Pou) -> None:
        """Write the initial values of an instance or a function's frame."""
        if has_number(pou) and pou.kind != "METHOD":
            struct.pack_into("<I", data, 0, pou.number)
        for variable in pou.variables.values():
            if (
                variable.type is not None
                and not variable.temporary
                and not variable.elsewhere
                and not variable.by_reference
            ):
                self.write(data, variable.offset, variable.type, variable.init)

    def frame(self, pou: Pou, resource: str = "") -> bytes:
        data = bytearray(pou.frame_size)
        self.write_frame(data, pou)
        if self.links is not None and pou.kind != "PROGRAM":
            self.links.frame(data, pou, pou.parameters("VAR_INPUT", "VAR_OUTPUT", "RESULT"), resource)
        return bytes(data)

    def local(self, pou: Pou, resource: str = "") -> bytes:
        """Return the initial bytes of a routine's own stack frame."""
        data = bytearray(pou.local_size)
        for variable in pou.variables.values():
            if variable.temporary and variable.type is not None:
                self.write(data, variable.offset, variable.type, variable.init)
        if self.links is not None:
            own = (each for each in pou.variables.values() if each.temporary)
            self.links.frame(data, pou, own, resource)
        return bytes(data)

    def write(self, data: bytearray, offset: int, type_: Type, init: Init | None) -> None:
        """Write the initial value of one variable, its own initialiser over its type's."""
        constant = constant_of(init)
        if constant is not None:
            self.write(data, offset, type_, constant.init)
            return
        if init is None or not isinstance(init, Expr):
            data[offset : offset + type_.size] = self.initial(type_)[: type_.size]
        if init is None:
            return
        if isinstance(init, ArrayInit):
            if isinstance(type_, Array):
                self._write_array(data, offset, type_, init, 0)
        elif isinstance(init, StructInit):
            self._write_members(data, offset, type_, init)
        elif init.value is not None:
            data[offset : offset + type_.size] = encode(type_, init.value)

    def _write_array(self, data: bytearray, offset: int, type_: Array, init: ArrayInit, index: int) -> int:
        for count, value in init.items:
            times = int(count.value) if count is not None and isinstance(count.value, int) else 1
            if isinstance(value, ArrayInit) and value.spread:
                for _ in range(times):
                    index = self._write_array(data, offset, type_, value, index)
                continue
            if index >= type_.count or times <= 0:
                continue
            times = min(times, type_.count - index)
            at = offset + index * type_.stride
            self.write(data, at, type_.element, type_.init)
            if value is not None:
                self.override(data, at, type_.element, value)
            one = bytes(data[at : at + type_.element.size]).ljust(type_.stride, b"\0")
            data[at : at + times * type_.stride] = one * times
            index += times
        return index

    def _write_members(self, data: bytearray, offset: int, type_: Type, init: StructInit) -> None:
        for name, value, _ in init.items:
            key = name.casefold()
            if isinstance(type_, Struct):
                self._member(data, offset, type_.fields[key], value)
            elif isinstance(type_, BlockType):
                variable = type_.pou.find_variable(key)
                if variable is not None and variable.type is not None:
                    self.override(data, offset + variable.offset, variable.type, value)

    def _member(self, data: bytearray, offset: int, member: Field, init: Init | None) -> None:
        """Write the initial value of a member of the structure at an offset."""
        at = offset + member.offset
        if member.bit < 0:
            self.override(data, at, member.type, init)
        elif isinstance(init, Expr) and init.value is not None:
            _write_scalar(data, at, member.bit, member.type, init.value)

    def override(self, data: bytearray, offset: int, type_: Type, init: Init | None) -> None:
        if isinstance(init, StructInit):
            self._write_members(data, offset, type_, init)
        else:
            self.write(data, offset, type_, init)


def encode(type_: Type, value: Any) -> bytes:
    """Return a scalar or string constant as bytes in memory."""
    if isinstance(type_, String):
        text = str(as_type(value, type_))[: type_.capacity]
        data = text.encode("utf-16-le", "surrogatepass") if type_.wide else text.encode("latin-1", "replace")
        return (struct.pack("<HH", len(text), type_.capacity) + data).ljust(type_.size, b"\0")
    scalar = scalar_of(type_)
    if scalar is None:
        raise TypeError(f"{type_} has no scalar value")
    if scalar is ADDRESS:
        return bytes(scalar.size)  # only NULL is known from the start
    number = as_type(value, base_of(type_))
    if scalar.kind == "real":
        return struct.pack(format_of(scalar), number)
    return struct.pack(format_of(scalar), int(number))


# The image -------------------------------------------------------------------------------------


def lay_out(project: Project, instances: list[Instance], sizes: Sizes) -> tuple[Layout, bytes]:
    """Place globals and program instances; return the layout and the initial image."""
    for pou in all_pous(project):
        sizes.pou(pou)
    for variable in project.globals.values():
        if variable.type is not None:
            sizes.type(variable.type)
    layout = Layout()
    _process_image(project, layout)
    data = bytearray(layout.size)
    owners: list[tuple[Instance | None, Variable]] = [(None, each) for each in project.globals.values()]
    for instance in instances:
        layout.programs[instance] = {}
        owners += [(instance, each) for each in instance.pou.variables.values()]
    owners = [(i, v) for i, v in owners if not v.elsewhere and v.section != "VAR_TEMP" and v.type is not None]
    retained = [(i, v) for i, v in owners if not v.address and is_retained(i, v, sizes)]
    plain = [(i, v) for i, v in owners if not v.address and not is_retained(i, v, sizes)]
    located = [(i, v) for i, v in owners if v.address]
    start = layout.size
    for owner, variable in retained:
        _place(layout, data, sizes, owner, variable)
    layout.size = align_up(layout.size, REGION_ALIGN)
    layout.regions["RETAIN"] = (start, layout.size - start)
    start = layout.size
    for owner, variable in plain:
        _place(layout, data, sizes, owner, variable)
    for pou in all_pous(project):
        if project.pointers or (project.references and _gives_away(pou)):
            pou.kept = align_up(layout.size, POINTER_SIZE)
            layout.size = pou.kept + pou.local_size
        if project.pointers and pou.on_stack:
            pou.kept_frame = layout.size
            layout.size += pou.frame_size
    layout.size = align_up(layout.size, REGION_ALIGN)
    layout.regions["DATA"] = (start, layout.size - start)
    data.extend(bytes(layout.size - len(data)))
    for owner, variable in located:
        _locate(layout, data, sizes, owner, variable)
    for instance in instances:
        places = layout.programs[instance]
        for name, value in instance.inputs:
            variable = instance.pou.variables[name]
            if variable.type is not None:
                _write_scalar(data, *places[variable], variable.type, value)
        for setting in instance.settings:
            _set(layout, data, sizes, instance, setting)
    return layout, bytes(data)


def is_retained(instance: Instance | None, variable: Variable, sizes: Sizes) -> bool:
    """Tell whether a variable keeps its value over a restart, wherever it lies."""
    of_program = instance is not None and instance.retain and not variable.constant
    return variable.retain or of_program or sizes.retained(variable.type)


def _gives_away(pou: Pou) -> bool:
    """Tell whether a temporary variable is a block or class, whose body may refer to itself."""
    return any(_holds_block(each.type) for each in pou.variables.values() if each.temporary)


def _holds_block(type_: Type | None) -> bool:
    if isinstance(type_, Array):
        return _holds_block(type_.element)
    if isinstance(type_, Struct):
        return any(_holds_block(each.type) for each in type_.fields.values())
    return isinstance(type_, BlockType)


def _set(layout: Layout, data: bytearray, sizes: Sizes, instance: Instance, setting: Setting) -> None:
    """Write the initial value that VAR_CONFIG gives, and that of a variable that a block has located."""
    offset, bit = layout.of_path(setting.path, instance)
    type_ = setting.path.type
    if setting.init is not None and bit >= 0:
        _write_scalar(data, offset, bit, type_, setting.init.value if isinstance(setting.init, Expr) else 0)
    elif setting.init is not None:
        sizes.override(data, offset, type_, setting.init)
    if setting.address and setting.path.steps:
        target, place = layout.direct(setting.address, type_)
        if place >= 0:
            _write_scalar(data, target, place, type_, data[offset] >> max(bit, 0) & 1)
        else:
            data[target : target + type_.size] = data[offset : offset + type_.size]


def _process_image(project: Project, layout: Layout) -> None:
    texts = set(project.directs)
    texts.update(each.address for each in project.globals.values() if each.address)
    for pou in project.pous.values():
        texts.update(each.address for each in pou.variables.values() if each.address)
    ends = {"I": 0, "Q": 0, "M": 0}
    for text in texts:
        address = parse_address(text)
        if address is not None:
            end = address.offset + max(address.size, 1)
            ends[address.region] = max(ends[address.region], end)
    variables = list(project.globals.values())
    for pou in project.pous.values():
        variables.extend(pou.variables.values())
    for variable in variables:
        address = parse_address(variable.address) if variable.address else None
        if address is not None and variable.type is not None:
            ends[address.region] = max(ends[address.region], address.offset + variable.type.size)
    for setting in (each for settings in project.settings.values() for each in settings):
        address = parse_address(setting.address)
        if address is not None:
            ends[address.region] = max(ends[address.region], address.offset + setting.path.type.size)
    for region, end in ends.items():
        size = align_up(end, REGION_ALIGN)
        layout.regions[region] = (layout.size, size)
        layout.size += size


def _place(
    layout: Layout, data: bytearray, sizes: Sizes, instance: Instance | None, variable: Variable
) -> None:
    type_ = variable.type
    if type_ is None:
        return
    offset = align_up(layout.size, max(type_.align, 1))
    layout.size = offset + type_.size
    data.extend(bytes(layout.size - len(data)))
    sizes.write(data, offset, type_, variable.init)
    if instance is None:
        variable.offset = offset
    else:
        layout.programs[instance][variable] = (offset, -1)


def _locate(
    layout: Layout, data: bytearray, sizes: Sizes, instance: Instance | None, variable: Variable
) -> None:
    text = variable.address if instance is None else instance.address_of(variable)
    address = parse_address(text)
    if address is None or variable.type is None:
        return
    offset = layout.absolute(address)
    bit = address.bit if variable.type is BOOL else -1
    if instance is None:
        variable.offset, variable.bit = offset, bit
    else:
        layout.programs[instance][variable] = (offset, bit)
    if variable.init is None:
        return
    if bit >= 0:
        if isinstance(variable.init, Expr) and variable.init.value:
            data[offset] |= 1 << bit
    else:
        sizes.write(data, offset, variable.type, variable.init)


def _write_scalar(data: bytearray, offset: int, bit: int, type_: Type, value: Any) -> None:
    if bit >= 0:
        data[offset] = (data[offset] & ~(1 << bit)) | (int(bool(value)) << bit)
    else:
        data[offset : offset + type_.size] = encode(type_, value)
