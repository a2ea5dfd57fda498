"""ST2042: a program instance names a program, its inputs, and a task of its resource.

Accepted: PROGRAM P END_PROGRAM CONFIGURATION C RESOURCE R ON PLC TASK t(INTERVAL := T#1s, PRIORITY :=
    1); PROGRAM i WITH t : P; END_RESOURCE END_CONFIGURATION
Rejected: PROGRAM P END_PROGRAM CONFIGURATION C RESOURCE R ON PLC TASK t(INTERVAL := T#1s, PRIORITY :=
    1); PROGRAM i WITH u : P; END_RESOURCE END_CONFIGURATION
Source: IEC 61131-3:2013, 6.8.1.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic, did_you_mean
from softplc.iectypes import BlockType
from softplc.rules.context import Context
from softplc.symbols import Pou
from softplc.syntax import InstanceDecl, ResourceDecl

ON = (ResourceDecl,)


def check(resource: ResourceDecl, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for instances that cannot be made."""
    tasks = {each.name.casefold(): each.name for each in resource.tasks}
    programs = [each.name for each in context.project.pous.values() if each.kind == "PROGRAM"]
    for instance in resource.instances:
        if instance.task and instance.task.casefold() not in tasks:
            end = instance.task_at + len(instance.task)
            remedy = did_you_mean(instance.task, tasks.values()) or "declare the task in this resource"
            yield Diagnostic("ST2042", f"there is no task {instance.task}", instance.task_at, end, remedy)
        pou = context.scope.unit(instance.type_name)
        if pou is None or pou.kind != "PROGRAM":
            end = instance.type_at + len(instance.type_name)
            remedy = did_you_mean(instance.type_name, programs)
            yield Diagnostic(
                "ST2042", f"there is no program {instance.type_name}", instance.type_at, end, remedy
            )
            continue
        yield from _inputs(instance, pou, context)
        yield from _blocks(instance, pou, tasks)


def _blocks(instance: InstanceDecl, pou: Pou, tasks: dict[str, str]) -> Iterator[Diagnostic]:
    """Check function blocks that tasks run by themselves."""
    blocks = {
        each.name.casefold(): each.name
        for each in pou.variables.values()
        if isinstance(each.type, BlockType) and each.type.pou.kind == "FUNCTION_BLOCK"
        if not each.elsewhere and each.section != "VAR_TEMP" and not each.by_reference
    }
    seen: set[str] = set()
    for block in instance.blocks:
        if block.name.casefold() not in blocks:
            remedy = (
                did_you_mean(block.name, blocks.values()) or f"it has {', '.join(blocks.values()) or 'none'}"
            )
            yield Diagnostic(
                "ST2042", f"{pou.name} has no function block {block.name}", block.at, block.end, remedy
            )
        elif block.name.casefold() in seen:
            message = f"{block.name} has its task already"
            yield Diagnostic("ST2042", message, block.at, block.end, "remove one of the two")
        elif not block.task or block.task.casefold() not in tasks:
            end = block.task_at + len(block.task)
            remedy = did_you_mean(block.task, tasks.values()) or "declare the task in this resource"
            yield Diagnostic("ST2042", f"there is no task {block.task}", block.task_at, end, remedy)
        seen.add(block.name.casefold())


def _inputs(instance: InstanceDecl, pou: Pou, context: Context) -> Iterator[Diagnostic]:
    for argument in instance.arguments:
        what, section = ("output", "VAR_OUTPUT") if argument.output else ("input", "VAR_INPUT")
        names = [each.name for each in pou.parameters(section)]
        if argument.name.casefold() not in {name.casefold() for name in names}:
            remedy = did_you_mean(argument.name, names) or f"it has {', '.join(names) or 'none'}"
            yield context.error("ST2042", f"{pou.name} has no {what} {argument.name}", argument, remedy)
