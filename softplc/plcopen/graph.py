"""Networks as graphs: the elements of an FBD or LD body, their pins, and what each pin is connected with.

Source: PLCopen TC6 XML 2.01, commonObjects, fbdObjects and ldObjects.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from softplc.plcopen.notes import LOOSE, NETWORK, UNKNOWN, Notes
from softplc.plcopen.text import Origin
from softplc.plcopen.xml import Element

SILENT = ("comment", "rightPowerRail", "documentation", "addData", "addDataInfo")
SOURCES = ("leftPowerRail", "inVariable", "inOutVariable", "block", "contact", "coil", "continuation", "step")
VALUES = ("contact", "block")
SINKS = ("outVariable", "coil", "jump", "return", "connector")
KINDS = frozenset((*SOURCES, *SINKS, "label", "inVariable", "inOutVariable")) - {"step"}
CHARTS = frozenset(
    (
        "step",
        "macroStep",
        "jumpStep",
        "transition",
        "selectionDivergence",
        "selectionConvergence",
        "simultaneousDivergence",
        "simultaneousConvergence",
        "actionBlock",
    )
)


@dataclass(frozen=True, slots=True)
class Link:
    """A connection: the element it comes from, and which of its outputs."""

    source: str
    parameter: str


@dataclass(slots=True, eq=False)
class Pin:
    """An input or output of a block, or the only one of another element; `text` is an expression at it."""

    element: Element
    name: str
    links: list[Link] = field(default_factory=list)
    negated: bool = False
    edge: str = ""
    storage: str = ""
    text: Element | None = None


@dataclass(slots=True, eq=False)
class Node:
    """An element of a network.

    Attributes:
        order: the execution order that somebody gave it.
        inputs: pins that values come in at; `in_outs` and `outputs` are those of blocks.
        index: place in the file.
    """

    element: Element
    kind: str
    id: str
    x: float
    y: float
    height: float
    order: int | None
    index: int
    inputs: list[Pin]
    in_outs: list[Pin] = field(default_factory=list)
    outputs: list[Pin] = field(default_factory=list)

    @property
    def instance(self) -> str:
        return self.element.get("instanceName").strip()

    @property
    def type_name(self) -> str:
        return self.element.get("typeName").strip()

    @property
    def taking(self) -> list[Pin]:
        return [*self.inputs, *self.in_outs]

    def input(self, name: str) -> Pin | None:
        return next((each for each in self.inputs if each.name.upper() == name), None)


class Graph:
    """The elements of one body by their ids."""

    def __init__(self, body: Element, where: str, notes: Notes) -> None:
        self.where = where
        self.notes = notes
        self.nodes: dict[str, Node] = {}
        self.charts: dict[str, Element] = {}
        connectors: dict[str, Node] = {}
        for index, element in enumerate(body.children):
            if element.name in SILENT or _only_drawn(element):
                continue
            key = element.get("localId").strip() or f"#{index}"
            if element.name not in KINDS and element.name not in CHARTS:
                remedy = "replace it by what the standard has"
                notes.error(UNKNOWN, f"<{element.name}> cannot be translated", self.origin(element), remedy)
                continue
            if key in self.nodes or key in self.charts:
                message = f"localId {key} is there twice"
                notes.error(NETWORK, message, self.origin(element), "give each element its own")
                continue
            if element.name in CHARTS:
                self.charts[key] = element
                continue
            node = _node(element, key, index)
            self.nodes[key] = node
            if node.kind == "connector":
                connectors.setdefault(element.get("name").casefold(), node)
        self._join(connectors)

    def origin(self, element: Element) -> Origin:
        number = element.get("localId").strip()
        return Origin(element, f"{self.where}, localId {number}" if number else self.where)

    def _join(self, connectors: dict[str, Node]) -> None:
        """Let what a continuation feeds be fed by its connector's source."""
        feeds: dict[str, Node] = {}
        for node in list(self.nodes.values()):
            if node.kind == "continuation":
                name = node.element.get("name")
                source = connectors.get(name.casefold())
                if source is None:
                    remedy = "draw the connector, or correct the name"
                    message = f"there is no connector {name}"
                    self.notes.error(NETWORK, message, self.origin(node.element), remedy)
                else:
                    feeds[node.id] = source
        for node in self.nodes.values():
            if node.kind != "connector":
                for pin in node.taking:
                    pin.links = list(self._resolved(node, pin.links, feeds))
        for key in [each.id for each in self.nodes.values() if each.kind in ("connector", "continuation")]:
            del self.nodes[key]

    def _resolved(self, node: Node, links: list[Link], feeds: dict[str, Node]) -> Iterator[Link]:
        waiting, seen = links[::-1], set[str]()
        while waiting:
            link = waiting.pop()
            source = feeds.get(link.source)
            if source is not None:
                if link.source not in seen:
                    seen.add(link.source)
                    waiting += source.inputs[0].links[::-1]
                elif not waiting:
                    message = "a connector and its continuation feed each other"
                    remedy = "feed the connector by something else"
                    self.notes.error(NETWORK, message, self.origin(source.element), remedy)
                continue
            known = self.nodes.get(link.source)
            if known is not None and known.kind in SOURCES:
                if known.kind != "continuation":
                    yield link
            elif link.source in self.charts:
                yield link
            else:
                message = (
                    f"a connection comes from localId {link.source}, which has no output"
                    if known is not None
                    else f"a connection comes from localId {link.source}, which is not there"
                )
                self.notes.error(NETWORK, message, self.origin(node.element), "connect it anew")

    def unconnected(self, node: Node) -> None:
        """Tell that something is connected with nothing."""
        what = (
            node.element.child("expression") or node.element.child("variable") or node.element
        ).text.strip()
        message = f"the {node.kind} {what} is connected with nothing" if what else f"the {node.kind} is loose"
        self.notes.warning(LOOSE, message, self.origin(node.element), "connect it, or remove it")


