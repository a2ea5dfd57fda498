"""Operands: what the parts of a statement were when it failed."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.errors import PlantError
from softplc.debug.evaluate import Evaluator, inside
from softplc.debug.frames import Frame
from softplc.debug.values import Values
from softplc.faults import Fault
from softplc.iectypes import Array, Subrange
from softplc.source import SourceSet
from softplc.syntax import Assign, Binary, Call, Deref, Expr, Index, Literal, Member, Name, Node

MOST = 8


class Operands:
    """Tells the operands of a fault."""

    def __init__(self, texts: SourceSet, evaluator: Evaluator, values: Values) -> None:
        self._texts = texts
        self._evaluator = evaluator
        self._values = values

    def of(self, frame: Frame, fault: int, line: int) -> list[str]:
        """Return what to say of the operands, such as `n / d: n = 5, d = 0`; one for each suspect."""
        if frame.site is None:
            return []
        nodes = [each for each in inside(frame.site.node) if self._texts.line(each.at) == line]
        found: list[str] = []
        if fault == Fault.DIVISION_BY_ZERO:
            found = [text for each in nodes for text in self._division(each, frame)]
        elif fault == Fault.INDEX_OUT_OF_RANGE:
            found = [text for each in nodes for text in self._index(each, frame)]
        elif fault == Fault.VALUE_OUT_OF_RANGE:
            found = [text for each in nodes for text in self._range(each, frame)]
        elif fault == Fault.NULL_REFERENCE:
            found = [text for each in nodes for text in self._null(each, frame)]
        return (found or self._variables(nodes, frame))[:MOST]

    def _division(self, node: Node, frame: Frame) -> Iterator[str]:
        if isinstance(node, Binary) and node.op == "/":
            right = self._value(node.right, frame)
            if right == "0":
                yield self._told(node, (node.left, node.right), frame)

    def _index(self, node: Node, frame: Frame) -> Iterator[str]:
        if not isinstance(node, Index) or not isinstance(node.base.type, Array):
            return
        for index, (low, high) in zip(node.indices, node.base.type.ranges, strict=False):
            value = self._value(index, frame)
            if value.lstrip("-").isdigit() and not low <= int(value) <= high:
                yield f"{self._told(node, (index,), frame)}, of {low}..{high}"

    def _range(self, node: Node, frame: Frame) -> Iterator[str]:
        if isinstance(node, Assign) and isinstance(node.target.type, Subrange):
            limits = node.target.type
            told = self._told(node, (node.value,), frame)
            if told:
                yield f"{told}, of {limits.low}..{limits.high}"

    def _null(self, node: Node, frame: Frame) -> Iterator[str]:
        if isinstance(node, Deref) and self._value(node.base, frame) == "NULL":
            yield self._told(node, (node.base,), frame)

    def _variables(self, nodes: list[Node], frame: Frame) -> list[str]:
        """Return every variable that a statement names."""
        inner = {id(each.base) for each in nodes if isinstance(each, Member | Index)}
        found: dict[str, str] = {}
        for each in nodes:
            if isinstance(each, Name | Member | Index) and id(each) not in inner:
                value = self._value(each, frame)
                if value:
                    found[self._text(each)] = value
        return [f"{name} = {value}" for name, value in found.items()]

    def _told(self, node: Node, parts: tuple[Expr, ...], frame: Frame) -> str:
        known = [(each, self._value(each, frame)) for each in parts if not isinstance(each, Literal)]
        told = ", ".join(f"{self._text(each)} = {value}" for each, value in known if value)
        return f"{self._text(node)}: {told}" if told else ""

    def _value(self, node: Expr, frame: Frame) -> str:
        """Return a value; nothing where asking could change something, or has no answer."""
        if node.type is None or any(isinstance(each, Call) and _acts(each) for each in inside(node)):
            return ""
        try:
            compiled = self._evaluator.of_node(node, self._text(node), frame.where)
            value = self._evaluator.run(compiled, frame.where)
        except PlantError:
            return ""  # it failed itself
        return self._values.text(value) if value is not None else ""

    def _text(self, node: Node) -> str:
        """Return how the source writes it; the brackets around its first and its last part are its own."""
        source = self._texts.at(node.at)
        start, end = node.at - source.base, node.end - source.base
        missing = source.text.count("(", start, end) - source.text.count(")", start, end)
        for _ in range(missing):
            end = source.text.find(")", end) + 1 or end
        for _ in range(-missing):
            start = max(source.text.rfind("(", 0, start), 0)
        return " ".join(source.text[start:end].split())


def _acts(node: Call) -> bool:
    """Tell whether a call may change something: all but those of standard functions."""
    pou = node.binding.pou if node.binding is not None else None
    return pou is not None and not (pou.library and pou.kind == "FUNCTION")
