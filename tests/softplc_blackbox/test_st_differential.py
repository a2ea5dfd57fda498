"""Random typed programs: compiler and tree-walking evaluator agree, faults and their lines included.

250 programs, most of them small; `make nightly` runs 20,000 of full size. IRONWORKS_ST_PROGRAMS has how many,
IRONWORKS_ST_SEED the first one.
"""

import math
import os
import re

import numpy as np
import pytest
from st_oracle import Oracle
from st_random import Generator

import softplc
from softplc.simulator import PlcFaultError

PROGRAMS = int(os.environ.get("IRONWORKS_ST_PROGRAMS", "250"))
FIRST = int(os.environ.get("IRONWORKS_ST_SEED", "0"))
CHUNK, WIDE = 25, 15
SHORT = PROGRAMS <= 250
SCANS = 3
REFERENCES = ("Main.ref",)  # no one outside of the program sees them


def same(expected, found):
    if isinstance(expected, dict):
        return all(same(expected[key], found[key]) for key in expected if key in found)
    if isinstance(expected, list):
        return len(expected) == len(found) and all(map(same, expected, found))
    if isinstance(expected, float | np.floating):
        return bool(expected == found) or (math.isnan(expected) and math.isnan(found))
    return expected == found


def widened(source):
    """Return a program with WSTRING for STRING."""
    source = re.sub(r"\b(STRING|CHAR_TO_INT)\b", r"W\1", source)
    return re.sub(r"'((?:\$.|[^'$])*)'", r'"\1"', source)


def disagreement(seed, change=lambda source: source):
    """Return what differs, or None."""
    program = Generator(seed, small=SHORT and seed % 10 > 0).program()
    source = change(program.text())
    simulator = softplc.compile(sources={"random.st": source}).simulator()
    oracle = Oracle(program)
    for scan in range(SCANS):
        expected = oracle.scan()
        try:
            simulator.scan()
            found = None
        except PlcFaultError as fault:
            found = fault.line
        if found != expected:
            return f"seed {seed}, scan {scan}: fault in line {found}, expected {expected}\n{source}"
        variables = {f"Main.{name}": value for name, value in oracle.main.items()} | oracle.globals
        variables = {path: value for path, value in variables.items() if path[:8] not in REFERENCES}
        for path, value in variables.items():
            if not same(value, simulator.read(path)):
                found = simulator.read(path)
                return f"seed {seed}, scan {scan}: {path} = {found!r}, expected {value!r}\n{source}"
        if found is not None:
            return None
    return None


@pytest.mark.parametrize("first", range(FIRST, FIRST + PROGRAMS, CHUNK))
def test_compiler_agrees_with_the_oracle(first):
    wrong = [
        text for seed in range(first, min(first + CHUNK, FIRST + PROGRAMS)) if (text := disagreement(seed))
    ]
    assert not wrong, wrong[0]


def test_strings_of_wide_characters_agree_too():
    wrong = [
        text
        for seed in range(FIRST, FIRST + max(PROGRAMS // 10, WIDE))
        if (text := disagreement(seed, widened))
    ]
    assert not wrong, wrong[0]
