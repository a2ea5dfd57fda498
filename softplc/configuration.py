"""Configuration: tasks and program instances, declared or by default."""

from __future__ import annotations

from softplc.bind.resources import instances_in_several, path_of, tasks_in_several
from softplc.bind.scope import Scope
from softplc.symbols import Instance, Project, Task
from softplc.syntax import Expr

LOWEST_PRIORITY = 1 << 16


def tasks_of(project: Project) -> list[tuple[Task, list[Instance]]]:
    """Return tasks in order of priority, each with its program instances in order of declaration.

    Without a CONFIGURATION, or with VAR_CONFIG alone, every program that no other one calls runs once,
    under its own name, in every scan.
    """
    if not project.configurations:
        programs = [pou for pou in project.pous.values() if pou.kind == "PROGRAM"]
        programs = [pou for pou in programs if pou not in project.called]
        if not programs:
            return []
        return [(Task("default", 0, 0, 0), [Instance(pou.name, pou, "", pou.at) for pou in programs])]
    found: list[tuple[Task, list[Instance]]] = []
    loose: list[Instance] = []
    scope = Scope(project)
    several, in_several = tasks_in_several(project), instances_in_several(project)
    for configuration in project.configurations:
        for resource in configuration.resources:
            tasks: dict[str, list[Instance]] = {}
            owners: dict[str, Task] = {}
            for decl in resource.tasks:
                interval = _number(decl.interval)
                last = project.triggers.get(decl)
                single = decl.single if last is not None else None
                name = path_of(decl.name, resource.name, several)
                task = Task(name, interval, _number(decl.priority), decl.at, single, last)
                task.resource = resource.name
                tasks[decl.name.casefold()] = []
                owners[decl.name.casefold()] = task
                found.append((task, tasks[decl.name.casefold()]))
            for each in resource.instances:
                pou = scope.unit(each.type_name)
                if pou is None:
                    raise AssertionError(f"no program {each.type_name}")
                if not configuration.name and pou in project.called:
                    continue
                name = path_of(each.name, resource.name, in_several)
                instance = Instance(name, pou, each.task, each.at, decl=each)
                instance.resource = resource.name.casefold()
                instance.settings = project.settings.get(each, [])
                for block in each.blocks:
                    variable = pou.variables[block.name.casefold()]
                    instance.blocks.add(variable)
                    owners[block.task.casefold()].blocks.append((instance, variable))
                for argument in each.arguments:
                    if argument.value is not None and argument.value.value is not None:
                        instance.inputs.append((argument.name.casefold(), argument.value.value))
                    elif argument.value is not None:
                        instance.arguments.append(argument)
                tasks.get(each.task.casefold(), loose).append(instance)
    if loose:
        found.append((Task("default", 0, LOWEST_PRIORITY, 0), loose))
    return sorted(found, key=lambda pair: pair[0].priority)


def only_called(project: Project, tasks: list[tuple[Task, list[Instance]]]) -> list[Instance]:
    """Return the instances of the programs that run in no task, but are named by other units."""
    running = {instance.pou for _, instances in tasks for instance in instances}
    scope = Scope(project)
    decls = {
        scope.unit(each.type_name): each
        for configuration in project.configurations
        if not configuration.name
        for resource in configuration.resources
        for each in resource.instances
    }
    named = (pou for pou in project.pous.values() if pou in project.named and pou not in running)
    found = [Instance(pou.name, pou, "", pou.at, decl=decls.get(pou)) for pou in named]
    for each in found:
        each.settings = project.settings.get(each.decl, []) if each.decl is not None else []
    return found


def runs_of(task: Task, instances: list[Instance]) -> tuple[str, ...]:
    """Return what a task runs: program instances, and blocks of programs by path."""
    blocks = (f"{instance.name}.{variable.name}" for instance, variable in task.blocks)
    return (*(each.name for each in instances), *blocks)


def types_of(task: Task, instances: list[Instance]) -> tuple[str, ...]:
    """Return the types of what a task runs, in the order of `runs_of`."""
    blocks = (str(variable.type) for _, variable in task.blocks)
    return (*(each.pou.name for each in instances), *blocks)


def _number(expr: Expr | None) -> int:
    return int(expr.value) if expr is not None and isinstance(expr.value, int) else 0
