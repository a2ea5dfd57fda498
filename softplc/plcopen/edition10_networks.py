"""Networks of IEC 61131-10 in the form of TC6: one below the other, lines from elements.

There lines lead from numbered points, numbered anew in each network; here they lead from elements, numbered
through the body, and from their pins.

Source: IEC 61131-10:2019, as exports of tools show it; Bachmann keeps order, storage and EN in AddData.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from softplc.plcopen.graph import number
from softplc.plcopen.serialise import SPACE
from softplc.plcopen.xml import Element, Piece

OBJECTS = {
    "Block": "block",
    "DataSource": "inVariable",
    "DataSink": "outVariable",
    "Jump": "jump",
    "Return": "return",
    "LeftPowerRail": "leftPowerRail",
    "Contact": "contact",
    "Coil": "coil",
    "Connector": "connector",
    "Continuation": "continuation",
    "Comment": "comment",
}
DRAWN_ONLY = ("RightPowerRail", "Unconnected")
GAP = 100
NEGATIONS = {"Negation": ("inNegated", "outNegated"), "negated": ("value",)}


def kind_of(element: Element) -> str:
    """Return what an element is by its `xsi:type`, without a prefix."""
    return element.get("type").rpartition(":")[2]


def like(element: Element, name: str, attributes: dict[str, str], *children: Element | None) -> Element:
    inner = [each for each in children if each is not None]
    return Element(name, SPACE, attributes, element.line, element.column, inner)


def said_of(element: Element, name: str, text: str) -> Element:
    made = like(element, name, {})
    made.pieces = [Piece(text, element.line, element.column)]
    return made


def only(element: Element, *names: str) -> dict[str, str]:
    return {key: element.attributes[key] for key in names if key in element.attributes}


class Networks10:
    """The networks of one body; `told` tells of an element that has no counterpart."""

    def __init__(self, told: Callable[[Element], None]) -> None:
        self.told = told
        self.count = 0
        self.top = 0.0

    def elements(self, content: Element) -> Iterator[Element]:
        networks = [each for each in content.children if each.name in ("Network", "Rung")]
        networks.sort(key=lambda each: number(each.get("evaluationOrder")))
        for network in networks:
            yield from self._network(network)

    def _next(self) -> str:
        self.count += 1
        return str(self.count)

    def _network(self, network: Element) -> Iterator[Element]:
        if network.get("label"):
            yield like(
                network,
                "label",
                {"localId": self._next(), "label": network.get("label")},
                self._position(network, 0.0),
            )
        objects = [each for each in network.children if each.name.endswith("Object")]
        numbers = {id(each): self._next() for each in objects}
        points: dict[str, tuple[str, str]] = {}
        for each in objects:
            for holder in each.walk():
                for point in holder.all("ConnectionPointOut"):
                    points[point.get("connectionPointOutId")] = numbers[id(each)], _pin_name(holder)
        lowest = self.top
        for each in objects:
            place = each.child("RelPosition")
            lowest = max(lowest, self.top + (number(place.get("y")) if place is not None else 0.0))
            if kind_of(each) in OBJECTS:
                yield self._object(each, numbers[id(each)], points)
            elif kind_of(each) not in DRAWN_ONLY:
                self.told(each)
        self.top = lowest + GAP

    def _position(self, element: Element, default: float) -> Element:
        place = element.child("RelPosition")
        x = number(place.get("x")) if place is not None else default
        y = number(place.get("y")) if place is not None and element.name != "Network" else 0.0
        return like(element, "position", {"x": f"{x:g}", "y": f"{self.top + y:g}"})

    def _object(self, element: Element, key: str, points: dict[str, tuple[str, str]]) -> Element:
        kind = kind_of(element)
        attributes = {"localId": key, **only(element, "typeName", "instanceName", "negated", "edge")}
        attributes |= _added(element)
        if kind in ("Connector", "Continuation"):
            attributes["name"] = element.get("label")
        if kind == "Jump":
            attributes["label"] = element.get("targetNetworkLabel")
        storage = element.get("storage") or element.get("latch")
        if storage in ("set", "reset"):
            attributes["storage"] = storage
        text = element.get("identifier") or element.get("operand")
        named = "variable" if kind in ("Contact", "Coil") else "expression"
        made = like(
            element,
            OBJECTS[kind],
            attributes,
            self._position(element, 0.0),
            *self._points(element, points),
            said_of(element, named, text) if text else None,
        )
        if kind == "Block":
            made.children += self._pins(element, points)
        return made

    def _points(self, element: Element, points: dict[str, tuple[str, str]]) -> Iterator[Element]:
        for point in element.all("ConnectionPointIn"):
            links = []
            for each in point.children:
                if each.name in ("Connection", "FeedbackConnection"):
                    source, pin = points.get(each.get("refConnectionPointOutId"), ("?", ""))
                    links.append(like(each, "connection", {"refLocalId": source, "formalParameter": pin}))
            yield like(point, "connectionPointIn", {}, *links)
        for point in element.all("ConnectionPointOut"):
            yield like(point, "connectionPointOut", {})

    def _pins(self, element: Element, points: dict[str, tuple[str, str]]) -> Iterator[Element]:
        control = {each.name.upper(): each for each in element.walk() if each.name in ("En", "Eno")}
        for kind, outer in (
            ("Input", "inputVariables"),
            ("InOut", "inOutVariables"),
            ("Output", "outputVariables"),
        ):
            pins = list(element.all(f"{kind}Variables", f"{kind}Variable"))
            extra = control.get({"Input": "EN", "Output": "ENO"}.get(kind, ""))
            pins = ([extra] if extra is not None else []) + pins
            yield like(
                element,
                outer,
                {},
                *(
                    like(
                        pin,
                        "variable",
                        {"formalParameter": _pin_name(pin), **only(pin, "negated", "edge")},
                        *self._points(pin, points),
                    )
                    for pin in pins
                ),
            )


def _pin_name(element: Element) -> str:
    return element.name.upper() if element.name in ("En", "Eno") else element.get("parameterName")


def _added(element: Element) -> dict[str, str]:
    """Return what vendors keep beside the standard: order, storage, negation."""
    result: dict[str, str] = {}
    for each in element.walk():
        if each.name == "EvaluationPriority" and each.get("priorityInNetwork").isdecimal():
            result["executionOrderId"] = str(int(each.get("priorityInNetwork")) + 1)
        elif each.name == "StorageMode" and each.get("mode").casefold() in ("set", "reset"):
            result["storage"] = each.get("mode").casefold()
        elif any(each.flag(key) for key in NEGATIONS.get(each.name, ())):
            result["negated"] = "true"
    return result
