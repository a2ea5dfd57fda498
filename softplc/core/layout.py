"""The memory that Python and the native core share, field by field; every field is eight bytes wide."""

from __future__ import annotations

import ctypes
from enum import IntEnum

RING = 8
FRESH = 4  # in `Control.ready`: not taken yet
WRITES = 256
BINS = 20_001
MAX_TASKS = 64
FORCES = 1024
WATCH_RANGES = 4096
WATCH_BYTES = 1 << 17
EVENTS = 256
LAP_BINS = 640  # 16 in each doubling of the duration: to 6 %, up to 18 minutes
RETURNED_FAULT, RETURNED_SLOW = 1, 2
END_ASKED, END_ALONE, END_REPLACED, END_SIGNAL = 1, 2, 3, 4


class Kind(IntEnum):
    """What the loop notes in the ring of events; the letters are the fields of `EventRecord`.

    STARTED; FAULT: a code, b line, c file; STOPPED: a mask of the task whose fault stopped this one too;
    OVERRUN, the first of some in a row: a duration of the scan in ns, b activations dropped, c ns that it
    began late; CAUGHT_UP, after them: a how many scans, b activations dropped; FORCE_ENDED: a number of the
    force; STALE, FRESH: the inputs; CHANGED online: a ns that it took; RETURNED to the program before: a why
    (`RETURNED_...`), b its processor time in ns; RESUMED: a task scans again. A fault on trial is told by
    RETURNED alone. FAULT also has d, e, f: its operands, and g: the unit, or the
    unit + 2**32 where the operands are unsigned.
    """

    STARTED = 1
    FAULT = 2
    STOPPED = 3
    OVERRUN = 4
    CAUGHT_UP = 5
    FORCE_ENDED = 6
    STALE = 7
    FRESH = 8
    CHANGED = 9
    RETURNED = 10
    RESUMED = 11


def words(*names: str) -> list[tuple[str, type[ctypes.c_int64]]]:
    return [(name, ctypes.c_int64) for name in names]


class Control(ctypes.Structure):
    """Head of the block: places and sizes of the rest, and the words that threads and processes exchange.

    Places count from the start of the record that has them: each process maps the block somewhere else.

    Attributes:
        keys: int32 of shape (key_count,): tag id to input slot, or -1.
        ready, filling, latched: the three input buffers: handed over (bit 2 set while fresh), the
            writer's, the scan's. An exchange of `ready` passes a whole buffer on; nobody waits.
        latest: snapshots published so far; snapshot n lies in slot n % RING.
        collected, collected_faults: the snapshot last collected, and its fault_mask: what consumers know.
        active: token of the running scan, 0 between scans; bit 0 set by the monitor that aborts it.
        source_offset_ns: added to a snapshot's monotonic time to get its source time.
        scanning: 1 from when the loop runs.
        beat_ns: monotonic time at which the kernel was last seen.
        stale: 1 while the inputs are old, since the kernel is gone.
        end: why the core's process ended (`END_...`), 0 while it lives or where it was killed.
        force_wanted, force_taken: number of the newest table of forces, and of the one that the loop works
            with; table n lies in place n % 2, and the other place is the kernel's once both are the same.
        forces_ended: forces whose time was over, so far.
        scanned_ns: start of the newest scan.
        watch_wanted, watch_done: number of the watch that was asked for, and of the newest answer.
        watch_scans, watch_at_ns: scans, and the start of the newest, when that was copied.
        hold_mask: tasks whose outputs keep their last value when a fault has stopped them.
        event_head, events_read: number of the newest event; of the last one that a kernel has told.
        stale_told: what was noted last of `stale`.
        stored, store_error: number of the newest store of what is retained; errno where the disk refuses.
        offer, answered: number of the newest online change that the kernel offers (as descriptors
            `offer_block` and `offer_code` of process `offer_pid`), and that the core's process has answered;
            `refused` is 1 where it could not be taken.
        successor, change: another block and the list of moves that leads there, to be taken over between two
            scans. These and the next are addresses in the core's process.
        handed: the block that is scanned instead of this one; 0 while it is this one.
        handover_ns: how long it took to go over to this block, between two scans.
        watchdog_here: 1 once the watchdog watches this block.
        predecessor, way_back, trial_until_ns: where to return to, and how, should this one fail till then;
            the time is below 0 before the first scan.
        returned, returned_task, returned_ns: why it was left (`RETURNED_...`), the task's mask, its time.
        tape: where each scan's inputs and outputs are kept for a rehearsal; 0 for nowhere.
        tape_wanted, tape_there: number of the newest tape that the kernel offers (as descriptor `tape_fd` of
            process `tape_pid`; -1 for none), and that the core's process has taken up.
        record: where scans are recorded (`softplc.record.words.RecordHead`); 0 for nowhere.
        fifo, timer_slack, locked, pinned: what the system granted (the scan's priority; else 1); 0 where it
            was not asked for, or the number of the error, negative.
    """

    _fields_ = words(
        "version",
        "image", "tasks", "inputs", "outputs", "keys", "master", "buffers", "ring", "writes", "copy",
        "in_ids", "in_raw", "in_quality", "out_ids", "out_raw", "out_quality", "out_at",
        "shown_raw", "shown_quality", "scratch",
        "image_size", "task_count", "input_count", "output_count", "key_count", "ring_stride",
        "hold_mask", "wall_offset_ns", "source_offset_ns", "monitor_ns",
        "scans", "fault_mask", "held", "retries", "collected", "collected_faults", "aborts",
        "stop", "ended",
        "ready", "filling", "latched",
        "write_head", "write_tail", "latest",
        "active", "active_since_ns", "active_limit_ns", "kill_done",
        "copy_wanted", "copy_done",
        "scanning", "beat_ns", "stale", "end",
        "fifo", "timer_slack", "locked", "pinned",
        "stored", "store_error",
        "forces", "force_wanted", "force_taken", "forces_ended",
        "watch", "watched", "watch_count", "watch_wanted", "watch_done", "watch_scans", "watch_at_ns",
        "scanned_ns",
        "offer", "offer_pid", "offer_block", "offer_code", "answered", "refused",
        "successor", "change", "handed", "watchdog_here", "handover_ns",
        "predecessor", "way_back", "trial_until_ns", "returned", "returned_task", "returned_ns",
        "laps", "events", "event_head", "events_read", "stale_told",
        "tape", "tape_wanted", "tape_there", "tape_pid", "tape_fd",
        "record",
    )  # fmt: skip


