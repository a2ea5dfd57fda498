"""Expressions and places to LLVM text."""

from __future__ import annotations

from softplc import ir
from softplc.codegen.pointers import Pointers
from softplc.codegen.ranges import is_harmless, is_inside, key_of
from softplc.codegen.values import (
    ARITHMETIC,
    INTEGER_COMPARE,
    INTRINSICS,
    REAL_ARITHMETIC,
    REAL_COMPARE,
    constant,
    intrinsic_suffix,
    memory_type,
    value_type,
)
from softplc.faults import Fault
from softplc.iectypes import BOOL, LINT, Elementary
from softplc.layout import NOW_NS

FOLDED_SHIFTS = {"ROL": "fshl", "ROR": "fshr"}


class Expressions(Pointers):
    """Writes values of one routine."""

    # Places --------------------------------------------------------------------------------------

    def address(self, place: ir.Place) -> str:
        """Return a pointer to a place, after its index checks."""
        return self.inside(*self.spot(place))

    def spot(self, place: ir.Place) -> tuple[str, int]:
        """Return a pointer, after index checks, and how many bytes behind it a place lies."""
        if place.base == "object":
            return self.object_address(place), 0
        base, offset = self._base(place)
        for step in place.steps:
            element = self._element(base, step)
            base = element or self.add(f"getelementptr inbounds i8, ptr {base}, i64 {self.step(step)}")
        return base, offset + place.offset

    def _element(self, base: str, step: ir.Step) -> str:
        """Return the address of an element whose index is that of a loop: it is known where its body begins.

        The optimiser then sees one address for all uses of the element, whatever lies between them. Where it
        comes from is written when the loop is complete.
        """
        index = step.index
        if (
            not isinstance(index, ir.Load)
            or not isinstance(step.low, int)
            or not isinstance(step.stride, int)
        ):
            return ""
        current = self.registers.get(key_of(index.place))
        if current is None or not is_inside(step, self.ranges):
            return ""
        top = self.anchors[current]
        if self.anchors.get(base, top) >= top:
            return ""
        key = (current, base, step.low, step.stride)
        if key not in self.elements:
            self.elements[key] = name = self.fresh()
            self.anchors[name] = top
        return self.elements[key]

    def step(self, step: ir.Step) -> str:
        """Return the bytes that an index leads on, after its check."""
        index = self.value(step.index)
        declared = wide = self._to_i64(index, step.index.type)
        low = self._size(step.low)
        if step.low:
            wide = self.add(f"sub i64 {wide}, {low}")
        if not is_inside(step, self.ranges):
            count = self._size(step.count)
            outside = self.add(f"icmp uge i64 {wide}, {count}")
            if _may_wrap(step):
                beyond = self.add(f"icmp slt i64 {declared}, 0")
                outside = self.add(f"or i1 {outside}, {beyond}")
            self.fault_if(outside, Fault.INDEX_OUT_OF_RANGE, step.line, declared, low, count)
        if step.stride != 1:
            wide = self.add(f"mul nuw nsw i64 {wide}, {self._size(step.stride)}")
        return wide

    def _base(self, place: ir.Place) -> tuple[str, int]:
        if place.base == "image":
            return "%img", 0
        if place.base == "self":
            return self.where.this
        if place.base == "local":
            return self.where.local, 0
        if place.base == "slot" and place.slot in self.renamed:
            return self.renamed[place.slot], 0
        if place.base == "slot":
            return f"{self.where.slot}{place.slot}", 0
        if place.pointer is None:
            raise AssertionError("pointer place without pointer")
        if place.base == "ref":
            offset = self.load(LINT, place.pointer)
            self.fault_if(self.add(f"icmp eq i64 {offset}, 0"), Fault.NULL_REFERENCE, place.line)
            start = self.add("ptrtoint ptr %img to i64")
            return self.add(f"inttoptr i64 {self.add(f'add i64 {start}, {offset}')} to ptr"), 0
        return self.add(f"load ptr, ptr {self.address(place.pointer)}, align 1"), 0

    def _size(self, size: int | ir.Expr) -> str:
        return str(size) if isinstance(size, int) else self.value(size)

    def _to_i64(self, value: str, type_: Elementary) -> str:
        if type_.bits == 64 and type_ is not BOOL:
            return value
        return self.add(f"{'sext' if type_.signed else 'zext'} {value_type(type_)} {value} to i64")

    def load(self, type_: Elementary, place: ir.Place) -> str:
        if not place.steps and place.pointer is None:
            kept = self.registers.get(key_of(place))
            if kept is not None and place.bit < 0 and self.register_types[kept] is type_:
                return kept
        if place.base == "object" and type_.size == 1 and not place.begin:
            raw = self.peek(place)
        else:
            tag = self.emitter.tag(place.tag)
            raw = self.add(f"load {memory_type(type_)}, ptr {self.address(place)}, align 1{tag}")
        if type_ is not BOOL:
            return raw
        if place.bit >= 0:
            raw = self.add(f"and i8 {raw}, {1 << place.bit}")
        return self.add(f"icmp ne i8 {raw}, 0")

    def store(self, type_: Elementary, place: ir.Place, value: str) -> None:
        if place.base == "object" and type_.size == 1 and not place.begin:
            self.poke(type_, place, value)
            return
        address, tag = self.address(place), self.emitter.tag(place.tag)
        if type_ is not BOOL:
            self.do(f"store {value_type(type_)} {value}, ptr {address}, align 1{tag}")
            return
        byte = self.add(f"zext i1 {value} to i8")
        if place.bit >= 0:
            old = self.add(f"load i8, ptr {address}, align 1")
            cleared = self.add(f"and i8 {old}, {255 - (1 << place.bit)}")
            moved = self.add(f"shl i8 {byte}, {place.bit}")
            byte = self.add(f"or i8 {cleared}, {moved}")
        self.do(f"store i8 {byte}, ptr {address}, align 1{tag}")

    # Values --------------------------------------------------------------------------------------

    def value(self, expr: ir.Expr) -> str:
        """Write an expression and return the name of its value."""
        if isinstance(expr, ir.Const):
            return constant(expr.type, expr.value)
        if isinstance(expr, ir.Load):
            return self.load(expr.type, expr.place)
        if isinstance(expr, ir.Op):
            return self._op(expr)
        if isinstance(expr, ir.Convert):
            return self._convert(expr)
        if isinstance(expr, ir.Lazy):
            return self._lazy(expr)
        if isinstance(expr, ir.Choose):
            return self._choose(expr)
        if isinstance(expr, ir.After):
            self.block_of(expr.body)
            return self.value(expr.value)
        if isinstance(expr, ir.Once):
            if expr not in self.known:
                self.known[expr] = self.value(expr.arg)
            return self.known[expr]
        if isinstance(expr, ir.AddressOf):
            there = self.add(f"ptrtoint ptr {self.address(expr.place)} to i64")
            return self.add(f"sub i64 {there}, {self.add('ptrtoint ptr %img to i64')}")
        if isinstance(expr, ir.PointerTo):
            return self.pointer_to(expr)
        if isinstance(expr, ir.PointerOp):
            return self.pointer_op(expr)
        if isinstance(expr, ir.Query):
            return self.query(expr)
        return self.load(LINT, ir.Place("image", NOW_NS, tag="now"))

    def block_of(self, body: list[ir.Stmt]) -> None:
        """Write statements."""
        raise NotImplementedError

    def _op(self, expr: ir.Op) -> str:
        compared = expr.args[0]
        if expr.op in ("=", "<>") and isinstance(compared, ir.Query) and compared.op == "compare":
            same = self.same_text(*compared.strings)
            if same is not None:
                return same if expr.op == "=" else self.add(f"xor i1 {same}, true")
        operands = [self.value(each) for each in expr.args]
        type_ = expr.args[0].type
        if expr.op in INTEGER_COMPARE:
            return self._compare(expr.op, type_, *operands)
        if expr.op == "SWAP":
            return self._swap(type_, operands[0])
        if type_.kind == "real":
            return self._real(expr.op, type_, operands)
        return self._whole(expr, type_, operands)

    def _swap(self, type_: Elementary, value: str) -> str:
        """Turn round the bytes of a value."""
        if type_.size == 1:
            return value
        kind, bits = value_type(type_), f"i{type_.bits}"
        if kind != bits:
            value = self.add(f"bitcast {kind} {value} to {bits}")
        value = self.add(f"call {bits} @llvm.bswap.{bits}({bits} {value})")
        return value if kind == bits else self.add(f"bitcast {bits} {value} to {kind}")

    def _compare(self, op: str, type_: Elementary, left: str, right: str) -> str:
        if type_.kind == "real":
            return self.add(f"fcmp {REAL_COMPARE[op]} {value_type(type_)} {left}, {right}")
        order = INTEGER_COMPARE[op]
        if op not in ("=", "<>"):
            order = ("s" if type_.signed else "u") + order
        return self.add(f"icmp {order} {value_type(type_)} {left}, {right}")

    def _real(self, op: str, type_: Elementary, operands: list[str]) -> str:
        kind = value_type(type_)
        if op in REAL_ARITHMETIC:
            return self.add(f"{REAL_ARITHMETIC[op]} {kind} {operands[0]}, {operands[1]}")
        if op == "NEG":
            return self.add(f"fneg {kind} {operands[0]}")
        if op in ("MAX", "MIN"):
            arguments = f"{kind} {operands[0]}, {kind} {operands[1]}"
            return self.add(f"call {kind} @llvm.{op.lower()}num.{intrinsic_suffix(type_)}({arguments})")
        name = "fabs" if op == "ABS" else INTRINSICS[op]
        arguments = ", ".join(f"{kind} {each}" for each in operands)
        return self.add(f"call {kind} @llvm.{name}.{intrinsic_suffix(type_)}({arguments})")

    def _whole(self, expr: ir.Op, type_: Elementary, operands: list[str]) -> str:
        op = expr.op
        kind = value_type(type_)
        first = operands[0]
        if op in ARITHMETIC:
            return self.add(f"{ARITHMETIC[op]} {kind} {first}, {operands[1]}")
        if op == "NOT":
            return self.add(f"xor {kind} {first}, {'true' if type_ is BOOL else -1}")
        if op == "NEG":
            return self.add(f"sub {kind} 0, {first}")
        if op in ("/", "MOD"):
            return self._divide(expr, type_, first, operands[1])
        if op == "ABS":
            return (
                self.add(f"call {kind} @llvm.abs.{kind}({kind} {first}, i1 false)") if type_.signed else first
            )
        if op in ("MAX", "MIN"):
            name = ("s" if type_.signed else "u") + op.lower()
            return self.add(f"call {kind} @llvm.{name}.{kind}({kind} {first}, {kind} {operands[1]})")
        return self._shift(op, type_, first, operands[1])

    def _divide(self, expr: ir.Op, type_: Elementary, left: str, right: str) -> str:
        """Divide: by zero faults, MOD by zero is 0, and the least number by -1 wraps.

        Source: IEC 61131-3:2013, table 29 for MOD.
        """
        kind = value_type(type_)
        divisor = expr.args[1]
        fixed = isinstance(divisor, ir.Const) and int(divisor.value) not in (0, -1)
        if not fixed and expr.op == "/":
            zero = self.add(f"icmp eq {kind} {right}, 0")
            self.fault_if(zero, Fault.DIVISION_BY_ZERO, expr.line, left, right, type_=type_)
            if type_.signed:
                least = self.add(f"icmp eq {kind} {left}, {type_.limits[0]}")
                minus = self.add(f"icmp eq {kind} {right}, -1")
                both = self.add(f"and i1 {least}, {minus}")
                right = self.add(f"select i1 {both}, {kind} 1, {kind} {right}")
        elif not fixed:
            odd = self.add(f"icmp eq {kind} {right}, 0")
            if type_.signed:
                minus = self.add(f"icmp eq {kind} {right}, -1")
                odd = self.add(f"or i1 {odd}, {minus}")
            right = self.add(f"select i1 {odd}, {kind} 1, {kind} {right}")
        name = {"/": "div", "MOD": "rem"}[expr.op]
        return self.add(f"{'s' if type_.signed else 'u'}{name} {kind} {left}, {right}")

    def _shift(self, op: str, type_: Elementary, value: str, count: str) -> str:
        """Shift: by the width or more gives 0; rotate counts modulo the width."""
        kind = value_type(type_)
        if op in FOLDED_SHIFTS:
            if type_ is BOOL:
                return value
            narrow = self.add(f"trunc i64 {count} to {kind}") if type_.bits < 64 else count
            name = FOLDED_SHIFTS[op]
            return self.add(
                f"call {kind} @llvm.{name}.{kind}({kind} {value}, {kind} {value}, {kind} {narrow})"
            )
        width = 1 if type_ is BOOL else type_.bits
        inside = self.add(f"icmp ult i64 {count}, {width}")
        safe = self.add(f"select i1 {inside}, i64 {count}, i64 0")
        narrow = self.add(f"trunc i64 {safe} to {kind}") if width < 64 else safe
        if op == "SHR" and type_.signed:  # of a number: the sign stays
            last = self.add(f"select i1 {inside}, i64 {count}, i64 {width - 1}")
            last = self.add(f"trunc i64 {last} to {kind}") if width < 64 else last
            return self.add(f"ashr {kind} {value}, {last}")
        shifted = self.add(f"{'shl' if op == 'SHL' else 'lshr'} {kind} {value}, {narrow}")
        return self.add(f"select i1 {inside}, {kind} {shifted}, {kind} {constant(type_, 0)}")

    def _convert(self, expr: ir.Convert) -> str:
        value = self.value(expr.arg)
        source, target = expr.arg.type, expr.type
        before, after = value_type(source), value_type(target)
        if expr.mode == "truth":
            if source is BOOL:
                return value
            if source.kind == "real":
                return self.add(f"fcmp une {before} {value}, {constant(source, 0)}")
            return self.add(f"icmp ne {before} {value}, 0")
        if expr.mode == "bits":
            return self.add(f"bitcast {before} {value} to {after}")
        if source.kind == "real" and target.kind == "real":
            return self.add(
                f"{'fpext' if target.size > source.size else 'fptrunc'} {before} {value} to {after}"
            )
        if source.kind == "real":
            suffix = intrinsic_suffix(source)
            if expr.mode == "round":
                value = self.add(f"call {before} @llvm.rint.{suffix}({before} {value})")
            name = "fptosi" if target.signed else "fptoui"
            return self.add(f"call {after} @llvm.{name}.sat.{after}.{suffix}({before} {value})")
        if target.kind == "real":
            return self.add(f"{'sitofp' if source.signed else 'uitofp'} {before} {value} to {after}")
        if before == after:
            return value
        wider = source is BOOL or target.bits > source.bits
        name = ("sext" if source.signed else "zext") if wider else "trunc"
        return self.add(f"{name} {before} {value} to {after}")

    def _lazy(self, expr: ir.Lazy) -> str:
        """Evaluate the right side only if it decides, where that can be seen or costs something."""
        if is_harmless(expr.right):
            return self.add(f"{ARITHMETIC[expr.op]} i1 {self.value(expr.left)}, {self.value(expr.right)}")
        right, end = self.label("right"), self.label("end")
        left = self.value(expr.left)
        decided = self.block
        if expr.op == "AND":
            self.branch(left, right, end)
        else:
            self.branch(left, end, right)
        self.start(right)
        other = self.value(expr.right)
        came = self.block
        self.jump(end)
        self.start(end)
        short = "false" if expr.op == "AND" else "true"
        return self.add(f"phi i1 [ {short}, %{decided} ], [ {other}, %{came} ]")

    def _choose(self, expr: ir.Choose) -> str:
        selector = self.value(expr.selector)
        choices = [self.value(each) for each in expr.choices]
        kind = value_type(expr.type)
        if expr.selector.type is BOOL:
            return self.add(f"select i1 {selector}, {kind} {choices[1]}, {kind} {choices[0]}")
        outside = self.add(f"icmp uge i64 {selector}, {len(choices)}")
        self.fault_if(outside, Fault.INDEX_OUT_OF_RANGE, expr.line, selector, "0", str(len(choices)))
        result = choices[0]
        for number, choice in enumerate(choices[1:], 1):
            here = self.add(f"icmp eq i64 {selector}, {number}")
            result = self.add(f"select i1 {here}, {kind} {choice}, {kind} {result}")
        return result

    def query(self, expr: ir.Query) -> str:
        """Write a question about strings."""
        raise NotImplementedError

    def same_text(self, left: ir.Text, right: ir.Text) -> str | None:
        """Compare a string with a constant for being the same, where that is short."""
        raise NotImplementedError


def _may_wrap(step: ir.Step) -> bool:
    """Tell whether an index beyond 63 bits may look like one behind a lower bound below zero."""
    type_ = step.index.type
    below_zero = not isinstance(step.low, int) or step.low < 0
    return below_zero and type_.bits == 64 and not type_.signed
