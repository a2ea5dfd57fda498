"""Native code between tags and image: latch, gather, snapshots, pending writes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from softplc.core import kinds
from softplc.core.emit import Function, f32, f64, i8, i16, i32, i64, pointer, void
from softplc.core.layout import FRESH, RING, WRITES, Control, ImageHead, Slot, Snapshot, Write

_TRIES = 1000
_INTEGER = {
    kinds.I8: (i8, True), kinds.U8: (i8, False), kinds.I16: (i16, True), kinds.U16: (i16, False),
    kinds.I32: (i32, True), kinds.U32: (i32, False), kinds.I64: (i64, True),
}  # fmt: skip


class Exchange:
    """Adds the exchange functions to a module."""

    def __init__(self, module: ir.Module) -> None:
        self.module = module
        self.copy = ir.Function(module, ir.FunctionType(pointer, [pointer, pointer, i64]), "memcpy")
        self.get = self._get()
        self.put = self._put()
        self.write_inputs = self._write_inputs()
        self.latch = self._latch()
        self.push_writes = self._push_writes()
        self.take_writes = self._take_writes()
        self.publish = self._publish()
        self.read_snapshot = self._read_snapshot()
        self.collect = self._collect()

    def _each_kind(self, fn: Function, kind: Any, access: Callable[[int], Any]) -> Any:
        """Branch on a kind; returns the phi of what `access` gives in each, or nothing."""
        b = fn.b
        done, other = fn.block("done"), fn.block("other")
        switch = b.switch(kind, other)
        results = []
        for number in range(kinds.F64 + 1):
            case = fn.block(f"kind{number}")
            switch.add_case(i64(number), case)
            b.position_at_end(case)
            value = access(number)
            results.append((value, b.block))
            b.branch(done)
        b.position_at_end(other)
        b.branch(done)
        b.position_at_end(done)
        if results[0][0] is None:
            return None
        phi = b.phi(i64)
        for value, block in results:
            phi.add_incoming(value, block)
        phi.add_incoming(i64(0), other)
        return phi

    def _get(self) -> Function:
        """Read a variable as a raw pattern: (image, offset, kind, bit)."""
        fn = Function(self.module, "get", i64, pointer, i64, i64, i64, internal=True)
        b = fn.b
        image, offset, kind, bit = fn.args
        place = fn.at(image, offset)

        def access(number: int) -> Any:
            if number == kinds.BYTE_BOOL:
                return b.zext(b.icmp_signed("!=", fn.load(place, i8), i8(0)), i64)
            if number == kinds.BIT:
                return b.and_(b.lshr(b.zext(fn.load(place, i8), i64), bit), i64(1))
            if number == kinds.F32:
                return b.bitcast(b.fpext(fn.load(place, f32), f64), i64)
            if number == kinds.F64:
                return fn.load(place, i64)
            of, signed = _INTEGER[number]
            value = fn.load(place, of)
            return value if of is i64 else (b.sext if signed else b.zext)(value, i64)

        b.ret(self._each_kind(fn, kind, access))
        return fn

    def _put(self) -> Function:
        """Write a raw pattern to a variable: (image, offset, kind, bit, raw)."""
        fn = Function(self.module, "put", void, pointer, i64, i64, i64, i64, internal=True)
        b = fn.b
        image, offset, kind, bit, raw = fn.args
        place = fn.at(image, offset)

        def access(number: int) -> Any:
            if number == kinds.BYTE_BOOL:
                b.store(b.zext(b.icmp_signed("!=", raw, i64(0)), i8), place)
            elif number == kinds.BIT:
                mask = b.trunc(b.shl(i64(1), bit), i8)
                value = b.trunc(b.shl(b.and_(raw, i64(1)), bit), i8)
                b.store(b.or_(b.and_(fn.load(place, i8), b.not_(mask)), value), place)
            elif number == kinds.F32:
                b.store(b.fptrunc(b.bitcast(raw, f64), f32), place)
            else:
                of = _INTEGER[number][0] if number in _INTEGER else i64
                b.store(raw if of is i64 else b.trunc(raw, of), place)

        self._each_kind(fn, kind, access)
        b.ret_void()
        return fn

    def _write_inputs(self) -> Function:
        """Take the first `n` staged rows: (control, n) -> rows held back for bad quality.

        The writer owns the buffer `filling`; when it is complete, one exchange hands it over
        and takes an idle one back.
        """
        fn = Function(self.module, "iw_write_inputs", i64, pointer, i64)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        held = b.alloca(i64)
        held.type = pointer
        b.store(i64(0), held)
        ids, raws, qualities = (control.pointer(name) for name in ("in_ids", "in_raw", "in_quality"))
        keys, master, key_count = control.pointer("keys"), control.pointer("master"), control["key_count"]
        with fn.each(fn.args[1]) as row:
            key = b.sext(fn.load(fn.at(ids, row, i32), i32), i64)
            with b.if_then(b.icmp_unsigned("<", key, key_count)):
                slot = b.sext(fn.load(fn.at(keys, key, i32), i32), i64)
                with b.if_then(fn.is_(slot, ">=", 0)):
                    bad = b.icmp_signed("<", fn.load(fn.at(qualities, row, i32), i32), i32(0))
                    with b.if_else(bad) as (held_back, taken):
                        with held_back:
                            b.store(b.add(fn.load(held), i64(1)), held)
                        with taken:
                            b.store(fn.load(fn.at(raws, row, i64)), fn.at(master, slot, i64))
        size = b.mul(control["input_count"], i64(8))
        buffer = fn.at(control.pointer("buffers"), b.mul(control["filling"], size))
        fn.call(self.copy, buffer, master, size)
        old = control.exchange("ready", b.or_(control["filling"], i64(FRESH)))
        control["filling"] = b.and_(old, i64(3))
        count = fn.load(held)
        control.add("held", count)
        b.ret(count)
        return fn

    def _latch(self) -> Function:
        """Copy the newest complete inputs into the image: (control)."""
        fn = Function(self.module, "latch", void, pointer, internal=True)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        with b.if_then(fn.any_bit(control.atomic("ready", "monotonic"), FRESH)):
            old = control.exchange("ready", control["latched"])
            control["latched"] = b.and_(old, i64(3))
        count, image = control["input_count"], control.pointer("image")
        size = b.mul(count, i64(8))
        buffer = fn.at(control.pointer("buffers"), b.mul(control["latched"], size))
        slots = control.pointer("inputs")
        with fn.each(count) as index:
            slot = fn.element(slots, index, Slot)
            raw = fn.load(fn.at(buffer, index, i64))
            fn.call(self.put, image, slot["offset"], slot["kind"], slot["bit"], raw)
        b.ret_void()
        return fn

    def _push_writes(self) -> Function:
        """Queue writes that one scan takes together: (control, writes, n) -> the last number, or -1: full."""
        fn = Function(self.module, "iw_push_writes", i64, pointer, pointer, i64)
        b = fn.b
        control, count = fn.record(fn.args[0], Control), fn.args[2]
        head = control["write_head"]
        number = b.add(head, count)
        with b.if_then(fn.is_(b.sub(number, control.atomic("write_tail")), ">", WRITES)):
            b.ret(i64(-1))
        writes = control.pointer("writes")
        with fn.each(count) as step:
            given = fn.element(fn.args[1], step, Write)
            write = fn.element(writes, b.and_(b.add(head, step), i64(WRITES - 1)), Write)
            for name in ("offset", "kind", "bit", "raw"):
                write[name] = given[name]
        control.publish("write_head", number)
        b.ret(number)
        return fn

    def _take_writes(self) -> Function:
        """Apply the queued writes to the image: (control) -> the last one's number, for `write_tail`."""
        fn = Function(self.module, "take_writes", i64, pointer, internal=True)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        head, tail = control.atomic("write_head"), control["write_tail"]
        writes, image = control.pointer("writes"), control.pointer("image")
        with fn.each(b.sub(head, tail)) as step:
            index = b.and_(b.add(tail, step), i64(WRITES - 1))
            write = fn.element(writes, index, Write)
            fn.call(self.put, image, write["offset"], write["kind"], write["bit"], write["raw"])
        b.ret(head)
        return fn

    def _publish(self) -> Function:
        """Gather the outputs into the next snapshot: (control, at_ns)."""
        fn = Function(self.module, "publish", void, pointer, i64, internal=True)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        number = b.add(control["latest"], i64(1))
        place = b.mul(b.and_(number, i64(RING - 1)), control["ring_stride"])
        base = fn.at(control.pointer("ring"), place)
        snapshot = fn.record(base, Snapshot)
        sequence = b.shl(number, i64(1))
        snapshot.publish("sequence", b.sub(sequence, i64(1)), "monotonic")
        b.fence("release")
        faults = control["fault_mask"]
        snapshot["at_ns"] = fn.args[1]
        snapshot["scans"] = control["scans"]
        snapshot["writes_taken"] = control["write_tail"]
        snapshot["fault_mask"] = faults
        released = b.and_(faults, b.not_(control["hold_mask"]))
        image, slots = control.pointer("image"), control.pointer("outputs")
        values = fn.at(base, ctypes.sizeof(Snapshot))
        with fn.each(control["output_count"]) as index:
            slot = fn.element(slots, index, Slot)
            raw = fn.call(self.get, image, slot["offset"], slot["kind"], slot["bit"])
            stopped = fn.any_bit(slot["mask"], released)
            b.store(b.select(stopped, slot["safe"], raw), fn.at(values, index, i64))
        snapshot.publish("sequence", sequence)
        control.publish("latest", number)
        b.ret_void()
        return fn

    def _read_snapshot(self) -> Function:
        """Copy the newest snapshot, whole: (control, to) -> its number, 0 if none, -1 if it kept changing."""
        fn = Function(self.module, "iw_read_snapshot", i64, pointer, pointer)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        stride, ring = control["ring_stride"], control.pointer("ring")
        with fn.each(i64(_TRIES)):
            number = control.atomic("latest")
            with b.if_then(fn.is_(number, "==", 0)):
                b.ret(i64(0))
            base = fn.at(ring, b.mul(b.and_(number, i64(RING - 1)), stride))
            snapshot = fn.record(base, Snapshot)
            before = snapshot.atomic("sequence")
            with b.if_then(fn.is_(before, "==", b.shl(number, i64(1)))):
                fn.call(self.copy, fn.args[1], base, stride)
                b.fence("acquire")
                with b.if_then(fn.is_(snapshot.atomic("sequence", "monotonic"), "==", before)):
                    b.ret(number)
            control.add("retries", 1)
        b.ret(i64(-1))
        return fn

    def _collect(self) -> Function:
        """Stage the outputs that differ from those last collected: (control) -> how many."""
        fn = Function(self.module, "iw_collect", i64, pointer)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        with b.if_then(fn.is_(control.atomic("latest"), "==", control["collected"])):
            b.ret(i64(0))
        scratch = control.pointer("scratch")
        number = fn.call(self.read_snapshot, fn.args[0], scratch)
        with b.if_then(fn.is_(number, "<=", 0)):
            b.ret(i64(0))
        control["collected"] = number
        snapshot = fn.record(scratch, Snapshot)
        values = fn.at(scratch, ctypes.sizeof(Snapshot))
        faults = snapshot["fault_mask"]
        control["collected_faults"] = faults
        at_ns = b.add(snapshot["at_ns"], control["source_offset_ns"])
        slots = control.pointer("outputs")
        shown_raw, shown_quality = control.pointer("shown_raw"), control.pointer("shown_quality")
        ids, raws, qualities, times = (
            control.pointer(name) for name in ("out_ids", "out_raw", "out_quality", "out_at")
        )
        rows = b.alloca(i64)
        rows.type = pointer
        b.store(i64(0), rows)
        with fn.each(control["output_count"]) as index:
            slot = fn.element(slots, index, Slot)
            raw = fn.load(fn.at(values, index, i64))
            stopped = fn.any_bit(slot["mask"], faults)
            quality = b.trunc(b.select(stopped, slot["quality"], slot["running_quality"]), i32)
            old_raw, old_quality = fn.at(shown_raw, index, i64), fn.at(shown_quality, index, i32)
            changed = b.or_(
                b.icmp_signed("!=", raw, fn.load(old_raw)),
                b.icmp_signed("!=", quality, fn.load(old_quality, i32)),
            )
            with b.if_then(changed):
                row = fn.load(rows)
                b.store(b.trunc(slot["key"], i32), fn.at(ids, row, i32))
                b.store(raw, fn.at(raws, row, i64))
                b.store(quality, fn.at(qualities, row, i32))
                b.store(at_ns, fn.at(times, row, i64))
                b.store(raw, old_raw)
                b.store(quality, old_quality)
                b.store(b.add(row, i64(1)), rows)
        b.ret(fn.load(rows))
        return fn


def image_head(fn: Function, control: Any) -> Any:
    """Return the head of the program's image."""
    return fn.record(control.pointer("image"), ImageHead)
