"""Structured Text becomes PLCopen XML: types, units with their bodies as text or chart, configurations.

Source: PLCopen TC6 XML 2.01.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import ELEMENTARY
from softplc.plcopen.drawing import chart_element
from softplc.plcopen.pieces import Pieces
from softplc.plcopen.serialise import formatted, made
from softplc.plcopen.xml import Element
from softplc.syntax import (
    ArrayInit,
    ArraySpec,
    Chart,
    ConfigurationDecl,
    EnumSpec,
    Init,
    InstanceDecl,
    NamedSpec,
    Node,
    PathPart,
    PointerSpec,
    PouDecl,
    RefSpec,
    ResourceDecl,
    StructInit,
    StructSpec,
    TaskDecl,
    TypeDecl,
    TypeSpec,
    Unit,
    VarBlock,
    VarDecl,
)

SECTIONS = {
    "VAR": "localVars",
    "VAR_TEMP": "tempVars",
    "VAR_INPUT": "inputVars",
    "VAR_OUTPUT": "outputVars",
    "VAR_IN_OUT": "inOutVars",
    "VAR_EXTERNAL": "externalVars",
    "VAR_GLOBAL": "globalVars",
}
KINDS = {"FUNCTION": "function", "FUNCTION_BLOCK": "functionBlock", "PROGRAM": "program"}
SHORT = {"TIME_OF_DAY": "TOD", "DATE_AND_TIME": "DT"}
IN_SCHEMA = (
    *("BOOL", "BYTE", "WORD", "DWORD", "LWORD", "SINT", "INT", "DINT", "LINT", "USINT", "UINT", "UDINT"),
    *("ULINT", "REAL", "LREAL", "TIME", "DATE", "DT", "TOD"),
)
REMEDY = "keep it as Structured Text: PLCopen XML 2.01 has nothing for it"
MOST_REPEATED = 10_000


class Writer:
    """Writes the declarations of one file; what the format cannot say is told."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = pieces
        self.findings: list[Diagnostic] = []

    def _cannot(self, what: str, node: Node) -> None:
        message = f"{what} cannot be written as PLCopen XML"
        self.findings.append(Diagnostic("ST1025", message, node.at, node.end, REMEDY))

    def types(self, unit: Unit) -> Iterator[Element]:
        for each in unit.types:
            if each.space.name or each.internal:
                self._cannot("a type in a namespace", each)
            yield self._data_type(each)

    def units(self, unit: Unit) -> Iterator[Element]:
        for each in unit.pous:
            if each.kind in KINDS:
                yield self._unit(each)
            else:
                self._cannot(f"the {each.kind.lower()} {each.name}", each)

    def globals(self, unit: Unit) -> Iterator[Element]:
        for each in unit.globals:
            yield self._block(each)

    def configurations(self, unit: Unit) -> Iterator[Element]:
        for each in unit.configurations:
            if each.name:
                yield self._configuration(each)
            else:
                self._cannot("VAR_CONFIG outside of a CONFIGURATION", each)

    # Types -------------------------------------------------------------------------------------------

    def _data_type(self, decl: TypeDecl) -> Element:
        init = self._initial(decl.init)
        return made("dataType", {"name": decl.name}, made("baseType", None, self._type(decl.spec)), init)

    def _type(self, spec: TypeSpec) -> Element:
        if isinstance(spec, NamedSpec):
            return self._named(spec)
        if isinstance(spec, ArraySpec):
            ranges = [
                made("dimension", {"lower": self.pieces.of(low), "upper": self.pieces.of(high)})
                for low, high in spec.ranges
            ]
            ranges += [made("dimension", {"lower": "*", "upper": "*"}) for _ in range(spec.rank)]
            return made("array", None, *ranges, made("baseType", None, self._type(spec.element)))
        if isinstance(spec, StructSpec):
            if spec.overlap:
                self._cannot("OVERLAP", spec)
            if spec.base is not None:
                self._cannot(f"a structure that extends {spec.base.name}", spec)
            return made("struct", None, *(self._variable(each) for each in spec.fields))
        if isinstance(spec, EnumSpec):
            values = [
                made(
                    "value", {"name": name} | ({"value": self.pieces.of(value)} if value is not None else {})
                )
                for name, value, _ in spec.values
            ]
            base = made("baseType", None, made(spec.base.upper())) if spec.base else None
            return made("enum", None, made("values", None, *values), base)
        if isinstance(spec, RefSpec) and spec.implicit:
            return made("derived", {"name": f"REFERENCE TO {self.pieces.of(spec.target)}"})  # as CODESYS does
        if isinstance(spec, RefSpec | PointerSpec):
            if isinstance(spec, RefSpec) and self.pieces.profile.pointers:
                self._cannot("REF_TO beside POINTER TO", spec)
            return made("pointer", None, made("baseType", None, self._type(spec.target)))
        raise AssertionError("a type of a file is one of these")

    def _named(self, spec: NamedSpec) -> Element:
        if any(spec.given):
            self._cannot("arguments for FB_Init", spec)
        name = SHORT.get(spec.name.upper(), spec.name.upper())
        if name in ("STRING", "WSTRING"):
            length = {"length": self.pieces.of(spec.length)} if spec.length is not None else {}
            return made(name.lower(), length)
        plain = made(name) if name in IN_SCHEMA else made("derived", {"name": spec.name})
        if spec.low is None or spec.high is None:
            return plain
        kind = ELEMENTARY.get(name)
        sign = "Unsigned" if kind is not None and kind.kind == "uint" else "Signed"
        limits = made("range", {"lower": self.pieces.of(spec.low), "upper": self.pieces.of(spec.high)})
        return made(f"subrange{sign}", None, limits, made("baseType", None, plain))

    # Values ------------------------------------------------------------------------------------------

    def _initial(self, init: Init | None) -> Element | None:
        return made("initialValue", None, self._value(init)) if init is not None else None

    def _value(self, init: Init | None) -> Element:
        if isinstance(init, ArrayInit):
            return made("arrayValue", None, *self._items(init))
        if isinstance(init, StructInit):
            members = [made("value", {"member": name}, self._value(value)) for name, value, _ in init.items]
            return made("structValue", None, *members)
        return made("simpleValue", {"value": self.pieces.of(init)} if init is not None else None)

    def _items(self, init: ArrayInit) -> Iterator[Element]:
        for count, value in init.items:
            times = self.pieces.of(count) if count is not None else ""
            if isinstance(value, ArrayInit) and value.spread:
                if not times.isdecimal() or int(times) > MOST_REPEATED:
                    self._cannot("a list that is repeated", init)
                    continue
                for _ in range(int(times)):
                    yield from self._items(value)
                continue
            yield made("value", {"repetitionValue": times} if times else None, self._value(value))

    # Variables ---------------------------------------------------------------------------------------

    def _variable(self, decl: VarDecl) -> Element:
        if decl.edge:
            self._cannot(decl.edge, decl)
        if "$" in decl.name:
            self._cannot("an address without a variable", decl)
        attributes = {"name": decl.name} | ({"address": decl.address} if decl.address else {})
        remark = self.pieces.behind(decl.init.end if decl.init is not None else decl.spec.end)
        return made(
            "variable",
            attributes,
            made("type", None, self._type(decl.spec)),
            self._initial(decl.init),
            formatted("documentation", remark) if remark else None,
        )

    def _block(self, block: VarBlock, *, access: bool = False) -> Element:
        if block.space.name:
            self._cannot("variables in a namespace", block)
        if access and block.access != "PROTECTED":
            self._cannot(block.access, block)
        words = {key for key, there in (("constant", block.constant), ("retain", block.retain)) if there}
        variables = [self._variable(each) for each in block.declarations]
        return made(SECTIONS[block.section], dict.fromkeys(sorted(words), "true"), *variables)

    # Units -------------------------------------------------------------------------------------------

    def _unit(self, pou: PouDecl) -> Element:
        named = Node(pou.name_at, pou.name_at + len(pou.name))
        if pou.space.name or pou.space.usings:
            self._cannot(f"{pou.name} in its namespace", named)
        if pou.extends or pou.implements or pou.modifiers:
            self._cannot(f"what {pou.name} extends or implements", named)
        for path in pou.paths:
            self._cannot(f"the access path {path.name} of a program", path)
        for each in pou.methods:
            self._cannot(f"the {each.kind.lower()} {each.name}", each)
        result = made("returnType", None, self._type(pou.result)) if pou.result is not None else None
        remark = self.pieces.above(pou.at)
        interface = made(
            "interface",
            None,
            result,
            *(self._block(each, access=True) for each in pou.blocks),
            formatted("documentation", remark) if remark else None,
        )
        parts: list[Element | None] = [interface]
        if pou.chart is not None:
            drawn, actions = chart_element(pou.chart, self.pieces)
            if pou.body:
                self._cannot("statements behind a chart", pou.body[0])
            self._check_chart(pou.chart)
            parts.append(made("actions", None, *actions) if actions else None)
            parts.append(made("body", None, drawn))
        else:
            parts.append(made("body", None, formatted("ST", self._body(pou))))
        return made("pou", {"name": pou.name, "pouType": KINDS[pou.kind]}, *parts)

    def _check_chart(self, chart: Chart) -> None:
        """Refuse what cannot be drawn of a chart, and of the charts in its actions."""
        if any(each.before for each in chart.transitions):
            self._cannot("statements before a condition", chart)
        for each in chart.actions:
            if each.chart is not None and each.body:
                self._cannot("statements behind a chart", each.body[0])
            if each.chart is not None:
                self._check_chart(each.chart)

    def _body(self, pou: PouDecl) -> str:
        """Return the statements as they stand in the file."""
        head = pou.result.end if pou.result is not None else pou.name_at + len(pou.name)
        start = max([head, *(each.end for each in pou.blocks)])
        end = self.pieces.last(f"END_{pou.kind}", pou.end).at
        return self.pieces.text(start, end).lstrip("; \t").strip("\n").rstrip()

    # Configurations ----------------------------------------------------------------------------------

    def _configuration(self, decl: ConfigurationDecl) -> Element:
        access = [
            made(
                "accessVariable",
                {
                    "alias": each.name,
                    "instancePathAndName": self._path(each.path),
                    "direction": "readWrite" if each.writable else "readOnly",
                },
                made("type", None, self._type(each.spec)),
            )
            for each in decl.access
        ]
        settings = [
            made(
                "configVariable",
                {"instancePathAndName": self._path(each.path)}
                | ({"address": each.address} if each.address else {}),
                made("type", None, self._type(each.spec)),
                self._initial(each.init),
            )
            for each in decl.settings
        ]
        return made(
            "configuration",
            {"name": decl.name},
            *(self._resource(each) for each in decl.resources),
            *(self._block(each) for each in decl.blocks),
            made("accessVars", None, *access) if access else None,
            made("configVars", None, *settings) if settings else None,
        )

    def _path(self, parts: Iterable[PathPart]) -> str:
        shown = []
        for each in parts:
            indices = ",".join(self.pieces.of(index) for index in each.indices)
            shown.append(f"{each.name}[{indices}]" if indices else each.name)
        return ".".join(shown)

    def _resource(self, decl: ResourceDecl) -> Element:
        tasks = [self._task(each, decl.instances) for each in decl.tasks]
        known = {each.name.casefold() for each in decl.tasks}
        rest = [each for each in decl.instances if each.task.casefold() not in known]
        return made(
            "resource",
            {"name": decl.name or "Resource"},
            *tasks,
            *(self._block(each) for each in decl.blocks),
            *(self._instance(each) for each in rest),
        )

    def _task(self, decl: TaskDecl, instances: list[InstanceDecl]) -> Element:
        attributes = {"name": decl.name}
        if decl.single is not None:
            attributes["single"] = self.pieces.of(decl.single)
        if decl.interval is not None:
            attributes["interval"] = self.pieces.of(decl.interval)
        attributes["priority"] = self.pieces.of(decl.priority) if decl.priority is not None else "0"
        if not attributes["priority"].isdecimal():
            self._cannot(f"the priority {attributes['priority']}", decl)
        mine = [self._instance(each) for each in instances if each.task.casefold() == decl.name.casefold()]
        return made("task", attributes, *mine)

    def _instance(self, decl: InstanceDecl) -> Element:
        if decl.arguments or decl.blocks or decl.retain:
            self._cannot(f"what {decl.name} is connected with", decl)
        return made("pouInstance", {"name": decl.name, "typeName": decl.type_name})
