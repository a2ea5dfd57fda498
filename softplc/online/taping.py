"""Native code that keeps what each scan took and gave, for a rehearsal on the same inputs."""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir

from softplc.core.emit import Function, Record, i64, pointer, void
from softplc.core.exchange import Exchange, image_head
from softplc.core.layout import RING, Control, Snapshot, Task
from softplc.online.records import TapeHead, TapeRecord


class Taping:
    """Adds the functions to a module; without a tape they cost a comparison."""

    def __init__(self, module: ir.Module, exchange: Exchange) -> None:
        self.module = module
        self._copy = exchange.copy
        self._open = self._opening()
        self._note = self._noting()

    def begin(self, fn: Function, control: Record) -> None:
        """Before a scan: keep the image, should this be the tape's first one."""
        with fn.b.if_then(fn.is_(control.atomic("tape"), "!=", 0), likely=False):
            fn.call(self._open, control.base)

    def end(self, fn: Function, control: Record, task: Record) -> None:
        """After a scan: keep its time, inputs and outputs."""
        with fn.b.if_then(fn.is_(control["tape"], "!=", 0), likely=False):
            fn.call(self._note, control.base, task.base)

    @staticmethod
    def _tape(fn: Function, control: Record) -> Record:
        return fn.record(fn.b.inttoptr(control["tape"], pointer), TapeHead)

    def _opening(self) -> Function:
        """Keep the image before the first scan: (control)."""
        fn = Function(self.module, "open_tape", void, pointer, internal=True)
        control = fn.record(fn.args[0], Control)
        tape = self._tape(fn, control)
        with fn.b.if_then(fn.is_(tape["count"], "==", 0)):
            fn.call(self._copy, tape.pointer("image"), control.pointer("image"), control["image_size"])
            tape["taken"] = control["write_tail"]
        fn.b.ret_void()
        return fn

    def _noting(self) -> Function:
        """Keep a scan: (control, task)."""
        fn = Function(self.module, "note_scan", void, pointer, pointer, internal=True)
        b = fn.b
        control, task = fn.record(fn.args[0], Control), fn.record(fn.args[1], Task)
        tape = self._tape(fn, control)
        count = tape["count"]
        with b.if_then(fn.is_(count, ">=", tape["capacity"])):
            b.ret_void()
        base = fn.at(tape.pointer("records"), b.mul(count, tape["stride"]))
        record, image = fn.record(base, TapeRecord), image_head(fn, control)
        record["task"] = task["mask"]
        record["now_ns"] = image["now_ns"]
        record["dt_ns"] = image["dt_ns"]
        record["scans"] = control["scans"]
        record["writes_taken"] = control["write_tail"]
        place: Any = fn.at(base, ctypes.sizeof(TapeRecord))
        size = b.mul(control["input_count"], i64(8))
        latched = fn.at(control.pointer("buffers"), b.mul(control["latched"], size))
        fn.call(self._copy, place, latched, size)
        slot = b.mul(b.and_(control["latest"], i64(RING - 1)), control["ring_stride"])
        shown = fn.at(control.pointer("ring"), b.add(slot, i64(ctypes.sizeof(Snapshot))))
        fn.call(self._copy, fn.at(place, size), shown, b.mul(control["output_count"], i64(8)))
        tape.publish("count", b.add(count, i64(1)))
        b.ret_void()
        return fn
