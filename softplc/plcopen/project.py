"""Projects: the types, units and configurations of a file, as Structured Text.

Source: PLCopen TC6 XML 2.01 (and 1.0, 1.01, 2.0); what CODESYS and TwinCAT keep under `addData`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from softplc.plcopen.charts import chart_of, statements_of
from softplc.plcopen.configurations import Configurations
from softplc.plcopen.declarations import Declarations, documentation
from softplc.plcopen.notes import UNKNOWN, Notes
from softplc.plcopen.scope import Scope, Units
from softplc.plcopen.text import Code, Origin, joined, stripped
from softplc.plcopen.values import words
from softplc.plcopen.xml import Element
from softplc.profiles import Profile

KINDS = ("function", "functionBlock", "program")
KEYWORDS = {"function": "FUNCTION", "functionblock": "FUNCTION_BLOCK", "program": "PROGRAM"}
ACCESS = ("Public", "Private", "Protected", "Internal")
MODIFIERS = ("Abstract", "Final", "Override")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")


def units_of(root: Element) -> Iterator[Element]:
    """Yield every unit, those that CODESYS keeps below an application too."""
    yield from (each for each in root.walk() if each.name == "pou" and each.get("pouType"))


def interfaces_of(root: Element) -> Iterator[Element]:
    yield from (
        each
        for each in root.walk()
        if each.name == "Interface" and (each.child("Methods") or each.child("Properties")) is not None
    )


def global_lists_of(root: Element) -> Iterator[Element]:
    """Yield the global variables that are part of no configuration, unit or other list."""
    inside = {
        id(each)
        for holder in root.walk()
        if holder.name in ("configuration", "pou", "MixedAttrsVarList")
        for each in holder.walk()
    }
    yield from (each for each in root.walk() if each.name == "globalVars" and id(each) not in inside)


def applications_of(root: Element) -> Iterator[Element]:
    """Yield the resources that CODESYS keeps beside the standard's: the applications and their tasks."""
    for holder in root.all("addData"):
        yield from (each for each in holder.walk() if each.name == "resource")


def lists_of(root: Element) -> dict[str, set[str]]:
    """Return the names of global variables by the list they are in, casefolded, as CODESYS qualifies them."""
    lists: dict[str, set[str]] = {}
    for each in root.walk():
        if each.name == "globalVars" and each.get("name"):
            names = {variable.get("name").casefold() for variable in each.all("variable")}
            lists.setdefault(each.get("name").casefold(), set()).update(names)
    return lists


