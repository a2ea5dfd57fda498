"""Native code that notes what happens in the loop, in a ring that nobody waits for."""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir

from softplc.core.emit import Function, Record, Word, i64, pointer, void, word
from softplc.core.layout import EVENTS, Control, EventRecord

_LETTERS = ("a", "b", "c", "d", "e", "f", "g")
_SIZE = EVENTS * ctypes.sizeof(EventRecord)


class EventRing:
    """Adds the functions to a module; `copy` is memcpy. Only the thread of the loop notes."""

    def __init__(self, module: ir.Module, copy: Any) -> None:
        self.module = module
        self._copy = copy
        self._begin = self._beginning()
        self.carry = self._carry()
        self._read()

    def note(
        self, fn: Function, control: Record, kind: Word, task: Word, at_ns: Word, *letters: Word
    ) -> None:
        """Note an event; the letters that are not given are 0."""
        record = fn.record(fn.call(self._begin, control.base), EventRecord)
        number = fn.b.add(control["event_head"], i64(1))
        record["number"], record["kind"], record["task"] = number, kind, task
        record["scans"], record["at_ns"] = control["scans"], at_ns
        for name, value in zip(_LETTERS, (*letters, *[0] * len(_LETTERS)), strict=False):
            record[name] = word(value)
        control.publish("event_head", number)

    def _beginning(self) -> Function:
        """Return the place of the next event, after what was published before: (control)."""
        fn = Function(self.module, "next_event", pointer, pointer, internal=True)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        number = b.add(control["event_head"], i64(1))
        b.fence("release")  # a reader that sees a part of this event sees that the one before is there
        b.ret(fn.element(control.pointer("events"), b.and_(number, i64(EVENTS - 1)), EventRecord).base)
        return fn

    def _carry(self) -> Function:
        """Let another block go on with the ring: (control, next control)."""
        fn = Function(self.module, "carry_events", void, pointer, pointer, internal=True)
        control, after = (fn.record(each, Control) for each in fn.args)
        fn.call(self._copy, after.pointer("events"), control.pointer("events"), _SIZE)
        for name in ("events_read", "stale_told"):
            after[name] = control[name]
        after.publish("event_head", control["event_head"])
        fn.b.ret_void()
        return fn

    def _read(self) -> None:
        """Copy the ring: (control, to) -> the newest event behind that; its place was being written."""
        fn = Function(self.module, "iw_read_events", i64, pointer, pointer)
        control = fn.record(fn.args[0], Control)
        fn.call(self._copy, fn.args[1], control.pointer("events"), _SIZE)
        fn.b.fence("acquire")
        fn.b.ret(control.atomic("event_head", "monotonic"))
