"""Expressions to IR: implicit conversions, evaluation order and calls become explicit."""

from __future__ import annotations

from softplc import ir
from softplc.bind.fold import as_type
from softplc.iectypes import (
    ADDRESS,
    BOOL,
    DINT,
    LINT,
    LREAL,
    ULINT,
    BlockType,
    Elementary,
    Interface,
    Pointer,
    String,
    Type,
    base_of,
    in_class,
)
from softplc.layout import encode
from softplc.lower.calls import Calls
from softplc.lower.context import LoweringError, got, machine
from softplc.lower.conversions import convert, within_day
from softplc.lower.strings import is_wide
from softplc.syntax import Binary, Call, Expr, Unary

COMPARISONS = ("=", "<>", "<", ">", "<=", ">=")


class Expressions(Calls):
    """Lowers expressions of one routine."""

    def expr(self, node: Expr, target: Type | None = None) -> ir.Expr:
        """Lower a scalar expression, converted to the target type where one is given."""
        node = got(node)
        wanted = machine(target) if target is not None else None
        if isinstance(target, Interface) and isinstance(node.type, BlockType):
            place = self.place(node)
            if place is None:
                raise LoweringError("interface of nothing")
            return ir.AddressOf(LINT, place)
        if node.value is not None and not isinstance(node.value, str):
            type_ = wanted or machine(node.type)
            value = as_type(node.value, type_)
            if isinstance(value, str):
                raise LoweringError(value)
            return ir.Const(type_, value)
        lowered = self._value(node)
        if isinstance(node.type, Pointer) and target is not None:
            return self._pointer_as(lowered, node.type, target)
        return convert(lowered, wanted) if wanted is not None else lowered

    def _value(self, node: Expr) -> ir.Expr:
        if isinstance(node, Binary):
            return self._binary(node)
        if isinstance(node, Unary):
            return self._unary(node)
        if isinstance(node, Call) and not node.followed:
            return self.call_value(node)
        first = self.find_way(node)
        place = self.place(node)
        if place is None:
            raise LoweringError(f"no value at {self.line(node.at)}")
        value, type_ = ir.Load(machine(node.type), place), machine(node.type)
        return ir.After(type_, first, value) if first else value

    @staticmethod
    def _pointer_as(value: ir.Expr, source: Pointer, target: Type) -> ir.Expr:
        """Convert a pointer: to the text of a string, or to the number of its position."""
        if not isinstance(target, Pointer):
            return convert(ir.PointerOp(ULINT, "position", value), machine(target))
        of_text = isinstance(source.target, String) and not isinstance(target.target, String)
        return ir.PointerOp(ADDRESS, "text", value) if of_text else value

    def _pointers(self, node: Binary) -> ir.Expr:
        """Lower what is done with pointers: moving, comparing, measuring."""
        left, right = node.left, node.right
        if not isinstance(node.type, Pointer):
            type_ = LINT if node.op == "-" else ULINT
            sides = tuple(convert(self._position(each), type_) for each in (left, right))
            return convert(ir.Op(BOOL if node.type is BOOL else type_, node.op, sides), machine(node.type))
        if isinstance(right.type, Pointer):
            left, right = right, left
        moved = convert(self.expr(right), LINT)
        if node.op == "-":
            moved = ir.Op(LINT, "NEG", (moved,))
        return ir.PointerOp(ADDRESS, "move", self.expr(left), moved)

    def _position(self, node: Expr) -> ir.Expr:
        value = self.expr(node)
        return ir.PointerOp(ULINT, "position", value) if isinstance(node.type, Pointer) else value

    def _unary(self, node: Unary) -> ir.Expr:
        operand = self.expr(node.operand, node.type if node.op == "-" else None)
        if node.op == "+":
            return operand
        return ir.Op(operand.type, "NEG" if node.op == "-" else "NOT", (operand,))

    def _binary(self, node: Binary) -> ir.Expr:
        operand = node.operand_type
        line = self.line(node.at)
        if isinstance(node.left.type, Pointer) or isinstance(node.right.type, Pointer):
            return self._pointers(node)
        if operand is None:
            return self._times(node, line)
        if isinstance(operand, String):
            both = (self.text(node.left), self.text(node.right))
            order = ir.Query(DINT, "compare", both)
            return ir.Op(BOOL, node.op, (order, ir.Const(DINT, 0)))
        if node.op == "**":
            return self._power(node, machine(operand))
        left, right = self.expr(node.left, operand), self.expr(node.right, operand)
        type_ = BOOL if node.op in COMPARISONS else machine(operand)
        if node.op in ("AND", "OR") and type_ is BOOL:
            return ir.Lazy(BOOL, node.op, left, right)
        return ir.Op(type_, node.op, (left, right), line)

    def _power(self, node: Binary, type_: Elementary) -> ir.Expr:
        base = self.expr(node.left, type_)
        exponent = base_of(node.right.type)
        if isinstance(exponent, Elementary) and exponent.kind in ("int", "uint"):
            return ir.Op(type_, "**", (base, self.expr(node.right, LREAL if type_ is LREAL else type_)))
        return ir.Op(type_, "**", (base, self.expr(node.right, type_)))

    def _times(self, node: Binary, line: int) -> ir.Expr:
        """Lower arithmetic on times and dates; scaling by reals goes through LREAL."""
        result = machine(node.type)
        left, right = self.expr(node.left), self.expr(node.right)
        if node.op in ("+", "-"):
            sides = (convert_bits(left, result), convert_bits(right, result))
            total = ir.Op(result, node.op, sides, line)
            return within_day(total) if result.kind == "tod" else total
        if right.type.kind == "time":
            left, right = right, left
        if right.type.kind == "real":
            real = ir.Convert(LREAL, left, "wrap")
            scaled = ir.Op(LREAL, node.op, (real, convert(right, LREAL)), line)
            return ir.Convert(result, scaled, "round")
        factor = ir.Convert(result, right, "wrap")
        return ir.Op(result, node.op, (left, factor), line)

    def constant_text(self, node: Expr) -> bytes | None:
        """Return a constant string as it lies in memory."""
        if node.value is None or not (isinstance(node.value, str) or in_class(node.type, "ANY_CHAR")):
            return None
        text = str(as_type(node.value, String(1)))
        return encode(String(max(len(text), 1), is_wide(node)), text)


def convert_bits(value: ir.Expr, type_: Elementary) -> ir.Expr:
    return value if value.type is type_ else ir.Convert(type_, value, "wrap")