class Project:
    """Writes one project."""

    def __init__(self, root: Element, notes: Notes, profile: Profile) -> None:
        self.root = root
        self.notes = notes
        constants = {
            variable.get("name").casefold()
            for block in root.walk()
            if block.flag("constant")
            for variable in block.all("variable")
        }
        self.units = Units()
        begins = self.units.begins if profile.objects else lambda name: False
        self.declarations = Declarations(notes, profile, frozenset(constants), begins)
        for each in units_of(root):
            self.units.add(each)

    def parts(self) -> Iterator[tuple[str, Code]]:
        """Yield the parts of the project, each with the name of a file that it fits in."""
        for each in self.root.walk():
            if each.name == "dataType":
                yield "types", self.declarations.data_type(each)
        for each in global_lists_of(self.root):
            name = each.get("name") or "globals"
            yield name, joined(Code(), self.declarations.block(each, f"globals {name}")) + _line(each)
        for each in interfaces_of(self.root):
            yield each.get("name"), self._interface(each)
        for each in units_of(self.root):
            yield each.get("name"), self._unit(each)
        configurations = Configurations(self.declarations)
        for each in self.root.all("instances", "configurations", "configuration"):
            yield each.get("name") or "configuration", configurations.text(each)
        applications = [each for each in applications_of(self.root) if each.child("task")]
        if applications:
            yield "configuration", configurations.of_applications(applications)

    # Units -------------------------------------------------------------------------------------------

    def _unit(self, pou: Element) -> Code:
        kind = KEYWORDS.get(pou.get("pouType").casefold().replace("_", ""), "")
        origin = Origin(pou, f"POU {pou.get('name')}")
        name = self.declarations.name(origin)
        if not kind:
            message = f"there is no pouType {pou.get('pouType')}"
            self.notes.error(UNKNOWN, message, origin, f"there are {', '.join(KINDS)}")
        if not kind or name is None:
            return Code()
        interface = pou.child("interface")
        scope = self._scope(pou, interface, "function" if kind == "FUNCTION" else "")
        scope.act(each.get("name") for each in pou.all("actions", "action"))
        body, used = self._body(pou, origin, scope)
        told = next((e for e in interface.walk() if e.name == "textDeclaration"), None) if interface else None
        if told is not None:
            declared = stripped(origin.quoted(told.whole())) + origin.code("\n")
            return declared + scope.blocks(origin) + body + origin.code(f"END_{kind}\n\n")
        head = origin.code(f"{kind} ") + self._modifiers(interface, origin) + name
        head += self._parents(interface, origin) + self._result(interface, origin) + origin.code("\n")
        remark = documentation(interface) if interface is not None else ""
        if remark:
            head = origin.code(f"(* {remark} *)\n") + head
        blocks = self.declarations.blocks(interface, origin.where) if interface is not None else Code()
        methods = joined(Code(), [self._method(each, origin, pou.get("name")) for each in _methods(pou)])
        methods += joined(Code(), [self._property(each, origin) for each in _methods(pou, "Property")])
        actions = joined(Code(), list(self._actions(pou, used, scope)))
        return (
            head + blocks + scope.blocks(origin) + methods + body + origin.code(f"END_{kind}\n\n") + actions
        )

    def _scope(self, holder: Element, interface: Element | None, kind: str) -> Scope:
        scope = Scope(self.units, holder.get("name"), [interface] if interface is not None else [], kind)
        for each in holder.walk():
            scope.take(words(each.text))
            for value in each.attributes.values():
                scope.take(words(value))
        return scope

    def _body(self, pou: Element, origin: Origin, scope: Scope) -> tuple[Code, set[str]]:
        """Return the bodies of a unit, and the actions that its charts use."""
        code, used = Code(), set[str]()
        for body in pou.all("body"):
            chart = body.child("SFC")
            if chart is None:
                code += statements_of(body, origin.where, scope, self.notes)
                continue
            charted = chart_of(chart, pou, f"{origin.where}, SFC", scope, self.declarations)
            code += charted.code
            used |= charted.used
        return code, used

    def _actions(self, pou: Element, used: set[str], scope: Scope) -> Iterator[Code]:
        """Yield the actions that are called, not associated with a step; they see no VAR_TEMP of the unit."""
        scope.keeps_all = True
        for each in pou.all("actions", "action"):
            name = each.get("name")
            if name.casefold() in used:
                continue
            origin = Origin(each, f"POU {pou.get('name')}, action {name}")
            written = self.declarations.name(origin)
            if written is None:
                continue
            body = statements_of(each.child("body"), origin.where, scope, self.notes)
            yield origin.code("ACTION ") + written + origin.code(":\n") + body + origin.code("END_ACTION\n\n")

    def _result(self, interface: Element | None, origin: Origin) -> Code:
        result = interface.child("returnType") if interface is not None else None
        return origin.code(" : ") + self.declarations.type(result, origin) if result is not None else Code()

    # What CODESYS adds -------------------------------------------------------------------------------

    def _modifiers(self, interface: Element | None, origin: Origin) -> Code:
        words_: list[str] = []
        for each in interface.walk() if interface is not None else ():
            if each.name == "AccessModifiers":
                words_ += [word.upper() for word in (*ACCESS, *MODIFIERS) if each.flag(word)]
        return origin.code("".join(f"{each} " for each in words_))

    def _parents(self, holder: Element | None, origin: Origin) -> Code:
        extends: list[str] = []
        implements: list[str] = []
        for each in holder.walk() if holder is not None else ():
            if each.name in ("Extends", "Implements") and _NAME.fullmatch(each.text.strip()):
                (extends if each.name == "Extends" else implements).append(each.text.strip())
        code = origin.code(f" EXTENDS {', '.join(extends)}") if extends else Code()
        return code + (origin.code(f" IMPLEMENTS {', '.join(implements)}") if implements else Code())

    def _method(self, method: Element, origin: Origin, owner: str = "") -> Code:
        here = Origin(method, f"{origin.where}, method {method.get('name')}")
        name = self.declarations.name(here)
        if name is None:
            return Code()
        interface = method.child("interface")
        scope = self._scope(method, interface, "function")
        body = statements_of(method.child("body"), here.where, scope, self.notes)
        modifiers = self._modifiers(interface, here)
        if not any(word in str(modifiers).split() for word in ("PUBLIC", "PRIVATE", "PROTECTED", "INTERNAL")):
            modifiers = here.code("PUBLIC ") + modifiers
        if self.units.overrides(owner, method.get("name")) and "OVERRIDE" not in str(modifiers):
            modifiers += here.code("OVERRIDE ")
        head = here.code("METHOD ") + modifiers + name + self._result(interface, here)
        blocks = self.declarations.blocks(interface, here.where) if interface is not None else Code()
        return head + here.code("\n") + blocks + scope.blocks(here) + body + here.code("END_METHOD\n\n")

    def _property(self, element: Element, origin: Origin) -> Code:
        here = Origin(element, f"{origin.where}, property {element.get('name')}")
        name = self.declarations.name(here)
        interface = element.child("interface")
        if name is None:
            return Code()
        code = here.code("PROPERTY ") + self._modifiers(interface, here) + name
        code += self._result(interface, here) + here.code("\n")
        for key, word in (("GetAccessor", "GET"), ("SetAccessor", "SET")):
            accessor = element.child(key)
            if accessor is None:
                continue
            own = accessor.child("interface")
            scope = self._scope(element, own, "function")
            body = statements_of(accessor.child("body"), here.where, scope, self.notes)
            blocks = self.declarations.blocks(own, here.where) if own is not None else Code()
            code += here.code(f"{word}\n") + blocks + scope.blocks(here) + body + here.code(f"END_{word}\n")
        return code + here.code("END_PROPERTY\n\n")

    def _interface(self, element: Element) -> Code:
        origin = Origin(element, f"interface {element.get('name')}")
        name = self.declarations.name(origin)
        if name is None:
            return Code()
        methods = joined(Code(), [self._method(each, origin) for each in element.all("Methods", "Method")])
        methods += joined(
            Code(), [self._property(each, origin) for each in element.all("Properties", "Property")]
        )
        parents = self._parents(element.child("Inheritance"), origin)
        return origin.code("INTERFACE ") + name + parents + origin.code("\n") + methods + _end(origin)


def _methods(pou: Element, name: str = "Method") -> Iterator[Element]:
    for holder in pou.all("addData", "data"):
        yield from holder.all(name)


def _line(element: Element) -> Code:
    return Origin(element).code("\n")


def _end(origin: Origin) -> Code:
    return origin.code("END_INTERFACE\n\n")
