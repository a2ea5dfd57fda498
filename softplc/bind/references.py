"""References and pointers: REF, ADR and SIZEOF, what they may be of, and the arithmetic of pointers."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import TYPE_CHECKING, NamedTuple

from softplc.iectypes import (
    BOOL,
    DINT,
    ELEMENTARY,
    INT_LITERAL,
    Alias,
    Array,
    BlockType,
    Elementary,
    OpenArray,
    Pointer,
    Reference,
    String,
    Struct,
    Type,
    base_of,
    is_null,
    is_plain,
)
from softplc.symbols import Variable
from softplc.syntax import REF, Binary, BitAccess, Call, Deref, Direct, Expr, Index, Member, Name

if TYPE_CHECKING:
    from softplc.bind.calls import Binding
    from softplc.bind.expressions import Expressions

BOUNDS = ("LOWER_BOUND", "UPPER_BOUND")
POINTER_BYTES = 4  # what SIZEOF says of a pointer: programs count with the 32 bits of older controllers


def _given(node: Call, binding: Binding, names: tuple[str, ...] = ()) -> list[Expr]:
    """Return the arguments in the order of the parameters' names; what has another name is told."""
    called = node.callee.name.upper() if isinstance(node.callee, Name) else ""
    found: dict[int, Expr] = {}
    for number, each in enumerate(node.arguments):
        known = each.name.upper() in names and not each.output
        if each.name and not known:
            remedy = f"it has {', '.join(names)}" if names else "write the value alone"
            binding.problem("unknown", f"{called} has no parameter {each.name}", each, remedy)
        place = names.index(each.name.upper()) if known else number
        if each.value is not None:
            found[place if place not in found else len(node.arguments) + number] = each.value
    return [found[number] for number in sorted(found)]


def _reference(typer: Expressions, node: Call, binding: Binding, expected: Type | None) -> Type | None:
    """REF(x): only of what lives as long as the program."""
    typer.project.references = True
    value = binding.referred = _only_argument(typer, node, binding, "REF")
    if value is None or value.type is None:
        return None
    if isinstance(value, Call) and value.followed:  # what it yields is one already
        value.raw, value.followed, node.rewritten = True, False, value
        value.type = Reference(value.type, implicit=True)
        return Reference(value.type.target)
    why = unreferable(value)
    if why:
        binding.problem("type", f"there is no reference to {why}", value, "declare it in VAR")
        return None
    if isinstance(value, Name | Member | Index) and value.followed:  # it may refer to nothing
        node.rewritten = copy(value)
        node.rewritten.raw = True
        typer.expr(node.rewritten)
    return Reference(value.type)


def _is_valid(typer: Expressions, node: Call, binding: Binding, expected: Type | None) -> Type | None:
    """__ISVALIDREF(r): whether a variable of REFERENCE TO refers to anything."""
    values = [each.value for each in node.arguments if each.value is not None]
    if len(values) != 1 or len(node.arguments) != 1 or not isinstance(values[0], Name | Member | Index):
        for each in values:
            typer.value(each)
        binding.problem("count", "__ISVALIDREF takes a variable of REFERENCE TO", node)
        return None
    value = values[0]
    value.raw = True
    type_ = typer.expr(value)
    if type_ is not None and not (isinstance(type_, Reference) and type_.implicit):
        binding.problem("type", f"{type_} is no REFERENCE TO", value, "give a variable of REFERENCE TO")
        return None
    node.rewritten = Binary(node.at, node.end, "<>", value, Name(node.at, node.end, "NULL"))
    return typer.expr(node.rewritten)


def _variable_of(node: Expr) -> Expr | None:
    """Return what an expression is a part of; None for a bit, and for a direct address."""
    while isinstance(node, Index | Member):
        if node.followed:
            return Deref(node.at, node.end, node)
        whole = node.base.type
        if isinstance(node, Member) and isinstance(whole, Struct) and whole.is_bit(node.name):
            return None
        node = node.base
    return None if isinstance(node, BitAccess | Direct) else node


