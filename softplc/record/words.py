"""The record of scans as the loop writes it into the block: a ring of words of eight bytes.

A *key* holds all that a replay begins with; a *scan* only what changed since the one before. Needs nothing
but the standard library.
"""

from __future__ import annotations

import ctypes

from softplc.core.layout import WRITES, words

PAD, KEY, SCAN = 1, 2, 3
FORCED, ABORTED, FAULTED = 1, 2, 4
FIRST, PERIODIC, ASKED, AFTER_GAP, AFTER_FAULT, RETURNED = range(1, 7)
SCAN_WORDS, FAULT_WORDS, FORCE_WORDS, WRITE_WORDS, INPUT_WORDS = 2, 3, 6, 2, 2
NO_INPUTS_WORDS = SCAN_WORDS + FAULT_WORDS + WRITES * WRITE_WORDS


class RecordHead(ctypes.Structure):
    """Head of the record in a block; the inputs noted last and then the ring follow.

    Attributes:
        capacity: words of the ring.
        head, tail: words written so far, and taken out so far.
        lost: scans that found no room since the newest key; `lost_ever` in all.
        asked, keyed: number of keys that the kernel has asked for, and of the last that was answered.
        reason: why the next record must be a key; 0 where it need not be.
        every_ns, due_ns: time between two keys, and when the next one is due, in the program's time.
        latched: the input buffer noted last, -1 for none.
        forces, ended: table of forces noted last, and how many had ended.
        open: 1 while a scan is being recorded, which begins at `start` and ends at `at`.
        noted, ring: where they lie from here.
        run: names the core's life; a program that takes over goes on with it.
        block: names the block.
    """

    _fields_ = words(
        "capacity", "head", "tail", "lost", "lost_ever", "asked", "keyed", "reason", "every_ns", "due_ns",
        "latched", "forces", "ended", "open", "start", "at", "noted", "ring", "run",
        "block",
    )  # fmt: skip


class KeyHead(ctypes.Structure):
    """Head of a key; then `last_ns` of each task, the inputs, the forces, the image.

    Attributes:
        kind: `KEY`; `reason` says why it was written.
        size: words of the whole key.
        scans: scans before it.
        lost: scans before it that are not in the record.
        taken: number of the last write that was taken before.
        address: where the image lies in the core's process.
    """

    _fields_ = words(
        "kind", "size", "reason", "scans", "fault_mask", "lost", "taken", "forces", "inputs", "image",
        "tasks",
        "address",
    )  # fmt: skip
