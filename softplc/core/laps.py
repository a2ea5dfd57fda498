"""Native code that a task's code calls between two programs: how long each of them took."""

from __future__ import annotations

import ctypes
from typing import Any

from llvmlite import ir

from softplc.core.emit import Function, Record, i1, i32, i64, pointer, void
from softplc.core.exchange import image_head
from softplc.core.layout import LAP_BINS, Lap, LapHead

_FINE = 4  # bits behind the first one that tell bins apart


class Laps:
    """Adds the function to a module; `now` returns monotonic ns."""

    def __init__(self, module: ir.Module, now: Function) -> None:
        self.module = module
        self._now = now
        self._leading = ir.Function(module, ir.FunctionType(i64, [i64, i1]), "llvm.ctlz.i64")
        self._note = self._noting()

    def begin(self, fn: Function, control: Record) -> None:
        """Before a task's code: let it tell when its programs end. The addresses are this process's."""
        laps = fn.record(control.pointer("laps"), LapHead)
        laps["function"] = fn.b.ptrtoint(self._note.function, i64)
        laps["scans"] = control["scans"]
        laps["since_ns"] = fn.call(self._now)
        image_head(fn, control)["laps"] = fn.b.ptrtoint(laps.base, i64)

    @staticmethod
    def end(fn: Function, control: Record) -> None:
        """After it: no address stays in the image."""
        image_head(fn, control)["laps"] = 0

    def _noting(self) -> Function:
        """Note the end of a program: (laps, its number)."""
        fn = Function(self.module, "iw_lap", void, pointer, i64, internal=True)
        b = fn.b
        head = fn.record(fn.args[0], LapHead)
        now_ns = fn.call(self._now)
        took_ns = b.sub(now_ns, head["since_ns"])
        head["since_ns"] = now_ns
        lap = fn.element(fn.at(fn.args[0], ctypes.sizeof(LapHead)), fn.args[1], Lap)
        first = fn.is_(lap.add("scans", 1), "==", 1)
        lap["last_ns"] = took_ns
        lap.add("total_ns", took_ns)
        less = b.or_(first, fn.is_(took_ns, "<", lap["min_ns"]))
        lap["min_ns"] = b.select(less, took_ns, lap["min_ns"])
        with b.if_then(b.or_(first, fn.is_(took_ns, ">", lap["max_ns"])), likely=False):
            lap["max_ns"] = took_ns
            lap["worst_scan"] = head["scans"]
        place = fn.at(fn.at(lap.base, Lap.bins.offset), self._bin(fn, took_ns), i32)
        b.store(b.add(fn.load(place, i32), i32(1)), place)
        b.ret_void()
        return fn

    def _bin(self, fn: Function, took_ns: Any) -> Any:
        """Return the bin of a duration; see `softplc.core.stats.lap_limits`."""
        b = fn.b
        coarse = i64(1 << _FINE)
        exponent = b.sub(i64(63), fn.call(self._leading, took_ns, i1(0)))
        shift = b.sub(exponent, i64(_FINE))
        shift = b.select(fn.is_(shift, "<", 0), i64(0), shift)
        fine = b.and_(b.lshr(took_ns, shift), b.sub(coarse, i64(1)))
        large = b.add(b.mul(b.add(shift, i64(1)), coarse), fine)
        number = b.select(fn.is_(took_ns, "<", coarse), took_ns, large)
        number = b.select(fn.is_(number, ">", LAP_BINS - 1), i64(LAP_BINS - 1), number)
        return b.select(fn.is_(number, "<", 0), i64(0), number)
