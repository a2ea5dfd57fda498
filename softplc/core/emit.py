"""A few helpers over `llvmlite.ir`, so that the core's code reads like code."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

from llvmlite import ir
from llvmlite.ir import instructions

i1, i8, i16, i32, i64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
f32, f64 = ir.FloatType(), ir.DoubleType()
pointer = ir.PointerType()
void = ir.VoidType()
Word: TypeAlias = Any  # an ir.Value, or an int that becomes an i64


def word(value: Word) -> Any:
    return value if isinstance(value, ir.Value) else i64(value)


class Function:
    """A function under construction: a builder with loops, fields and atomics."""

    def __init__(
        self, module: ir.Module, name: str, returns: ir.Type, *args: ir.Type, internal: bool = False
    ) -> None:
        self.function = ir.Function(module, ir.FunctionType(returns, args), name)
        self.function.attributes.add("nounwind")
        if internal:
            self.function.linkage = "internal"
        self.args = self.function.args
        self.b = ir.IRBuilder(self.function.append_basic_block("entry"))

    def block(self, name: str) -> Any:
        return self.function.append_basic_block(name)

    def call(self, callee: Function | Any, *args: Word) -> Any:
        target = callee.function if isinstance(callee, Function) else callee
        return self.b.call(target, [word(each) for each in args])

    def at(self, base: Any, index: Word, of: ir.Type = i8) -> Any:
        """Return the address of element `index` behind a pointer."""
        return self.b.gep(base, [word(index)], inbounds=True, source_etype=of)

    def load(self, address: Any, of: ir.Type = i64) -> Any:
        return self.b.load(address, typ=of)

    def load_atomic(self, address: Any, order: str, of: ir.Type = i64) -> Any:
        return self.b.load_atomic(address, order, of.width // 8, typ=of)

    def store_atomic(self, value: Any, address: Any, order: str) -> None:
        # IRBuilder.store_atomic asks for a pointee, which opaque pointers lack.
        size = value.type.width // 8
        self.b._insert(instructions.StoreAtomicInstr(self.b.block, value, address, order, size))

    def record(self, base: Any, layout: type[ctypes.Structure]) -> Record:
        return Record(self, base, layout)

    def element(self, base: Any, index: Word, layout: type[ctypes.Structure]) -> Record:
        """Return one record of an array."""
        offset = self.b.mul(word(index), i64(ctypes.sizeof(layout)))
        return Record(self, self.at(base, offset), layout)

    @contextmanager
    def each(self, count: Any) -> Iterator[Any]:
        """Run the body for 0 <= index < count."""
        b = self.b
        before, head, body, after = b.block, self.block("each"), self.block("body"), self.block("after")
        b.branch(head)
        b.position_at_end(head)
        index = b.phi(i64)
        index.add_incoming(i64(0), before)
        b.cbranch(b.icmp_signed("<", index, count), body, after)
        b.position_at_end(body)
        yield index
        index.add_incoming(b.add(index, i64(1)), b.block)
        b.branch(head)
        b.position_at_end(after)

    @contextmanager
    def loop(self) -> Iterator[Any]:
        """Run the body for ever; branch to the yielded block to leave."""
        body, after = self.block("loop"), self.block("left")
        self.b.branch(body)
        self.b.position_at_end(body)
        yield after
        self.b.branch(body)
        self.b.position_at_end(after)

    def leave_if(self, condition: Any, to: Any) -> None:
        on = self.block("on")
        self.b.cbranch(condition, to, on)
        self.b.position_at_end(on)

    def is_(self, left: Any, relation: str, right: Word) -> Any:
        return self.b.icmp_signed(relation, left, word(right))

    def any_bit(self, value: Any, mask: Word) -> Any:
        return self.b.icmp_signed("!=", self.b.and_(value, word(mask)), i64(0))


class Record:
    """A ctypes structure in memory: `record["field"]` loads, `record["field"] = value` stores."""

    def __init__(self, fn: Function, base: Any, layout: type[ctypes.Structure]) -> None:
        self.fn = fn
        self.base = base
        self.layout = layout

    def _field(self, name: str) -> tuple[Any, Any]:
        field = getattr(self.layout, name)
        return self.fn.at(self.base, field.offset), ir.IntType(field.size * 8)

    def __getitem__(self, name: str) -> Any:
        address, of = self._field(name)
        return self.fn.load(address, of)

    def __setitem__(self, name: str, value: Word) -> None:
        address, of = self._field(name)
        self.fn.b.store(value if isinstance(value, ir.Value) else of(value), address)

    def pointer(self, name: str) -> Any:
        """Return what a field points to; it counts from the record's own start, wherever that is mapped."""
        return self.fn.at(self.base, self[name])

    def atomic(self, name: str, order: str = "acquire") -> Any:
        address, of = self._field(name)
        return self.fn.load_atomic(address, order, of)

    def publish(self, name: str, value: Word, order: str = "release") -> None:
        address, of = self._field(name)
        self.fn.store_atomic(value if isinstance(value, ir.Value) else of(value), address, order)

    def exchange(self, name: str, value: Word) -> Any:
        address, _ = self._field(name)
        return self.fn.b.atomic_rmw("xchg", address, word(value), "acq_rel")

    def swap_if(self, name: str, expected: Any, value: Any) -> Any:
        """Compare and set; returns whether it was set."""
        address, _ = self._field(name)
        pair = self.fn.b.cmpxchg(address, expected, value, "acq_rel", "acquire")
        return self.fn.b.extract_value(pair, 1)

    def add(self, name: str, amount: Word) -> Any:
        total = self.fn.b.add(self[name], word(amount))
        self[name] = total
        return total

    def greatest(self, name: str, value: Any) -> None:
        """Keep the greater of the field and the value."""
        b, old = self.fn.b, self[name]
        self[name] = b.select(b.icmp_signed(">", value, old), value, old)
