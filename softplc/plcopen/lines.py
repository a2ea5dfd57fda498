"""Lines: what each carries, and which of it needs a variable.

Source: IEC 61131-3:2013, 8.1.2 and 8.1.3.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from softplc.plcopen.graph import Graph, Link, Node, Pin
from softplc.plcopen.notes import NETWORK, UNKNOWN, Notes
from softplc.plcopen.order import Order
from softplc.plcopen.scope import OPEN, Scope
from softplc.plcopen.text import Code, Origin
from softplc.plcopen.values import Value, negation, operation, root_of, true, written

LONG = 40  # what several take and is longer gets a variable
LONGEST = 60  # parts of an expression that nobody would read
TRIGGERS = {"rising": "R_TRIG", "falling": "F_TRIG"}


class Lines:
    """The part that knows what lines carry; statements are collected in order."""

    def __init__(self, graph: Graph, order: Order, scope: Scope, notes: Notes) -> None:
        self.graph = graph
        self.order = order
        self.scope = scope
        self.notes = notes
        self.indent = ""
        self.position = 0
        self._lines: list[Code] = []
        self._changing: list[int] = []
        self._changed: list[set[str] | None] = []
        self._ends: dict[Node, int] = {}
        self.values: dict[tuple[Node, str], Value] = {}
        self.before: dict[tuple[Node, str], str] = {}

    # Statements --------------------------------------------------------------------------------------

    def begin(self, nodes: list[Node]) -> None:
        """Begin with nodes in the order of their evaluation."""
        place = {each: number for number, each in enumerate(nodes)}
        changes = [self._writes(each) for each in nodes]
        self._changing = [number for number, changed in enumerate(changes) if changed is None or changed]
        self._changed = changes
        self._ends = dict(place)
        for node in reversed(nodes):
            for each in self.order.consumers.get(node, ()):
                passes = each.kind in ("contact", "coil") or (each.kind == "block" and not each.instance)
                if each in place and place[each] > place[node]:
                    last = self._ends[each] if passes else place[each]
                    self._ends[node] = max(self._ends[node], last)

    def write(self, code: Code) -> None:
        first = code.bits[0]
        here = first._replace(text=self.indent, exact=False)
        end = first._replace(text="\n", exact=False)
        self._lines.append(Code((here,)) + code + Code((end,)))

    def write_if(self, condition: Code, code: Code, origin: Origin) -> None:
        """Write a statement that runs under a condition."""
        self.write(origin.code("IF ") + condition + origin.code(" THEN ") + code + origin.code(" END_IF;"))

    def take(self) -> list[Code]:
        """Return what was written."""
        lines, self._lines = self._lines, []
        return lines

    # Values ------------------------------------------------------------------------------------------

    def either(self, node: Node, pin: Pin) -> Value | None:
        """Return what comes in at a pin, several lines joined by OR; without what the pin itself does."""
        origin = self.graph.origin(node.element)
        if pin.text is not None:
            return written(pin.text, origin, self.notes)
        if not pin.links:
            return true(origin)
        values: list[Value] = []
        for link in dict.fromkeys(pin.links):
            value = self._carried(node, link)
            if value is None:
                return None
            if value.constant:
                return value
            values.append(value)
        return operation("OR", values, origin)

    def incoming(self, node: Node, pin: Pin) -> Value | None:
        """Return what comes in at a pin of a block, as its negation and edge make it."""
        origin = self.graph.origin(node.element)
        value = self.either(node, pin)
        if value is None:
            return None
        if pin.storage:
            self.cannot("storage", origin)
        if pin.negated:
            value = negation(value, origin)
        return self.edge(value, pin.edge, node, pin.name, origin) if pin.edge else value

    def cannot(self, what: str, origin: Origin) -> None:
        message = f"{what} at this pin cannot be translated"
        self.notes.error(UNKNOWN, message, origin, "use a coil or an output variable with it")

    def edge(self, value: Value, kind: str, node: Node, pin: str, origin: Origin) -> Value:
        """Return whether a value has just changed: a trigger of its own remembers it."""
        trigger = TRIGGERS.get(kind)
        if trigger is None:
            self.notes.error(UNKNOWN, f"there is no edge {kind}", origin, "write rising or falling")
            return value
        if self.scope.kind == "function":
            message = "a function keeps nothing from call to call: it sees no edges"
            self.notes.error(NETWORK, message, origin, "use a function block")
            return value
        name = self.scope.add(f"n{id_of(node)}{part(pin)}_edge", trigger, origin, kept=True)
        self.write(origin.code(f"{name}(CLK := ") + value.code + origin.code(");"))
        return Value(origin.code(f"{name}.Q"))

    def _carried(self, node: Node, link: Link) -> Value | None:
        """Return what a line carries."""
        source = self.graph.nodes.get(link.source)
        origin = self.graph.origin(node.element)
        if source is None:
            message = f"localId {link.source} has no value"
            self.notes.error(NETWORK, message, origin, "connect a variable, a block or a contact")
            return None
        back = (node, link) in self.order.feedback
        match source.kind:
            case "leftPowerRail":
                return true(origin)
            case "inVariable" | "inOutVariable":
                return self._variable(source)
            case "block":
                return self.output(source, link.parameter, origin, back=back)
        if back:
            return self.last(source, "", "BOOL")
        return self.values.get((source, ""))

    def _variable(self, node: Node) -> Value | None:
        origin = self.graph.origin(node.element)
        value = written(node.element.child("expression"), origin, self.notes)
        side = "Out" if node.kind == "inOutVariable" else ""
        if value is None:
            return None
        if node.element.get(f"storage{side}") in ("set", "reset"):
            self.cannot("storage", origin)
        if node.element.flag(f"negated{side}"):
            value = negation(value, origin)
        edge = node.element.get(f"edge{side}")
        if edge in TRIGGERS:
            key = node, "edge"
            if key not in self.values:
                self.values[key] = self.edge(value, edge, node, "", origin)
            value = self.values[key]
        return value

    def last(self, node: Node, pin: str, type_name: str) -> Value:
        """Return the value that an element had in the scan before."""
        origin = self.graph.origin(node.element)
        name = self.before.get((node, pin))
        if name is None:
            name = self.scope.add(f"n{id_of(node)}{part(pin)}", type_name, origin, kept=True)
            self.before[node, pin] = name
        return Value(origin.code(name))

    def keep(self, node: Node, pin: str, value: Value, type_name: str) -> Value | None:
        """Keep the value of an output for those that take it; return its variable if it gets one."""
        origin = self.graph.origin(node.element)
        takers = self.order.consumers.get(node, [])
        name = self.before.get((node, pin))
        if name is None:
            if not takers or value.constant or not self.needs_variable(node, value, len(takers)):
                self.values[node, pin] = value
                return None
            name = self.scope.add(f"n{id_of(node)}{part(pin)}", type_name, origin)
        self.write(origin.code(f"{name} := ") + value.code + origin.code(";"))
        kept = Value(origin.code(name), guard=value.guard)
        self.values[node, pin] = kept
        return kept

    def needs_variable(self, node: Node, value: Value, takers: int) -> bool:
        """Tell whether a value cannot be written into those that take it."""
        if (takers > 1 and len(str(value.code)) > LONG) or len(value.code.bits) > LONGEST:
            return True
        reads = value.reads
        start = bisect_right(self._changing, self.position)
        for number in self._changing[start : bisect_left(self._changing, self._ends.get(node, 0))]:
            changed = self._changed[number]
            if reads and (changed is None or changed & reads):
                return True
        return False

    def _writes(self, node: Node) -> set[str] | None:
        """Return the variables that a node changes, casefolded; None if that cannot be told."""
        if node.kind in ("coil", "outVariable", "inOutVariable"):
            holder = node.element.child("variable" if node.kind == "coil" else "expression")
            return {root_of(holder.text)} if holder is not None else set()
        if node.kind != "block":
            return set()
        if node.in_outs or "." in node.type_name or any(each.text is not None for each in node.outputs):
            return None
        if node.instance:
            return {root_of(node.instance)} if self._is_known_block(node.type_name) else None
        return None if self.scope.is_action(node.type_name) else set()

    def _is_known_block(self, type_name: str) -> bool:
        """Tell whether a function block of the library has this name, which changes itself alone."""
        return type_name.casefold() not in self.scope.units.kinds and self.scope.units.is_function_block(
            type_name
        )

    # Outputs of blocks ----------------------------------------------------------------------------------

    def taken(self, node: Node, pin_name: str) -> bool:
        """Tell whether an output is connected."""
        for each in self.order.consumers.get(node, ()):
            for pin in each.taking:
                for link in pin.links:
                    if link.source == node.id and self.pin_name(node, link.parameter) == pin_name:
                        return True
        return any(pin.text is not None and pin.name.upper() == pin_name for pin in node.outputs)

    @staticmethod
    def pin_name(node: Node, parameter: str) -> str:
        """Return the output that a connection comes from, in capitals; without a name the first but ENO."""
        if parameter or not node.outputs:
            return parameter.upper()
        first = next((each for each in node.outputs if each.name.upper() != "ENO"), node.outputs[0])
        return first.name.upper()

    def _through(self, node: Node, pin: Pin, origin: Origin) -> Value | None:
        """Return the variable that goes through blocks as their VAR_IN_OUT."""
        seen = {node}
        while pin.text is None and len(pin.links) == 1:
            link = pin.links[0]
            source = self.graph.nodes.get(link.source)
            key = self.pin_name(source, link.parameter) if source is not None else ""
            before = source.in_outs if source is not None else []
            inner = next((each for each in before if each.name.upper() == key), None)
            if source is None or inner is None:
                break
            if source in seen:
                message = "blocks pass a variable to each other that none of them has"
                self.notes.error(NETWORK, message, origin, "connect a variable with the first")
                return None
            seen.add(source)
            node, pin = source, inner
        return self.either(node, pin)

    def output(self, node: Node, parameter: str, origin: Origin, *, back: bool) -> Value | None:
        """Return the value of an output of a block."""
        key = self.pin_name(node, parameter)
        through = next((each for each in node.in_outs if each.name.upper() == key), None)
        if through is not None:
            return self._through(node, through, origin)
        pin = next((each for each in node.outputs if each.name.upper() == key), None)
        if pin is None:
            known = ", ".join(each.name for each in node.outputs) or "none"
            message = f"{node.instance or node.type_name} has no output {parameter}"
            self.notes.error(NETWORK, message, origin, f"it has {known}")
            return None
        if pin.storage:
            self.cannot("storage", origin)
        own = self.graph.origin(node.element)
        value: Value | None
        if key == "ENO":
            value = self.last(node, key, "BOOL") if back else self.values.get((node, key))
        elif node.instance:
            value = Value(own.code(f"{node.instance}.{pin.name}"))
        elif back:
            value = self.last(node, key, OPEN)
        else:
            value = self.values.get((node, key))
        if value is None:
            return None
        if pin.negated:
            value = negation(value, own)
        if pin.edge:
            kept = self.values.get((node, f"{key} edge"))
            value = kept or self.edge(value, pin.edge, node, pin.name, own)
            self.values[node, f"{key} edge"] = value
        return value


def id_of(node: Node) -> str:
    return "".join(each for each in node.id if each.isalnum() and each.isascii())


def part(pin: str) -> str:
    """Return the name of a pin as the end of a name."""
    kept = "".join(each for each in pin if each.isalnum() and each.isascii())
    return f"_{kept}" if kept else ""
