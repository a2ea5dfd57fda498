"""Networks become statements: FBD and LD in the order of their evaluation.

What a function yields is written into the expression that takes it; it gets a variable of its own where
several take it, or where something that it depends on changes before it is taken.

Source: IEC 61131-3:2013, 6.6.1.5 (EN and ENO), 8.1.3, 8.1.5, 8.2 (LD: tables 75 and 76), 8.3 (FBD).
"""

from __future__ import annotations

from softplc.plcopen.blocks import Blocks
from softplc.plcopen.graph import Graph, Node
from softplc.plcopen.notes import NETWORK, Notes
from softplc.plcopen.order import Order, Segment, order_of
from softplc.plcopen.scope import Scope
from softplc.plcopen.text import Code, Origin, joined
from softplc.plcopen.values import Value, conjunction, is_variable, negation, words, written
from softplc.plcopen.xml import Element


def body_of(body: Element, where: str, scope: Scope, notes: Notes) -> Code:
    """Return the statements of an FBD or LD body."""
    graph = Graph(body, where, notes)
    for element in graph.charts.values():
        message = f"<{element.name}> belongs to a chart"
        notes.error(NETWORK, message, graph.origin(element), "remove it, or make the body SFC")
    graph.charts.clear()
    return Networks(graph, order_of(graph), scope, notes).statements(Origin(body, where))


class Networks(Blocks):
    """Writes the networks of one body."""

    def __init__(self, graph: Graph, order: Order, scope: Scope, notes: Notes) -> None:
        super().__init__(graph, order, scope, notes)
        self.jump_to = ""
        self.labels: dict[str, int] = {}

    def statements(self, origin: Origin) -> Code:
        """Return everything, with jumps as a loop over the parts between labels."""
        segments = self.order.segments
        self._label(segments)
        if len(segments) == 1 and not any(each.kind == "jump" for each in segments[0].nodes):
            return self._segment(segments[0], "    ")
        self.jump_to = self.scope.add("network", "INT", origin)
        code = origin.code(f"    {self.jump_to} := 0;\n    WHILE {self.jump_to} < {len(segments)} DO\n")
        code += origin.code(f"        CASE {self.jump_to} OF\n")
        for number, each in enumerate(segments):
            here = self.graph.origin(each.label.element) if each.label is not None else origin
            code += here.code(f"            {number}:")
            if each.label is not None:
                code += here.code(f"  (* {' '.join(sorted(words(each.label.element.get('label'))))} *)")
            code += here.code(f"\n                {self.jump_to} := {number + 1};\n")
            code += self._segment(each, " " * 16)
        return code + origin.code("        END_CASE;\n    END_WHILE;\n")

    def _label(self, segments: list[Segment]) -> None:
        for number, each in enumerate(segments):
            if each.label is None:
                continue
            name = each.label.element.get("label").strip().casefold()
            if name in self.labels:
                message = f"the label {name} is there twice"
                self.notes.error(NETWORK, message, self.graph.origin(each.label.element), "rename one")
            self.labels[name] = number

    def _segment(self, segment: Segment, indent: str) -> Code:
        self.indent = indent
        self.begin(segment.nodes)
        for position, node in enumerate(segment.nodes):
            self.position = position
            self._node(node)
        return joined(Code(), self.take())

    def _node(self, node: Node) -> None:
        match node.kind:
            case "contact":
                self._contact(node)
            case "block":
                self.block(node)
            case "coil" | "outVariable" | "inOutVariable":
                self._assignment(node)
            case "jump":
                self._jump(node)
            case "return":
                self._leave(node, self.graph.origin(node.element).code("RETURN;"))

    # Ladder ------------------------------------------------------------------------------------------

    def _contact(self, node: Node) -> None:
        origin = self.graph.origin(node.element)
        pin = node.inputs[0]
        own = written(node.element.child("variable"), origin, self.notes)
        if own is None:
            return
        if not pin.links and pin.text is None:
            self.graph.unconnected(node)
        if pin.edge:
            own = self.edge(own, pin.edge, node, "", origin)
        if pin.negated:
            own = negation(own, origin)
        left = self.either(node, pin)
        if left is not None:
            self.keep(node, "", conjunction(left, own, origin), "BOOL")

    # Assignments -------------------------------------------------------------------------------------

    def _assignment(self, node: Node) -> None:
        origin = self.graph.origin(node.element)
        pin = node.inputs[0]
        holder = node.element.child("variable" if node.kind == "coil" else "expression")
        target = written(holder, origin, self.notes)
        if target is None:
            return
        if not is_variable(str(target.code)):
            message = f"{str(target.code)!r} cannot be written"
            self.notes.error(NETWORK, message, origin, "name a variable")
            return
        if not pin.links and pin.text is None:
            self.graph.unconnected(node)
            return
        value = self.either(node, pin)
        if value is None:
            return
        if node.kind == "coil":
            value = self.keep(node, "", value, "BOOL") or value
        guard = value.guard
        if pin.negated:
            value = negation(value, origin)
        if pin.edge:
            value = self.edge(value, pin.edge, node, "", origin)
        if pin.storage:
            kept = origin.code("TRUE" if pin.storage == "set" else "FALSE")
            self.write_if(value.code, target.code + origin.code(" := ") + kept + origin.code(";"), origin)
            return
        assignment = target.code + origin.code(" := ") + value.code + origin.code(";")
        if guard is not None:
            self.write_if(guard, assignment, origin)
        else:
            self.write(assignment)

    # Jumps -------------------------------------------------------------------------------------------

    def _jump(self, node: Node) -> None:
        origin = self.graph.origin(node.element)
        name = node.element.get("label").strip()
        number = self.labels.get(name.casefold())
        if number is None:
            known = ", ".join(self.labels) or "none"
            self.notes.error(NETWORK, f"there is no label {name}", origin, f"there are: {known}")
            return
        self._leave(node, origin.code(f"{self.jump_to} := {number}; CONTINUE;"))

    def _leave(self, node: Node, code: Code) -> None:
        pin = node.inputs[0]
        origin = self.graph.origin(node.element)
        if not pin.links and pin.text is None:
            self.write(code)
            return
        value = self.either(node, pin)
        if value is not None:
            if pin.negated:
                value = negation(value, origin)
            if value.constant:
                self.write(code)
            else:
                self.write_if(value.code, code, origin)

    # Conditions --------------------------------------------------------------------------------------

    def condition(self, node: Node) -> tuple[Code, Value | None]:
        """Return the statements before a condition, and the condition: what comes in at a node of its own."""
        self.indent = "        "
        nodes = [each for segment in self.order.segments for each in segment.nodes if each is not node]
        self.begin([*nodes, node])
        for position, each in enumerate(nodes):
            self.position = position
            self._node(each)
        self.position = len(nodes)
        pin = node.inputs[0]
        value = self.either(node, pin)
        if value is not None and pin.negated:
            value = negation(value, self.graph.origin(node.element))
        return joined(Code(), self.take()), value
