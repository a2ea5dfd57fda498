"""Routines: one for each reachable function and block, each program instance and each task."""

from __future__ import annotations

from itertools import count

from softplc import ir
from softplc.bind.calls import Binding
from softplc.bind.firstcalls import INIT
from softplc.iectypes import UDINT
from softplc.layout import Layout, Sizes
from softplc.lower.calls import owner_of, part_name, program_name, routine_name
from softplc.lower.context import Dispatch
from softplc.lower.statements import Statements
from softplc.source import SourceSet
from softplc.stack import Frames
from softplc.symbols import Instance, Pou, Project, Task
from softplc.syntax import Name

FIRST = "iw_first"

Reached = tuple[Pou, Instance | None, str]
"""A unit, the instance if it is a program or a part of one, and the resource where that matters."""


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
    waiting: list[Reached] = []
    dispatches: dict[str, Dispatch] = {}
    laps = count()
    for index, (task, instances) in enumerate(tasks):
        entry = Statements(project, layout, sizes, sources, None)
        calls: list[ir.Stmt] = []
        for instance in instances:
            entry.resource = instance.resource
            varies = instance.pou in project.varying
            waiting.append((instance.pou, instance, instance.resource if varies else ""))
            before, after = entry.bindings(instance)
            inputs, outputs = entry.located(instance, None)
            run = ir.Call(entry.symbol(program_name(instance), instance.pou), ir.Place("image", 0))
            calls += [*inputs, *before, run, *after, *outputs]
            calls.append(ir.Lap(next(laps)))
            waiting += reached(entry)
        for instance, variable in task.blocks:
            entry.resource = instance.resource
            calls += [*entry.run_block(instance, variable), ir.Lap(next(laps))]
            waiting += reached(entry)
        if task.single is not None and task.last is not None:
            calls = entry.on_rising_edge(task.single, entry.variable(task.last), calls)
        module.routines.append(ir.Routine(task_symbol(index), calls, 0, entry.slots, exported=True))
        dispatches |= entry.dispatches
    first, reached_first = _first_calls(Statements(project, layout, sizes, sources, None))
    if first is not None:
        module.routines.append(first)
        module.first, module.places = FIRST, _places(layout, project, sources)
        waiting += reached_first
    lower_units(module, waiting, frames, dispatches, (project, layout, sizes, sources))
    if sizes.sites is not None:
        module.debug = sizes.sites.base
    return module, frames


def _first_calls(entry: Statements) -> tuple[ir.Routine | None, list[Reached]]:
    """Return what calls FB_Init of all globals and programs, and then gives what VAR_CONFIG says."""
    calls: list[ir.Stmt] = []
    waiting: list[Reached] = []
    for pou, variable in entry.project.first_calls.items():
        entry.resource = variable.resource
        calls += entry.function_call(Binding(pou=pou))[0]
        waiting += reached(entry)
    for instance in entry.layout.programs:
        method = instance.pou.methods.get(INIT)
        if method is None:
            continue
        entry.instance, entry.resource = instance, instance.resource
        program = Name(instance.pou.at, instance.pou.at, instance.pou.name)
        program.type = instance.pou.face
        calls += entry.function_call(Binding(pou=method, instance=program, direct=True))[0]
        for setting in instance.settings:
            calls += entry.set_first(instance, setting)
        waiting += reached(entry)
    return (ir.Routine(FIRST, calls, 0, entry.slots, exported=True) if calls else None), waiting


def _places(layout: Layout, project: Project, sources: SourceSet) -> dict[str, tuple[str, int]]:
    """Return where globals and variables of programs are declared, by path."""
    named = {each.name: each for each in project.globals.values()}
    for instance, places in layout.programs.items():
        named.update({f"{instance.name}.{each.name}": each for each in places})
    return {path: (sources.at(each.at).name, sources.line(each.at)) for path, each in named.items()}


def lower_units(
    module: ir.Module,
    waiting: list[Reached],
    frames: Frames,
    dispatches: dict[str, Dispatch],
    program: tuple[Project, Layout, Sizes, SourceSet],
) -> None:
    """Lower units and all that they reach, each once, and what chooses between methods."""
    done: set[Reached] = set()
    while waiting:
        here = pou, owner, resource = waiting.pop()
        if here in done:
            continue
        done.add(here)
        context = Statements(*program, pou, owner, resource)
        routines = _unit(context.symbol(_name(pou, owner), pou), context, pou, owner)
        module.routines += routines
        dispatches |= context.dispatches
        following = reached(context)
        frames.add(pou, routines, [each for each, *_ in following])
        waiting += following
    module.routines += [_dispatch(each) for each in dispatches.values()]


def reached(context: Statements) -> list[Reached]:
    """Return what a routine has called by now."""
    called = sorted(context.calls, key=lambda each: each.name)
    context.calls.clear()
    programs = {each: owner_of(each) for each in called if owner_of(each).kind == "PROGRAM"}
    return [
        (
            each,
            context.instance_of_program(programs[each]) if each in programs else None,
            context.resource if each in context.project.varying else "",
        )
        for each in called
    ]


def _name(pou: Pou, instance: Instance | None) -> str:
    if instance is None:
        return routine_name(pou)
    return program_name(instance) if pou is instance.pou else part_name(instance, pou)


def _dispatch(dispatch: Dispatch) -> ir.Routine:
    """Return a routine that calls the method of the class whose number the instance begins with."""
    frame = ir.Place("self", 0)
    number = ir.Load(UDINT, ir.Place("pointer", 0, pointer=frame))
    branches: list[tuple[list[tuple[int, int]], list[ir.Stmt]]] = [
        ([(each, each) for each in numbers], [ir.Call(routine, frame)])
        for routine, numbers in dispatch.methods.items()
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


def _unit(name: str, context: Statements, pou: Pou, owner: Instance | None) -> list[ir.Routine]:
    """Return the routine of a unit, behind one that copies its frame where pointers may reach it."""
    inline, unit = pou.kind == "FUNCTION" and pou.kept < 0, unit_name(pou, owner)
    if pou.kept_frame < 0:
        return [_routine(name, context, pou, inline, unit)]
    kept, file = ir.Place("image", pou.kept_frame), context.sources.at(pou.decl.at).index
    return [
        _through(name, kept, pou.frame_size, file),
        _routine(f"{name}$kept", context, pou, inline, unit),
    ]


def _routine(name: str, context: Statements, pou: Pou, inline: bool, unit: str) -> ir.Routine:
    """Return the routine of a unit; temporary variables that something may refer to lie in the image."""
    sites = context.sizes.sites
    body = [*context.linked(pou), *context.edges(pou), *context.body(pou.decl.body)]
    if sites is not None:
        body += sites.end(pou)
    local = context.sizes.local(pou, context.resource)
    if pou.kept >= 0:
        body = [ir.Fill(ir.Place("image", pou.kept), local), *body]
        local = b""
    file = context.sources.at(pou.decl.at).index
    frame = sites.frame(pou, context.instance, context.resource) if sites is not None else -1
    return ir.Routine(name, body, file, context.slots, local, inline=inline, unit=unit, frame=frame)


def unit_name(pou: Pou, instance: Instance | None = None) -> str:
    """Return how people know a unit: a program by its instance, a method or an action by its owner too."""
    if instance is not None:
        return instance.name if pou is instance.pou or pou.made_up else f"{instance.name}.{pou.decl.name}"
    return pou.name.removesuffix(f".{INIT}")
