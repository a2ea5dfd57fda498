"""The scan loop, the step of virtual time and the watchdog, as native code."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from softplc.core.copies import Copies
from softplc.core.emit import Function, Record, i32, i64, pointer, void
from softplc.core.eventring import EventRing
from softplc.core.exchange import Exchange, image_head
from softplc.core.forcing import Forcing
from softplc.core.laps import Laps
from softplc.core.layout import BINS, Control, Kind, Task
from softplc.online.handover import HandOver, is_on_trial
from softplc.online.taping import Taping
from softplc.record.recording import Recording
from softplc.record.replaying import add_replay

_MONOTONIC, _THREAD_TIME, _ABSOLUTE, _EINTR = 1, 3, 1, 4  # Linux: CLOCK_..., TIMER_ABSTIME, EINTR
_SECOND = 1_000_000_000
_STOP_LATENCY_NS = 20_000_000
_STOP_GRACE_NS = 50_000_000
_KILLED = 1
_FAULT = ("code", "line", "file", "a", "b", "c", "unit", "unsigned")
FIRST = {"latency": 0, "execution": 1}  # scans of a task when the first of these is noted


class Loop:
    """Adds the loop's functions to a module."""

    def __init__(self, module: ir.Module) -> None:
        self.module = module
        self.exchange = Exchange(module)
        self.events = EventRing(module, self.exchange.copy)
        self.forcing = Forcing(module, self.exchange.put, self.events)
        self.copies = Copies(module, self.exchange.copy)
        clock_args = [i32, pointer]
        self._gettime = ir.Function(module, ir.FunctionType(i32, clock_args), "clock_gettime")
        self._nanosleep = ir.Function(
            module, ir.FunctionType(i32, [i32, i32, pointer, pointer]), "clock_nanosleep"
        )
        self._yield = ir.Function(module, ir.FunctionType(i32, []), "sched_yield")
        self.now = self._clock("iw_now", _MONOTONIC)
        self.worked = self._clock("iw_worked", _THREAD_TIME)
        self.recording = Recording(module, self.exchange, self.forcing)
        self.online = HandOver(module, self.exchange, self.events, self.now, self.recording)
        self.taping = Taping(module, self.exchange)
        self.laps = Laps(module, self.now)
        self.sleep = self._sleep()
        self.note = self._note()
        self.activate = self._activate()
        self.check = self._check()
        self.keep = self._keep_worst()
        self.scan = self._scan_for_ever()
        self._loop()
        self._step()
        add_replay(module, self.exchange, self.forcing, self.activate, self.now)
        self._monitor()

    def _timespec(self, fn: Function) -> Any:
        place = fn.b.alloca(ir.ArrayType(i64, 2))
        place.type = pointer
        return place

    def _clock(self, name: str, clock: int) -> Function:
        """Return the ns of a clock: monotonic time, or the processor time of the calling thread."""
        fn = Function(self.module, name, i64)
        b, place = fn.b, self._timespec(fn)
        fn.call(self._gettime, i32(clock), place)
        seconds = b.mul(fn.load(fn.at(place, 0, i64)), i64(_SECOND))
        b.ret(b.add(seconds, fn.load(fn.at(place, 1, i64))))
        return fn

    def _sleep(self) -> Function:
        """Sleep until a monotonic time."""
        fn = Function(self.module, "sleep", void, i64, internal=True)
        b, place = fn.b, self._timespec(fn)
        b.store(b.sdiv(fn.args[0], i64(_SECOND)), fn.at(place, 0, i64))
        b.store(b.srem(fn.args[0], i64(_SECOND)), fn.at(place, 1, i64))
        nothing = ir.Constant(pointer, None)
        with fn.loop() as done:
            code = fn.call(self._nanosleep, i32(_MONOTONIC), i32(_ABSOLUTE), place, nothing)
            fn.leave_if(b.icmp_signed("!=", code, i32(_EINTR)), done)
        b.ret_void()
        return fn

    def _note(self) -> Function:
        """Count a duration in a histogram of µs: (bins, ns)."""
        fn = Function(self.module, "note", void, pointer, i64, internal=True)
        b = fn.b
        bins, duration_ns = fn.args
        index = b.sdiv(duration_ns, i64(1000))
        index = b.select(fn.is_(index, ">", BINS - 1), i64(BINS - 1), index)
        index = b.select(fn.is_(index, "<", 0), i64(0), index)
        place = fn.at(bins, index, i32)
        b.store(b.add(fn.load(place, i32), i32(1)), place)
        b.ret_void()
        return fn

    def _activate(self) -> Function:
        """Run one scan of a task: (control, task, started_ns, now_ns, at_ns).

        Pending writes, then inputs, then forces, then the program, then forces again; on a fault the task
        stops here and its outputs go to their safe values with this very snapshot, unless it is on trial.
        """
        fn = Function(self.module, "activate", void, pointer, pointer, i64, i64, i64, internal=True)
        b = fn.b
        base, task_base, started_ns, now_ns, at_ns = fn.args
        control, task = fn.record(base, Control), fn.record(task_base, Task)
        image = image_head(fn, control)
        self.taping.begin(fn, control)
        self.recording.begin(fn, control)
        taken = fn.call(self.exchange.take_writes, base)
        fn.call(self.exchange.latch, base)
        fn.call(self.forcing.take, base, started_ns)
        self.recording.note(fn, control, task, now_ns, taken)
        control.publish("write_tail", taken)
        fn.call(self.forcing.apply, base)
        last_ns = task["last_ns"]
        first = fn.is_(last_ns, "==", 0)
        image["now_ns"] = now_ns
        image["dt_ns"] = b.select(first, task["interval_ns"], b.sub(now_ns, last_ns))
        task["last_ns"] = now_ns
        control["active_since_ns"] = started_ns
        control["active_limit_ns"] = task["watchdog_ns"]
        image["scan_count"] = control["scans"]
        token = b.shl(control.add("scans", 1), i64(1))
        task.add("scans", 1)
        self.laps.begin(fn, control)
        control.publish("active", token)
        program = b.inttoptr(task["function"], ir.PointerType(ir.FunctionType(i32, [pointer])))
        code = fn.call(program, image.base)
        was = control.exchange("active", 0)
        self.laps.end(fn, control)
        with b.if_then(fn.any_bit(was, _KILLED), likely=False):
            self._end_abort(fn, control, image)
        with b.if_then(b.icmp_signed("!=", code, i32(0)), likely=False):
            for name in _FAULT:
                value = image[f"fault_{name}"]
                task[f"fault_{name}"] = value if value.type is i64 else b.sext(value, i64)
                image[f"fault_{name}"] = 0
            task["fault_code"] = b.sext(code, i64)
            task["fault_scan"], task["fault_at_ns"] = control["scans"], at_ns
            self._note_fault(fn, control, task, at_ns)
            control.publish("fault_mask", b.or_(control["fault_mask"], task["stops"]))
        fn.call(self.forcing.apply, base)
        control["scanned_ns"] = at_ns
        undone = b.and_(b.icmp_signed("!=", code, i32(0)), is_on_trial(fn, control))
        with b.if_then(b.not_(undone), likely=True):
            fn.call(self.exchange.publish, base, at_ns)
            self.taping.end(fn, control, task)
            self.recording.end(fn, control, task, code)
        b.ret_void()
        return fn

    def _note_fault(self, fn: Function, control: Record, task: Record, at_ns: Any) -> None:
        """Note which task a fault stops, and which ones with it; on trial it is noted where it returns."""
        b = fn.b
        unit = b.or_(task["fault_unit"], b.shl(task["fault_unsigned"], i64(32)))
        why = *(task[f"fault_{each}"] for each in ("code", "line", "file", "a", "b", "c")), unit
        with b.if_then(b.not_(is_on_trial(fn, control))):
            self.events.note(fn, control, Kind.FAULT, task["mask"], at_ns, *why)
            others = b.and_(task["stops"], b.not_(b.or_(task["mask"], control["fault_mask"])))
            with b.if_then(fn.is_(others, "!=", 0)):
                self.events.note(fn, control, Kind.STOPPED, others, at_ns, task["mask"])

    def _end_abort(self, fn: Function, control: Record, image: Record) -> None:
        """Wait until the monitor has finished its request, then withdraw it."""
        with fn.loop() as done:
            fn.leave_if(fn.is_(control.atomic("kill_done"), "!=", 0), done)
            fn.call(self._yield)
        control["kill_done"] = 0
        image.publish("stop", 0, "monotonic")

    def _check(self) -> Function:
        """Abort the running scan if it is over its limit: (control, now_ns)."""
        fn = Function(self.module, "iw_check", void, pointer, i64)
        b = fn.b
        control = fn.record(fn.args[0], Control)
        token = control.atomic("active")
        idle = b.or_(fn.is_(token, "==", 0), fn.any_bit(token, _KILLED))
        with b.if_then(idle):
            b.ret_void()
        since_ns, limit_ns = control["active_since_ns"], control["active_limit_ns"]
        stopping = fn.is_(control.atomic("stop"), "!=", 0)
        limit_ns = b.select(stopping, i64(_STOP_GRACE_NS), limit_ns)
        over = b.and_(fn.is_(limit_ns, ">", 0), fn.is_(b.sub(fn.args[1], since_ns), ">", limit_ns))
        with b.if_then(b.not_(over)):
            b.ret_void()
        # The exchange fails when the scan has ended meanwhile, so the next one is never hit.
        with b.if_then(control.swap_if("active", token, b.or_(token, i64(_KILLED)))):
            image_head(fn, control).publish("stop", 1, "seq_cst")
            control.add("aborts", 1)
            control.publish("kill_done", 1)
        b.ret_void()
        return fn

    def _after(self, fn: Function, task: Record, now_ns: Any) -> Any:
        """Move a task to its next activation after `now_ns`; returns how many were missed, and dropped."""
        b = fn.b
        interval_ns = task["interval_ns"]
        next_ns = b.add(task["next_ns"], interval_ns)
        late_ns = b.sub(now_ns, next_ns)
        missed = b.add(b.sdiv(late_ns, interval_ns), i64(1))
        overrun = fn.is_(late_ns, ">=", 0)
        dropped = b.select(overrun, missed, i64(0))
        task["next_ns"] = b.add(next_ns, b.mul(dropped, interval_ns))
        task.add("skipped", dropped)
        task.add("overruns", b.zext(overrun, i64))
        return dropped

    def _note_row(self, fn: Function, control: Record, task: Record, at_ns: Any, dropped: Any) -> None:
        """Note the first of some overruns in a row, and their end."""
        b, row, mask = fn.b, task["row_overruns"], task["mask"]
        with b.if_else(fn.is_(dropped, ">", 0), likely=False) as (overrun, in_time):
            with overrun:
                with b.if_then(fn.is_(row, "==", 0)):
                    how = task["execution_last_ns"], dropped, task["latency_last_ns"]
                    self.events.note(fn, control, Kind.OVERRUN, mask, at_ns, *how)
                task["row_overruns"] = b.add(row, i64(1))
                task.add("row_dropped", dropped)
            with in_time, b.if_then(fn.is_(row, ">", 0), likely=False):
                self.events.note(fn, control, Kind.CAUGHT_UP, mask, at_ns, row, task["row_dropped"])
                task["row_overruns"] = 0
                task["row_dropped"] = 0

    def _loop(self) -> None:
        """Scan until told to stop, first one block, then those that are taken over: (control)."""
        fn = Function(self.module, "iw_loop", void, pointer)
        b, place = fn.b, fn.b.alloca(pointer)
        place.type = pointer
        b.store(fn.args[0], place)
        nothing = ir.Constant(pointer, None)
        with fn.loop() as stopped:
            b.store(fn.call(self.scan, fn.load(place, pointer)), place)
            fn.leave_if(b.icmp_unsigned("==", fn.load(place, pointer), nothing), stopped)
        b.ret_void()

    def _scan_for_ever(self) -> Function:
        """Run due tasks, the most urgent first, until told to stop: (control) -> null, or the next block."""
        fn = Function(self.module, "scan", pointer, pointer, internal=True)
        b, nothing = fn.b, ir.Constant(pointer, None)
        control = fn.record(fn.args[0], Control)
        found, wake, worked_ns = (b.alloca(i64) for _ in range(3))
        found.type = wake.type = worked_ns.type = pointer
        tasks, count = control.pointer("tasks"), control["task_count"]
        with b.if_then(fn.is_(control["event_head"], "==", 0)):
            self.events.note(fn, control, Kind.STARTED, 0, fn.call(self.now))
        with fn.loop() as stopped:
            fn.leave_if(fn.is_(control.atomic("stop"), "!=", 0), stopped)
            at_ns = fn.call(self.now)
            b.store(i64(-1), found)
            b.store(b.add(at_ns, i64(_STOP_LATENCY_NS)), wake)
            with fn.each(count) as index:
                task = fn.element(tasks, index, Task)
                with b.if_then(b.not_(fn.any_bit(task["mask"], control["fault_mask"]))):
                    next_ns = task["next_ns"]
                    first = fn.is_(fn.load(found), "<", 0)
                    with b.if_then(b.and_(fn.is_(next_ns, "<=", at_ns), first)):
                        b.store(index, found)
                    with b.if_then(fn.is_(next_ns, "<", fn.load(wake))):
                        b.store(next_ns, wake)
            with b.if_else(fn.is_(fn.load(found), "<", 0)) as (idle, due):
                with idle:
                    with b.if_then(fn.is_(control.atomic("successor"), "!=", 0), likely=False):
                        successor = fn.call(self.online.hand_over, control.base)
                        with b.if_then(b.icmp_unsigned("!=", successor, nothing)):
                            b.ret(successor)
                    fn.call(self.forcing.take, control.base, at_ns)
                    self._note_stale(fn, control, at_ns)
                    fn.call(self.copies.serve, control.base)
                    self.recording.serve(fn, control)
                    fn.call(self.sleep, fn.load(wake))
                with due:
                    self._scan(fn, control, fn.element(tasks, fn.load(found), Task), at_ns, worked_ns)
        control.publish("ended", 1)
        b.ret(nothing)
        return fn

    def _note_stale(self, fn: Function, control: Record, at_ns: Any) -> None:
        """Note that the inputs are stale, or are not any more."""
        b, stale = fn.b, control["stale"]
        with b.if_then(b.icmp_signed("!=", stale, control["stale_told"]), likely=False):
            kind = b.select(fn.is_(stale, "!=", 0), i64(Kind.STALE), i64(Kind.FRESH))
            self.events.note(fn, control, kind, 0, at_ns)
            control["stale_told"] = stale

    def _scan(self, fn: Function, control: Record, task: Record, started_ns: Any, worked_ns: Any) -> None:
        b = fn.b
        with b.if_then(is_on_trial(fn, control), likely=False):
            fn.call(self.online.look_back, control.base, started_ns)
        on_trial = is_on_trial(fn, control)
        latency_ns = b.sub(started_ns, task["next_ns"])
        self._count(fn, task, "latency", latency_ns)
        now_ns = b.add(started_ns, control["wall_offset_ns"])
        with b.if_then(on_trial, likely=False):
            b.store(fn.call(self.worked), worked_ns)
        fn.call(self.activate, control.base, task.base, started_ns, now_ns, started_ns)
        with b.if_then(on_trial, likely=False):
            took_ns = b.sub(fn.call(self.worked), fn.load(worked_ns))
            before = fn.call(self.online.judge, control.base, task.base, took_ns)
            with b.if_then(b.icmp_unsigned("!=", before, ir.Constant(pointer, None))):
                b.ret(before)
        ended_ns = fn.call(self.now)
        execution_ns = b.sub(ended_ns, started_ns)
        with b.if_then(fn.is_(execution_ns, ">", task["execution_max_ns"]), likely=False):
            fn.call(self.keep, control.base, task.base, started_ns, execution_ns)
        self._count(fn, task, "execution", execution_ns)
        dropped = self._after(fn, task, ended_ns)
        self._note_row(fn, control, task, started_ns, dropped)
        fn.call(self.copies.serve, control.base)

    def _keep_worst(self) -> Function:
        """Keep the longest scan of a task, and its inputs: (control, task, started_ns, execution_ns)."""
        fn = Function(self.module, "keep_worst", void, pointer, pointer, i64, i64, internal=True)
        b = fn.b
        control, task = fn.record(fn.args[0], Control), fn.record(fn.args[1], Task)
        sequence = b.or_(task["worst_sequence"], i64(1))
        task.publish("worst_sequence", sequence, "monotonic")
        b.fence("release")
        task["worst_scan"], task["worst_at_ns"], task["worst_ns"] = control["scans"], fn.args[2], fn.args[3]
        size = b.mul(control["input_count"], i64(8))
        latched = fn.at(control.pointer("buffers"), b.mul(control["latched"], size))
        fn.call(self.exchange.copy, task.pointer("worst_inputs"), latched, size)
        task.publish("worst_sequence", b.add(sequence, i64(1)))
        b.ret_void()
        return fn

    def _count(self, fn: Function, task: Record, what: str, duration_ns: Any) -> None:
        """Keep a duration of a task: the last, the extremes, and in its histogram."""
        b = fn.b
        fn.call(self.note, task.pointer(f"{what}_bins"), duration_ns)
        task[f"{what}_last_ns"] = duration_ns
        task.greatest(f"{what}_max_ns", duration_ns)
        least_ns = task[f"{what}_min_ns"]
        less = b.or_(fn.is_(task["scans"], "<=", FIRST[what]), fn.is_(duration_ns, "<", least_ns))
        task[f"{what}_min_ns"] = b.select(less, duration_ns, least_ns)

    def _step(self) -> None:
        """Run what is due at a plant time and stage what changed: (control, now_ns) -> changed outputs."""
        fn = Function(self.module, "iw_step", i64, pointer, i64)
        b = fn.b
        base, now_ns = fn.args
        control = fn.record(base, Control)
        tasks = control.pointer("tasks")
        with fn.each(control["task_count"]) as index:
            task = fn.element(tasks, index, Task)
            next_ns = task["next_ns"]
            with b.if_then(fn.is_(next_ns, "==", 0)):
                task["next_ns"] = now_ns
            stopped = fn.any_bit(task["mask"], control["fault_mask"])
            with b.if_then(b.and_(fn.is_(task["next_ns"], "<=", now_ns), b.not_(stopped))):
                fn.call(self.activate, base, task.base, fn.call(self.now), now_ns, now_ns)
                self._after(fn, task, now_ns)
        b.ret(fn.call(self.exchange.collect, base))

    def _monitor(self) -> None:
        """Watch the loop until it has ended, whichever block it scans: (control)."""
        fn = Function(self.module, "iw_monitor", void, pointer)
        b, place = fn.b, fn.b.alloca(pointer)
        place.type = pointer
        b.store(fn.args[0], place)
        with fn.loop() as ended:
            base = fn.load(place, pointer)
            control = fn.record(base, Control)
            control.publish("watchdog_here", 1)
            fn.leave_if(fn.is_(control.atomic("ended"), "!=", 0), ended)
            handed = control.atomic("handed")
            with b.if_else(fn.is_(handed, "!=", 0)) as (elsewhere, here):
                with elsewhere:
                    b.store(b.inttoptr(handed, pointer), place)
                with here:
                    now_ns = fn.call(self.now)
                    fn.call(self.check, base, now_ns)
                    fn.call(self.sleep, b.add(now_ns, control["monitor_ns"]))
        b.ret_void()


def emit_core(triple: str = "") -> bytes:
    """Return the core as object code for this host, or for the target of a triple."""
    from llvmlite import binding as llvm

    if triple:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
    else:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
    module = ir.Module("iw_core")
    module.triple = triple or llvm.get_process_triple()
    Loop(module)
    machine = llvm.Target.from_triple(module.triple).create_target_machine(
        opt=2, reloc="pic", codemodel="small"
    )
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    builder.getModulePassManager().run(parsed, builder)
    return bytes(machine.emit_object(parsed))
