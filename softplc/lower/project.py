"""Routines: one for each reachable function and block, each program instance and each task."""

from __future__ import annotations

from softplc import ir
from softplc.iectypes import UDINT
from softplc.layout import Layout, Sizes
from softplc.lower.calls import routine_name
from softplc.lower.context import Dispatch
from softplc.lower.statements import Statements
from softplc.source import SourceSet
from softplc.stack import Frames
from softplc.symbols import Instance, Pou, Project, Task


def task_symbol(index: int) -> str:
    """Return the exported name of a task's entry."""
    return f"iw_task_{index}"


def lower(
    project: Project,
    layout: Layout,
    sizes: Sizes,
    sources: SourceSet,
    tasks: list[tuple[Task, list[Instance]]],
) -> tuple[ir.Module, Frames]:
    """Lower everything the tasks reach; tell what it takes on the stack."""
    module, frames = ir.Module([]), Frames()
    waiting: list[Pou] = []
    dispatches: dict[str, Dispatch] = {}
    for index, (task, instances) in enumerate(tasks):
        entry = Statements(project, layout, sizes, sources, None)
        calls: list[ir.Stmt] = []
        for instance in instances:
            routine, reached = _program(project, layout, sizes, sources, instance, dispatches)
            frames.add(instance.pou, routine, reached)
            module.routines.append(routine)
            waiting += reached
            before, after = entry.bindings(instance)
            calls += [*before, ir.Call(routine.name, ir.Place("image", 0)), *after]
        waiting += sorted(entry.calls, key=lambda each: each.name)
        if task.single is not None and task.last is not None:
            calls = entry.on_rising_edge(task.single, entry.variable(task.last), calls)
        module.routines.append(ir.Routine(task_symbol(index), calls, 0, entry.slots, exported=True))
        dispatches |= entry.dispatches
    done: set[Pou] = set()
    while waiting:
        pou = waiting.pop()
        if pou in done:
            continue
        done.add(pou)
        context = Statements(project, layout, sizes, sources, pou)
        body = [*context.edges(pou), *context.body(pou.decl.body)]
        module.routines.append(
            ir.Routine(
                routine_name(pou),
                body,
                sources.at(pou.decl.at).index,
                context.slots,
                sizes.local(pou),
                inline=pou.kind == "FUNCTION",
            )
        )
        dispatches |= context.dispatches
        reached = sorted(context.calls, key=lambda each: each.name)
        frames.add(pou, module.routines[-1], reached)
        waiting += reached
    module.routines += [_dispatch(each) for each in dispatches.values()]
    return module, frames


def _dispatch(dispatch: Dispatch) -> ir.Routine:
    """Return a routine that calls the method of the class whose number the instance begins with."""
    frame = ir.Place("self", 0)
    number = ir.Load(UDINT, ir.Place("pointer", 0, pointer=frame))
    branches: list[tuple[list[tuple[int, int]], list[ir.Stmt]]] = [
        ([(each, each) for each in numbers], [ir.Call(routine_name(method), frame)])
        for method, numbers in dispatch.methods.items()
    ]
    return ir.Routine(dispatch.name, [ir.Switch(number, branches, [])], 0, inline=False)


def _program(
    project: Project,
    layout: Layout,
    sizes: Sizes,
    sources: SourceSet,
    instance: Instance,
    dispatches: dict[str, Dispatch],
) -> tuple[ir.Routine, list[Pou]]:
    pou = instance.pou
    context = Statements(project, layout, sizes, sources, pou, instance)
    body = [*context.edges(pou), *context.body(pou.decl.body)]
    routine = ir.Routine(
        f"instance.{instance.name.casefold()}",
        body,
        sources.at(pou.decl.at).index,
        context.slots,
        sizes.local(pou),
        inline=False,
    )
    dispatches |= context.dispatches
    return routine, sorted(context.calls, key=lambda each: each.name)
