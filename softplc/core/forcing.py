"""Native code that forces variables: their values are written before and after each scan of a task."""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir

from softplc.core.emit import Function, Record, i64, pointer, void
from softplc.core.eventring import EventRing
from softplc.core.layout import FORCES, Control, Force, ForceTable, Kind

ENDED = -1
TABLE_SIZE = ctypes.sizeof(ForceTable) + FORCES * ctypes.sizeof(Force)


class Forcing:
    """Adds the functions to a module; `put` writes a raw pattern to a variable."""

    def __init__(self, module: ir.Module, put: Function, events: EventRing) -> None:
        self.module = module
        self._put = put
        self._events = events
        self.take = self._take()
        self.apply = self._apply()

    def table(self, fn: Function, control: Record, number: Any) -> Record:
        """Return the table of a number."""
        place = fn.b.mul(fn.b.and_(number, i64(1)), i64(TABLE_SIZE))
        return fn.record(fn.at(control.pointer("forces"), place), ForceTable)

    def _record(self, fn: Function, table: Record, index: Any) -> Record:
        return fn.element(fn.at(table.base, ctypes.sizeof(ForceTable)), index, Force)

    def _take(self) -> Function:
        """Go over to the newest table, and end what is over: (control, monotonic ns)."""
        fn = Function(self.module, "take_forces", void, pointer, i64, internal=True)
        b, now_ns = fn.b, fn.args[1]
        control = fn.record(fn.args[0], Control)
        number = control.atomic("force_wanted")
        control.publish("force_taken", number)
        table = self.table(fn, control, number)
        due_ns = table["due_ns"]
        with b.if_then(b.and_(fn.is_(due_ns, "!=", 0), fn.is_(due_ns, "<=", now_ns)), likely=False):
            table["due_ns"] = 0
            with fn.each(table["count"]) as index:
                force = self._record(fn, table, index)
                until_ns = force["until_ns"]
                over = fn.is_(until_ns, "<=", now_ns)
                with b.if_then(fn.is_(until_ns, "!=", 0)), b.if_else(over) as (ends, goes_on):
                    with ends:
                        force["until_ns"] = 0
                        force["kind"] = ENDED
                        control.add("forces_ended", 1)
                        self._events.note(fn, control, Kind.FORCE_ENDED, 0, now_ns, force["number"])
                    with goes_on:
                        next_ns = table["due_ns"]
                        sooner = b.or_(fn.is_(next_ns, "==", 0), fn.is_(until_ns, "<", next_ns))
                        table["due_ns"] = b.select(sooner, until_ns, next_ns)
        b.ret_void()
        return fn

    def _apply(self) -> Function:
        """Write what is forced into the image: (control)."""
        fn = Function(self.module, "apply_forces", void, pointer, internal=True)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        table, image = self.table(fn, control, control["force_taken"]), control.pointer("image")
        with fn.each(table["count"]) as index:
            force = self._record(fn, table, index)
            fn.call(self._put, image, force["offset"], force["kind"], force["bit"], force["raw"])
        b.ret_void()
        return fn
