"""The PLC after the PLCopen companion specification: configuration, resources, tasks, programs, variables.

The variables are the tags' own nodes, which their program has too.

Source: OPC 30000, 4 and 5; its types in `nodesets.standard`.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from asyncua import ua

from drivers.opcua.methods import COLD, REASON, Method
from drivers.opcua.model import DEVICES, MODEL, PLCOPEN
from drivers.opcua.nodesets.records import Record
from drivers.opcua.parts import FOLDER_TYPE, ORGANIZES, Built, Running
from runtime.contract import Actor, PlcOutline, PlcTask, Role, Tag

_IDS = ua.ObjectIds
_T = ua.VariantType
_PLC_TAGS = "sys/plc/"
_TASK_TAGS = "sys/plc/tasks/"
DEVICE_SET = ua.NodeId(5001, DEVICES)
PLC = ua.NodeId("plc", MODEL)
_GLOBALS, _DIAGNOSTIC = ua.NodeId("plc/GlobalVars", MODEL), ua.NodeId("plc/Diagnostic", MODEL)
_SUBTYPE = ua.NodeId(_IDS.HasSubtype)
_OBJECT = ua.NodeId(_IDS.BaseObjectType)
_CONFIGURATION, _RESOURCE, _PROGRAM, _TASK = (ua.NodeId(each, PLCOPEN) for each in (1001, 1002, 1004, 1006))
_CONFIGURABLE, _GROUP = ua.NodeId(1004, DEVICES), ua.NodeId(1005, DEVICES)
_WITH = ua.NodeId(4006, PLCOPEN)
_LOCAL = ua.NodeId(4004, PLCOPEN)
# Section of a variable to how its program has it. Source: OPC 30000, 5.2.1
_BY_SECTION = {
    "VAR_INPUT": ua.NodeId(4001, PLCOPEN),
    "VAR_OUTPUT": ua.NodeId(4002, PLCOPEN),
    "VAR_IN_OUT": ua.NodeId(4003, PLCOPEN),
    "VAR_EXTERNAL": ua.NodeId(4005, PLCOPEN),
}


def add_plc(built: Built, plant: str, outline: PlcOutline, tags: Sequence[Tag], port: Running) -> None:
    """Add the controller of a plant, and let its parts have the tags that are theirs."""
    maker = _Maker(built, plant, port)
    maker.configuration(outline)
    for tag in tags:
        maker.place(tag, outline)


class _Maker:
    """Adds the controller that an outline tells of."""

    def __init__(self, built: Built, plant: str, port: Running) -> None:
        self._built = built
        self._plant = plant
        self._port = port
        self._programs: dict[str, Any] = {}
        self._tasks: dict[str, Any] = {}

    def configuration(self, outline: PlcOutline) -> None:
        self._built.object("plc", self._plant, _CONFIGURATION, DEVICE_SET, MODEL)
        self._device(PLC)
        resources = self._configurable("plc/Resources", "Resources", PLC, [_RESOURCE])
        for name in ("GlobalVars", "AccessVars", "ConfigVars", "Configuration", "Diagnostic"):
            self._built.object(f"plc/{name}", name, _GROUP, PLC, PLCOPEN)
        by_resource: dict[str, list[PlcTask]] = {}
        for task in outline.tasks:
            by_resource.setdefault(task.resource or self._plant, []).append(task)
        for name, tasks in by_resource.items():
            self._resource(name, tasks, resources)
        self._restart(self._built.object("plc/MethodSet", "MethodSet", _OBJECT, PLC, PLCOPEN), "")

    def _resource(self, name: str, tasks: list[PlcTask], above: Any) -> None:
        key = f"plc/Resources/{name}"
        resource = self._built.object(key, name, _RESOURCE, above, MODEL)
        self._device(resource)
        instances = [(task, *each) for task in tasks for each in task.programs if "." not in each[0]]
        types = {type_: self._program_type(type_) for _, _, type_ in instances}
        shown = self._configurable(f"{key}/Tasks", "Tasks", resource, [_TASK])
        programs = self._configurable(f"{key}/Programs", "Programs", resource, list(types.values()))
        for task in tasks:
            self._task(f"{key}/Tasks/{task.name}", task, shown)
        for task, instance, type_ in instances:
            made = self._built.object(f"{key}/Programs/{instance}", instance, types[type_], programs, MODEL)
            self._built.join(made, _WITH, self._tasks[task.name.casefold()])
            self._programs[instance.casefold()] = made

    def _task(self, key: str, task: PlcTask, above: Any) -> None:
        made = self._tasks[task.name.casefold()] = self._built.object(key, task.name, _TASK, above, MODEL)
        self._built.property(made, "Priority", task.priority, _T.UInt32, PLCOPEN)
        if task.interval_ns:
            self._built.property(made, "Interval", duration_literal(task.interval_ns), _T.String, PLCOPEN)
        self._restart(made, task.name)

    def _program_type(self, name: str) -> Any:
        """Add a type of the plant's own: that of programs is abstract. Source: OPC 30000, 5.2.2."""
        node_id = ua.NodeId(f"types/{name}", MODEL)
        self._built.add(Record(node_id, ua.NodeClass.ObjectType, ua.QualifiedName(name, MODEL)))
        self._built.join(_PROGRAM, _SUBTYPE, node_id)
        return node_id

    def _restart(self, owner: Any, task: str) -> None:
        async def work(actor: Actor, cold: bool, reason: str) -> None:
            await self._port.restart_plc(actor, cold=cold, task=task, reason=reason)

        what = f"the programs of task {task}" if task else "the program"
        self._built.method(
            f"{owner.Identifier}/Restart",
            "Restart",
            f"Begin {what} anew",
            Method(owner, (COLD, REASON), Role.ENGINEER, work),
        )

    def _device(self, owner: Any) -> None:
        """Add what a DeviceType must have. Source: OPC 10000-100, 5.5.2."""
        text = {"HardwareRevision": "", "DeviceRevision": "", "DeviceManual": "", "SerialNumber": ""}
        for name, value in (text | {"SoftwareRevision": release()}).items():
            self._built.property(owner, name, value, _T.String, DEVICES)
        for name, value in (("Manufacturer", "Ironworks"), ("Model", "Ironworks soft PLC")):
            self._built.property(owner, name, ua.LocalizedText(value), _T.LocalizedText, DEVICES)
        self._built.property(owner, "RevisionCounter", -1, _T.Int32, DEVICES)

    def _configurable(self, key: str, name: str, owner: Any, types: list[Any]) -> Any:
        """Add a ConfigurableObjectType with the types that stand in it."""
        made = self._built.object(key, name, _CONFIGURABLE, owner, PLCOPEN)
        folder = self._built.object(f"{key}/SupportedTypes", "SupportedTypes", FOLDER_TYPE, made, DEVICES)
        for each in types:
            self._built.join(folder, ORGANIZES, each)
        return made

    def place(self, tag: Tag, outline: PlcOutline) -> None:
        """Let what a tag is of have it: its program, the globals, its task, or the diagnostics."""
        if tag.variable:
            program, section = declared(tag.variable, outline)
            owner = self._programs.get(program.casefold())
            if owner is None:
                self._built.have(_GLOBALS, tag)
            else:
                self._built.have(owner, tag, _BY_SECTION.get(section, _LOCAL))
        elif tag.path.startswith(_TASK_TAGS):
            task = tag.path[len(_TASK_TAGS) :].partition("/")[0]
            if task.casefold() in self._tasks:
                self._built.have(self._tasks[task.casefold()], tag)
        elif tag.path.startswith(_PLC_TAGS):
            self._built.have(_DIAGNOSTIC, tag)


def declared(variable: str, outline: PlcOutline) -> tuple[str, str]:
    """Return the program instance and the section of a variable; both empty where it is declared nowhere."""
    key = variable.casefold()
    while key:
        found = outline.variables.get(key)
        if found is not None:
            return found
        key = key[: max(key.rfind("."), key.rfind("["), 0)]
    return "", ""


def duration_literal(ns: int) -> str:
    """Return a duration as a literal of IEC 61131-3, in the largest unit that says it exactly."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if ns % size == 0:
            return f"T#{ns // size}{unit}"
    return f"T#{ns}ns"


def release() -> str:
    """Return the version of the program."""
    try:
        return version("ironworks")
    except PackageNotFoundError:  # from a source tree that is not installed
        return "0"