class Task(ctypes.Structure):
    """One task: what to call, when, and how it went. Tasks stand in order of priority.

    Attributes:
        stops: tasks that its fault stops, itself among them.
        row_overruns, row_dropped: overruns in a row up to now, and activations dropped in them.
        worst_scan, worst_at_ns, worst_ns: which scan of the core took longest, when it began, its duration.
        worst_inputs: its inputs; `worst_sequence` is odd while these are written, 0 where there are none.
    """

    _fields_ = words(
        "function", "mask", "interval_ns", "watchdog_ns", "next_ns", "last_ns",
        "scans", "overruns", "skipped", "execution_max_ns", "latency_max_ns",
        "execution_bins", "latency_bins",
        "fault_code", "fault_line", "fault_file", "fault_a", "fault_b", "fault_c", "fault_unit",
        "fault_unsigned", "fault_scan", "fault_at_ns",
        "execution_last_ns", "execution_min_ns", "latency_last_ns", "latency_min_ns",
        "worst_scan", "worst_at_ns", "worst_ns", "worst_sequence", "worst_inputs",
        "stops", "row_overruns", "row_dropped",
    )  # fmt: skip


class Slot(ctypes.Structure):
    """One variable bound to a tag: where it lies in the image, and its kind (`softplc.core.kinds`).

    Attributes:
        mask: tasks whose fault makes an output invalid, one bit a task.
        safe: pattern published instead while one of these is stopped.
        quality: quality that it then has.
        running_quality: quality that it has else: good, or overridden where its variable is forced.
    """

    _fields_ = words("offset", "kind", "bit", "key", "mask", "safe", "quality", "running_quality")


class Write(ctypes.Structure):
    """One pending write to a variable."""

    _fields_ = words("offset", "kind", "bit", "raw")


class ForceTable(ctypes.Structure):
    """Head of a table of forces; `FORCES` records follow.

    Attributes:
        due_ns: monotonic time at which the next force ends; 0 for never.
    """

    _fields_ = words("count", "due_ns")


class Force(ctypes.Structure):
    """A variable that has a value whatever writes it; parts of a text have one number.

    Attributes:
        kind: -1 once its time is over.
        until_ns: monotonic time at which it ends; 0 for never.
    """

    _fields_ = words("offset", "kind", "bit", "raw", "until_ns", "number")


class EventRecord(ctypes.Structure):
    """Something that happened in the loop; event n lies in place n % EVENTS.

    Attributes:
        kind: a `Kind`, which tells what the letters are.
        task: mask of the task, 0 for all.
        scans, at_ns: scans so far, and monotonic time.
    """

    _fields_ = words("number", "kind", "task", "scans", "at_ns", "a", "b", "c", "d", "e", "f", "g")


class LapHead(ctypes.Structure):
    """Head of the figures of programs, which a task's code calls between two of them; `Lap` records follow.

    Attributes:
        function: what is called.
        since_ns: end of the program before in this scan, or its start.
        scans: number of this scan.
    """

    _fields_ = words("function", "since_ns", "scans")


class Lap(ctypes.Structure):
    """How one program of a task went; its histogram has bins that grow with what they count (`lap_bin`)."""

    _fields_ = (
        *words("scans", "last_ns", "min_ns", "max_ns", "total_ns", "worst_scan"),
        ("bins", ctypes.c_uint32 * LAP_BINS),
    )


class Range(ctypes.Structure):
    """A part of the image that is watched."""

    _fields_ = words("offset", "size")


class Snapshot(ctypes.Structure):
    """Head of a snapshot; `output_count` raw patterns follow. `sequence` is odd while it is written."""

    _fields_ = words("sequence", "at_ns", "scans", "writes_taken", "fault_mask")


class ImageHead(ctypes.Structure):
    """Head of a program's image, as the compiler lays it out."""

    _fields_ = (
        ("now_ns", ctypes.c_int64),
        ("scan_count", ctypes.c_int64),
        ("fault_code", ctypes.c_int32),
        ("fault_line", ctypes.c_int32),
        ("fault_file", ctypes.c_int32),
        ("stop", ctypes.c_int32),
        ("dt_ns", ctypes.c_int64),
        ("laps", ctypes.c_int64),
        ("fault_a", ctypes.c_int64),
        ("fault_b", ctypes.c_int64),
        ("fault_c", ctypes.c_int64),
        ("fault_unit", ctypes.c_int32),
        ("fault_unsigned", ctypes.c_int32),
    )
