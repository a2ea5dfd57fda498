"""Every `.st` here does what its `.trace` says.

A trace is lines: `set PATH VALUE`, `scan [COUNT [PERIOD]]`, `PATH = VALUE`, and `fault LINE CAUSE` for a
scan that must stop a task. `#` starts a comment. Those in `codesys/` are of that profile.
"""

import math
from pathlib import Path

import pytest

import softplc
from softplc.application import Symbol
from softplc.texts import parse_duration, parse_value, shown

FOLDER = Path(__file__).parent
PROGRAMS = sorted(path.stem for path in FOLDER.glob("*.st"))
PROGRAMS += sorted(f"codesys/{path.stem}" for path in FOLDER.glob("codesys/*.st"))


def expected(symbol: Symbol, text: str):
    if symbol.type in ("REAL", "LREAL") and text.strip() in ("NaN", "Infinity", "-Infinity"):
        return text.strip()
    value = parse_value(symbol, text)
    return symbol.values[value] if isinstance(value, str) and symbol.values else shown(symbol.type, value)


def agree(seen, wanted) -> bool:
    if isinstance(seen, float) and isinstance(wanted, float):
        return math.isclose(seen, wanted, rel_tol=1e-6, abs_tol=1e-12)
    return seen == wanted


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_keeps_to_its_trace(name):
    profile = "codesys" if name.startswith("codesys/") else "iec"
    application = softplc.compile(FOLDER / f"{name}.st", profile=profile)
    simulator = application.simulator()
    lines = (FOLDER / f"{name}.trace").read_text(encoding="utf-8").splitlines()
    checked = 0
    wrong = []
    for number, line in enumerate(lines, 1):
        line = line.split("#!")[0].strip()
        if not line or line.startswith("#"):
            continue
        words = line.split(None, 2)
        if words[0] == "set":
            simulator.write(words[1], parse_value(application.symbol(words[1]), words[2]))
        elif words[0] == "scan":
            count = int(words[1]) if len(words) > 1 else 1
            simulator.scan(count, parse_duration(words[2]) if len(words) > 2 else 10_000_000)
        elif words[0] == "fault":
            with pytest.raises(softplc.PlcFaultError) as caught:
                simulator.scan()
            assert (caught.value.line, caught.value.cause) == (int(words[1]), words[2]), (
                f"{name}.trace:{number}"
            )
            checked += 1
        else:
            path, _, value = line.partition(" = ")
            symbol = application.symbol(path.strip())
            seen, wanted = shown(symbol.type, simulator.read(symbol.path)), expected(symbol, value)
            checked += 1
            if not agree(seen, wanted):
                wrong.append(f"{name}.trace:{number}: {path.strip()} is {seen!r}, not {wanted!r}")
    assert not wrong, "\n".join(wrong)
    assert checked