def unreferable(node: Expr) -> str:
    """Return why something cannot be referred to, or nothing."""
    whole = _variable_of(node)
    if whole is None:
        return "a bit or an address"
    node = whole
    if isinstance(node, Name | Call) and node.followed:
        return ""
    if isinstance(node, Deref):
        return ""
    if isinstance(node, Name) and node.ref is None and isinstance(node.type, BlockType):
        return ""  # THIS
    if not isinstance(node, Name) or not isinstance(node.ref, Variable):
        return "what is no variable"
    variable = node.ref.end_of_chain
    if variable.address and variable.type is BOOL:
        return "a located BOOL"
    if variable.constant:
        return "a constant"
    passing = variable.section in ("VAR_TEMP", "VAR_IN_OUT", "VAR_INPUT") or variable.edge is not None
    local = variable.pou is not None and variable.pou.on_stack
    if variable.section == "VAR_TEMP" or local or (passing and variable.section == "VAR_IN_OUT"):
        return f"{variable.name}, which ends with the call"
    return ""


def _bound(typer: Expressions, node: Call, binding: Binding, expected: Type | None) -> Type | None:
    """LOWER_BOUND(a, 1) and UPPER_BOUND(a, 1) yield the whole number type that is wanted, else DINT."""
    name = node.callee.name.upper() if isinstance(node.callee, Name) else ""
    values = _given(node, binding, ("ARR", "DIM"))
    for value in values:
        typer.value(value)
    if binding.problems:
        return None
    if len(values) != 2 or len(node.arguments) != 2:
        binding.problem(
            "count", f"{name} takes 2 arguments, not {len(node.arguments)}", node, "array, dimension"
        )
        return None
    array, dimension = values
    binding.bound = (array, 0, 0)
    if array.type is None or dimension.type is None:
        return None
    rank = len(array.type.ranges) if isinstance(array.type, Array) else 0
    if isinstance(array.type, OpenArray):
        rank = array.type.rank
    number = dimension.value
    if not isinstance(number, int) or not 1 <= number <= rank:
        what = "such dimension" if number is None else f"dimension {number}"
        message = f"{array.type} has no {what}" if rank else f"{array.type} is no array"
        binding.problem("type", message, node, "the dimension is a constant from 1")
        return None
    binding.bound = (array, int(number) - 1, BOUNDS.index(name))
    if isinstance(array.type, Array):
        node.value = array.type.ranges[number - 1][BOUNDS.index(name)]
    wish = base_of(expected)
    return wish if isinstance(wish, Elementary) and wish.kind in ("int", "uint") else DINT


# Pointers ----------------------------------------------------------------------------------------------


def _address(typer: Expressions, node: Call, binding: Binding, expected: Type | None) -> Type | None:
    """ADR(x): whatever x is, its object is known from here on."""
    typer.project.references = typer.project.pointers = True
    value = _only_argument(typer, node, binding, "ADR")
    binding.referred = value
    if value is None or value.type is None:
        return None
    why = unaddressable(value)
    if why:
        binding.problem("type", f"there is no address of {why}", value, "take that of a variable")
        return None
    return Pointer(value.type)


def unaddressable(node: Expr) -> str:
    """Return why something has no address, or nothing."""
    whole = _variable_of(node)
    if whole is None:
        return "a bit or an address"
    node = whole
    if isinstance(node, Name | Call) and node.followed:
        return ""
    if isinstance(node, Deref) or (isinstance(node, Name) and isinstance(node.type, BlockType)):
        return ""
    if not isinstance(node, Name) or not isinstance(node.ref, Variable):
        return "what is no variable"
    variable = node.ref.end_of_chain
    if variable.address and variable.type is BOOL:
        return "a located BOOL"
    if isinstance(variable.type, OpenArray):
        return f"{variable.name}, which is an ARRAY[*]"
    return "a constant" if variable.constant or variable.lent else ""


def _no_memory(typer: Expressions, node: Call, binding: Binding, expected: Type | None) -> Type | None:
    """__NEW and __DELETE: told once, whatever their arguments are."""
    for each in node.arguments:
        if isinstance(each.value, Name) and typer.scope.lookup(each.value.name) is None:
            each.value.type = DINT  # a type
        elif each.value is not None:
            typer.value(each.value)
    remedy = "a program's memory is known before it runs: declare what it needs"
    binding.problem("type", "there is no memory to be had while a program runs", node, remedy)
    return None


