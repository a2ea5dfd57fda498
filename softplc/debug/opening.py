"""Opening: what a client asks for, compiled, and ready to run in a machine."""

from __future__ import annotations

import math
from pathlib import Path

from runtime.errors import PlantError
from softplc.application import Symbol
from softplc.debug.machine import Listener, Machine
from softplc.debug.program import load
from softplc.debug.protocol import Attach, Launch
from softplc.debug.simulated import Simulated
from softplc.texts import parse_duration, parse_value


def opened(asked: Launch | Attach, home: Path, listener: Listener) -> Machine:
    """Return a machine that does not run yet.

    Raises:
        CompileError: the program is wrong.
        PlantError: there is none, or something cannot be as it is asked for.
    """
    home = (home / asked.cwd).resolve()
    return _record(asked, home, listener) if isinstance(asked, Attach) else _simulation(asked, home, listener)


def _simulation(asked: Launch, home: Path, listener: Listener) -> Machine:
    wanted = [asked.program] if isinstance(asked.program, str) else asked.program
    if not math.isfinite(asked.speed) or asked.speed < 0:
        raise PlantError(f"the speed cannot be {asked.speed}", "1 is real time, 0 as fast as it goes")
    program = load(wanted, home, asked.profile, library_too=asked.library)
    period_ns = parse_duration(asked.period) if asked.period else program.period_ns
    if period_ns <= 0:
        raise PlantError(f"the period must be longer than 0, not {asked.period}", "write 10ms")
    application = program.stoppable.application
    scans = Simulated(application, period_ns, lambda text: listener.said(text, "stderr"))
    for path, value in asked.set.items():
        found = application.find(path)
        is_literal = isinstance(value, str) and isinstance(found, Symbol)
        scans.write(path, parse_value(application.symbol(path), value) if is_literal else value)
    return Machine(program, scans, listener, asked.speed)


def _record(asked: Attach, home: Path, listener: Listener) -> Machine:
    from softplc.debug.replayed import Replayed, open_record, recorded_program
    from softplc.debug.rewinding import Rewinding

    replay, folder = open_record(asked.record, home)
    if asked.scan is not None:
        replay.seek(scan=asked.scan, run=asked.run)
    program = recorded_program(replay, folder, library_too=asked.library)
    for name in program.edited:
        listener.said(f"{name} was edited since: the text that ran is shown\n", "console")
    scans = Replayed(replay, program, lambda text: listener.said(text, "console"))
    return Rewinding(program, scans, listener)
