"""Why a variable has its value: since which scan, and what or who gave it."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from runtime.errors import PlantError, UnknownVariableError
from runtime.plcview import ReadView, WhyView
from softplc.application import Symbol
from softplc.build import Build
from softplc.core.kinds import Variable
from softplc.diagnostics import CompileError
from softplc.lexer import tokenise
from softplc.lookup import Found
from softplc.lower.writers import Writer
from softplc.profiles import profile_of
from softplc.record.notes import CHANGE, FORCE, RESTART, Note
from softplc.record.programs import RecordedProgram
from softplc.record.replay import Position, Replay
from softplc.record.state import forces_of
from softplc.record.words import FORCE_WORDS
from softplc.source import SourceSet

PROGRAM, FORCED, WRITTEN, INPUT, BEGIN, CHANGED, GAP, UNCHANGED, UNKNOWN = (
    "program", "force", "write", "input", "start", "change", "gap", "unchanged", "unknown",
)  # fmt: skip
_READ = 12
_NEAR_NS = 30_000_000_000


@dataclass(frozen=True, slots=True)
class _Since:
    """Behind which scan a value is first there; `stretch` where it was there when the record began anew."""

    at: Position
    stretch: int = -1


def why(replay: Replay, path: str) -> WhyView:
    """Say why a variable has the value that it has where the replay stands; the replay moves.

    Raises:
        UnknownVariableError: there is no such variable.
        PlantError: it is no variable of an elementary type, or the record is damaged.
    """
    program = replay.program
    found = _elementary(program, path)
    value = program.lookup.read(found, replay.image)
    since = _since(replay, found.path, replay.at)
    if since is None:
        return WhyView(found.path, value, UNCHANGED, *_at(replay.seek_first()))
    if since.stretch >= 0:
        return _jumped(replay, found.path, value, since)
    replay.seek(scan=since.at.scan, run=since.at.run)
    return _caused(replay, _elementary(replay.program, found.path), value, since.at)


def _elementary(program: RecordedProgram, path: str) -> Found:
    found = program.lookup.find(program.variable_of(path))
    if found.symbol is None:
        raise UnknownVariableError(f"{found.path} is of type {found.type}", "name one of its members")
    return found


def _value(replay: Replay, path: str) -> Any:
    """Return the value of a variable where the replay stands; None where the program has none."""
    try:
        return replay.program.lookup.read(replay.program.lookup.find(path), replay.image)
    except UnknownVariableError:
        return None


def _since(replay: Replay, path: str, target: Position) -> _Since | None:
    """Find the last change up to a position: stretch by stretch, the newest first."""
    for stretch in replay.stretches():
        first = replay.seek_stretch(stretch)
        newest, before = None, _value(replay, path)
        while replay.run(target, watch=[path]):
            now = _value(replay, path)
            if now != before:
                newest, before = replay.at, now
        if newest is not None:
            return _Since(newest)
        if not replay.follows(stretch) and replay.seek_before(stretch) and _value(replay, path) != before:
            return _Since(first, stretch)
        target = first if replay.follows(stretch) else replay.at
    return None


def _jumped(replay: Replay, path: str, value: Any, since: _Since) -> WhyView:
    """Tell what lies where the record begins anew: a start, a changed program, or a gap."""
    at = since.at
    replay.seek_stretch(since.stretch)
    run, block = replay.run_id, replay.block_id
    if replay.seek_before(since.stretch) is None:
        raise AssertionError("the record has something before that")
    old, record = _value(replay, path), replay.record
    asked = [note for note in record.notes if note.kind == RESTART and note.run == replay.run_id]
    if any((gap.run, gap.last) == (run, at.scan) for gap in record.gaps):
        text = "what happened there is not in the record"
        return WhyView(path, value, GAP, *_at(at), before=old, text=text)
    if replay.run_id != run:
        last = next((note for note in reversed(asked) if not note.target), None)  # nothing comes after it
        text = f"{last.value} restart: {last.text}".rstrip(": ") if last else "the PLC started"
        actor = last.actor if last else ""
        return WhyView(path, value, BEGIN, *_at(at), before=old, actor=actor, text=text)
    change = next((note for note in record.notes if (note.kind, note.block) == (CHANGE, block)), None)
    near = [note for note in asked if note.target and change and abs(change.at_ns - note.at_ns) < _NEAR_NS]
    if not near:
        return WhyView(path, value, CHANGED, *_at(at), before=old)
    text = f"{near[-1].value} restart of task {near[-1].target}: {near[-1].text}".rstrip(": ")
    return WhyView(path, value, CHANGED, *_at(at), before=old, actor=near[-1].actor, text=text)


def _at(at: Position) -> tuple[int, int, int]:
    return at.run, at.scan, at.at_ns


def _caused(replay: Replay, found: Found, value: Any, at: Position) -> WhyView:
    """Tell what gave a value in a scan, behind which the replay stands."""
    program, path, symbol = replay.program, found.path, found.symbol
    if symbol is None:
        raise AssertionError("it is elementary")
    bits = program.lookup.variable(symbol).bits
    replay.step(-1)
    before, scan = _value(replay, path), replay.next_scan()
    if scan is None:
        return WhyView(path, value, UNKNOWN, *_at(at), before=before, text="that scan cannot be read")
    task = replay.core.tasks[scan.task].name
    before_it = forces_of(replay.core).reshape(-1, FORCE_WORDS).tolist()
    forces = before_it if scan.forces is None else scan.forces
    for force in _overlapping(bits, forces):
        note = replay.record.newest(FORCE, force[5])
        actor, text = _who(note)
        return WhyView(path, value, FORCED, *_at(at), before=before, actor=actor, text=text)
    writer, problem = _writer(replay, program, symbol)
    if writer is not None:
        replay.step()
        reads = tuple(_reads(replay, writer, path, task))
        return WhyView(
            path, value, PROGRAM, *_at(at), before=before, task=task, pou=writer.pou, file=writer.file,
            line=writer.line, source=writer.text, reads=reads,
        )  # fmt: skip
    for binding in program.inputs:
        low, high = binding.at.bits
        if low < bits[1] and bits[0] < high:
            text = "its force has ended" if next(_overlapping(bits, before_it), None) else ""
            return WhyView(
                path, value, INPUT, *_at(at), before=before, tag=binding.tag, origin=binding.source, text=text
            )
    for number, write in enumerate(scan.writes, replay.core.control.write_tail + 1):
        for _ in _overlapping(bits, [write]):
            note = replay.record.write(replay.block_id, number)
            tag = note.target if note else ""
            actor, text = _who(note)
            return WhyView(path, value, WRITTEN, *_at(at), before=before, tag=tag, actor=actor, text=text)
    problem = problem or "no statement wrote it: the configuration handed it over, or it lies elsewhere too"
    return WhyView(path, value, PROGRAM, *_at(at), before=before, task=task, problem=problem)


def _who(note: Note | None) -> tuple[str, str]:
    return (note.actor, note.text) if note is not None else ("", "by whom is not in the record")


def _overlapping(bits: tuple[int, int], words: Any) -> Iterator[tuple[int, ...]]:
    """Yield those words (offset, kind, bit, ...) that share bits with a variable."""
    for each in words:
        if each[1] < 0:
            continue  # a force whose time is over
        low, high = Variable(*each[:3]).bits
        if low < bits[1] and bits[0] < high:
            yield each


def _writer(replay: Replay, program: RecordedProgram, symbol: Symbol) -> tuple[Writer | None, str]:
    """Run the next scan with code that notes the statement which writes a variable."""
    from softplc.pipeline import compile_traced

    place = symbol.offset, symbol.size, symbol.bit
    try:
        application, writers = compile_traced(program.sources, place, profile_of(program.about.profile))
    except CompileError as exc:
        return None, f"the recorded sources do not compile any more: {exc.diagnostics[0].message}"
    if application.roots != program.build.application.roots:
        return None, "the recorded sources compile to another layout now"
    traced = RecordedProgram(program.name, Build(application, program.build.core_object), program.about)

    def prepare(image: memoryview) -> None:
        now = bytes(image[symbol.offset : symbol.offset + symbol.size])
        if symbol.bit >= 0:
            now = bytes([now[0] >> symbol.bit & 1])
        image[writers.kept : writers.kept + len(now)] = now

    image = replay.beside(traced, prepare)
    number = struct.unpack_from("<i", image, writers.writer)[0] if image is not None else 0
    return (writers.statements[number - 1] if number else None), ""


def _reads(replay: Replay, writer: Writer, path: str, task: str) -> Iterator[ReadView]:
    """Yield what a line names, besides the variable itself, with its value."""
    program, source = replay.program, writer.text
    tokens, _ = tokenise(SourceSet().add("", source), profile_of(program.about.profile))
    told = {path.casefold()}
    homes = [*_owners(program, writer.pou, path), *_programs(program, task), ""]
    position = 0
    while position < len(tokens) - 1 and len(told) <= _READ:
        if tokens[position].kind != "id":
            position += 1
            continue
        end = position + 1
        while end + 1 < len(tokens) and tokens[end].text == "." and tokens[end + 1].kind == "id":
            end += 2
        name = source[tokens[position].at : tokens[end - 1].end]
        position = end
        found = next(filter(None, (_named(program, home, name) for home in homes)), None)
        if found is None or found.path.casefold() in told:
            continue
        told.add(found.path.casefold())
        binding = next((each for each in program.inputs if _same(program, each.variable, found)), None)
        tag, origin = (binding.tag, binding.source) if binding else ("", "")
        yield ReadView(found.path, program.lookup.read(found, replay.image), tag, origin)


def _same(program: RecordedProgram, variable: str, found: Found) -> bool:
    try:
        return program.lookup.find(variable).spans == found.spans
    except PlantError:
        return False


def _named(program: RecordedProgram, home: str, name: str) -> Found | None:
    try:
        found = program.lookup.find(f"{home}.{name}" if home else name)
    except PlantError:
        return None
    return found if found.symbol is not None else None


def _owners(program: RecordedProgram, pou: str, path: str) -> Iterator[str]:
    """Yield the instances around a variable that are of a block."""
    parts = path.split(".")
    for count in range(len(parts) - 1, 0, -1):
        home = ".".join(parts[:count])
        try:
            found = program.lookup.find(home)
        except PlantError:
            continue
        if found.shape is not None and found.type.casefold() == pou.casefold():
            yield home


def _programs(program: RecordedProgram, task: str) -> Iterator[str]:
    for each in program.build.application.tasks:
        if each.name == task:
            yield from each.programs
            if each.resource:
                yield each.resource  # begins the paths of what other resources have by the same name