def _size(typer: Expressions, node: Call, binding: Binding, expected: Type | None) -> Type | None:
    """SIZEOF(x) or SIZEOF(type), XSIZEOF: the bytes a pointer may run over; of a string, its text and end."""
    given = node.arguments[0].value if len(node.arguments) == 1 and not node.arguments[0].name else None
    measured: Type | None = None
    if isinstance(given, Name) and typer.scope.lookup(given.name) is None:
        named = ELEMENTARY.get(given.name.upper()) or typer.scope.type(given.name)
        measured = given.type = named.type if isinstance(named, Alias) else named
    if measured is None:
        name = node.callee.name.upper() if isinstance(node.callee, Name) else ""
        given = _only_argument(typer, node, binding, name)
        measured = given.type if given is not None else None
    binding.measured = measured
    if measured is None or isinstance(measured, OpenArray):
        return None
    if _holds_block(measured):  # known once everything is laid out
        return DINT
    node.value = size_of(measured)
    return INT_LITERAL


def _holds_block(type_: Type) -> bool:
    if isinstance(type_, Struct):
        return any(_holds_block(each.type) for each in type_.fields.values())
    return _holds_block(type_.element) if isinstance(type_, Array) else isinstance(type_, BlockType)


def size_of(type_: Type) -> int:
    """Return what SIZEOF yields."""
    if isinstance(type_, Pointer):
        return POINTER_BYTES
    return (type_.capacity + 1) * type_.unit if isinstance(type_, String) else type_.size


def _only_argument(typer: Expressions, node: Call, binding: Binding, name: str) -> Expr | None:
    values = _given(node, binding)
    for value in values:
        typer.expr(value)
    if binding.problems:
        return None
    if len(values) != 1 or len(node.arguments) != 1:
        binding.problem("count", f"{name} takes 1 argument, not {len(node.arguments)}", node)
        return None
    return values[0]


def pointer_result(node: Binary) -> Type | None:
    """Return the type of an operation on pointers: moved by bytes, compared, or their distance."""
    left, right = node.left.type, node.right.type
    if node.op in ("=", "<>", "<", ">", "<=", ">="):
        return BOOL if _is_position(node.left) and _is_position(node.right) else None
    if isinstance(left, Pointer) and node.op in ("+", "-") and _is_number(right):
        return left
    if isinstance(right, Pointer) and node.op == "+" and _is_number(left):
        return right
    both = isinstance(left, Pointer) and isinstance(right, Pointer)
    return DINT if both and node.op == "-" else None


def _is_position(node: Expr) -> bool:
    return isinstance(node.type, Pointer) or _is_number(node.type) or is_null(node.type)


def _is_number(type_: Type | None) -> bool:
    type_ = base_of(type_)
    whole = isinstance(type_, Elementary) and type_.kind in ("int", "uint", "bits")
    return type_ is INT_LITERAL or whole


def object_of(node: Expr) -> Expr:
    """Return what a pointer to something may run over: of an element whose bytes may be read, the array."""
    while isinstance(node, Index) and is_plain(node.type) and is_plain(node.base.type):
        node = node.base
    return node


class Operation(NamedTuple):
    """How a call of one of these names is bound; `pointers` where it belongs to the profile that has them."""

    bind: Callable[[Expressions, Call, Binding, Type | None], Type | None]
    pointers: bool = False


OPERATIONS = {
    "REF": Operation(_reference),
    REF: Operation(_reference),
    "__ISVALIDREF": Operation(_is_valid),
    "LOWER_BOUND": Operation(_bound),
    "UPPER_BOUND": Operation(_bound),
    "ADR": Operation(_address, pointers=True),
    "SIZEOF": Operation(_size, pointers=True),
    "XSIZEOF": Operation(_size, pointers=True),
    "__NEW": Operation(_no_memory, pointers=True),
    "__DELETE": Operation(_no_memory, pointers=True),
}
