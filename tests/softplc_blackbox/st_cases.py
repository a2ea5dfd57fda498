"""Reads the tables of this folder: expressions and programs with what they give."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

import softplc
from softplc.simulator import PlcFaultError

FOLDER = Path(__file__).parent
REFUSED, FAULT = "REFUSED", "FAULT"


@dataclass(frozen=True)
class Expression:
    type: str
    text: str
    expected: object
    declarations: str
    before: str

    def source(self):
        return (
            f"PROGRAM Main VAR x : {self.type}; {self.declarations} END_VAR "
            f"{self.before} x := {self.text}; END_PROGRAM"
        )


@dataclass(frozen=True)
class Case:
    name: str
    expected: object
    scans: int
    reason: str
    source: str


def expressions():
    for line in (FOLDER / "expressions.txt").read_text("utf-8").splitlines():
        if not line.startswith("#"):
            type_, text, expected, *rest = line.split(" | ")
            declarations, before = (*rest, "", "")[:2]
            yield Expression(type_, text, _expected(expected), declarations, before)


def programs(file):
    _, *parts = (FOLDER / file).read_text("utf-8").split("\n=== ")
    for part in parts:
        head, _, source = part.partition("\n")
        name, expected, scans, *reason = head.split(" | ")
        yield Case(name, _expected(expected), int(scans), "".join(reason), source)


def _expected(text):
    return text if text in (REFUSED, FAULT) else json.loads(text)


def outcome(source, paths, scans=1):
    """Return the values after the last scan, REFUSED with the findings, or FAULT."""
    try:
        simulator = softplc.compile(sources={"case.st": source}).simulator()
        simulator.scan(scans)
    except softplc.CompileError as error:
        return REFUSED + " " + "; ".join(each.message for each in error.diagnostics)
    except PlcFaultError:
        return FAULT
    return {path: simulator.read(path) for path in paths}


def same(found, expected):
    if isinstance(expected, str) and isinstance(found, str):
        return found == expected or (expected == REFUSED and found.startswith(REFUSED))
    if isinstance(expected, float) and isinstance(found, float):
        return math.isclose(found, expected, rel_tol=1e-6, abs_tol=1e-9)
    if isinstance(expected, dict) and isinstance(found, dict):
        return all(same(found[key], expected[key]) for key in expected)
    return (type(found) is type(expected) and found == expected) or _same_number(found, expected)


def _same_number(found, expected):
    both = isinstance(found, int | float) and isinstance(expected, int | float)
    return both and isinstance(found, bool) == isinstance(expected, bool) and found == expected
