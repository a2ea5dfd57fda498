"""Types and constant values of expressions: marks the tree, reports nothing.

An expression whose type stays None is wrong or depends on something wrong; the rules report the
first cause only, because they look at nodes whose parts all have types.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from softplc.bind import fold
from softplc.bind.properties import bind_getter
from softplc.bind.references import pointer_result
from softplc.bind.scope import Scope
from softplc.iectypes import (
    BITS,
    BOOL,
    BYTE,
    CHAR,
    DT,
    DWORD,
    ELEMENTARY,
    INT_LITERAL,
    LINT,
    LONG,
    LREAL,
    LTIME,
    LWORD,
    REAL,
    REAL_LITERAL,
    SIGNED,
    TIME,
    TOD,
    WCHAR,
    WORD,
    Array,
    BlockType,
    Elementary,
    Enum,
    Interface,
    OpenArray,
    Pointer,
    Reference,
    String,
    Struct,
    Subrange,
    Type,
    base_of,
    common,
    converts,
    counts,
    default_int,
    has_bits,
    is_literal_type,
    natural,
    number_of,
)
from softplc.profiles import current
from softplc.symbols import EnumValue, Pou, Variable
from softplc.syntax import (
    Argument,
    Binary,
    BitAccess,
    Call,
    Deref,
    Direct,
    Expr,
    Index,
    Literal,
    Member,
    Name,
    TypedName,
    Unary,
)

COMPARISONS = ("=", "<>", "<", ">", "<=", ">=")
LOGIC = ("AND", "OR", "XOR")
PARTS = {"X": BOOL, "B": BYTE, "W": WORD, "D": DWORD}
ADDRESS_TYPES = {"X": BOOL, "B": BYTE, "W": WORD, "D": DWORD, "L": LWORD}
_LITERALS: dict[str, Elementary] = {"int": INT_LITERAL, "real": REAL_LITERAL, "bool": BOOL}
_DATE_MATH = {  # in the long type if one of the operands is long
    ("-", "date", "date"): TIME,
    ("-", "tod", "tod"): TIME,
    ("-", "dt", "dt"): TIME,
    ("+", "dt", "time"): DT,
    ("-", "dt", "time"): DT,
    ("+", "tod", "time"): TOD,
    ("-", "tod", "time"): TOD,
}


def fits(expr: Expr, target: Type) -> bool:
    """Tell whether a literal has a value of the target type."""
    value = expr.value
    if value is None or isinstance(value, str):
        return False
    base = base_of(target)
    if isinstance(base, Enum) and not base.strict:
        base = base.base
    if isinstance(base, Pointer) or (isinstance(base, Interface) and current().objects):
        return expr.type is INT_LITERAL and value == 0
    if not isinstance(base, Elementary):
        return False
    if base.kind == "real":
        return (
            base is not REAL or abs(fold.single(float(value))) != float("inf") or abs(value) == float("inf")
        )
    if expr.type is REAL_LITERAL or base.kind not in ("int", "uint", "bits", "bool"):
        return False
    low, high = (target.low, target.high) if isinstance(target, Subrange) else base.limits
    return low <= value <= high


def settle(expr: Expr, target: Type | None) -> None:
    """Give a literal the type its surroundings ask for, if its value fits."""
    if is_character(expr, target):
        expr.type, expr.value = base_of(target), ord(str(expr.value))
    elif expr.type in (INT_LITERAL, REAL_LITERAL) and target is not None and fits(expr, target):
        expr.type = base_of(target)
        if expr.value is not None:
            expr.value = fold.as_type(expr.value, expr.type)


def is_character(expr: Expr, target: Type | None) -> bool:
    """Tell whether a literal is one character that can stand for a CHAR or WCHAR."""
    text = isinstance(expr, Literal) and not expr.type_name and isinstance(expr.type, String)
    return text and expr.type.element is base_of(target) and len(str(expr.value)) == 1  # type: ignore[union-attr]


def default(expr: Expr) -> None:
    """Give a literal that nothing asks about its default type."""
    if expr.type is INT_LITERAL and isinstance(expr.value, int):
        settle(expr, default_int(expr.value))
    elif expr.type is REAL_LITERAL:
        expr.type = LREAL


def is_literal(expr: Expr) -> bool:
    return expr.type is INT_LITERAL or expr.type is REAL_LITERAL


def adapts(node: Expr) -> bool:
    """Tell whether a value is made of untyped literals by NOT, a shift or a choice: it has no type yet."""
    if isinstance(node, Unary):
        return adapts(node.operand) or (node.op == "NOT" and _is_open(node.operand))
    if isinstance(node, Binary):
        sides = (node.right, node.left)  # in a long chain the left side is the rest of it
        return node.op not in COMPARISONS and all(map(_is_open, sides)) and any(map(adapts, sides))
    if not isinstance(node, Call) or not isinstance(node.callee, Name):
        return False
    shift = _shifts(node)
    first = 0 if shift else {"SEL": 1, "MUX": 1, "MAX": 0, "MIN": 0, "LIMIT": 0}.get(node.callee.name.upper())
    if first is None:
        return False
    values = [
        each.value
        for place, each in enumerate(node.arguments)
        if each.value is not None
        and not each.output
        and (each.name.upper() not in ("EN", "G", "K", "N") if each.name else place >= first)
        and (each.name or place == 0 or not shift)
    ]
    return bool(values) and all(map(_is_open, values))


def calls(node: Expr) -> bool:
    """Tell whether a call is a part of a value: what it yields may depend on what is wanted."""
    if isinstance(node, Unary):
        return calls(node.operand)
    if isinstance(node, Binary):
        return node.op not in COMPARISONS and (calls(node.right) or calls(node.left))
    return isinstance(node, Call)


def _shifts(node: Expr) -> bool:
    """Tell whether a value is made by a shift: a narrow type would lose bits of it."""
    if isinstance(node, Unary):
        return _shifts(node.operand)
    if isinstance(node, Binary):
        return _shifts(node.left) or _shifts(node.right)
    name = node.callee.name if isinstance(node, Call) and isinstance(node.callee, Name) else ""
    return name.upper() in ("SHL", "SHR", "ROL", "ROR")


def _is_open(node: Expr) -> bool:
    if isinstance(node, Literal):
        return node.kind in ("int", "real") and not node.type_name
    if isinstance(node, Unary):
        return _is_open(node.operand)
    if isinstance(node, Binary):
        return node.op not in COMPARISONS and _is_open(node.right) and _is_open(node.left)
    return adapts(node)


def _adapts_last(pair: tuple[Expr, Expr]) -> bool:
    return adapts(pair[0])


class Expressions:
    """Marks expressions of one scope."""

    def __init__(
        self,
        scope: Scope,
        constant_of: Callable[[Variable], None],
        load: Callable[[str], Pou | None],
        library: bool,
    ) -> None:
        self.scope = scope
        self.project = scope.project
        self.library = library
        self.load = load
        self.declared: Enum | None = None  # the enumeration whose values are given: they are numbers there
        self._constant_of = constant_of

    def expr(self, node: Expr, expected: Type | None = None) -> Type | None:
        """Mark an expression and settle it to what is expected, if that can be."""
        handler = _HANDLERS.get(type(node))
        if handler is not None:
            node.type = handler(self, node, expected)
        if expected is not None:
            settle(node, expected)
        return node.type

    def value(self, node: Expr, expected: Type | None = None) -> Type | None:
        """Mark an expression that stands for itself: literals get their default type."""
        self.expr(node, expected)
        default(node)
        return node.type

    # Leaves --------------------------------------------------------------------------------------

    def _literal(self, node: Literal, expected: Type | None) -> Type | None:
        node.value = node.literal
        if node.kind in ("string", "wstring"):
            return self._text(node)
        if node.kind == "time":
            return LTIME if node.type_name == "LTIME" else TIME
        if node.kind == "date":
            return ELEMENTARY[node.type_name]
        if node.kind == "wrong":
            node.value = None
            return None
        if not node.type_name:
            return _LITERALS[node.kind]
        type_: Any = ELEMENTARY.get(node.type_name.upper()) or self.scope.type(node.type_name)
        if not isinstance(type_, Type):
            return None
        literal = Literal(node.at, node.end, node.kind, node.literal)
        literal.type, literal.value = _LITERALS[node.kind], node.literal
        if not fits(literal, type_):
            return None
        node.value = fold.as_type(node.literal, type_)
        return type_

    @staticmethod
    def _text(node: Literal) -> Type:
        """Return the type of a text; one character without a type of its own is also a CHAR or WCHAR."""
        text = str(node.literal)
        if node.type_name in ("CHAR", "WCHAR"):
            node.value = ord(text)
            return ELEMENTARY[node.type_name]
        return String(len(text), node.kind == "wstring")

    def _name(self, node: Name, expected: Type | None) -> Type | None:
        enum = self.declared or base_of(expected)
        if isinstance(enum, Enum):
            chosen = self.scope.enum_value(node.name, enum)
            shadow = self.scope.lookup(node.name)
            if chosen is not None and not isinstance(shadow, Variable):
                node.ref = chosen
                node.value = chosen.number
                return enum if self.declared is None else enum.base
        ref = self.scope.lookup(node.name)
        node.ref = ref
        if isinstance(ref, Variable):
            return self._variable(node, ref)
        if isinstance(ref, EnumValue):
            node.value = ref.number
            return ref.type
        if isinstance(ref, Pou) and ref.kind == "PROGRAM" and self.project.profile.objects:
            self.project.named.add(ref)
            return ref.face
        if node.name.upper() == "THIS" and self.scope.owner is not None:
            node.ref = None
            if isinstance(base_of(expected), Pointer):  # it is a pointer, which THIS^ follows
                this = Argument(node.at, node.end, "", Name(node.at, node.end, node.name))
                node.getter = Call(node.at, node.end, Name(node.at, node.end, "ADR"), [this])
                return self.expr(node.getter)
            return self.scope.owner.type
        if ref is None and node.name.upper() == "SUPER" and self.scope.owner is not None:
            return self.scope.owner.base.type if self.scope.owner.base is not None else None
        if ref is None and node.name.upper() == "NULL":
            node.value = 0
            return Reference(None)
        return bind_getter(self, node, None) if ref is None and self.project.profile.objects else None

    def _variable(self, node: Name, variable: Variable) -> Type | None:
        final = variable.end_of_chain
        if final.constant:
            self._constant_of(final)
            node.value = final.value
        return self._followed(node, variable.type or final.type)  # what is declared further down has none yet

    @staticmethod
    def _followed(node: Name | Member | Index | Call, type_: Type | None) -> Type | None:
        """Let what is a REFERENCE TO stand for what it refers to."""
        node.followed = isinstance(type_, Reference) and type_.implicit and not node.raw
        return type_.target if isinstance(type_, Reference) and node.followed else type_

    def _typed_name(self, node: TypedName, expected: Type | None) -> Type | None:
        type_ = self.scope.type(node.type_name)
        if not isinstance(type_, Enum):
            return None
        chosen = self.scope.enum_value(node.name, type_)
        if chosen is None:
            return None
        node.value = chosen.number
        return type_

    def _direct(self, node: Direct, expected: Type | None) -> Type | None:
        self.project.directs.add(node.address.upper())
        size = node.address[2:3].upper()
        return ADDRESS_TYPES.get(size, BOOL if size.isdigit() else None)

    # Access --------------------------------------------------------------------------------------

    def _member(self, node: Member, expected: Type | None) -> Type | None:
        if isinstance(node.base, Name):
            enum = self.scope.type(node.base.name)
            if isinstance(enum, Enum) and self._hides_no_member(node.base.name):
                chosen = self.scope.enum_value(node.name, enum)
                node.ref = chosen
                if chosen is not None:
                    node.value = chosen.number
                    return enum
                return None
        base = self.expr(node.base)
        if is_copy(node.base) and isinstance(base, Struct):
            return None  # no part of it has a place
        key = node.name.casefold()
        if isinstance(base, Struct):
            found = base.fields.get(key)
            return self._followed(node, found.type) if found else None
        if isinstance(base, BlockType):
            variable = base.pou.find_variable(key)
            node.ref = variable
            if (
                variable is not None
                and variable.constant
                and isinstance(node.base, Name)
                and not node.base.ref
            ):
                self._constant_of(variable)  # of THIS or SUPER
                node.value = variable.value
            if variable is not None:
                return self._followed(node, variable.type)
        return bind_getter(self, node, base) if self.project.profile.objects else None

    def _hides_no_member(self, name: str) -> bool:
        """Tell whether what a name means has no members, so that `color.Red` is a value of type Color."""
        ref = self.scope.lookup(name)
        plain = isinstance(ref, Variable) and isinstance(base_of(ref.type), Elementary | Enum)
        return ref is None or plain

    def _bit(self, node: BitAccess, expected: Type | None) -> Type | None:
        base = base_of(self.expr(node.base))
        part = PARTS[node.size]
        if not isinstance(base, Elementary) or base.kind not in ("bits", "int", "uint"):
            return None
        width = 1 if part is BOOL else part.bits
        return part if (node.number + 1) * width <= base.bits and width < base.bits else None

    def _index(self, node: Index, expected: Type | None) -> Type | None:
        base = self.expr(node.base)
        for index in node.indices:
            self.value(index)
        if is_copy(node.base):
            return None  # no part of it has a place
        if isinstance(base, Pointer):
            return base.target if len(node.indices) == 1 else None
        if isinstance(base, String):
            return base.element if len(node.indices) == 1 else None
        if isinstance(base, OpenArray):
            return self._followed(node, base.element) if len(node.indices) == base.rank else None
        if not isinstance(base, Array) or len(node.indices) != len(base.ranges):
            return None
        return self._followed(node, base.element)

    def _deref(self, node: Deref, expected: Type | None) -> Type | None:
        base = self.expr(node.base)
        return base.target if isinstance(base, Reference | Pointer) else None

    # Operators -----------------------------------------------------------------------------------

    def _unary(self, node: Unary, expected: Type | None) -> Type | None:
        inner = self.expr(node.operand, expected if not is_literal(node.operand) else None)
        if inner is None:
            return None
        type_ = base_of(inner)
        if node.op == "NOT":
            if type_ is INT_LITERAL:
                target = base_of(expected)
                bits = isinstance(target, Elementary) and has_bits(target.kind)
                settle(node.operand, target if bits else None)
                type_ = node.operand.type
            good = isinstance(type_, Elementary) and has_bits(type_.kind)
        else:
            good = isinstance(type_, Elementary) and (counts(type_.kind) or type_.kind == "time")
            if isinstance(type_, Elementary) and type_.kind in ("uint", "bits") and node.op == "-":
                good = current().bits_count
                type_ = next_signed(type_)
        if isinstance(node.operand, Literal) and node.op in "+-" and node.operand.kind in ("int", "real"):
            plain = node.operand
            if not plain.type_name:  # a sign belongs to the literal: -128 is a SINT
                plain.type = type_ = _LITERALS[plain.kind]
                plain.value = plain.literal
                good = True
        if not good:
            return None
        if node.operand.value is not None:
            node.value = fold.unary(node.op, node.operand.value, type_)
        return type_

    def _binary(self, node: Binary, expected: Type | None) -> Type | None:
        pushed = expected if node.op not in COMPARISONS else None
        # what a call yields may depend on what is wanted: TRUNC(r), SEL(b, 1.5, 2.0)
        for side, other in sorted(((node.left, node.right), (node.right, node.left)), key=_adapts_last):
            if adapts(side):
                known = other.type if not adapts(other) and not is_literal(other) else None
                wider = known and pushed and _shifts(side) and common(known, pushed) is pushed
                self.expr(side, known if isinstance(base_of(known), Elementary) and not wider else pushed)
            else:
                self.expr(side, pushed if pushed is not None and calls(side) else None)
        return self.combine(node, pushed)

    def combine(self, node: Binary, pushed: Type | None = None) -> Type | None:
        """Return the type of an operation on operands that are marked already."""
        self._enum_by_other_side(node)
        left, right = node.left.type, node.right.type
        if left is None or right is None:
            return BOOL if node.op in COMPARISONS else None
        if isinstance(left, Pointer) or isinstance(right, Pointer):
            default(node.left)
            default(node.right)
            return pointer_result(node)
        if node.op in ("+", "-", "*", "/"):
            special = self._time(node, base_of(left), base_of(right))
            if special is not None:
                return special
        type_ = self.join([node.left, node.right])
        if node.op not in COMPARISONS and type_ is not None:
            firm = any(isinstance(each, Enum) and each.strict for each in (base_of(left), base_of(right)))
            type_ = None if firm else number_of(type_)
        if node.op in LOGIC and type_ is INT_LITERAL:
            type_ = self._bits_of_literals(node, pushed)
        if node.op == "**":
            type_ = self._power(node, pushed)
        node.operand_type = type_
        result = self._result(node.op, type_)
        if result is not None and type_ is not None:
            self._fold(node, type_)
            if is_literal_type(type_) and node.value is None:
                return None
        if type_ is None and node.op in COMPARISONS:
            node.operand_type = None
            return None
        return result

    def operate(self, node: Binary, type_: Type) -> None:
        """Give an operation the type that a typed function says; its operands are marked already."""
        node.operand_type = type_
        node.type = BOOL if node.op in COMPARISONS else type_
        self._fold(node, type_)

    def _enum_by_other_side(self, node: Binary) -> None:
        """Let `color = Red` mean the Red of color's type where several enumerations have one."""
        for one, other in ((node.left, node.right), (node.right, node.left)):
            if isinstance(base_of(one.type), Enum) and isinstance(other, Name):
                other.type = self._name(other, one.type)

    @staticmethod
    def _result(op: str, type_: Type | None) -> Type | None:
        if type_ is None:
            return None
        kind = type_.kind if isinstance(type_, Elementary) else "other"
        if op in COMPARISONS:
            ordered = op in ("=", "<>") or not isinstance(type_, Reference | Interface)
            return BOOL if comparable(type_) and ordered else None
        if op in LOGIC:
            return type_ if has_bits(kind) else None
        if op == "MOD":
            good = (counts(kind) and kind not in ("real", "literal")) or type_ is INT_LITERAL
            return type_ if good else None
        if op in ("+", "-") and kind == "time":
            return type_
        return type_ if counts(kind) else None

    def _time(self, node: Binary, left: Type | None, right: Type | None) -> Type | None:
        """Return the result of arithmetic on times and dates.

        Source: IEC 61131-3:2013, table 35.
        """
        if not isinstance(left, Elementary) or not isinstance(right, Elementary):
            return None
        if left.kind == "time" and counts(right.kind) and node.op in ("*", "/"):
            default(node.right)
            self._fold_time(node, left)
            return left
        if right.kind == "time" and counts(left.kind) and node.op == "*":
            default(node.left)
            self._fold_time(node, right)
            return right
        result = _DATE_MATH.get((node.op, left.kind, right.kind))
        longs = LONG.values()
        return LONG[result] if result is not None and (left in longs or right in longs) else result

    @staticmethod
    def _fold_time(node: Binary, type_: Type) -> None:
        """Fold the product or quotient of a duration and a whole number."""
        left, right = node.left.value, node.right.value
        if isinstance(left, int) and isinstance(right, int):
            node.value = fold.binary(node.op, left, right, type_)

    def _bits_of_literals(self, node: Binary, expected: Type | None) -> Type | None:
        target = base_of(expected)
        for type_ in (target, *BITS[1:]):
            if type_ in BITS and fits(node.left, type_) and fits(node.right, type_):
                settle(node.left, type_)
                settle(node.right, type_)
                return type_
        return None

    def _power(self, node: Binary, expected: Type | None) -> Type | None:
        """Return the type of a power: real, unless both sides are whole literals."""
        left, right = node.left, node.right
        if left.type is INT_LITERAL and right.type is INT_LITERAL and (right.value or 0) >= 0:  # type: ignore[operator]
            return INT_LITERAL
        if is_literal(left) and is_literal(right):
            return REAL_LITERAL
        base = base_of(left.type)
        target = base_of(expected) if expected is REAL or expected is LREAL else LREAL
        if is_literal(left):
            settle(left, target)
        elif not isinstance(base, Elementary) or not counts(base.kind):
            return None
        base = base_of(left.type)
        real = base if base in (REAL, LREAL) else common(base, REAL) if base else None
        exponent = base_of(right.type)
        if is_literal(right):
            settle(right, real)
        elif not isinstance(exponent, Elementary) or not counts(exponent.kind):
            return None
        elif exponent is LREAL:
            real = LREAL
        return real

    def _fold(self, node: Binary, type_: Type) -> None:
        left, right = node.left.value, node.right.value
        if left is None or right is None:
            return
        left, right = fold.as_type(left, type_), fold.as_type(right, type_)
        node.value = fold.binary(node.op, left, right, type_)

    def join(self, nodes: list[Expr]) -> Type | None:
        """Return the smallest type all expressions convert to, and settle the literals among them."""
        character = next((each.type for each in nodes if each.type in (CHAR, WCHAR)), None)
        for each in nodes:
            if is_character(each, character):
                settle(each, character)
        typed = [each for each in nodes if not is_literal(each)]
        literals = [each for each in nodes if is_literal(each)]
        if any(each.type is None for each in typed):
            return None
        if not typed:
            return REAL_LITERAL if any(each.type is REAL_LITERAL for each in literals) else INT_LITERAL
        result = base_of(typed[0].type)
        for each in typed[1:]:
            other = base_of(each.type)
            if result is None or other is None:
                return None
            if isinstance(result, String) and isinstance(other, String) and result.wide == other.wide:
                result = max(result, other, key=lambda s: s.capacity)
                continue
            if isinstance(result, Reference) and result.target is None:
                result = other if isinstance(other, Reference | Interface) else None
                continue
            result = common(result, other)
        if literals and result is not None:
            result = number_of(result)
        for literal in literals:
            result = self._adapt(literal, result)
        for literal in literals:
            settle(literal, result)
        return result

    @staticmethod
    def _adapt(literal: Expr, other: Type | None) -> Type | None:
        """Return the type that holds both a literal and the other type."""
        if isinstance(other, Interface) and fits(literal, other):
            return other
        if other is None or not isinstance(other, Elementary):
            return None
        if fits(literal, other):
            return other
        if literal.type is REAL_LITERAL:
            whole = other.kind != "real" and counts(other.kind)
            return common(other, REAL) if whole else LREAL if other is REAL else None
        value = literal.value
        if isinstance(value, int) and value < 0 and other.kind in ("uint", "bits") and current().bits_count:
            return next_signed(other)
        if isinstance(value, int) and other.kind in ("int", "uint"):
            least = natural(value)
            return common(other, least) if least else None
        if isinstance(value, int) and other.kind == "bits":
            return next((each for each in BITS if fits(literal, each) and converts(other, each)), None)
        return None

    # Calls ---------------------------------------------------------------------------------------

    def _call(self, node: Call, expected: Type | None) -> Type | None:
        from softplc.bind.calls import bind_call

        return self._followed(node, bind_call(self, node, expected))


def is_copy(node: Expr) -> bool:
    """Tell whether something is a value of its own, as what a call or a property yields is."""
    call = node.getter if isinstance(node, Name | Member) else node
    return isinstance(call, Call) and not call.followed and not isinstance(call.type, Pointer)


def next_signed(type_: Elementary) -> Elementary:
    """Return the signed type that holds every value of an unsigned one, and its negative."""
    return next((each for each in SIGNED if each.size > type_.size), LINT)


def comparable(type_: Type) -> bool:
    return isinstance(type_, Elementary | String | Enum | Reference | Interface)


_HANDLERS: dict[type, Callable[[Expressions, Any, Type | None], Type | None]] = {
    Literal: Expressions._literal,
    Name: Expressions._name,
    TypedName: Expressions._typed_name,
    Direct: Expressions._direct,
    Member: Expressions._member,
    BitAccess: Expressions._bit,
    Index: Expressions._index,
    Deref: Expressions._deref,
    Unary: Expressions._unary,
    Binary: Expressions._binary,
    Call: Expressions._call,
}
