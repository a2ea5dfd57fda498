"""Calls: which parameter each argument is for, and what the call yields."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from softplc.bind import fold, references
from softplc.diagnostics import did_you_mean
from softplc.iectypes import (
    BOOL,
    ELEMENTARY,
    INT,
    INT_LITERAL,
    LREAL,
    REAL,
    UDINT,
    UINT,
    ULINT,
    WCHAR,
    Array,
    BlockType,
    Elementary,
    Enum,
    Interface,
    Reference,
    String,
    Subrange,
    Type,
    base_of,
    common,
    converts,
    in_class,
    is_literal_type,
    is_plain,
)
from softplc.library.functions import (
    CODESYS_ONLY,
    ENDIAN,
    FUNCTIONS,
    LIBRARY_ONLY,
    Conversion,
    Function,
    conversion,
    typed,
)
from softplc.library.other_names import OF_FUNCTIONS
from softplc.symbols import FIRST_INPUTS, EnumValue, Pou, Variable, is_first
from softplc.syntax import Argument, Binary, Call, Expr, Literal, Member, Name, Unary, referring

if TYPE_CHECKING:
    from softplc.bind.expressions import Expressions

WITH_STRINGS = ("MOVE", "SEL", "MUX", "MAX", "MIN", "LIMIT")
_VALUES = (Elementary, Enum, Subrange, String, Array)
_NUMBERED = re.compile(r"(IN)([0-9]+)", re.IGNORECASE)


@dataclass(slots=True)
class Problem:
    """Something wrong with a call; the rules tell it. `kind` names the rule that does."""

    kind: str
    text: str
    at: int
    end: int
    remedy: str = ""


@dataclass(slots=True)
class Binding:
    """What a call means.

    Attributes:
        pou: the user's or library's POU, or None for a standard function.
        function: the standard function.
        conversion: the conversion function.
        inputs: parameter and argument; for standard functions the parameters are None.
        outputs: parameter, place to copy it to, negated.
        generic: what T is in this call.
        referred: the argument of REF or ADR; `measured` what SIZEOF is about.
        through: for methods, the class, block or interface the call goes through; `direct` for SUPER.
        instance: what a method is called on, None for THIS.
        bound: array, dimension from 0, and 0 or 1 for LOWER_BOUND or UPPER_BOUND.
    """

    pou: Pou | None = None
    function: Function | None = None
    conversion: Conversion | None = None
    inputs: list[tuple[Variable, Expr]] = field(default_factory=list)
    outputs: list[tuple[Variable, Expr, bool]] = field(default_factory=list)
    values: list[Expr] = field(default_factory=list)
    generic: Type | None = None
    referred: Expr | None = None
    measured: Type | None = None
    bound: tuple[Expr, int, int] | None = None
    enable: Expr | None = None
    enable_out: Expr | None = None
    through: Pou | None = None
    instance: Expr | None = None
    direct: bool = False
    problems: list[Problem] = field(default_factory=list)

    @property
    def guarded(self) -> bool:
        return self.enable is not None or self.enable_out is not None

    @property
    def declared(self) -> bool:
        """Tell whether a POU with declared parameters is called."""
        return self.pou is not None and self.conversion is None

    def problem(self, kind: str, text: str, node: Argument | Expr, remedy: str = "") -> None:
        self.problems.append(Problem(kind, text, node.at, node.end, remedy))


def bind_call(typer: Expressions, node: Call, expected: Type | None) -> Type | None:
    """Bind a call and return the type of what it yields; None for a function block or an error."""
    from softplc.bind import conversions

    binding = node.binding = Binding()
    callee = node.callee
    method = _method_of(typer, binding, callee)
    if method is not None:
        for each in _reached(binding, method):
            if typer.scope.pou is not None:
                typer.scope.pou.uses.add(each)
        return _user_call(typer, node, binding, method)
    if isinstance(callee, Name) and callee.name.upper() == "SUPER" and typer.scope.owner is not None:
        base = typer.scope.owner.base
        while (
            base is not None
            and base.kind == "FUNCTION_BLOCK"
            and not base.decl.body
            and base.base is not None
        ):
            base = base.base
        if base is not None and base.kind == "FUNCTION_BLOCK":
            callee.type = base.type
            _user_call(typer, node, binding, base)
            return None
    if isinstance(callee, Name):
        ref = typer.scope.lookup(callee.name)
        if isinstance(ref, Variable) and ref.section == "RESULT" and ref.pou is not None:
            ref = ref.pou  # the function calls itself: the rule on recursion tells
        is_value = isinstance(ref, Variable) and isinstance(ref.type, _VALUES)
        if is_value or isinstance(ref, EnumValue):
            ref = typer.scope.unit(callee.name)  # what cannot be called hides no function
        if isinstance(ref, Pou) and ref.kind == "FUNCTION":
            callee.ref = ref
            return _user_call(typer, node, binding, ref)
        if ref is None:
            standard = _standard(typer, callee.name)
            if isinstance(standard, Function):
                return _standard_call(typer, node, binding, standard, expected)
            if isinstance(standard, Conversion):
                return conversions.conversion_call(typer, node, binding, standard)
            operation = references.OPERATIONS.get(callee.name.upper())
            if operation is not None and (typer.project.profile.pointers or not operation.pointers):
                return operation.bind(typer, node, binding, expected)
            if callee.name.upper() == "TRUNC":
                return conversions.trunc_call(typer, node, binding, expected)
            bcd = conversions.BCD.fullmatch(callee.name.upper())
            if bcd is not None:
                return conversions.bcd_call(typer, node, binding, bcd)
            pou = typer.load(callee.name)
            if pou is not None and pou.kind == "FUNCTION":
                callee.ref = pou
                return _user_call(typer, node, binding, pou)
    type_ = typer.expr(callee)
    if isinstance(type_, BlockType) and type_.pou.kind in ("FUNCTION_BLOCK", "PROGRAM"):
        if type_.pou.kind == "PROGRAM":
            typer.project.called.add(type_.pou)
        _user_call(typer, node, binding, type_.pou)
        return None
    for argument in node.arguments:
        mark(typer, argument)
    return None


def _method_of(typer: Expressions, binding: Binding, callee: Expr) -> Pou | None:
    """Return the method that is called, if it is one, and note on what and how."""
    owner = typer.scope.owner
    if isinstance(callee, Name):
        if owner is None or typer.scope.pou is None or callee.name.casefold() in typer.scope.pou.variables:
            return None
        binding.through = owner
        method = owner.find_method(callee.name)
    elif isinstance(callee, Member):
        if isinstance(callee.base, Name) and callee.base.name.upper() == "SUPER" and owner is not None:
            binding.through = owner.base
            binding.direct = True
            method = owner.base.find_method(callee.name) if owner.base is not None else None
        else:
            type_ = typer.expr(callee.base)
            if not isinstance(type_, BlockType | Interface):
                return None
            method = type_.pou.find_method(callee.name)
            binding.through = type_.pou
            binding.instance = callee.base
    else:
        return None
    if method is None:
        binding.through = binding.instance = None
    elif (
        binding.through is not None
        and binding.through.kind != "INTERFACE"
        and is_first(typer.project, method)
    ):
        binding.direct = True  # heirs may take other arguments
    return method


def _reached(binding: Binding, method: Pou) -> list[Pou]:
    if binding.direct or binding.through is None:
        return [method]
    return list(binding.through.implementations(method.decl.name)) or [method]


def _standard(typer: Expressions, name: str) -> Function | Conversion | None:
    key = name.upper()
    if key in FUNCTIONS:
        return FUNCTIONS[key]
    if typer.library and key in LIBRARY_ONLY:
        return LIBRARY_ONLY[key]
    if key in CODESYS_ONLY and typer.project.profile.pointers:
        return CODESYS_ONLY[key]
    types = {k: t for k, t in typer.project.types.items() if isinstance(t, Type)}
    plain = key.removeprefix("ANY_") if typer.project.profile.loose else key  # ANY_TO_INT is TO_INT
    return typed(key) or conversion(plain if plain.startswith("TO_") else key, types)


# Functions and blocks with declared parameters ---------------------------------------------------------


def _user_call(typer: Expressions, node: Call, binding: Binding, pou: Pou) -> Type | None:
    binding.pou = pou
    if typer.scope.pou is not None:
        typer.scope.pou.uses.add(pou)
    for each in node.arguments:
        _look_for_name(typer, binding, pou, each)
    if _is_mixed(typer, node, binding):
        return pou.result.type if pou.result else None
    asked, owner = pou, pou.owner if pou.kind == "ACTION" and binding.instance is not None else None
    if owner is not None and owner.kind == "FUNCTION_BLOCK":
        asked = owner  # an action of an instance takes what its block takes
    parameters = asked.parameters("VAR_INPUT", "VAR_IN_OUT", "VAR_OUTPUT")
    positional = [each for each in parameters if each.section != "VAR_OUTPUT"]
    if asked.on_stack:
        positional = parameters
    taken: set[Variable] = set()
    named = {each.name.casefold() for each in node.arguments if each.name}
    unnamed = [each for each in positional if each.name.casefold() not in named]
    next_position = 0
    for argument in node.arguments:
        if argument.name:
            parameter = _by_name(typer, binding, asked, node, argument)
        elif next_position < len(unnamed):
            parameter = unnamed[next_position]
            next_position += 1
        else:
            mark(typer, argument)
            names = _names(node, positional)
            count = len(node.arguments) - len(positional) + len(names)
            binding.problem(
                "count",
                f"{pou.name} takes {_arguments(len(names))}, not {count}",
                argument,
                f"parameters: {', '.join(names) or 'none'}",
            )
            continue
        if parameter is None:
            continue
        if parameter in taken:
            mark(typer, argument)
            binding.problem("twice", f"parameter {parameter.name} is given twice", argument, "give it once")
            continue
        taken.add(parameter)
        _pass(typer, binding, parameter, argument)
    if asked is pou:
        _missing(typer, binding, node, pou, parameters, taken)
    return pou.result.type if pou.result else None


def _look_for_name(typer: Expressions, binding: Binding, pou: Pou, argument: Argument) -> None:
    """Take `IN = x` for `IN := x`, and note it, where IN is a parameter and nothing else."""
    value = argument.value
    if not argument.name and isinstance(value, Binary) and value.op == "=" and isinstance(value.left, Name):
        name = value.left.name
        if pou.find_variable(name.casefold()) is not None and typer.scope.lookup(name) is None:
            argument.name, argument.value, argument.compared = name, value.right, True
    if argument.compared:
        text = f"{argument.name} = ... is a comparison, not an argument"
        binding.problem("mixed", text, argument, f"write {argument.name} := ...")


def _is_mixed(typer: Expressions, node: Call, binding: Binding) -> bool:
    """Tell whether named and positional arguments stand where only one kind may, and note it."""
    named = {bool(each.name) for each in node.arguments}
    if len(named) < 2 or typer.project.profile.loose:
        return False
    for each in node.arguments:
        mark(typer, each)
    first = next(each for each in node.arguments if not each.name)
    remedy = "name all arguments, or none"
    binding.problem("mixed", "positional and named arguments are mixed", first, remedy)
    return True


def _names(node: Call, parameters: list[Variable]) -> list[str]:
    """Return the names of what may be given: not those that FB_Init gets anyway."""
    given = FIRST_INPUTS if node.first else ()
    return [each.name for each in parameters if each.name.casefold() not in given]


def _arguments(count: int) -> str:
    return f"{count} argument{'s' * (count != 1)}"


def _missing(
    typer: Expressions,
    binding: Binding,
    node: Call,
    pou: Pou,
    parameters: list[Variable],
    taken: set[Variable],
) -> None:
    if binding.problems:
        return
    positional_call = pou.on_stack and any(not a.name for a in node.arguments)
    for parameter in parameters:
        if parameter in taken:
            continue
        required = parameter.by_reference
        if positional_call and parameter.section == "VAR_INPUT" and parameter.init is None:
            required = True
        first = is_first(typer.project, pou) and pou.owner is not None
        if required or (first and parameter.section == "VAR_INPUT" and parameter.init is None):
            what = "needs a variable" if parameter.section == "VAR_IN_OUT" else "is missing"
            remedy = f"add {parameter.name} := ..."
            if first and pou.owner is not None:
                remedy = f"give it where the instance is declared: {pou.owner.name}({parameter.name} := ...)"
            binding.problem("missing", f"{parameter.name} of {pou.name} {what}", node, remedy)
            return


def _by_name(
    typer: Expressions, binding: Binding, pou: Pou, node: Call, argument: Argument
) -> Variable | None:
    parameter = pou.find_variable(key := argument.name.casefold())
    if parameter is not None and parameter.section == "ENO":
        parameter = None
    if parameter is None and key == "en" and argument.value is not None:
        typer.value(argument.value, BOOL)
        binding.enable = argument.value
        return None
    if parameter is None and key == "eno" and argument.output:
        if argument.value is not None:
            typer.expr(argument.value)
        binding.enable_out = argument.value
        return None
    if parameter is None or parameter.section not in ("VAR_INPUT", "VAR_OUTPUT", "VAR_IN_OUT"):
        mark(typer, argument)
        names = _names(node, pou.parameters("VAR_INPUT", "VAR_OUTPUT", "VAR_IN_OUT"))
        binding.problem(
            "unknown",
            f"{pou.name} has no parameter {argument.name}",
            argument,
            did_you_mean(argument.name, names) or f"it has {', '.join(names) or 'none'}",
        )
        return None
    if argument.output != (parameter.section == "VAR_OUTPUT"):
        mark(typer, argument)
        sign = "=>" if parameter.section == "VAR_OUTPUT" else ":="
        kind = "an output" if parameter.section == "VAR_OUTPUT" else "an input"
        binding.problem(
            "direction", f"{parameter.name} is {kind}", argument, f"write {parameter.name} {sign} ..."
        )
        return None
    return parameter


def mark(typer: Expressions, argument: Argument) -> None:
    if argument.value is not None:
        typer.value(argument.value)


def _pass(typer: Expressions, binding: Binding, parameter: Variable, argument: Argument) -> None:
    value = argument.value
    if value is None:
        return
    if parameter.section == "VAR_OUTPUT":
        typer.expr(value)
        binding.outputs.append((parameter, value, argument.negated))
        return
    if isinstance(parameter.type, Reference) and parameter.type.implicit:
        argument.value = value = referring(value)
    typer.value(value, parameter.type)
    binding.inputs.append((parameter, value))


# Standard functions ------------------------------------------------------------------------------------


def _plain_arguments(
    typer: Expressions, node: Call, binding: Binding, function: Function
) -> list[Expr] | None:
    """Return the arguments in order of the parameters, or None."""
    names = [name for name, _ in function.parameters]
    slots: dict[int, Expr] = {}
    arguments = without_enable(typer, node, binding)
    for position, argument in enumerate(arguments):
        key = argument.name.upper()
        if typer.project.profile.loose:
            key = OF_FUNCTIONS.get(function.name, {}).get(key, key)
        if not argument.name:
            place: int | None = position
        elif key in names:
            place = names.index(key)
        else:
            place = _repeated_place(function, names, key)
        if place is None:
            binding.problem(
                "unknown",
                f"{function.called} has no parameter {argument.name}",
                argument,
                f"it has {', '.join(names)}",
            )
        if place is None or argument.value is None:
            mark(typer, argument)
            continue
        if place in slots:
            binding.problem("twice", f"parameter {argument.name} is given twice", argument, "give it once")
        slots[place] = argument.value
    least = len(names)
    if not binding.problems and slots and all(each.name for each in arguments):
        for place in range(least):
            default = None if place in slots else _left_out(typer, node, function, place, slots)
            if default is not None:
                slots[place] = default
    if binding.problems:
        for each in slots.values():
            typer.value(each)
        return None
    count = max(slots, default=-1) + 1
    if count < least or (count > least and not function.repeats) or len(slots) != count:
        for each in slots.values():
            typer.value(each)
        wanted = f"at least {least}" if function.repeats else str(least)
        plural = "s" * (least != 1)
        binding.problem(
            "count",
            f"{function.called} takes {wanted} argument{plural}, not {len(arguments)}",
            node,
            f"parameters: {', '.join(names) or 'none'}",
        )
        return None
    return [slots[i] for i in range(count)]


def _left_out(
    typer: Expressions, node: Call, function: Function, place: int, given: dict[int, Expr]
) -> Literal | None:
    """Return the initial value of an input that a formal call leaves out; None where nothing tells its type.

    Source: IEC 61131-3:2013, 6.6.1.4.2 and table 20, no. 1b: in LIMIT(IN := B, MX := 5) MN is 0.
    """
    wanted = function.parameter_type(place)
    type_: Type | None = ELEMENTARY.get(wanted, INT_LITERAL)
    if wanted in ("T", "ANY_STRING", "ANY_CHARS"):
        kinds = (wanted, "ANY_STRING")
        alike = (typer.expr(each) for at, each in given.items() if function.parameter_type(at) in kinds)
        type_ = base_of(function.of or next(alike, None))
    if isinstance(type_, String):
        return Literal(node.at, node.end, "wstring" if type_.wide else "string", "")
    if not isinstance(type_, Elementary):
        return None
    if type_.kind == "char":
        return Literal(node.at, node.end, "wstring" if type_ is WCHAR else "string", "\0")
    if type_.kind == "bool":
        return Literal(node.at, node.end, "bool", False)
    if type_.kind in ("time", "date", "tod", "dt"):
        return Literal(node.at, node.end, "time" if type_.kind == "time" else "date", 0, type_.name)
    return Literal(node.at, node.end, "int", 0)


def without_enable(typer: Expressions, node: Call, binding: Binding) -> list[Argument]:
    """Take EN and ENO into the binding; return the other arguments."""
    rest: list[Argument] = []
    for argument in node.arguments:
        key = argument.name.upper()
        if key == "EN" and argument.value is not None and not argument.output:
            typer.value(argument.value, BOOL)
            binding.enable = argument.value
        elif key == "ENO" and argument.output:
            if argument.value is not None:
                typer.expr(argument.value)
            binding.enable_out = argument.value
        else:
            rest.append(argument)
    return rest


def _repeated_place(function: Function, names: list[str], key: str) -> int | None:
    found = _NUMBERED.fullmatch(key)
    if not function.repeats or found is None:
        return None
    last = _NUMBERED.fullmatch(names[-1])
    if last is None:
        return None
    place = len(names) - 1 + int(found.group(2)) - int(last.group(2))
    return place if place >= 0 else None


def _standard_call(
    typer: Expressions, node: Call, binding: Binding, function: Function, expected: Type | None
) -> Type | None:
    binding.function = function
    values = _plain_arguments(typer, node, binding, function)
    if values is None:
        return None
    binding.values = values
    if function.operator:
        return _operator_call(typer, node, binding, function, values, expected)
    generic = [value for place, value in enumerate(values) if function.parameter_type(place) == "T"]
    if function.of is not None:
        binding.generic = _of_type(typer, binding, function, generic)
    else:
        _mark_generic(typer, generic, expected)
    for position, value in enumerate(values):
        wanted = function.parameter_type(position)
        if wanted == "T":
            continue
        text = function.of if wanted in ("ANY_STRING", "ANY_CHARS") else None
        if wanted.startswith("ANY") and text is None:
            typer.value(value)
            if value.type is not None and not in_class(value.type, wanted):
                _wrong(binding, function, value, wanted)
        else:
            _convertible_to(typer, binding, function, value, text or ELEMENTARY[wanted])
    if generic:
        if function.of is None:
            binding.generic = _generic(typer, binding, function, generic, expected)
        if binding.generic is None:
            return None
        if not _takes(function, binding.generic):
            remedy = "bytes are turned round of numbers, and arrays and structures of them"
            remedy = remedy if function.name in ENDIAN else "use IF"
            binding.problem("type", f"{function.called} cannot take {binding.generic}", generic[0], remedy)
    if binding.problems or any(each.type is None for each in values):
        return None
    if function.result == "T":
        return binding.generic
    texts = [type_ for type_ in (base_of(each.type) for each in values) if in_class(type_, "ANY_CHARS")]
    wide = {each.wide if isinstance(each, String) else each is WCHAR for each in texts}
    if len(wide) > 1:
        shown = ", ".join(map(str, texts))
        remedy = "convert one with STRING_TO_WSTRING or WSTRING_TO_STRING"
        binding.problem("type", f"{function.called} cannot take {shown} together", node, remedy)
        return None
    if function.result == "STRING":
        return String(_capacity(function, values), wide == {True})
    result, wish = ELEMENTARY[function.result], base_of(expected)
    if result is INT and wish in (UINT, UDINT, ULINT):  # LEN and FIND are ANY_INT
        return wish
    return result


def _convertible_to(
    typer: Expressions, binding: Binding, function: Function, value: Expr, wanted: Type
) -> None:
    """Mark a value for a parameter of one type."""
    typer.value(value, wanted)
    if value.type is not None and not converts(value.type, wanted):
        shown = wanted.plain if isinstance(wanted, String) else str(wanted)
        _wrong(binding, function, value, shown)


def _of_type(typer: Expressions, binding: Binding, function: Function, values: list[Expr]) -> Type | None:
    """Mark the values that a typed variant takes as one type; return that type, strings with their length."""
    if function.of is None:
        return None
    for each in values:
        _convertible_to(typer, binding, function, each, function.of)
    if binding.problems or any(each.type is None for each in values):
        return None
    if isinstance(function.of, String) and values:
        lengths = [each.type.capacity if isinstance(each.type, String) else 1 for each in values]
        return String(max(lengths), function.of.wide)
    return function.of


def _mark_generic(typer: Expressions, values: list[Expr], expected: Type | None) -> None:
    """Mark the values that share a type: those that can take any of several come last."""
    from softplc.bind.expressions import adapts, calls, is_literal

    known: Type | None = None
    for value in values:
        if not adapts(value):
            type_ = typer.expr(value, expected if calls(value) else None)
            known = known or (type_ if type_ is not None and not is_literal(value) else None)
    for value in values:
        if adapts(value):
            typer.expr(value, known or expected)


def _takes(function: Function, type_: Type) -> bool:
    """Tell whether the code generator has the function for strings or aggregates."""
    if isinstance(type_, Elementary) or (isinstance(type_, Enum) and function.name not in ENDIAN):
        return True
    if function.name in ENDIAN:
        return is_plain(type_) and not isinstance(type_, Enum)
    return function.name in ("MOVE", "SEL", "MUX") or (
        isinstance(type_, String) and function.name in WITH_STRINGS
    )


def _capacity(function: Function, values: list[Expr]) -> int:
    strings = [each.type.capacity for each in values if isinstance(each.type, String)]
    strings += [1 for each in values if in_class(each.type, "ANY_CHAR")]
    total = sum(strings) if function.name in ("CONCAT", "INSERT", "REPLACE") else max(strings, default=0)
    return min(total, 32_767)


def _wrong(binding: Binding, function: Function, value: Expr, wanted: str) -> None:
    binding.problem(
        "type", f"{function.called} takes {wanted}, not {value.type}", value, "convert the argument"
    )


def _generic(
    typer: Expressions, binding: Binding, function: Function, nodes: list[Expr], expected: Type | None
) -> Type | None:
    """Return what T is, or None after noting why it is nothing."""
    from softplc.bind.expressions import default, is_character, is_literal, settle

    if any(each.type is None for each in nodes):
        return None
    if all(is_literal(each) for each in nodes):
        wish = base_of(expected)
        target = wish if wish is not None and in_class(wish, function.generic) else None
        if target is None and function.generic == "ANY_REAL":
            target = LREAL
        for each in nodes:
            if target is not None:
                settle(each, target)
        for each in nodes:
            default(each)
    if in_class(expected, "ANY_CHAR") and all(is_character(each, expected) for each in nodes):
        for each in nodes:
            settle(each, expected)
    type_ = typer.join(nodes)
    if type_ is None:
        shown = ", ".join(str(each.type) for each in nodes)
        binding.problem(
            "type",
            f"{function.called} cannot take {shown} together",
            nodes[-1],
            "convert one of the arguments",
        )
        return None
    if function.generic == "ANY_REAL" and in_class(type_, "ANY_INT"):
        type_ = common(type_, REAL) or type_
    if not in_class(type_, function.generic):
        shown = str(nodes[0].type)
        binding.problem(
            "type",
            f"{function.called} takes {function.generic}, not {shown}",
            nodes[0],
            "convert the argument",
        )
        return None
    return type_


def _operator_call(
    typer: Expressions,
    node: Call,
    binding: Binding,
    function: Function,
    values: list[Expr],
    expected: Type | None,
) -> Type | None:
    """Turn `ADD(a, b, c)` into `a + b + c`; `GT(a, b, c)` keeps its values, each evaluated once."""
    operator = function.operator
    for place, value in enumerate(values):
        wanted = function.parameter_type(place)
        if wanted == "T":
            continue
        type_ = typer.value(value, ELEMENTARY.get(wanted))
        fits = (
            in_class(type_, wanted)
            if wanted.startswith("ANY")
            else converts(type_, ELEMENTARY[wanted])
            if type_
            else True
        )
        if type_ is not None and not fits:
            _wrong(binding, function, value, wanted)
    if binding.problems:
        return None
    if function.of is not None:
        binding.generic = _of_type(typer, binding, function, values)
        if binding.generic is None:
            return None
    if operator in ("=", "<", ">", "<=", ">=") and len(values) > 2:
        return _chain(typer, node, binding, function, values)
    result = values[0]
    if operator == "NOT":
        result = _negation(node, result, binding.generic)
    for value in values[1:]:
        result = Binary(node.at, node.end, operator, result, value)
        if binding.generic is not None:
            typer.operate(result, binding.generic)
    node.rewritten = result
    if "T" not in (kind for _, kind in function.parameters) and isinstance(result, Binary):
        type_ = result.type = typer.combine(result)
    elif binding.generic is not None:
        type_ = result.type
    else:
        type_ = typer.expr(result, expected)
    node.value = None if binding.guarded else result.value
    return type_


def _negation(node: Call, value: Expr, type_: Type | None) -> Unary:
    """Return NOT of a value; a typed one is of that type, and marked already."""
    from softplc.bind.conversions import converted_call

    if type_ is None:
        return Unary(node.at, node.end, "NOT", value)
    known = value.value
    if value.type is not type_:
        value = converted_call(node, Conversion(None, type_, False), value)
    result = Unary(node.at, node.end, "NOT", value)
    result.type = type_
    result.value = fold.unary("NOT", fold.as_type(known, type_), type_) if known is not None else None
    return result


def _chain(
    typer: Expressions, node: Call, binding: Binding, function: Function, values: list[Expr]
) -> Type | None:
    """Bind a comparison of more than two values."""
    from softplc.bind.expressions import comparable, default

    if function.of is None:
        _mark_generic(typer, values, None)
    if any(each.type is None for each in values):
        return None
    type_ = binding.generic or typer.join(values)
    for each in values:
        default(each)
    type_ = typer.join(values) if type_ is None or is_literal_type(type_) else type_
    if type_ is None or not comparable(type_):
        shown = ", ".join(str(each.type) for each in values)
        binding.problem("type", f"{function.called} cannot compare {shown}", node, "convert the arguments")
        return None
    binding.generic = type_
    known = [each.value for each in values if each.value is not None]
    if len(known) == len(values) and not binding.guarded:
        pairs = pairwise(fold.as_type(each, type_) for each in known)
        node.value = all(fold.binary(function.operator, a, b, type_) for a, b in pairs)
    return BOOL
