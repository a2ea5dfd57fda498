"""How long compiling takes: an edited plant, programs of growing length, a library from a folder."""

from __future__ import annotations

import os
import tempfile
from functools import partial
from importlib.metadata import entry_points
from itertools import count
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from runtime.clock import monotonic_ns
from runtime.errors import PlantError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Took = tuple[float, float]
CURVE = (1_000, 5_000, 20_000)
SUFFIXES = (".st", ".exp", ".iecst")
_TIMES = 3
_TYPING_S = 3  # between two edits
_BLOCK = """FUNCTION_BLOCK Unit{n}
VAR_INPUT run : BOOL; level, limit : REAL; END_VAR
VAR_OUTPUT alarm : BOOL; speed : REAL; count : DINT; END_VAR
VAR delay : TON; total : LREAL; state : INT; history : ARRAY[0..9] OF REAL; k : INT; END_VAR
delay(IN := run AND level > limit, PT := T#{n}ms);
CASE state OF
    0: IF run THEN state := 1; END_IF;
    1: speed := LIMIT(0.0, speed + 0.5, 100.0);
        IF delay.Q THEN state := 2; END_IF;
    2: speed := speed * 0.9;
        IF NOT run THEN state := 0; count := count + 1; END_IF;
END_CASE;
FOR k := 9 TO 1 BY -1 DO
    history[k] := history[k - 1];
END_FOR;
history[0] := level;
total := total + level * 0.01;
alarm := delay.Q AND (history[9] > limit OR state = 2);
END_FUNCTION_BLOCK
"""
_LINES = _BLOCK.count("\n") + 4


def program_of(lines: int) -> str:
    """Return a program of about so many lines: blocks of a usual size, each used once."""
    number = lines // _LINES
    blocks = "".join(_BLOCK.format(n=n) for n in range(number))
    declared = "".join(f"unit{n} : Unit{n};\n" for n in range(number))
    calls = "".join(
        f"unit{n}(run := NOT unit{n}.alarm,\n    level := level, limit := 50.0);\n"
        f"level := level + unit{n}.speed * 0.001;\n"
        for n in range(number)
    )
    return f"{blocks}PROGRAM Main\nVAR\nlevel : REAL;\n{declared}END_VAR\n{calls}END_PROGRAM\n"


def edit_to_running(folder: Path) -> dict[str, Took]:
    """Return wall and CPU seconds from a changed line of the bottling line to its first scan."""
    import softplc
    from softplc.build import build, read_sources
    from softplc.compiler import COMPILERS

    demo = entry_points(group="ironworks.demos")["bottling"].load()
    sources = read_sources(Path(str(demo)), ["plc/*.st"])
    name = next(each for each, text in sources.items() if "END_PROGRAM" in text)
    numbers = count(1)

    def edited() -> dict[str, str]:
        line = f"IF FALSE THEN ; END_IF; // edit {next(numbers)}\n"
        return {**sources, name: sources[name].replace("END_PROGRAM", f"{line}END_PROGRAM", 1)}

    cache = folder / "cache"

    def changed() -> None:
        build(edited(), cache).application.simulator().scan()

    changed()
    found = {
        "edit to running": _least(lambda: softplc.compile(sources=edited()).simulator().scan(), _TIMES),
        "the first edit, in a process of its own": _least(changed, _TIMES),
    }
    with COMPILERS.kept_ready():  # as the kernel does while a PLC runs
        changed()
        found["the next edit, in a process that waited"] = _least(changed, _TIMES, pause_s=_TYPING_S)
    return found


def curve() -> Iterator[tuple[int, Took]]:
    """Yield lines, and what it takes to compile them from text to object code."""
    import softplc

    softplc.compile(sources={"warm.st": program_of(100)})
    for lines in CURVE:
        sources = {"long.st": program_of(lines)}
        yield sources["long.st"].count("\n"), _least(partial(softplc.compile, sources=sources), 1)


def sources_of(folder: Path) -> dict[str, str]:
    """Return the ST files below a folder, by name.

    Raises:
        PlantError: there are none.
    """
    found = sorted(each for each in folder.rglob("*") if each.suffix.lower() in SUFFIXES)
    if not found:
        raise PlantError(f"{folder} has no file of ST", f"name a folder with {', '.join(SUFFIXES)}")
    return {each.relative_to(folder).as_posix(): each.read_text(encoding="latin-1") for each in found}


def library_s(folder: Path) -> dict[str, tuple[float, float, str]]:
    """Return wall and CPU seconds to check a library, to compile all of it, and to load it from the cache.

    Raises:
        CompileError: it does not compile.
    """
    import softplc
    from softplc.build import build

    sources = sources_of(folder)
    checking = _least(partial(softplc.check, sources=sources, profile="codesys"), 1)
    driver, units = driver_of(sources)
    sources |= {"ironworks_bench.st": driver}
    with tempfile.TemporaryDirectory(prefix="ironworks-bench-") as cache:
        cold = _least(partial(build, sources, Path(cache), "codesys"), 1)
        cached = _least(partial(_loaded, sources, Path(cache)), _TIMES)
    return {
        "checked": (*checking, ""),
        "compiled, no cache": (*cold, f"; {units} units, each called"),
        "loaded from the cache": (*cached, ""),
    }


def _loaded(sources: Mapping[str, str], cache: Path) -> object:
    from softplc.build import build

    return build(sources, cache, "codesys").application.simulator()


def driver_of(sources: Mapping[str, str]) -> tuple[str, int]:
    """Return a program that calls every function and block of a library, and how many those are."""
    from softplc.pipeline import checked
    from softplc.profiles import profile_of
    from softplc.source import SourceSet

    project = checked((), sources, SourceSet(), profile_of("codesys"))
    declared, calls, own = "", "", {name.rpartition("/")[2].rpartition(".")[0].casefold() for name in sources}
    units = 0
    for pou in project.pous.values():
        if pou.kind not in ("FUNCTION", "FUNCTION_BLOCK") or pou.name.casefold() not in own:
            continue
        units += 1
        given = [each for each in pou.variables.values() if each.section in ("VAR_INPUT", "VAR_IN_OUT")]
        if pou.kind == "FUNCTION_BLOCK":
            given = [each for each in given if each.section == "VAR_IN_OUT"]
        declared += "".join(f"x{units}_{each.name} : {each.type};\n" for each in given)
        arguments = ", ".join(f"{each.name} := x{units}_{each.name}" for each in given)
        if pou.kind == "FUNCTION_BLOCK":
            declared += f"u{units} : {pou.name};\n"
            calls += f"u{units}({arguments});\n"
        elif pou.result is not None:
            declared += f"u{units} : {pou.result.type};\n"
            calls += f"u{units} := {pou.name}({arguments});\n"
    return f"PROGRAM iwBench\nVAR\n{declared}END_VAR\n{calls}END_PROGRAM\n", units


def _least(work: Callable[[], object], times: int, pause_s: float = 0) -> Took:
    """Return the least wall seconds, and the least CPU seconds of this process and its children."""
    wall_s, cpu_s = float("inf"), float("inf")
    for _ in range(times):
        Event().wait(pause_s)
        began_ns, before_s = monotonic_ns(), sum(os.times()[:4])
        work()
        wall_s = min(wall_s, (monotonic_ns() - began_ns) / 1e9)
        cpu_s = min(cpu_s, sum(os.times()[:4]) - before_s)
    return wall_s, cpu_s
