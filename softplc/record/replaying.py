"""Native code that runs recorded scans again."""

from __future__ import annotations

import ctypes

from llvmlite import ir

from softplc.core.emit import Function, i8, i64, pointer
from softplc.core.exchange import Exchange, image_head
from softplc.core.forcing import Forcing
from softplc.core.layout import Control, ForceTable, Range, Task
from softplc.record.words import ABORTED, FAULT_WORDS, FAULTED, FORCE_WORDS, FORCED, SCAN, SCAN_WORDS


def add_replay(
    module: ir.Module, exchange: Exchange, forcing: Forcing, activate: Function, now: Function
) -> None:
    """Run scans until words, or a number of scans, or a watched range has changed.

    (control, words, how many, scans, whether it watches) -> words done. It stops before what is no scan.
    """
    changed = _changes(module, exchange)
    fn = Function(module, "iw_replay", i64, pointer, pointer, i64, i64, i64)
    b = fn.b
    base, words, count, until, watching = fn.args
    control = fn.record(base, Control)
    image = image_head(fn, control)
    done, at = (b.alloca(i64) for _ in range(2))
    done.type = at.type = pointer
    b.store(i64(0), done)
    with fn.loop() as left:
        fn.leave_if(fn.is_(fn.load(done), ">=", count), left)
        fn.leave_if(fn.is_(control["scans"], ">=", until), left)
        scan = fn.at(words, fn.load(done), i64)
        first = fn.load(scan)
        fn.leave_if(b.icmp_signed("!=", b.and_(first, i64(15)), i64(SCAN)), left)

        def field(shift: int, mask: int) -> ir.Value:
            return b.and_(b.lshr(first, i64(shift)), i64(mask))

        now_ns = b.add(image["now_ns"], fn.load(fn.at(scan, 1, i64)))
        task = fn.element(control.pointer("tasks"), field(8, 255), Task)
        place = fn.at(scan, SCAN_WORDS, i64)
        writes = field(16, 0xFFFF)
        with fn.each(writes) as index:
            where = fn.load(fn.at(place, b.mul(index, i64(2)), i64))
            raw = fn.load(fn.at(place, b.add(b.mul(index, i64(2)), i64(1)), i64))
            kind, bit = b.and_(b.lshr(where, i64(8)), i64(255)), b.and_(where, i64(255))
            fn.call(exchange.put, image.base, b.lshr(where, i64(16)), kind, bit, raw)
        for name in ("write_head", "write_tail"):
            control.add(name, writes)
        inputs = field(32, 0xFFFF_FFFF)
        latched = b.mul(control["latched"], b.mul(control["input_count"], i64(8)))
        buffer = fn.at(control.pointer("buffers"), latched)
        place = fn.at(place, b.mul(writes, i64(2)), i64)
        with fn.each(inputs) as index:
            which = fn.load(fn.at(place, b.mul(index, i64(2)), i64))
            raw = fn.load(fn.at(place, b.add(b.mul(index, i64(2)), i64(1)), i64))
            b.store(raw, fn.at(buffer, which, i64))
        size = b.add(i64(SCAN_WORDS), b.mul(b.add(writes, inputs), i64(2)))
        b.store(size, at)
        with b.if_then(fn.any_bit(first, FORCED << 4), likely=False):
            table = forcing.table(fn, control, control["force_taken"])
            forces = fn.load(fn.at(scan, size, i64))
            table["count"], table["due_ns"] = forces, i64(0)
            source = fn.at(scan, b.add(size, i64(1)), i64)
            length = b.mul(forces, i64(FORCE_WORDS))
            to = fn.at(table.base, ctypes.sizeof(ForceTable))
            fn.call(exchange.copy, to, source, b.mul(length, i64(8)))
            b.store(b.add(b.add(size, i64(1)), length), at)
        with b.if_then(fn.any_bit(first, FAULTED << 4), likely=False):
            b.store(b.add(fn.load(at), i64(FAULT_WORDS)), at)
        with b.if_else(fn.any_bit(first, ABORTED << 4), likely=False) as (aborted, whole):
            with aborted:  # where the watchdog ended it depends on the machine: the key that follows tells
                control.add("scans", 1)
                task["last_ns"] = now_ns
                image["now_ns"] = now_ns
                control["fault_mask"] = b.or_(control["fault_mask"], task["mask"])
            with whole:
                fn.call(activate, base, task.base, fn.call(now), now_ns, now_ns)
        b.store(b.add(fn.load(done), fn.load(at)), done)
        with b.if_then(fn.is_(watching, "!=", 0)):
            other = fn.call(changed, base)
            fn.leave_if(fn.is_(other, "!=", 0), left)
    b.ret(fn.load(done))


def _changes(module: ir.Module, exchange: Exchange) -> Function:
    """Tell whether watched ranges differ from what they were when this was asked last: (control)."""
    compare = ir.Function(module, ir.FunctionType(ir.IntType(32), [pointer, pointer, i64]), "memcmp")
    fn = Function(module, "watched_changed", i64, pointer, internal=True)
    b = fn.b
    control = fn.record(fn.args[0], Control)
    to, found = b.alloca(pointer), b.alloca(i64)
    to.type = found.type = pointer
    b.store(control.pointer("watched"), to)
    b.store(i64(0), found)
    with fn.each(control["watch_count"]) as index:
        part = fn.element(control.pointer("watch"), index, Range)
        place, kept = fn.at(control.pointer("image"), part["offset"]), fn.load(to, pointer)
        other = fn.call(compare, kept, place, part["size"])
        with b.if_then(b.icmp_signed("!=", other, ir.IntType(32)(0))):
            b.store(i64(1), found)
            control["watch_scans"] = control["scans"]
            fn.call(exchange.copy, kept, place, part["size"])
        b.store(fn.at(kept, part["size"], i8), to)
    b.ret(fn.load(found))
    return fn
