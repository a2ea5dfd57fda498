"""Standard functions to IR operations.

Source: IEC 61131-3:2013, 6.6.2.5.
"""

from __future__ import annotations

from itertools import pairwise

from softplc import ir
from softplc.bind.calls import Binding
from softplc.iectypes import (
    BOOL,
    DINT,
    INT,
    LINT,
    LREAL,
    LTIME,
    LWORD,
    REAL,
    TIME,
    Elementary,
    Enum,
    String,
    Type,
    base_of,
)
from softplc.library.functions import ENDIAN, SWAPS
from softplc.lower.context import LoweringError, machine
from softplc.lower.conversions import convert
from softplc.lower.strings import Strings
from softplc.syntax import Call, Expr

GREATEST = {REAL: 3.4028234663852886e38, LREAL: 1.7976931348623157e308}
PLAIN = ("ABS", "SQRT", "LN", "LOG", "EXP", "SIN", "COS", "TAN", "ASIN", "ACOS", "ATAN", "ATAN2")
SHIFTS = ("SHL", "SHR", "ROL", "ROR")


class Standard(Strings):
    """Lowers standard functions that yield scalars."""

    def standard_value(self, node: Call, binding: Binding) -> ir.Expr:
        if binding.conversion is not None:
            return self._conversion(binding, node)
        function = binding.function
        if function is None:
            raise LoweringError("call of nothing")
        name, values, generic = function.name, binding.values, binding.generic
        line = self.line(node.at)
        if name in PLAIN:
            type_ = machine(generic)
            return ir.Op(type_, name, tuple(self.expr(each, generic) for each in values), line)
        if name == "MOVE":
            return self.expr(values[0], generic)
        if name in SHIFTS:
            type_ = machine(generic)
            return ir.Op(type_, name, (self.expr(values[0], generic), self.expr(values[1], LINT)), line)
        if name == "SEL":
            yes, no = self.expr(values[2], generic), self.expr(values[1], generic)
            return ir.Choose(machine(generic), self.expr(values[0], BOOL), (no, yes), line)
        if name == "MUX":
            choices = tuple(self.expr(each, generic) for each in values[1:])
            return ir.Choose(machine(generic), self.expr(values[0], LINT), choices, line)
        if name in ("MAX", "MIN"):
            return self._fold_pairs(name, values, generic)
        if name == "LIMIT":
            low, value, high = (self.expr(each, generic) for each in values)
            type_ = machine(generic)
            return ir.Op(type_, "MIN", (ir.Op(type_, "MAX", (value, low)), high))
        if name in ("CONCAT_DATE_TOD", "CONCAT_DATE_LTOD", "CONCAT_LDATE_LTOD"):
            parts = tuple(ir.Convert(LINT, self.expr(each), "wrap") for each in values)
            return ir.Convert(machine(node.type), ir.Op(LINT, "+", parts), "wrap")
        if name in SWAPS:
            return ir.Op(machine(generic), "SWAP", (self.expr(values[0], generic),))
        if name in ENDIAN:
            return self.expr(values[0], generic)
        if name == "IS_VALID":
            type_ = machine(generic)
            size = ir.Op(type_, "ABS", (self.expr(values[0], generic),))
            return ir.Op(BOOL, "<=", (size, ir.Const(type_, GREATEST[type_])))
        if name == "IS_VALID_BCD":
            return _is_decimal(self.expr(values[0], LWORD))
        if function.operator:
            return self._chain(function.operator, values, generic)
        return convert(self._intrinsic(name, binding), machine(node.type))

    def _chain(self, operator: str, values: list[Expr], generic: Type | None) -> ir.Expr:
        """Lower a comparison of more than two values, each evaluated once."""
        pairs: list[ir.Expr] = []
        if isinstance(generic, String):
            texts = [self.kept_text(each) for each in values]
            for left, right in pairwise(texts):
                order = ir.Query(DINT, "compare", (left, right))
                pairs.append(ir.Op(BOOL, operator, (order, ir.Const(DINT, 0))))
            before = [stmt for each in texts for stmt in each.body]
            for each in texts:
                each.body = []
            return ir.After(BOOL, before, _all(pairs))
        type_ = machine(generic)
        once = [ir.Once(type_, self.expr(each, generic)) for each in values]
        return _all([ir.Op(BOOL, operator, pair) for pair in pairwise(once)])

    def _intrinsic(self, name: str, binding: Binding) -> ir.Expr:
        if name in ("_NOW", "TIME", "LTIME"):
            return ir.Now(TIME if name == "TIME" else LTIME)
        if name in ("_MAX", "_MIN"):
            type_ = machine(binding.generic)
            return ir.Const(type_, type_.limits[1 if name == "_MAX" else 0])
        if name == "LEN":
            return ir.Query(INT, "length", (self.text(binding.values[0]),))
        if name == "_REAL_OF":
            return ir.Query(LREAL, "to_real", (self.text(binding.values[0]),))
        if name == "FIND":
            first, second = binding.values
            return ir.Query(INT, "find", (self.text(first), self.text(second)))
        raise LoweringError(name)

    def _fold_pairs(self, name: str, values: list[Expr], generic: Type | None) -> ir.Expr:
        type_ = machine(generic)
        result = self.expr(values[0], generic)
        for each in values[1:]:
            result = ir.Op(type_, name, (result, self.expr(each, generic)))
        return result

    def _conversion(self, binding: Binding, node: Call) -> ir.Expr:
        conversion = binding.conversion
        if conversion is None:
            raise LoweringError("no conversion")
        value = binding.values[0]
        target = machine(conversion.target)
        source = base_of(value.type)
        if isinstance(source, String):
            return convert(ir.Query(source.element, "first", (self.text(value),)), target)
        if isinstance(source, Enum):
            return convert(self.expr(value), target)
        named = conversion.source
        lowered = self.expr(value, named if isinstance(named, Elementary) else None)
        return convert(lowered, target, conversion.truncates)


def _is_decimal(value: ir.Expr) -> ir.Expr:
    """Tell whether no digit has the bit of 8 together with that of 4 or 2."""
    known = ir.Once(LWORD, value)
    up = [ir.Op(LWORD, "SHL", (known, ir.Const(LINT, count))) for count in (1, 2)]
    both = ir.Op(LWORD, "AND", (known, ir.Op(LWORD, "OR", (up[0], up[1]))))
    wrong = ir.Op(LWORD, "AND", (both, ir.Const(LWORD, 0x8888_8888_8888_8888)))
    return ir.Op(BOOL, "=", (wrong, ir.Const(LWORD, 0)))


def _all(conditions: list[ir.Expr]) -> ir.Expr:
    result = conditions[0]
    for each in conditions[1:]:
        result = ir.Op(BOOL, "AND", (result, each))
    return result
