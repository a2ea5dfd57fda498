"""The kernel's side of the record: takes scans out of the core's ring and writes them to disk."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import msgspec

from runtime.clock import monotonic_ns
from softplc.build import Build
from softplc.core.layout import FORCES
from softplc.core.scancore import ScanCore
from softplc.record.files import NOTES, SCANS, Chunk, Head, Segments, chunks, segments
from softplc.record.notes import Note, packed
from softplc.record.programs import Kept, prune
from softplc.record.ring import Piece, Ring, pieces
from softplc.record.words import FORCE_WORDS, NO_INPUTS_WORDS
from softplc.wiring import Wiring

log = logging.getLogger(__name__)

PROGRAMS = "programs"
_RING_WORDS = 4 << 17
_FOLD = 4
_MOST_WORDS = 2 * (NO_INPUTS_WORDS + FORCES * FORCE_WORDS)
_NOTES = 4_096


@dataclass(frozen=True, slots=True)
class RecordOptions:
    """How scans are recorded.

    Attributes:
        budget: bytes on disk; 0 for no record.
        every_ns: time between two whole images.
    """

    budget: int = 0
    every_ns: int = 10_000_000_000

    def ring_words(self, build: Build, wiring: Wiring) -> int:
        """Return the words of the ring for a program: 4 MiB, or a few times what is written at once."""
        if not self.budget:
            return 0
        inputs = sum(len(each.variable.parts) for each in wiring.inputs)
        image = build.application.image_size // 8
        return max(_RING_WORDS, _FOLD * (image + 3 * inputs + _MOST_WORDS))


@dataclass(frozen=True, slots=True)
class RecordFigures:
    """How the record does since the kernel has started.

    Attributes:
        scans, bytes: written.
        lost: scans that found no room, or no disk.
        error: why nothing can be written; empty while it can.
    """

    scans: int = 0
    bytes: int = 0
    lost: int = 0
    error: str = ""


class _Followed:
    """One block, and how far its record is on disk."""

    def __init__(self, ring: Ring, describe: Callable[[], Kept]) -> None:
        self.ring = ring
        self.describe = describe
        self.kept: Kept | None = None
        self.known = False  # whether a key, or what was written before, tells where the next scan is
        self.scans = self.now_ns = 0


class Recorder:
    """Writes the record of one core after the other, in whichever thread drains it.

    Attributes:
        standing: returns what still holds (forces), to be said again in each segment.
        figures: what was written.
    """

    def __init__(
        self, folder: Path, options: RecordOptions, standing: Callable[[], Iterable[Note]] = tuple
    ) -> None:
        self.folder = folder
        self.options = options
        self.standing = standing
        self.figures = RecordFigures()
        self._segments = Segments(folder, options.budget)
        self._followed: list[_Followed] = []
        self._notes: deque[Note] = deque(maxlen=_NOTES)
        self._lock = threading.Lock()
        self._new_segment = True
        self._saved = b""

    # Never waits.

    def prepare(self, core: ScanCore, run: int) -> None:
        """Let a core that does not scan yet record; `run` names its life, and no other one."""
        if core.control.record:
            head = Ring(core).head
            head.run, head.block = run, monotonic_ns()
            head.every_ns = self.options.every_ns

    def follow(self, core: ScanCore, describe: Callable[[], Kept]) -> None:
        """Take scans from this core too, once those of the cores before are written.

        `describe` says what runs on it; it may take a while, and is called where the record is written.
        """
        if core.control.record:
            self._followed.append(_Followed(Ring(core), describe))

    def note(self, note: Note) -> None:
        """Keep a deed, to be written with the scans around it."""
        if not note.run and self._followed:
            head = self._followed[-1].ring.head
            note = msgspec.structs.replace(note, run=head.run, block=head.block)
        self._notes.append(note)

    # Waits for the disk.

    def drain(self) -> None:
        """Write what is there."""
        with self._lock:
            followed = list(self._followed)
            for each, after in zip_longest(followed, followed[1:]):
                self._drain(each, after.ring.begins if after is not None else None)
            for each in followed[:-1]:
                self._followed.remove(each)
            self._write_notes()

    def end(self) -> None:
        """Write what is left, and end the segment."""
        self.drain()
        with self._lock:
            self._followed.clear()
            self._new_segment = True
            try:
                self._segments.close()
            except OSError as exc:
                self._refused(exc)

    def _open(self, followed: _Followed) -> Kept:
        """Describe what runs, and go on where an earlier kernel has stopped writing."""
        followed.kept = kept = followed.describe()
        ring = followed.ring
        last = self._last_chunk(ring.head.block)
        if last is not None and last.head.behind >= ring.head.tail:  # it may have been killed before it freed
            ring.free(last.head.behind)
            followed.known, followed.scans, followed.now_ns = True, last.head.last, last.head.last_ns
        elif ring.head.tail == 0:
            followed.known = True  # its first word is a key's
            return kept
        ring.ask_key()
        return kept

    def _last_chunk(self, block: int) -> Chunk | None:
        for file in reversed(segments(self.folder)):
            own = [
                each for each in chunks(file)
                if isinstance(each, Chunk) and each.head.kind == SCANS and each.head.block == block
            ]  # fmt: skip
            if own:
                return own[-1]
        return None

    def _drain(self, followed: _Followed, next_begins: int | None) -> None:
        """Write what a block has; what it did after a trial of the next one is written behind that."""
        kept = followed.kept or self._open(followed)
        ring, limit = followed.ring, followed.ring.written
        while ring.head.tail < limit:
            words, at, behind = ring.take()
            for piece in pieces(words, followed.scans, followed.now_ns):
                if next_begins is not None and piece.returns and piece.first >= next_begins:
                    ring.free(at)
                    return
                at += len(piece.words)
                if followed.known or piece.key:
                    followed.known = self._write(ring, kept, piece, at)
                else:
                    self._lose(piece.last - piece.first)
                followed.scans, followed.now_ns = piece.last, piece.last_ns
            ring.free(behind)

    def _write(self, ring: Ring, kept: Kept, piece: Piece, behind: int) -> bool:
        head = Head(
            SCANS, int(piece.key), piece.words.nbytes, ring.head.run, ring.head.block, behind, kept.name,
            piece.first, piece.last, piece.first_ns, piece.last_ns,
        )  # fmt: skip
        try:
            if self._new_segment or (piece.key and self._segments.full):
                self._begin_segment(kept)
            elif kept.name != self._saved:  # it was changed online, amid the segment
                kept.save(self.folder / PROGRAMS)
            self._saved = kept.name
            self._segments.append(head, piece.words.tobytes())
        except OSError as exc:
            self._refused(exc)
            self._lose(piece.last - piece.first)
            ring.ask_key()
            return False
        if self.figures.error:
            log.warning("the record is written again")
        scans = self.figures.scans + piece.last - piece.first
        self.figures = replace(self.figures, scans=scans, bytes=self._segments.written, error="")
        return True

    def _begin_segment(self, kept: Kept) -> None:
        self._segments.close()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = self.folder / PROGRAMS
        kept.save(folder)
        prune(folder, {kept.name, *self._programs()})
        self._new_segment = False
        for note in self.standing():
            self.note(note)

    def _programs(self) -> Iterator[bytes]:
        for file in segments(self.folder):
            for each in chunks(file):
                if isinstance(each, Chunk) and each.head.kind == SCANS:
                    yield each.head.program

    def _write_notes(self) -> None:
        if self._new_segment:
            return
        notes = [self._notes.popleft() for _ in range(len(self._notes))]
        if not notes:
            return
        data = packed(notes)
        times = [each.at_ns for each in notes]
        head = Head(NOTES, 0, len(data), notes[0].run, first_ns=min(times), last_ns=max(times))
        try:
            self._segments.append(head, data)
        except OSError as exc:
            self._refused(exc)

    def _refused(self, error: OSError) -> None:
        text = f"the record of scans cannot be written: {error.strerror}"
        if not self.figures.error:
            log.error("%s", text)
        self.figures = replace(self.figures, error=text)

    def _lose(self, scans: int) -> None:
        self.figures = replace(self.figures, lost=self.figures.lost + scans)


def run_of(core: ScanCore) -> int:
    """Return which life of a core this is; 0 where it does not record."""
    return int(Ring(core).head.run) if core.control.record else 0
