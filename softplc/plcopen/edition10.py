"""IEC 61131-10 becomes the form of TC6 2.01, so that one reader reads both.

Read are types, units with bodies in ST, FBD and LD, and configurations.

Source: IEC 61131-10:2019 (namespace `www.iec.ch/public/TC65SC65BWG7TF10`), as exports of tools show it.
"""

from __future__ import annotations

from softplc.iectypes import ELEMENTARY
from softplc.plcopen.edition10_networks import Networks10, kind_of, like, only, said_of
from softplc.plcopen.notes import UNKNOWN, Notes
from softplc.plcopen.text import Origin
from softplc.plcopen.xml import Element

NAMESPACE = "TC65SC65BWG7TF10"
UNITS = {"Program": "program", "FunctionBlock": "functionBlock", "Function": "function"}
SECTIONS = {
    "InputVars": "inputVars",
    "OutputVars": "outputVars",
    "InoutVars": "inOutVars",
    "InOutVars": "inOutVars",
    "Vars": "localVars",
    "TempVars": "tempVars",
    "ExternalVars": "externalVars",
    "GlobalVars": "globalVars",
}


def is_edition10(root: Element) -> bool:
    return NAMESPACE in root.space


def as_tc6(root: Element, notes: Notes) -> Element:
    """Return a project in the form of TC6; what has no counterpart is noted."""
    return _Conversion(notes).project(root)


