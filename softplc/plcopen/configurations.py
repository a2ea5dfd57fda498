"""Configurations, from XML to Structured Text.

Source: PLCopen TC6 XML 2.01, configuration; IEC 61131-3:2013, 6.8; XML Schema part 2, 3.2.6 (durations).
"""

from __future__ import annotations

import re

from softplc.plcopen.declarations import Declarations
from softplc.plcopen.notes import ELSEWHERE, NAME
from softplc.plcopen.text import Code, Origin, joined
from softplc.plcopen.xml import Element

_ISO = re.compile(
    r"P(?:(?P<d>\d+)D)?(?:T(?:(?P<h>\d+)H)?(?:(?P<m>\d+)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?", re.IGNORECASE
)
_CLOCK = re.compile(r"(?P<h>\d+):(?P<m>\d+):(?P<s>\d+(?:\.\d+)?)")
_PATH = re.compile(r"[A-Za-z_%][A-Za-z0-9_.%\[\], ]*")


class Configurations:
    """Writes configurations."""

    def __init__(self, declarations: Declarations) -> None:
        self.declarations = declarations
        self.notes = declarations.notes

    def text(self, element: Element) -> Code:
        """Return a configuration; of one without tasks and programs only the variables."""
        origin = Origin(element, f"configuration {element.get('name')}")
        name = self.declarations.name(origin)
        if name is None:
            return Code()
        resources = list(element.all("resource"))
        if not any(each.name in ("pouInstance", "task") for holder in resources for each in holder.walk()):
            blocks = [self.declarations.blocks(each, origin.where) for each in (element, *resources)]
            return joined(Code(), blocks) + origin.code("\n")
        code = origin.code("CONFIGURATION ") + name + origin.code("\n")
        code += self.declarations.blocks(element, origin.where)
        code += joined(Code(), [self._resource(each, origin) for each in resources])
        code += self._access(element, origin) + self._settings(element, origin)
        return code + origin.code("END_CONFIGURATION\n\n")

    def of_applications(self, resources: list[Element]) -> Code:
        """Return the tasks of applications; their variables are lists, which stand for themselves.

        Programs of libraries (`VisuElems.Visu_Prg`) and second tasks of a program are left out, and told.
        """
        seen: set[str] = set()
        for task in [each for resource in resources for each in resource.all("task")]:
            for each in list(task.all("pouInstance")):
                name = each.get("name")
                if "." in name or name.casefold() in seen:
                    why = "is of a library" if "." in name else "has a task already"
                    origin = Origin(each, f"task {task.get('name')}")
                    self.notes.warning(
                        ELSEWHERE, f"{name} {why}: left out", origin, "run what is needed here"
                    )
                    task.children.remove(each)
                seen.add(name.casefold())
        origin = Origin(resources[0], "the applications")
        code = origin.code("CONFIGURATION Device\n")
        code += joined(Code(), [self._resource(each, origin, variables=False) for each in resources])
        return code + origin.code("END_CONFIGURATION\n\n")

    def _resource(self, element: Element, outer: Origin, *, variables: bool = True) -> Code:
        origin = Origin(element, f"{outer.where}, resource {element.get('name')}")
        name = self.declarations.name(origin)
        if name is None:
            return Code()
        code = origin.code("RESOURCE ") + name + origin.code(" ON PLC\n")
        if variables:
            code += self.declarations.blocks(element, origin.where)
        instances = Code()
        for task in element.all("task"):
            here = Origin(task, f"{origin.where}, task {task.get('name')}")
            task_name = self.declarations.name(here)
            if task_name is None:
                continue
            code += here.code("    TASK ") + task_name + here.code("(") + self._task(here) + here.code(");\n")
            for each in task.all("pouInstance"):
                instances += self._instance(each, origin, task_name)
        for each in element.all("pouInstance"):
            instances += self._instance(each, origin, None)
        return code + instances + origin.code("END_RESOURCE\n")

    def _task(self, origin: Origin) -> Code:
        element = origin.element
        parts: list[Code] = []
        for key in ("single", "interval", "priority"):
            text = element.get(key).strip()
            if text:
                value = self.declarations.plain(origin, _duration(text) if key == "interval" else text)
                parts.append(origin.code(f"{key.upper()} := ") + value)
        return joined(origin.code(", "), parts)

    def _instance(self, element: Element, outer: Origin, task: Code | None) -> Code:
        origin = Origin(element, f"{outer.where}, program {element.get('name')}")
        name = self.declarations.name(origin)
        if name is None:
            return Code()
        key = "typeName" if element.get("typeName") else "type"
        type_name = self.declarations.name(origin, key) if element.get(key) else name
        if type_name is None:
            return Code()
        with_ = origin.code(" WITH ") + task if task is not None else Code()
        return (
            origin.code("    PROGRAM ") + name + with_ + origin.code(" : ") + type_name + origin.code(";\n")
        )

    def _path(self, origin: Origin) -> Code:
        text = origin.element.get("instancePathAndName").strip()
        if not _PATH.fullmatch(text):
            self.notes.error(NAME, f"{text!r} is no path", origin, "write resource.program.variable")
            return origin.code("_")
        return origin.code(text)

    def _access(self, element: Element, outer: Origin) -> Code:
        code = Code()
        for each in element.all("accessVars", "accessVariable"):
            origin = Origin(each, f"{outer.where}, access path {each.get('alias')}")
            name = self.declarations.name(origin, "alias")
            if name is None:
                continue
            direction = " READ_WRITE" if each.get("direction") == "readWrite" else " READ_ONLY"
            spec = self.declarations.type(each.child("type"), origin)
            code += origin.code("    ") + name + origin.code(" : ") + self._path(origin)
            code += origin.code(" : ") + spec + origin.code(f"{direction};\n")
        return outer.code("VAR_ACCESS\n") + code + outer.code("END_VAR\n") if code else code

    def _settings(self, element: Element, outer: Origin) -> Code:
        code = Code()
        for each in element.all("configVars", "configVariable"):
            origin = Origin(each, f"{outer.where}, {each.get('instancePathAndName')}")
            address = each.get("address").strip()
            place = origin.code(" AT ") + self.declarations.plain(origin, address) if address else Code()
            spec = self.declarations.type(each.child("type"), origin)
            code += origin.code("    ") + self._path(origin) + place + origin.code(" : ") + spec
            code += self.declarations.initial(each, origin, str(spec)) + origin.code(";\n")
        return outer.code("VAR_CONFIG\n") + code + outer.code("END_VAR\n") if code else code


def _duration(text: str) -> str:
    """Return a duration as a literal of Structured Text."""
    found = _ISO.fullmatch(text) or _CLOCK.fullmatch(text)
    if found is None or not any(found.groups()):
        return text
    parts = "".join(f"{value}{unit}" for unit, value in found.groupdict().items() if value)
    return f"T#{parts}"
