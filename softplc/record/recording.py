"""Native code that records each scan into the ring of its block; it never waits for who takes it out."""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir

from softplc.core.emit import Function, Record, i64, pointer, void
from softplc.core.exchange import Exchange, image_head
from softplc.core.forcing import Forcing
from softplc.core.layout import FORCES, WRITES, Control, Force, ForceTable, Task, Write
from softplc.faults import Fault
from softplc.record.words import (
    ABORTED,
    AFTER_FAULT,
    AFTER_GAP,
    ASKED,
    FAULT_WORDS,
    FAULTED,
    FORCE_WORDS,
    FORCED,
    INPUT_WORDS,
    KEY,
    NO_INPUTS_WORDS,
    PAD,
    PERIODIC,
    RETURNED,
    SCAN,
    SCAN_WORDS,
    KeyHead,
    RecordHead,
)

_KEY_WORDS = ctypes.sizeof(KeyHead) // 8
_FORCE_SIZE = ctypes.sizeof(Force)
_SCAN_MOST = NO_INPUTS_WORDS + 1 + FORCES * FORCE_WORDS


class Recording:
    """Adds the functions to a module; without a record they cost a comparison."""

    def __init__(self, module: ir.Module, exchange: Exchange, forcing: Forcing) -> None:
        self.module = module
        self._copy, self._forcing = exchange.copy, forcing
        self._room = self._reserving()
        self._key = self._keying()
        self._begin = self._beginning()
        self._note = self._noting()
        self._end = self._ending()
        self._serve = self._serving()

    def begin(self, fn: Function, control: Record) -> None:
        """Before a scan: open a record of it."""
        with fn.b.if_then(fn.is_(control["record"], "!=", 0)):
            fn.call(self._begin, control.base)

    def note(self, fn: Function, control: Record, task: Record, now_ns: Any, taken: Any) -> None:
        """Before the program runs: note what the scan took; `taken` is the number of its last write."""
        with fn.b.if_then(fn.is_(control["record"], "!=", 0)):
            fn.call(self._note, control.base, task.base, now_ns, taken)

    def end(self, fn: Function, control: Record, task: Record, code: Any) -> None:
        """After a scan: let the record have it, with its fault."""
        with fn.b.if_then(fn.is_(control["record"], "!=", 0)):
            fn.call(self._end, control.base, task.base, code)

    def serve(self, fn: Function, control: Record) -> None:
        """While there is time: write a key that is due or asked for."""
        with fn.b.if_then(fn.is_(control["record"], "!=", 0)):
            fn.call(self._serve, control.base)

    @staticmethod
    def _head(fn: Function, control: Record) -> Record:
        return fn.record(control.pointer("record"), RecordHead)

    @staticmethod
    def _place(fn: Function, head: Record, position: Any) -> Any:
        return fn.at(head.pointer("ring"), fn.b.srem(position, head["capacity"]), i64)

    def _reserving(self) -> Function:
        """Find room for so many words in one piece: (record, words) -> where they begin, or -1."""
        fn = Function(self.module, "record_room", i64, pointer, i64, internal=True)
        b, count = fn.b, fn.args[1]
        head = fn.record(fn.args[0], RecordHead)
        at, capacity = head["head"], head["capacity"]
        left = b.sub(capacity, b.srem(at, capacity))
        wraps = fn.is_(left, "<", count)
        skipped = b.select(wraps, left, i64(0))
        free = b.sub(capacity, b.sub(at, head.atomic("tail")))
        with b.if_then(fn.is_(free, "<", b.add(skipped, count)), likely=False):
            b.ret(i64(-1))
        with b.if_then(wraps, likely=False):
            b.store(i64(PAD), self._place(fn, head, at))
        b.ret(b.add(at, skipped))
        return fn

    def _keying(self) -> Function:
        """Write a key, if there is room: (control, reason)."""
        fn = Function(self.module, "record_key", void, pointer, i64, internal=True)
        b, reason = fn.b, fn.args[1]
        control = fn.record(fn.args[0], Control)
        head, image = self._head(fn, control), image_head(fn, control)
        table = self._forcing.table(fn, control, control["force_taken"])
        tasks, inputs, forces = control["task_count"], control["input_count"], table["count"]
        image_words = b.sdiv(b.add(control["image_size"], i64(7)), i64(8))
        size = i64(_KEY_WORDS)
        for part in (tasks, inputs, b.mul(forces, i64(FORCE_WORDS)), image_words):
            size = b.add(size, part)
        start = fn.call(self._room, head.base, size)
        with b.if_then(fn.is_(start, "<", 0), likely=False):
            b.ret_void()
        base = self._place(fn, head, start)
        key = fn.record(base, KeyHead)
        for name, value in (
            ("kind", i64(KEY)), ("size", size), ("reason", reason), ("scans", control["scans"]),
            ("fault_mask", control["fault_mask"]), ("lost", head["lost"]), ("taken", control["write_tail"]),
            ("forces", forces), ("inputs", inputs), ("image", control["image_size"]), ("tasks", tasks),
            ("address", b.ptrtoint(image.base, i64)),
        ):  # fmt: skip
            key[name] = value
        to: Any = fn.at(base, _KEY_WORDS, i64)
        with fn.each(tasks) as index:
            task = fn.element(control.pointer("tasks"), index, Task)
            b.store(task["last_ns"], fn.at(to, index, i64))
        to = fn.at(to, tasks, i64)
        bytes_ = b.mul(inputs, i64(8))
        latched = fn.at(control.pointer("buffers"), b.mul(control["latched"], bytes_))
        fn.call(self._copy, to, latched, bytes_)
        fn.call(self._copy, head.pointer("noted"), latched, bytes_)
        to = fn.at(to, inputs, i64)
        fn.call(self._copy, to, fn.at(table.base, ctypes.sizeof(ForceTable)), b.mul(forces, i64(_FORCE_SIZE)))
        to = fn.at(to, b.mul(forces, i64(FORCE_WORDS)), i64)
        b.store(i64(0), fn.at(to, b.sub(image_words, i64(1)), i64))
        fn.call(self._copy, to, control.pointer("image"), control["image_size"])
        head["latched"] = control["latched"]
        head["forces"], head["ended"] = control["force_taken"], control["forces_ended"]
        head["lost"] = head["reason"] = 0
        head["due_ns"] = b.add(image["now_ns"], head["every_ns"])
        head.publish("head", b.add(start, size))
        b.ret_void()
        return fn

    def _beginning(self) -> Function:
        """Open a record: (control)."""
        fn = Function(self.module, "record_begin", void, pointer, internal=True)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        head, image = self._head(fn, control), image_head(fn, control)
        head["open"] = 0
        with b.if_then(fn.is_(head["reason"], "!=", 0), likely=False):
            used = b.sub(head["head"], head.atomic("tail"))  # after a gap, not for one scan only
            roomy = fn.is_(b.mul(used, i64(2)), "<=", head["capacity"])
            with b.if_then(b.or_(roomy, b.icmp_signed("!=", head["reason"], i64(AFTER_GAP)))):
                fn.call(self._key, control.base, head["reason"])
        late = fn.is_(b.sub(image["now_ns"], head["due_ns"]), ">=", b.sdiv(head["every_ns"], i64(2)))
        with b.if_then(b.and_(late, fn.is_(head["reason"], "==", 0)), likely=False):  # it has never had time
            fn.call(self._key, control.base, i64(PERIODIC))
        size = b.add(b.mul(control["input_count"], i64(INPUT_WORDS)), i64(_SCAN_MOST))
        start = fn.call(self._room, head.base, size)
        full = b.or_(fn.is_(start, "<", 0), fn.is_(head["reason"], "!=", 0))
        with b.if_then(full, likely=False):
            for name in ("lost", "lost_ever"):
                head.add(name, 1)
            head["reason"] = AFTER_GAP
            b.ret_void()
        head["start"] = start
        head["open"] = 1
        b.ret_void()
        return fn

    def _noting(self) -> Function:
        """Note what a scan took: (control, task, now_ns, number of its last write)."""
        fn = Function(self.module, "record_note", void, pointer, pointer, i64, i64, internal=True)
        b, now_ns, taken = fn.b, fn.args[2], fn.args[3]
        control, task = fn.record(fn.args[0], Control), fn.record(fn.args[1], Task)
        head, image = self._head(fn, control), image_head(fn, control)
        at, flags = b.alloca(i64), b.alloca(i64)
        at.type = flags.type = pointer
        b.store(i64(SCAN_WORDS), at)
        b.store(i64(0), flags)
        with b.if_then(fn.is_(head["open"], "==", 0), likely=False):
            b.ret_void()
        base = self._place(fn, head, head["start"])

        def put(*values: Any) -> None:
            place = fn.load(at)
            for number, value in enumerate(values):
                b.store(value, fn.at(base, b.add(place, i64(number)), i64))
            b.store(b.add(place, i64(len(values))), at)

        written, tail = b.sub(taken, control["write_tail"]), control["write_tail"]
        with fn.each(written) as step:
            index = b.and_(b.add(tail, step), i64(WRITES - 1))
            write = fn.element(control.pointer("writes"), index, Write)
            where = b.or_(b.shl(write["kind"], i64(8)), write["bit"])
            put(b.or_(b.shl(write["offset"], i64(16)), where), write["raw"])
        with b.if_then(b.icmp_signed("!=", control["latched"], head["latched"]), likely=False):
            head["latched"] = control["latched"]
            size = b.mul(control["input_count"], i64(8))
            latched = fn.at(control.pointer("buffers"), b.mul(control["latched"], size))
            noted = head.pointer("noted")
            with fn.each(control["input_count"]) as index:
                raw, before = fn.load(fn.at(latched, index, i64)), fn.at(noted, index, i64)
                with b.if_then(b.icmp_signed("!=", raw, fn.load(before)), likely=False):
                    put(index, raw)
                    b.store(raw, before)
        changed = b.sdiv(b.sub(b.sub(fn.load(at), i64(SCAN_WORDS)), b.mul(written, i64(2))), i64(2))
        other = b.icmp_signed("!=", control["force_taken"], head["forces"])
        ended = b.icmp_signed("!=", control["forces_ended"], head["ended"])
        with b.if_then(b.or_(other, ended), likely=False):
            table = self._forcing.table(fn, control, control["force_taken"])
            count = table["count"]
            put(count)
            size, place = b.mul(count, i64(FORCE_WORDS)), fn.load(at)
            fn.call(
                self._copy, fn.at(base, place, i64), fn.at(table.base, ctypes.sizeof(ForceTable)),
                b.mul(count, i64(_FORCE_SIZE)),
            )  # fmt: skip
            b.store(b.add(place, size), at)
            head["forces"], head["ended"] = control["force_taken"], control["forces_ended"]
            b.store(i64(FORCED << 4), flags)
        tasks = b.ptrtoint(control.pointer("tasks"), i64)
        which = b.sdiv(b.sub(b.ptrtoint(task.base, i64), tasks), i64(ctypes.sizeof(Task)))
        first = b.or_(fn.load(flags), i64(SCAN))
        for value, shift in ((which, 8), (written, 16), (changed, 32)):
            first = b.or_(first, b.shl(value, i64(shift)))
        b.store(first, base)
        b.store(b.sub(now_ns, image["now_ns"]), fn.at(base, 1, i64))
        head["at"] = b.add(head["start"], fn.load(at))
        b.ret_void()
        return fn

    def _ending(self) -> Function:
        """Publish a record, and after a fault a key: (control, task, fault code)."""
        fn = Function(self.module, "record_end", void, pointer, pointer, ir.IntType(32), internal=True)
        b, code = fn.b, fn.args[2]
        control, task = fn.record(fn.args[0], Control), fn.record(fn.args[1], Task)
        head = self._head(fn, control)
        faulted = b.icmp_signed("!=", code, ir.IntType(32)(0))
        with b.if_then(fn.is_(head["open"], "!=", 0), likely=True):
            head["open"] = 0
            with b.if_then(faulted, likely=False):
                base = self._place(fn, head, head["start"])
                aborted = b.icmp_signed("==", code, ir.IntType(32)(Fault.WATCHDOG))
                flags = b.select(aborted, i64((FAULTED | ABORTED) << 4), i64(FAULTED << 4))
                b.store(b.or_(fn.load(base), flags), base)
                to = fn.at(base, b.sub(head["at"], head["start"]), i64)
                for number, name in enumerate(("fault_code", "fault_line", "fault_file")):
                    b.store(task[name], fn.at(to, number, i64))
                head.add("at", FAULT_WORDS)
            head.publish("head", head["at"])
            with b.if_then(faulted, likely=False):
                head["reason"] = AFTER_FAULT
                fn.call(self._key, control.base, i64(AFTER_FAULT))
        b.ret_void()
        return fn

    def _serving(self) -> Function:
        """Write a key that is due, or asked for: (control)."""
        fn = Function(self.module, "record_serve", void, pointer, internal=True)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        head, image = self._head(fn, control), image_head(fn, control)
        asked = head.atomic("asked")
        wanted = fn.is_(asked, "!=", head["keyed"])
        due = fn.is_(image["now_ns"], ">=", head["due_ns"])
        whole = fn.is_(head["reason"], "==", 0)
        with b.if_then(b.and_(whole, b.or_(wanted, due)), likely=False):
            fn.call(self._key, control.base, b.select(wanted, i64(ASKED), i64(PERIODIC)))
            head["keyed"] = asked
        b.ret_void()
        return fn

    def came_back(self, fn: Function, control: Record) -> None:
        """Another block was scanned meanwhile: the next record begins with a key."""
        with fn.b.if_then(fn.is_(control["record"], "!=", 0)):
            self._head(fn, control)["reason"] = RETURNED
