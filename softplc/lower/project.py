"""Routines: one for each reachable function and block, each program instance and each task."""

from __future__ import annotations

from softplc import ir
from softplc.iectypes import UDINT
from softplc.layout import Layout, Sizes
from softplc.lower.calls import action_name, routine_name
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
            routines, reached = _program(project, layout, sizes, sources, instance, dispatches)
            frames.add(instance.pou, routines, reached)
            module.routines += routines
            waiting += reached
            before, after = entry.bindings(instance)
            inputs, outputs = entry.located(instance, None)
            calls += [*inputs, *before, ir.Call(routines[0].name, ir.Place("image", 0)), *after, *outputs]
        for instance, variable in task.blocks:
            calls += entry.run_block(instance, variable)
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
        first = len(module.routines)
        context = Statements(project, layout, sizes, sources, pou)
        inline = pou.kind == "FUNCTION" and pou.kept < 0
        name = routine_name(pou)
        if pou.kept_frame >= 0:
            kept = ir.Place("image", pou.kept_frame)
            module.routines.append(_through(name, kept, pou.frame_size, sources.at(pou.decl.at).index))
            name += "$kept"
        module.routines.append(_routine(name, context, pou, inline))
        dispatches |= context.dispatches
        reached = sorted(context.calls, key=lambda each: each.name)
        frames.add(pou, module.routines[first:], reached)
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


def _through(name: str, kept: ir.Place, size: int, file: int) -> ir.Routine:
    """Return a routine that copies a frame into the image, where pointers may reach it, and back."""
    frame = ir.Place("self", 0)
    copied: list[ir.Stmt] = [
        ir.Copy(kept, frame, size),
        ir.Call(f"{name}$kept", kept),
        ir.Copy(frame, kept, size),
    ]
    return ir.Routine(name, copied, file, inline=False)


def _routine(name: str, context: Statements, pou: Pou, inline: bool) -> ir.Routine:
    """Return the routine of a unit; temporary variables that something may refer to lie in the image."""
    body = [*context.linked(pou), *context.edges(pou), *context.body(pou.decl.body)]
    local = context.sizes.local(pou)
    if pou.kept >= 0:
        body = [ir.Fill(ir.Place("image", pou.kept), local), *body]
        local = b""
    file = context.sources.at(pou.decl.at).index
    return ir.Routine(name, body, file, context.slots, local, inline=inline)


def _program(
    project: Project,
    layout: Layout,
    sizes: Sizes,
    sources: SourceSet,
    instance: Instance,
    dispatches: dict[str, Dispatch],
) -> tuple[list[ir.Routine], list[Pou]]:
    pou = instance.pou
    context = Statements(project, layout, sizes, sources, pou, instance)
    more: list[ir.Routine] = []
    routine = _routine(f"instance.{instance.name.casefold()}", context, pou, inline=False)
    dispatches |= context.dispatches
    actions, reached = _split(context.calls)
    done: set[Pou] = set()
    while actions:
        action = actions.pop()
        if action in done:
            continue
        done.add(action)
        inner = Statements(project, layout, sizes, sources, action, instance)
        more.append(_routine(action_name(instance, action), inner, action, inline=False))
        dispatches |= inner.dispatches
        further, called = _split(inner.calls)
        actions |= further
        reached |= called
    return [routine, *more], sorted(reached, key=lambda each: each.name)


def _split(calls: set[Pou]) -> tuple[set[Pou], set[Pou]]:
    """Return actions of programs, and everything else that is called."""
    actions = {
        each for each in calls if each.kind == "ACTION" and each.owner and each.owner.kind == "PROGRAM"
    }
    return actions, calls - actions
