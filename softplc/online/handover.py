"""Native code that lets another block be scanned, between two scans, and returns from it where it fails.

While a change is on trial the values go back into the old image before each scan, so that a scan that faults
has never been, and the old program does it instead.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from softplc.core.emit import Function, Record, i8, i16, i64, pointer, void
from softplc.core.eventring import EventRing
from softplc.core.exchange import Exchange, image_head
from softplc.core.layout import BINS, RETURNED_FAULT, RETURNED_SLOW, Control, Kind, Task
from softplc.online.moves import BYTES, CLEAR, HEADER, REFERENCE, TEXT, VALUE
from softplc.online.records import Change, MoveRecord, Pair, SpanRecord
from softplc.record.recording import Recording

_CARRIED = (
    "scans", "aborts", "held", "retries", "wall_offset_ns", "source_offset_ns", "scanned_ns", "beat_ns",
    "stale", "scanning", "fifo", "timer_slack", "locked", "pinned", "stored", "store_error", "forces_ended",
)  # fmt: skip
_GO_ON = (
    "last_ns", "scans", "overruns", "skipped", "execution_max_ns", "latency_max_ns", "execution_last_ns",
    "execution_min_ns", "latency_last_ns", "latency_min_ns", "worst_scan", "worst_at_ns", "worst_ns",
    "row_overruns", "row_dropped",
)  # fmt: skip


class HandOver:
    """Adds the functions to a module; `now` returns monotonic ns."""

    def __init__(
        self, module: ir.Module, exchange: Exchange, events: EventRing, now: Function, recording: Recording
    ) -> None:
        self.module = module
        self._recording = recording
        self._exchange = exchange
        self._events = events
        self._now = now
        self._find = self._finding()
        self._text = self._texts()
        self.migrate = self._migrate()
        self._carry = self._carrying()
        self.hand_over = self._hand_over()
        self.give_back = self._give_back()
        self.look_back = self._look_back()
        self.judge = self._judge()
        self._succeed()
        self._withdraw()

    def _finding(self) -> Function:
        """Return where a variable lies now that lay at a place: (spans, count, place) -> place, or 0."""
        fn = Function(self.module, "find_span", i64, pointer, i64, i64, internal=True)
        b = fn.b
        spans, count, place = fn.args
        low, high = (b.alloca(i64) for _ in range(2))
        low.type = high.type = pointer
        b.store(i64(0), low)
        b.store(count, high)
        with fn.loop() as done:
            first, behind = fn.load(low), fn.load(high)
            fn.leave_if(fn.is_(first, ">=", behind), done)
            middle = b.sdiv(b.add(first, behind), i64(2))
            span = fn.element(spans, middle, SpanRecord)
            with b.if_then(fn.is_(span["source"], "==", place)):
                b.ret(span["target"])
            less = fn.is_(span["source"], "<", place)
            b.store(b.select(less, b.add(middle, i64(1)), first), low)
            b.store(b.select(less, behind, middle), high)
        b.ret(i64(0))
        return fn

    def _texts(self) -> Function:
        """Copy a text into the room of another: (from, to, bytes of a character)."""
        fn = Function(self.module, "carry_text", void, pointer, pointer, i64, internal=True)
        b = fn.b
        source, target, unit = fn.args
        length, room = fn.load(source, i16), fn.load(fn.at(target, 2), i16)
        length = b.select(b.icmp_unsigned("<", length, room), length, room)
        b.store(length, target)
        size = b.mul(b.zext(length, i64), unit)
        fn.call(self._exchange.copy, fn.at(target, HEADER), fn.at(source, HEADER), size)
        b.ret_void()
        return fn

    def _migrate(self) -> Function:
        """Carry the values of one image into another: (image, into, change)."""
        fn = Function(self.module, "iw_migrate", void, pointer, pointer, pointer)
        b = fn.b
        image, into = fn.args[:2]
        change = fn.record(fn.args[2], Change)
        moves, spans = change.pointer("moves"), change.pointer("spans")
        with fn.each(change["move_count"]) as index:
            move = fn.element(moves, index, MoveRecord)
            source, target = fn.at(image, move["source"]), fn.at(into, move["target"])
            done, switch = self._switch(fn, move["how"], (BYTES, VALUE, TEXT, REFERENCE, CLEAR))
            with switch[BYTES]:
                fn.call(self._exchange.copy, target, source, move["size"])
            with switch[VALUE]:
                raw = fn.call(
                    self._exchange.get, image, move["source"], move["source_kind"], move["source_bit"]
                )
                at = into, move["target"], move["target_kind"], move["target_bit"]
                fn.call(self._exchange.put, *at, raw)
            with switch[TEXT]:
                fn.call(self._text, source, target, move["size"])
            with switch[REFERENCE]:
                first = fn.element(spans, move["source_kind"], SpanRecord).base
                b.store(fn.call(self._find, first, move["size"], fn.load(source)), target)
            with switch[CLEAR]:
                always = fn.is_(move["size"], "!=", 0)
                with b.if_then(b.or_(always, b.icmp_signed("!=", fn.load(source, i8), i8(0)))):
                    b.store(i8(0), target)
            b.position_at_end(done)
        b.ret_void()
        return fn

    @staticmethod
    def _switch(fn: Function, value: Any, cases: tuple[int, ...]) -> tuple[Any, dict[int, _Case]]:
        """Branch on a value; what each case does is built in its context."""
        done = fn.block("moved")
        switch = fn.b.switch(value, done)
        found = {}
        for each in cases:
            block = fn.block(f"how{each}")
            switch.add_case(i64(each), block)
            found[each] = _Case(fn, block, done)
        return done, found

    def _carrying(self) -> Function:
        """Let tasks and counters of one block go on in another: (control, next control, change)."""
        fn = Function(self.module, "carry_on", void, pointer, pointer, pointer, internal=True)
        b = fn.b
        control, after = (fn.record(each, Control) for each in fn.args[:2])
        change = fn.record(fn.args[2], Change)
        for name in _CARRIED:
            after[name] = control[name]
        fn.call(self._events.carry, *fn.args[:2])
        now_ns = fn.call(self._now)
        tasks, next_tasks, pairs = control.pointer("tasks"), after.pointer("tasks"), change.pointer("pairs")
        with fn.each(after["task_count"]) as index:
            fn.element(next_tasks, index, Task)["next_ns"] = now_ns
        with fn.each(change["pair_count"]) as index:
            pair = fn.element(pairs, index, Pair)
            task, new = fn.element(tasks, pair["source"], Task), fn.element(next_tasks, pair["target"], Task)
            for name in _GO_ON:
                new[name] = task[name]
            for name in ("execution_bins", "latency_bins"):
                fn.call(self._exchange.copy, new.pointer(name), task.pointer(name), i64(4 * BINS))
            stopped = fn.any_bit(task["mask"], control["fault_mask"])
            other = b.icmp_signed("!=", task["interval_ns"], new["interval_ns"])
            next_ns = b.add(b.sub(task["next_ns"], task["interval_ns"]), new["interval_ns"])
            late = fn.is_(next_ns, "<", now_ns)
            next_ns = b.select(b.and_(b.or_(stopped, other), late), now_ns, next_ns)
            new["next_ns"] = next_ns
        b.ret_void()
        return fn

    def _hand_over(self) -> Function:
        """Go over to the successor: (control) -> its block, or null where it was withdrawn."""
        fn = Function(self.module, "hand_over", pointer, pointer, internal=True)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        successor = b.inttoptr(control.exchange("successor", 0), pointer)
        nothing = ir.Constant(pointer, None)
        with b.if_then(b.icmp_unsigned("==", successor, nothing)):
            b.ret(nothing)
        change = b.inttoptr(control["change"], pointer)
        after = fn.record(successor, Control)
        began_ns = fn.call(self._now)
        fn.call(self.migrate, control.pointer("image"), after.pointer("image"), change)
        fn.call(self._carry, fn.args[0], successor, change)
        after["handed"] = 0
        took_ns = b.sub(fn.call(self._now), began_ns)
        after["handover_ns"] = took_ns
        self._events.note(fn, after, Kind.CHANGED, 0, began_ns, took_ns)
        change = fn.record(change, Change)
        tasks, next_tasks, pairs = control.pointer("tasks"), after.pointer("tasks"), change.pointer("pairs")
        with fn.each(change["pair_count"]) as index:
            pair = fn.element(pairs, index, Pair)
            stopped = fn.any_bit(fn.element(tasks, pair["source"], Task)["mask"], control["fault_mask"])
            with b.if_then(stopped, likely=False):
                mask = fn.element(next_tasks, pair["target"], Task)["mask"]
                self._events.note(fn, after, Kind.RESUMED, mask, began_ns)
        control.publish("handed", b.ptrtoint(successor, i64))
        b.ret(successor)
        return fn

    def _give_back(self) -> Function:
        """Return to the predecessor, whose image is as it should be: (control) -> its block."""
        fn = Function(self.module, "give_back", pointer, pointer, internal=True)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        predecessor = b.inttoptr(control["predecessor"], pointer)
        before = fn.record(predecessor, Control)
        fn.call(self._carry, fn.args[0], predecessor, b.inttoptr(control["way_back"], pointer))
        self._recording.came_back(fn, before)
        why = control["returned"], control["returned_ns"]
        self._events.note(fn, before, Kind.RETURNED, 0, fn.call(self._now), *why)
        before.publish("handed", 0)
        before.publish("watchdog_here", 0, "seq_cst")  # it may be on its way to this block
        control.publish("handed", b.ptrtoint(predecessor, i64))
        b.ret(predecessor)
        return fn

    def _look_back(self) -> Function:
        """Before a scan on trial: keep the old image up, or end the trial: (control, now_ns)."""
        fn = Function(self.module, "look_back", void, pointer, i64, internal=True)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        before = fn.record(b.inttoptr(control["predecessor"], pointer), Control)
        until_ns = control["trial_until_ns"]
        first = fn.is_(until_ns, "<", 0)  # it is on trial however late it comes
        control["trial_until_ns"] = b.select(first, b.neg(until_ns), until_ns)
        over = b.and_(b.not_(first), fn.is_(fn.args[1], ">=", until_ns))
        with b.if_else(over) as (sound, on_trial):
            with sound:
                control.publish("predecessor", 0)
            with on_trial:
                way_back = b.inttoptr(control["way_back"], pointer)
                fn.call(self.migrate, control.pointer("image"), before.pointer("image"), way_back)
        b.ret_void()
        return fn

    def _judge(self) -> Function:
        """After a scan on trial: (control, task, its processor time) -> the block to return to, or null."""
        fn = Function(self.module, "judge", pointer, pointer, pointer, i64, internal=True)
        b, took_ns = fn.b, fn.args[2]
        control, task = fn.record(fn.args[0], Control), fn.record(fn.args[1], Task)
        before = fn.record(b.inttoptr(control["predecessor"], pointer), Control)
        faulted = fn.is_(control["fault_mask"], "!=", 0)
        slow = fn.is_(took_ns, ">=", task["interval_ns"])
        with b.if_then(b.not_(b.or_(faulted, slow))):
            with b.if_then(fn.is_(fn.call(self._now), ">=", control["trial_until_ns"])):
                control.publish("predecessor", 0)
            b.ret(ir.Constant(pointer, None))
        control["returned_task"] = task["mask"]
        control["returned_ns"] = took_ns
        control["returned"] = b.select(faulted, i64(RETURNED_FAULT), i64(RETURNED_SLOW))
        with b.if_else(faulted) as (never_been, was_whole):
            with never_been:
                image = image_head(fn, control)
                task["last_ns"] = b.sub(image["now_ns"], image["dt_ns"])
                for counted in (control, task):
                    counted.add("scans", -1)
            with was_whole:
                task.add("next_ns", task["interval_ns"])
                way_back = b.inttoptr(control["way_back"], pointer)
                fn.call(self.migrate, control.pointer("image"), before.pointer("image"), way_back)
        b.ret(fn.call(self.give_back, fn.args[0]))
        return fn

    def _succeed(self) -> None:
        """Let a block be scanned next: (control, block, change, way back, trial ns); 0 ns is no trial."""
        fn = Function(self.module, "iw_succeed", void, pointer, pointer, pointer, pointer, i64)
        b = fn.b
        control, after = (fn.record(each, Control) for each in fn.args[:2])
        trial_ns = fn.args[4]
        on_trial = fn.is_(trial_ns, ">", 0)
        after["predecessor"] = b.select(on_trial, b.ptrtoint(fn.args[0], i64), i64(0))
        after["way_back"] = b.ptrtoint(fn.args[3], i64)
        after["trial_until_ns"] = b.neg(b.add(fn.call(self._now), trial_ns))  # until its first scan
        control["change"] = b.ptrtoint(fn.args[2], i64)
        control.publish("successor", b.ptrtoint(fn.args[1], i64))
        b.ret_void()

    def _withdraw(self) -> None:
        """Take the successor back: (control) -> 0 where it has been taken over already."""
        fn = Function(self.module, "iw_withdraw", i64, pointer)
        fn.b.ret(fn.record(fn.args[0], Control).exchange("successor", 0))


class _Case:
    """Where one case of a switch is built; it goes on behind the switch."""

    def __init__(self, fn: Function, block: Any, done: Any) -> None:
        self._fn, self._block, self._done = fn, block, done

    def __enter__(self) -> None:
        self._fn.b.position_at_end(self._block)

    def __exit__(self, *_: object) -> None:
        self._fn.b.branch(self._done)


def is_on_trial(fn: Function, control: Record) -> Any:
    """Tell whether a block may yet be left for the one before it."""
    return fn.is_(control["predecessor"], "!=", 0)
