"""String expressions to IR: each builds its text in a stack slot by clearing and appending.

Source: IEC 61131-3:2013, 6.6.2.5.12, table 34; positions count from 1.
"""

from __future__ import annotations

from softplc import ir
from softplc.bind.calls import Binding
from softplc.iectypes import (
    BOOL,
    DINT,
    INT,
    LINT,
    REAL,
    ULINT,
    WCHAR,
    Elementary,
    Enum,
    String,
    base_of,
    in_class,
)
from softplc.layout import encode
from softplc.lower.context import Context, LoweringError, got
from softplc.lower.conversions import convert
from softplc.lower.sameness import is_same
from softplc.syntax import Call, Expr

MAX_COUNT = 1 << 30
_SPLICED = ("INSERT", "DELETE", "REPLACE")  # change a part of a text
_JOINED = ("CONCAT", "LEFT", "RIGHT", "MID", "INSERT", "DELETE", "REPLACE")  # by appending alone


class Strings(Context):
    """Lowers strings of one routine."""

    def text(self, node: Expr) -> ir.Text:
        """Lower a string expression."""
        node = got(node)
        wide = is_wide(node)
        constant = self.constant_text(node)
        if constant is not None:
            return ir.Text(None, constant, [], _capacity(node), wide)
        if in_class(node.type, "ANY_CHAR"):
            return self._character(node)
        if isinstance(node, Call) and not node.followed:
            return self._text_call(node)
        first = self.find_way(node)
        place = self.place(node)
        if place is None:
            raise LoweringError("string without place")
        return ir.Text(place, None, first, _capacity(node), wide)

    def _character(self, node: Expr) -> ir.Text:
        """Return a string of one character."""
        wide = is_wide(node)
        result = self.slot(String(1, wide).size)
        return ir.Text(
            result, None, [ir.Clear(result, 1), ir.AppendNumber(result, self.expr(node), "char")], 1, wide
        )

    def constant_text(self, node: Expr) -> bytes | None:
        """Return a constant string as it lies in memory."""
        raise NotImplementedError

    def find_way(self, node: Expr) -> list[ir.Stmt]:
        """Run the call that yields the way to an object, and note where that lies."""
        raise NotImplementedError

    def function_call(self, binding: Binding) -> tuple[list[ir.Stmt], ir.Place]:
        """Return the statements of a function call, and the place of its result."""
        raise NotImplementedError

    def enabled(self, binding: Binding, body: list[ir.Stmt]) -> list[ir.Stmt]:
        """Put a call under its EN, and set its ENO."""
        raise NotImplementedError

    def _text_call(self, node: Call) -> ir.Text:
        binding = node.binding
        if binding is None:
            raise LoweringError("call without binding")
        wide = is_wide(node)
        if node.rewritten is not None and not binding.guarded:
            return self.text(node.rewritten)
        if binding.pou is not None:
            body, place = self.function_call(binding)
            return ir.Text(place, None, body, _capacity(node), wide)
        capacity = max(_capacity(node), 1)
        result = self.slot(String(capacity, wide).size)
        body = [ir.Clear(result, capacity)]
        if node.rewritten is not None:
            body += self.enabled(binding, self._append(result, node.rewritten, wide))
        elif binding.conversion is not None:
            body += self.enabled(binding, self._conversion_text(result, binding, wide))
        elif binding.function is not None:
            body += self.enabled(binding, self._build(result, binding.function.name, binding.values, wide))
        return ir.Text(result, None, body, capacity, wide)

    def _append(self, result: ir.Place, node: Expr, wide: bool) -> list[ir.Stmt]:
        """Append a text; what a function puts together is put together there, without a slot of its own."""
        node = got(node)
        binding = node.binding if isinstance(node, Call) and node.rewritten is None else None
        if binding is not None and binding.function is not None and is_wide(node) == wide:
            plain = node.value is None and binding.conversion is None and not binding.guarded
            if plain and binding.function.name in _JOINED:
                return self._build(result, binding.function.name, binding.values, wide)
        return [ir.Append(result, self.text(node), wide=wide)]

    def splice(self, target: ir.Place, capacity: int, node: Expr) -> ir.Splice | None:
        """Lower x := REPLACE(x, ...), INSERT(x, ...) or DELETE(x, ...); None where it is anything else.

        Nothing of x that stays is copied then. The text put in lies elsewhere, so that it stays what it is.
        """
        binding = node.binding if isinstance(node, Call) and node.rewritten is None else None
        if binding is None or binding.function is None or binding.conversion is not None or binding.guarded:
            return None
        name, values = binding.function.name, binding.values
        if name not in _SPLICED or isinstance(got(values[0]), Call) or capacity > _capacity(node):
            return None
        if self.constant_text(values[0]) is not None or is_wide(values[0]) != is_wide(node):
            return None
        place = self.place(values[0])
        if place is None or capacity < 0 or not is_same(place, target):
            return None
        given = None
        if name != "DELETE":
            if self.constant_text(values[1]) is None and not isinstance(values[1].type, String):
                return None
            if isinstance(got(values[1]), Call) or is_wide(values[1]) != is_wide(node):
                return None
            given = self.text(values[1])
            if given.place is not None and (given.place.steps or given.place.tag in ("", target.tag)):
                return None
        numbers = [self._count(each) for each in values[1:] if in_class(each.type, "ANY_INT")]
        if name == "INSERT":
            return ir.Splice(target, given, numbers[0], ir.Const(LINT, 0), capacity, is_wide(node))
        return ir.Splice(target, given, _before(numbers[1]), numbers[0], capacity, is_wide(node))

    def kept_text(self, node: Expr) -> ir.Text:
        """Lower a string that is read more than once: its body may be run before all reads."""
        text = self.text(node)
        if not text.body:
            return text
        copy = self.slot(String(max(text.capacity, 1), text.wide).size)
        body: list[ir.Stmt] = [ir.Clear(copy, max(text.capacity, 1)), ir.Append(copy, text, wide=text.wide)]
        return ir.Text(copy, None, body, text.capacity, text.wide)

    def _build(self, result: ir.Place, name: str, values: list[Expr], wide: bool) -> list[ir.Stmt]:
        if name == "CONCAT":
            return [stmt for each in values for stmt in self._append(result, each, wide)]
        if name == "MOVE":
            return self._append(result, values[0], wide)
        if name == "SEL":
            before, (no, yes) = self._texts(values[1:])
            chosen: list[ir.Stmt] = [ir.Append(result, yes, wide=wide)]
            other: list[ir.Stmt] = [ir.Append(result, no, wide=wide)]
            return [*before, ir.If(self.expr(values[0], BOOL), chosen, other)]
        if name == "MUX":
            before, texts = self._texts(values[1:])
            branches: list[tuple[list[tuple[int, int]], list[ir.Stmt]]] = [
                ([(k, k)], [ir.Append(result, each, wide=wide)]) for k, each in enumerate(texts)
            ]
            return [*before, ir.Switch(self.selected(values[0], len(texts)), branches, [])]
        if name in ("MAX", "MIN"):
            return self._extreme(result, name, values, wide)
        if name == "LIMIT":
            low, value, high = values
            return [*self._extreme(result, "MAX", [value, low], wide), *self._better(result, "MIN", high)]
        source = self.text(values[0])
        prelude: list[ir.Stmt] = list(source.body)
        place = ir.Text(source.place, source.constant, wide=wide)
        numbers = [self._once(each, prelude) for each in values[1:] if in_class(each.type, "ANY_INT")]
        zero, rest = ir.Const(LINT, 0), ir.Const(LINT, MAX_COUNT)
        if name == "LEFT":
            return [*prelude, ir.Append(result, place, zero, numbers[0], wide)]
        if name == "RIGHT":
            length: ir.Expr = ir.Convert(LINT, ir.Query(INT, "length", (place,)), "wrap")
            count = ir.Op(LINT, "MAX", (numbers[0], zero))
            begin = ir.Op(LINT, "MAX", (ir.Op(LINT, "-", (length, count)), zero))
            return [*prelude, ir.Append(result, place, begin, count, wide)]
        if name == "MID":
            return [*prelude, ir.Append(result, place, _before(numbers[1]), numbers[0], wide)]
        if name == "INSERT":
            return [
                *prelude,
                ir.Append(result, place, zero, numbers[0], wide),
                *self._append(result, values[1], wide),
                ir.Append(result, place, numbers[0], rest, wide),
            ]
        amount, position = numbers
        after = ir.Op(LINT, "+", (_before(position), _clamped(amount, 0)))
        head = ir.Append(result, place, zero, _before(position), wide)
        tail = ir.Append(result, place, after, rest, wide)
        if name == "DELETE":
            return [*prelude, head, tail]
        return [*prelude, head, *self._append(result, values[1], wide), tail]

    def _texts(self, values: list[Expr]) -> tuple[list[ir.Stmt], list[ir.Text]]:
        """Evaluate all strings a function chooses from, as it does with numbers."""
        texts = [self.kept_text(each) for each in values]
        before = [stmt for each in texts for stmt in each.body]
        for each in texts:
            each.body = []
        return before, texts

    def selected(self, selector: Expr, count: int) -> ir.Expr:
        """Return the selector of MUX, after the check that there is such a choice."""
        numbers = tuple(ir.Const(LINT, each) for each in range(count))
        return ir.Choose(LINT, self.expr(selector, LINT), numbers, self.line(selector.at))

    def _extreme(self, result: ir.Place, name: str, values: list[Expr], wide: bool) -> list[ir.Stmt]:
        body: list[ir.Stmt] = [ir.Append(result, self.text(values[0]), wide=wide)]
        for value in values[1:]:
            body += self._better(result, name, value)
        return body

    def _better(self, result: ir.Place, name: str, value: Expr) -> list[ir.Stmt]:
        """Replace a string by another one that is greater (MAX) or less (MIN)."""
        other = self.kept_text(value)
        before, other.body = other.body, []
        order = ir.Query(DINT, "compare", (other, ir.Text(result, wide=other.wide)))
        wins = ir.Op(BOOL, ">" if name == "MAX" else "<", (order, ir.Const(DINT, 0)))
        return [*before, ir.If(wins, [ir.SetText(result, other)], [])]

    def _once(self, node: Expr, prelude: list[ir.Stmt]) -> ir.Expr:
        """Evaluate a number before the string is built, so that it may be used more than once."""
        value = self._count(node)
        if isinstance(value, ir.Const):
            return value
        slot = self.slot(8)
        prelude.append(ir.Store(slot, value, LINT))
        return ir.Load(LINT, slot)

    def _count(self, node: Expr) -> ir.Expr:
        """Lower a count or a position; what LINT does not hold is behind the end of every text."""
        if base_of(node.type) is not ULINT:
            return self.expr(node, LINT)
        return convert(ir.Op(ULINT, "MIN", (self.expr(node, ULINT), ir.Const(ULINT, MAX_COUNT))), LINT)

    def _conversion_text(self, result: ir.Place, binding: Binding, wide: bool) -> list[ir.Stmt]:
        value = binding.values[0]
        type_ = base_of(value.type)
        if isinstance(type_, String) or in_class(type_, "ANY_CHAR"):
            return self._append(result, value, wide)
        if isinstance(type_, Enum):
            type_ = type_.base
        named = binding.conversion.source if binding.conversion else None
        lowered = self.expr(value, named if isinstance(named, Elementary) else None)
        if lowered.type is BOOL:
            yes: list[ir.Stmt] = [ir.Append(result, _constant("TRUE"))]
            return [ir.If(lowered, yes, [ir.Append(result, _constant("FALSE"))])]
        if lowered.type.kind == "real":
            return [ir.AppendNumber(result, lowered, "real", 7 if lowered.type is REAL else 15)]
        if lowered.type.kind == "int":
            return [ir.AppendNumber(result, convert(lowered, LINT), "int")]
        return [ir.AppendNumber(result, convert(lowered, ULINT), "uint")]


def _before(position: ir.Expr) -> ir.Expr:
    """Return the number of characters before a position that counts from 1."""
    return ir.Op(LINT, "-", (_clamped(position, 1), ir.Const(LINT, 1)))


def _clamped(number: ir.Expr, least: int) -> ir.Expr:
    """Return a number of characters that can be added to another one."""
    above = ir.Op(LINT, "MAX", (number, ir.Const(LINT, least)))
    return ir.Op(LINT, "MIN", (above, ir.Const(LINT, MAX_COUNT)))


def _constant(text: str) -> ir.Text:
    return ir.Text(None, encode(String(len(text)), text))


def is_wide(node: Expr) -> bool:
    """Tell whether a text has characters of 16 bits."""
    return node.type.wide if isinstance(node.type, String) else node.type is WCHAR


def _capacity(node: Expr) -> int:
    return node.type.capacity if isinstance(node.type, String) else 1
