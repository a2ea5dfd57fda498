"""Conditions on a replay: ST expressions over the program's variables, by the same compiler."""

from __future__ import annotations

from pathlib import Path

import msgspec

from softplc.application import Symbol
from softplc.image import read_value, write_value
from softplc.record.programs import RecordedProgram
from softplc.record.replay import Position, Replay
from softplc.simulator import Simulator
from softplc.testing.conditions import NAME, Conditions
from softplc.testing.program import Program, Wanted


class Until:
    """A condition on one recorded program.

    Attributes:
        paths: the variables that it looks at: while they are what they are, it is what it is.
    """

    def __init__(self, program: RecordedProgram, text: str) -> None:
        """Compile it.

        Raises:
            PlantError: it is no condition, or names what is not there.
        """
        wanted = Wanted(Path(), program.sources, program.about.profile)
        self._conditions = Conditions(Program(program.build.application, wanted), [text])
        self._simulator = Simulator(self._conditions.program.application, NAME)
        self.program = program
        self.paths = self._conditions.paths(0)
        self._conditions.holds(0, self._simulator)

    def holds(self, replay: Replay) -> bool:
        """Tell whether it holds where the replay stands.

        Raises:
            PlantError: its value cannot be computed.
        """
        simulator = self._simulator
        for path in self.paths:
            here = self.program.build.application.find(path)
            there = simulator.application.find(path)
            if isinstance(here, Symbol) and isinstance(there, Symbol):
                any_value = msgspec.structs.replace(there, values={}, limits=None)  # it has it
                write_value(simulator.image, any_value, read_value(replay.image, here))
            elif not isinstance(here, Symbol) and not isinstance(there, Symbol):
                size, source, target = here[1].size, here[2], there[2]
                simulator.image[target : target + size] = replay.image[source : source + size]
        return self._conditions.holds(0, simulator)


def run_until(replay: Replay, text: str, end: Position | None = None) -> bool:
    """Go on, at least by one scan, until an expression is TRUE; tells whether it came to be.

    Raises:
        PlantError: it is no condition on the program.
    """
    until = Until(replay.program, text)
    if not replay.step():
        return False
    while True:
        if replay.program is not until.program:
            until = Until(replay.program, text)
        if until.holds(replay):
            return True
        if not until.paths or not replay.run(end, watch=until.paths):
            return False
