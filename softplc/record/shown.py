"""What is told of a replay, for people: values, positions, the answer to why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from runtime.plcview import WhyView
from softplc.record.replay import Position, Replay
from softplc.record.why import (
    BEGIN,
    CHANGED,
    FORCED,
    GAP,
    INPUT,
    PROGRAM,
    UNCHANGED,
    WRITTEN,
)

_SECOND_NS = 1_000_000_000


def time_text(at_ns: int) -> str:
    """Write a time in this machine's zone, to the microsecond; 0 is before the first scan."""
    if not at_ns:
        return "before the first scan"
    at = datetime.fromtimestamp(at_ns // _SECOND_NS, UTC).astimezone()
    return f"{at:%Y-%m-%d %H:%M:%S}.{at_ns % _SECOND_NS // 1000:06d}"


def place_text(at: Position, runs: int) -> str:
    """Write a position; the run only where there are several."""
    run = f" of run {at.run}" if runs > 1 else ""
    return f"scan {at.scan}{run}, {time_text(at.at_ns)}"


def value_text(value: Any) -> str:
    """Write a value as the program would; a terminal obeys nothing that is in a text."""
    if value is None:
        return "(nothing)"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} := {value_text(each)}" for name, each in value.items()) + ")"
    if isinstance(value, list):
        return "[" + ", ".join(map(value_text, value)) + "]"
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return f"{value:.9g}"
    text = str(value)
    return "".join(each if each.isprintable() else f"${ord(each):02X}" for each in text)


def report_of(replay: Replay) -> Iterator[str]:
    """Yield how the replay compares with what was recorded, and what is missing."""
    for gap in replay.record.gaps:
        yield f"gap: {gap.text}"
    for problem in dict.fromkeys(replay.record.problems):
        yield f"damaged: {problem}"
    for each in replay.differences:
        yield f"DIFFERENT at scan {each.at.scan}: byte {each.offset} of the image is not what was recorded"


def why_text(answer: WhyView) -> Iterator[str]:
    """Yield an answer line by line."""
    at = Position(answer.run, answer.scan, answer.at_ns)
    value = f"{answer.path} = {value_text(answer.value)}"
    if answer.cause == UNCHANGED:
        yield f"{value} for as long as the record reaches: since before {place_text(at, at.run)}"
        return
    was = f" (before: {value_text(answer.before)})" if answer.before is not None else ""
    yield f"{value} since {place_text(at, at.run)}{was}"
    who = answer.actor or "somebody"
    because = f": {answer.text}" if answer.text else ""
    if answer.cause == PROGRAM:
        yield from _program(answer)
    elif answer.cause == FORCED:
        yield f"  forced by {who}{because}"
    elif answer.cause == WRITTEN:
        yield f"  written by {who}{f' through {answer.tag}' if answer.tag else ''}{because}"
    elif answer.cause == INPUT:
        yield f"  input {answer.tag}, which comes from {answer.origin}{because}"
    elif answer.cause == BEGIN:
        yield f"  {answer.text}{f' ({answer.actor})' if answer.actor else ''}"
    elif answer.cause == CHANGED:
        yield f"  the program was changed online{f' by {answer.actor}' if answer.actor else ''}{because}"
    elif answer.cause == GAP:
        yield "  it changed where scans are missing in the record"
    else:
        yield f"  {answer.text}"


def _program(answer: WhyView) -> Iterator[str]:
    if not answer.file:
        yield f"  task {answer.task}: {answer.problem}"
        return
    yield f"  task {answer.task}, {answer.pou}, {answer.file}:{answer.line}"
    yield f"    {answer.source}"
    for each in answer.reads:
        bound = f"   input {each.tag}, from {each.source}" if each.tag else ""
        yield f"    {each.path} = {value_text(each.value)}{bound}"
