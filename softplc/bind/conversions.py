"""Conversion functions: what a call such as REAL_TO_INT(x) becomes; some take several steps."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from softplc.bind import constants
from softplc.bind.calls import Binding, mark, without_enable
from softplc.iectypes import (
    DEFAULT_STRING_LENGTH,
    DINT,
    LINT,
    ULINT,
    Elementary,
    String,
    Type,
    base_of,
    converts,
    in_class,
)
from softplc.library.functions import FUNCTIONS, READ, SPELT, Conversion, convertible
from softplc.syntax import Argument, Call, Expr, Literal, Name

if TYPE_CHECKING:
    from softplc.bind.expressions import Expressions

NUMBER_LENGTH = 40
BCD = re.compile(
    r"(?:(BYTE|WORD|DWORD|LWORD)_)?BCD_TO_(USINT|UINT|UDINT|ULINT)"
    r"|(?:(USINT|UINT|UDINT|ULINT)_)?TO_BCD_(BYTE|WORD|DWORD|LWORD)"
)


def conversion_call(typer: Expressions, node: Call, binding: Binding, found: Conversion) -> Type | None:
    """Bind the call of a conversion function and return the type of what it yields."""
    binding.conversion = found
    arguments = without_enable(typer, node, binding)
    if len(arguments) != 1 or arguments[0].value is None or arguments[0].output:
        for argument in arguments:
            mark(typer, argument)
        binding.problem("count", f"a conversion takes 1 argument, not {len(arguments)}", node)
        return None
    value = arguments[0].value
    binding.values = [value]
    source = typer.value(value, found.source)
    if source is None:
        return None
    if found.source is not None and not converts(source, found.source):
        name = node.callee.name if isinstance(node.callee, Name) else "the conversion"
        better = f"use TO_{found.target.plain if isinstance(found.target, String) else found.target}"
        binding.problem("type", f"{name} takes {found.source}, not {source}", value, better)
        return None
    if not convertible(found.source or source, found.target, found.truncates):
        binding.problem("type", f"there is no conversion from {source} to {found.target}", value)
        return None
    node.rewritten = _through_text(typer, node, found, value)
    if node.rewritten is not None:
        return node.rewritten.type
    if isinstance(found.target, String):
        return _text_type(source, found.target)
    if value.value is not None and not binding.guarded:
        node.value = constants.converted(value.value, found.source or source, found.target, found.truncates)
    return found.target


def _text_type(source: Type, target: String) -> String:
    """Return the string that holds what a conversion yields."""
    if isinstance(source, String):
        return String(source.capacity, target.wide)
    return String(1 if in_class(source, "ANY_CHAR") else NUMBER_LENGTH, target.wide)


def _through_text(typer: Expressions, node: Call, found: Conversion, value: Expr) -> Call | None:
    """Return a conversion as steps: to and from WSTRING by STRING, dates and durations by the library."""
    source, target = found.source or base_of(value.type), found.target
    if not isinstance(source, String) and isinstance(target, String):
        if target.wide and not in_class(source, "ANY_CHAR"):
            narrow = String(DEFAULT_STRING_LENGTH)
            text = _through_text(typer, node, Conversion(source, narrow, False), value)
            text = text or converted_call(node, Conversion(found.source, narrow, False), value)
            return converted_call(node, Conversion(narrow, target, False), text)
        if source in SPELT:
            return _library_call(typer, node, SPELT[source], value)
    if isinstance(source, String) and isinstance(target, Elementary) and target.kind in READ:
        if source.wide:
            value = converted_call(node, Conversion(source, String(DEFAULT_STRING_LENGTH), False), value)
        name, read = READ[target.kind]
        return _narrowed(node, _library_call(typer, node, name, value), read, target)
    return None


def _narrowed(node: Call, call: Call | None, wide: Elementary, target: Elementary) -> Call | None:
    """Return a value that was read as another type of the same kind; whole numbers keep to their limits."""
    if call is None or wide is target:
        return call
    if wide in (LINT, ULINT) and target.bits < wide.bits:
        limits = [Literal(node.at, node.end, "int", each) for each in target.limits]
        for each in limits:
            each.type, each.value = wide, each.literal
        limited = _call(node, "LIMIT", call)
        values: list[Expr] = [limits[0], call, limits[1]]
        limited.binding = Binding(function=FUNCTIONS["LIMIT"], values=values, generic=wide)
        limited.type, call = wide, limited
    return converted_call(node, Conversion(wide, target, False), call)


def converted_call(node: Call, conversion: Conversion, value: Expr) -> Call:
    """Return the call of a conversion of a value that is marked already."""
    call = _call(node, "TO", value)
    call.binding = Binding(conversion=conversion, values=[value])
    call.type = conversion.target
    if isinstance(conversion.target, String) and value.type is not None:
        call.type = _text_type(value.type, conversion.target)
    return call


def _library_call(typer: Expressions, node: Call, name: str, value: Expr) -> Call | None:
    """Return the call of a function of the library with one value that is marked already."""
    pou = typer.load(name)
    if pou is None or pou.result is None:
        return None
    if typer.scope.pou is not None:
        typer.scope.pou.uses.add(pou)
    call = _call(node, name, value)
    call.callee.ref = pou  # type: ignore[attr-defined]
    call.binding = Binding(pou=pou, inputs=[(pou.parameters("VAR_INPUT")[0], value)])
    call.type = pou.result.type
    return call


def bcd_call(typer: Expressions, node: Call, binding: Binding, found: re.Match[str]) -> Type | None:
    """Turn a BCD conversion into a call of the library's function between two plain conversions.

    Source: IEC 61131-3:2013, table 24.
    """
    arguments = without_enable(typer, node, binding)
    if len(arguments) != 1 or arguments[0].value is None or arguments[0].output:
        for argument in arguments:
            mark(typer, argument)
        binding.problem("count", f"a conversion takes 1 argument, not {len(arguments)}", node)
        return None
    from_bits, whole, from_whole, bits = found.groups()
    source = from_bits or from_whole
    result = arguments[0].value
    wide = "LWORD" if whole else "ULINT"
    routine = "_FROM_BCD" if whole else "_TO_BCD"
    backward = f"ULINT_TO_{whole}" if whole else f"LWORD_TO_{bits}"
    if source != wide:
        result = _call(node, f"{source}_TO_{wide}" if source else f"TO_{wide}", result)
    result = _call(node, routine, result)
    node.rewritten = (
        result if backward in ("ULINT_TO_ULINT", "LWORD_TO_LWORD") else _call(node, backward, result)
    )
    return typer.expr(node.rewritten)


def _call(node: Call, name: str, value: Expr) -> Call:
    return Call(node.at, node.end, Name(node.at, node.end, name), [Argument(value.at, value.end, "", value)])


def trunc_call(typer: Expressions, node: Call, binding: Binding, expected: Type | None) -> Type | None:
    """TRUNC yields the whole number type that is wanted, DINT where none is."""
    wish = base_of(expected)
    whole = isinstance(wish, Elementary) and wish.kind in ("int", "uint")
    return conversion_call(typer, node, binding, Conversion(None, wish if whole and wish else DINT, True))