class _Conversion:
    def __init__(self, notes: Notes) -> None:
        self.notes = notes

    def _cannot(self, what: str, element: Element) -> None:
        remedy = "export it as PLCopen XML (TC6 2.01), or write it as Structured Text"
        self.notes.error(UNKNOWN, f"{what} of IEC 61131-10 cannot be translated", Origin(element), remedy)

    def project(self, root: Element) -> Element:
        homes = [root] if root.name in UNITS else list(root.all("Types", "GlobalNamespace"))
        for home in homes:
            for each in home.walk():
                if each.name in ("NamespaceDecl", "Class", "Interface") and each is not home:
                    self._cannot(f"the {each.name} {each.get('name')}", each)
        declared = [root] if root.name in UNITS else [each for home in homes for each in home.children]
        types = [self._data_type(each) for each in declared if each.name == "DataTypeDecl"]
        units = [self._unit(each) for each in declared if each.name in UNITS]
        lists = [self._block(each) for each in declared if each.name == "GlobalVars"]
        configurations = [self._configuration(each) for each in root.all("Instances", "Configuration")]
        return like(
            root,
            "project",
            {},
            like(root, "types", {}, like(root, "dataTypes", {}, *types), like(root, "pous", {}, *units)),
            like(root, "instances", {}, like(root, "configurations", {}, *configurations)),
            *lists,
        )

    # Types -------------------------------------------------------------------------------------------

    def _data_type(self, element: Element) -> Element:
        spec = element.child("UserDefinedTypeSpec")
        base = self._spec(spec) if spec is not None else None
        init = self._initial(element) or (self._initial(spec) if spec is not None else None)
        return like(
            element, "dataType", {"name": element.get("name")}, like(element, "baseType", {}, base), init
        )

    def _type(self, holder: Element | None, name: str) -> Element | None:
        """Return `<type>` or the like: a type by its name, or one that is defined on the spot."""
        if holder is None:
            return None
        named, own = holder.child("TypeName"), holder.child("InstantlyDefinedType")
        inner: Element | None = None
        if named is not None:
            text = named.text.strip()
            elementary = text.upper() in ELEMENTARY
            inner = like(named, text.upper(), {}) if elementary else like(named, "derived", {"name": text})
        elif own is not None:
            inner = self._spec(own)
        return like(holder, name, {}, inner)

    def _spec(self, spec: Element) -> Element | None:
        kind = kind_of(spec)
        base = self._type(spec.child("BaseType"), "baseType")
        if kind.startswith("Enum"):
            values = [like(each, "value", only(each, "name", "value")) for each in spec.all("Enumerator")]
            return like(spec, "enum", {}, like(spec, "values", {}, *values), base)
        if kind.startswith("Array"):
            ranges = [
                like(each, "dimension", only(each, "lower", "upper"))
                for each in spec.walk()
                if each.name == "IndexRange"
            ]
            return like(spec, "array", {}, *ranges, base)
        if kind.startswith("Struct"):
            return like(spec, "struct", {}, *(self._variable(each) for each in spec.all("Member")))
        if kind.startswith("Subrange"):
            found = next((each for each in spec.walk() if each.get("lower")), spec)
            limits = like(found, "range", only(found, "lower", "upper"))
            return like(spec, "subrangeSigned", {}, limits, base)
        if kind.startswith(("Reference", "Ref")):
            return like(spec, "pointer", {}, base)
        if kind.startswith("Direct") and base is not None and base.children:
            return base.children[0]
        self._cannot(f"a type by {kind or 'no specification'}", spec)
        return like(spec, "BOOL", {})

    # Variables ---------------------------------------------------------------------------------------

    def _initial(self, element: Element) -> Element | None:
        value = element.child("InitialValue")
        return _lowered(value) if value is not None else None

    def _variable(self, element: Element) -> Element:
        attributes = {"name": element.get("name")}
        address = element.child("Address")
        if address is not None and address.get("address"):
            text = address.get("address").strip()
            attributes["address"] = text if text.startswith("%") else f"%{text}"
        remark = element.child("Documentation")
        return like(
            element,
            "variable",
            attributes,
            self._type(element.child("Type"), "type"),
            self._initial(element),
            _lowered(remark) if remark is not None else None,
        )

    def _block(self, element: Element) -> Element:
        attributes = only(element, "constant", "retain", "nonretain", "persistent", "name")
        return like(
            element,
            SECTIONS[element.name],
            attributes,
            *(self._variable(each) for each in element.all("Variable")),
        )

    def _interface(self, element: Element) -> Element:
        result = self._type(element.child("ResultType"), "returnType")
        holders = [*element.all("Parameters"), element]
        blocks = [
            self._block(each) for holder in holders for each in holder.children if each.name in SECTIONS
        ]
        parents = [
            said_of(each, each.name, (each.child("TypeName") or each).text.strip())
            for each in element.children
            if each.name in ("Extends", "Implements")
        ]
        return like(element, "interface", {}, result, *blocks, *parents)

    # Units -------------------------------------------------------------------------------------------

    def _unit(self, element: Element) -> Element:
        name = element.get("name")
        told = next((each for each in element.walk() if each.name.casefold() == "textdeclaration"), None)
        interface = self._interface(element)
        if told is not None:
            text = like(told, "textDeclaration", {})
            text.pieces = told.whole()
            interface.children.append(text)
        methods = [
            like(
                each,
                "Method",
                {"name": each.get("name")},
                self._interface(each),
                self._body(each.child("MainBody") or each.child("Body")),
            )
            for each in element.all("Method")
        ]
        data = like(element, "data", {}, *methods)
        return like(
            element,
            "pou",
            {"name": name, "pouType": UNITS[element.name]},
            interface,
            like(element, "actions", {}, *(self._named(each, "action") for each in element.all("Action"))),
            like(
                element,
                "transitions",
                {},
                *(self._named(each, "transition") for each in element.all("Transition")),
            ),
            self._body(element.child("MainBody")),
            like(element, "addData", {}, data) if methods else None,
        )

    def _named(self, element: Element, name: str) -> Element:
        body = self._body(element.child("Body") or element.child("MainBody"))
        return like(element, name, {"name": element.get("name")}, body)

    def _body(self, holder: Element | None) -> Element | None:
        if holder is None:
            return None
        parts: list[Element] = []
        for content in holder.all("BodyContent"):
            kind = kind_of(content)
            if kind in ("ST", "IL"):
                text = like(content, kind, {})
                text.pieces = content.whole()
                parts.append(text)
            elif kind in ("FBD", "LD") or kind.startswith(("Ld", "Fbd")):
                drawn = "LD" if kind.upper().startswith("LD") else "FBD"
                parts.append(like(content, drawn, {}, *Networks10(self.told).elements(content)))
            else:
                self._cannot(f"a body in {kind or 'no language'}", content)
        return like(holder, "body", {}, *parts)

    def told(self, element: Element) -> None:
        self._cannot(f"<{element.name} {kind_of(element)}>", element)

    # Configurations ----------------------------------------------------------------------------------

    def _configuration(self, element: Element) -> Element:
        resources = [self._resource(each) for each in element.all("Resource")]
        blocks = [self._block(each) for each in element.all("GlobalVars")]
        return like(element, "configuration", {"name": element.get("name")}, *resources, *blocks)

    def _resource(self, element: Element) -> Element:
        instances = list(element.all("ProgramInstance"))
        tasks: list[Element] = []
        placed: list[Element] = []
        for task in element.all("Task"):
            mine = [each for each in instances if _task_of(each).casefold() == task.get("name").casefold()]
            placed += mine
            attributes = only(task, "name", "interval", "single", "priority")
            tasks.append(like(task, "task", attributes, *(_instance(each) for each in mine)))
        rest = [_instance(each) for each in instances if each not in placed]
        blocks = [self._block(each) for each in element.all("GlobalVars")]
        return like(element, "resource", {"name": element.get("name")}, *tasks, *blocks, *rest)


def _instance(element: Element) -> Element:
    type_name = element.get("typeName") or element.get("programName") or element.get("name")
    return like(element, "pouInstance", {"name": element.get("name"), "typeName": type_name})


def _task_of(element: Element) -> str:
    return element.get("associatedTaskName") or element.get("taskName") or element.get("task")


def _lowered(element: Element) -> Element:
    """Return an element whose names begin with small letters, as TC6 spells them."""
    name = element.name[0].lower() + element.name[1:]
    made = like(element, name, element.attributes, *(_lowered(each) for each in element.children))
    made.pieces = element.pieces
    return made