def _only_drawn(element: Element) -> bool:
    """Tell whether a vendor's element has no part in the logic, such as the title of a network."""
    if element.name != "vendorElement":
        return False
    return not any(each.name == "connection" for each in element.walk())


def _node(element: Element, key: str, index: int) -> Node:
    position = element.child("position")
    x, y = (number(position.get(each)) for each in "xy") if position is not None else (0.0, 0.0)
    order = element.get("executionOrderId").strip()
    node = Node(
        element,
        element.name,
        key,
        x,
        y,
        number(element.get("height")),
        int(order) if order.isdecimal() else None,
        index,
        [],
    )
    if element.name == "block":
        node.inputs = [_pin(each) for each in element.all("inputVariables", "variable")]
        node.in_outs = [_pin(each) for each in element.all("inOutVariables", "variable")]
        node.outputs = [_pin(each) for each in element.all("outputVariables", "variable")]
        _pair(node)
    elif element.name not in ("leftPowerRail", "inVariable", "continuation", "label"):
        node.inputs = [_own_pin(element)]
    return node


def _pair(node: Node) -> None:
    """Take what stands among inputs and outputs by the same name for a VAR_IN_OUT, as editors write it."""
    names = {each.name.upper() for each in node.outputs} - {""}
    for pin in [each for each in node.inputs if each.name.upper() in names]:
        node.inputs.remove(pin)
        node.in_outs.append(pin)
        node.outputs = [each for each in node.outputs if each.name.upper() != pin.name.upper()]


def _pin(element: Element) -> Pin:
    pin = Pin(element, element.get("formalParameter").strip())
    _modify(pin, "")
    for point in element.children:
        if point.name == "connectionPointIn":
            pin.links += links_of(point)
        if point.name in ("connectionPointIn", "connectionPointOut"):
            pin.text = pin.text or point.child("expression")
    return pin


def _own_pin(element: Element) -> Pin:
    pin = Pin(element, "")
    _modify(pin, "In" if element.name == "inOutVariable" else "")
    for point in element.all("connectionPointIn"):
        pin.links += links_of(point)
        pin.text = pin.text or point.child("expression")
    return pin


def _modify(pin: Pin, side: str) -> None:
    pin.negated = pin.element.flag(f"negated{side}")
    pin.edge = modifier(pin.element, f"edge{side}")
    pin.storage = modifier(pin.element, f"storage{side}")


def modifier(element: Element, name: str) -> str:
    """Return rising, falling, set or reset, or nothing."""
    text = element.get(name).strip()
    return "" if text == "none" else text


def links_of(point: Element) -> list[Link]:
    """Return the connections that end at a point."""
    return [
        Link(each.get("refLocalId").strip(), each.get("formalParameter").strip())
        for each in point.all("connection")
    ]


_NUMBER = re.compile(r"\s*([+-]?[0-9]{1,12}(?:\.[0-9]{0,12})?)\s*")


def number(text: str) -> float:
    """Return a coordinate; what is none is 0."""
    found = _NUMBER.fullmatch(text)
    return float(found.group(1)) if found is not None else 0.0
