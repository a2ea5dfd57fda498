"""What a compiled program tells of its tasks, instances and variables."""

from __future__ import annotations

from runtime.contract import PlcTask
from softplc.outline import outlined
from softplc.pipeline import compile_application

PROGRAM = """
CONFIGURATION Plant
VAR_GLOBAL mode AT %MW0 : INT; END_VAR
RESOURCE Cell ON PLC
    TASK fast (INTERVAL := T#10ms, PRIORITY := 1);
    TASK alone (INTERVAL := T#1s, PRIORITY := 2);
    PROGRAM Main WITH fast : Control (Delay WITH alone);
END_RESOURCE
END_CONFIGURATION
PROGRAM Control
VAR_INPUT level : INT; END_VAR
VAR_OUTPUT valve : BOOL; END_VAR
VAR Delay : TON; END_VAR
VAR_EXTERNAL mode : INT; END_VAR
    valve := level > mode;
END_PROGRAM
"""


def test_the_outline_names_resources_tasks_instances_with_types_and_sections() -> None:
    told = outlined(compile_application((), {"plant.st": PROGRAM}))
    assert told.tasks == (
        PlcTask("fast", "Cell", 10_000_000, 1, (("Main", "Control"),)),
        PlcTask("alone", "Cell", 1_000_000_000, 2, (("Main.Delay", "TON"),)),
    )
    assert told.variables == {
        "mode": ("", "VAR_GLOBAL"),
        "main.level": ("Main", "VAR_INPUT"),
        "main.valve": ("Main", "VAR_OUTPUT"),
        "main.delay": ("Main", "VAR"),
    }


def test_without_a_configuration_each_program_runs_in_no_named_resource() -> None:
    (task,) = outlined(
        compile_application((), {"p.st": "PROGRAM P VAR x : INT; END_VAR x := 1; END_PROGRAM"})
    ).tasks
    assert (task.resource, task.programs) == ("", (("P", "P"),))
