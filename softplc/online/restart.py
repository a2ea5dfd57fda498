"""A task begins anew, between two scans: the same program takes itself over without that task's values."""

from __future__ import annotations

from runtime.online import OnlineView
from softplc.facts import OWNER
from softplc.lookup import programs_of
from softplc.online.change import Prepared
from softplc.online.live import Program
from softplc.online.plan import begun_anew

TRIAL_NS = 500_000_000


def beginning_anew(program: Program, task: str, *, cold: bool) -> Prepared:
    """Return the change by which the programs of a task have initial values; `cold`: also what they retain.

    One that fails again at once finds its values as they were.

    Raises:
        UnknownVariableError: there is no such task.
        PlantError: it cannot be done.
    """
    application = program.build.application
    programs = programs_of(application, task)
    there, back = (begun_anew(application, programs, cold=each) for each in (cold, True))
    return Prepared(program, program, (there, back), OnlineView(OWNER), lambda: None)
