"""Sequential function charts become textual ones: steps, transitions and actions.

Connections lead upwards: from a step to the transitions before it, from a transition to its steps. The chart
of a macro step becomes a part of the chart around it: what leads to the macro step leads to the step that
begins it, what follows it follows the step that ends it.

Source: PLCopen TC6 XML 2.01, sfcObjects; IEC 61131-3:2013, 6.7, tables 54 to 57.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from softplc.lexer import FOREIGN_CODE
from softplc.plcopen.declarations import Declarations
from softplc.plcopen.graph import Graph, Node, Pin, links_of
from softplc.plcopen.networks import Networks, body_of
from softplc.plcopen.notes import IL, NETWORK, PRAGMA, UNKNOWN, Notes
from softplc.plcopen.order import EVALUATED, order_of
from softplc.plcopen.scope import Scope
from softplc.plcopen.text import Code, Origin, joined, sliced, stripped
from softplc.plcopen.values import Value, is_name, negation, true, words
from softplc.plcopen.xml import Element

PLACES = ("step", "macroStep")
MERGING = ("selectionDivergence", "selectionConvergence", "simultaneousConvergence", "simultaneousDivergence")
_FOREIGN = re.compile(r"\{\{.*?\}\}|\{[^{}]*(?:__|;|\()[^{}]*\}", re.DOTALL)
_ASSIGNED = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)?\s*:=\s*")


@dataclass(slots=True)
class ActionText:
    """An action of a chart."""

    name: str
    body: Code
    origin: Origin


@dataclass(slots=True)
class Charted:
    """A chart as text, and which of the unit's own actions it uses."""

    code: Code
    used: set[str] = field(default_factory=set)


def chart_of(body: Element, pou: Element, where: str, scope: Scope, declarations: Declarations) -> Charted:
    """Return the chart in an SFC body."""
    return _Chart(body, pou, where, scope, declarations).text()


def statements_of(body: Element | None, where: str, scope: Scope, notes: Notes) -> Code:
    """Return the statements of a body in ST, FBD or LD."""
    if body is None:
        return Code()
    kind = next((each for each in body.children if each.name in ("ST", "IL", "FBD", "LD", "SFC")), None)
    if kind is None:
        return Code()
    origin = Origin(kind, f"{where}, {kind.name}")
    if kind.name == "ST":
        text = _without_foreign(origin.quoted(kind.whole()), origin, notes)
        return text + origin.code("\n") if str(text).strip() else Code()
    if kind.name in ("FBD", "LD"):
        return body_of(kind, origin.where, scope, notes)
    if kind.name == "IL":
        told_il(origin, notes)
    else:
        message = "a chart cannot stand here: only steps have actions that are charts"
        notes.error(UNKNOWN, message, origin, "make it a function block, and call that here")
    return Code()


def _without_foreign(text: Code, origin: Origin, notes: Notes) -> Code:
    """Tell of pragmas that hold code: matiec runs what stands in them as C, also in double braces."""
    result, at, whole = Code(), 0, str(text)
    for found in _FOREIGN.finditer(whole):
        bit = sliced(text, found.start(), found.end()).bits[0]
        place = Element(origin.element.name, origin.element.space, {}, bit.line, bit.column)
        notes.warning(PRAGMA, FOREIGN_CODE, Origin(place, origin.where), "write it in ST")
        if found.group().startswith("{{"):
            result += sliced(text, at, found.start())
            at = found.end()
    return result + sliced(text, at, len(whole)) if at else text


def told_il(origin: Origin, notes: Notes) -> None:
    remedy = "write it in ST, FBD or LD: the standard itself gives IL up"
    notes.error(IL, "Instruction List (IL) is not translated", origin, remedy)


@dataclass(slots=True)
class _Macro:
    """A macro step: its chart, and the names of the steps that begin and end it.

    One without has its own name for them, and becomes a step: it was told, and shall have no echo.
    """

    chart: _Chart | None
    first: str
    last: str


class _Chart:
    """A chart; that of a macro step is in an outer one, and shares its actions."""

    def __init__(
        self,
        body: Element,
        pou: Element,
        where: str,
        scope: Scope,
        declarations: Declarations,
        outer: _Chart | None = None,
        within: tuple[str, ...] = (),
    ) -> None:
        """`outer` is the chart around that of a macro step, `within` the actions around that of an action."""
        self.body = body
        self.pou = pou
        self.where = where
        self.scope = scope
        self.declarations = declarations
        self.notes = declarations.notes
        self.graph = Graph(body, where, self.notes)
        self.charts = self.graph.charts
        self.steps = {key: each for key, each in self.charts.items() if each.name == "step"}
        self.outer = outer
        self.within: tuple[str, ...] = outer.within if outer is not None else within
        self.actions: dict[str, ActionText] = outer.actions if outer is not None else {}
        self.own = {each.get("name").casefold(): each for each in pou.all("actions", "action")}
        self.used: set[str] = outer.used if outer is not None else set()
        starts = any(each.flag("initialStep") for each in self.steps.values())
        self.may_start: bool = outer is None or outer.gives_start
        self.gives_start: bool = self.may_start and not starts
        self.macros = {
            key: self._macro(each) for key, each in self.charts.items() if each.name == "macroStep"
        }
        self.in_conditions: set[str] = set()

    def text(self) -> Charted:
        origin = Origin(self.body, self.where)
        code, rest = self._parts()
        for action in self.actions.values():
            code += action.origin.code(f"ACTION {action.name}:\n") + action.body
            code += action.origin.code("END_ACTION\n\n")
        return Charted(code + rest + self._rest(origin), self.used)

    def _parts(self) -> tuple[Code, Code]:
        """Return steps and transitions, and the networks beside the charts of macro steps."""
        targets = self._targets()
        associations = self._associations()
        code, rest = Code(), Code()
        for key, step in self.steps.items():
            here = self.graph.origin(step)
            name = self.declarations.name(here)
            if name is not None:
                word = "INITIAL_STEP" if step.flag("initialStep") and self.may_start else "STEP"
                inner = joined(Code(), associations.get(key, []))
                code += here.code(f"{word} ") + name + here.code(":\n") + inner + here.code("END_STEP\n\n")
        for key, transition in self.charts.items():
            if transition.name == "transition":
                code += self._transition(key, transition, targets.get(key, []))
        for key, macro in self.macros.items():
            own = self.charts[key].get("name")
            if own in (macro.first, macro.last) and is_name(own):
                code += self.graph.origin(self.charts[key]).code(f"STEP {own}:\nEND_STEP\n\n")
            if macro.chart is not None:
                inner, beside = macro.chart._parts()
                code += inner
                rest += beside + macro.chart._rest(Origin(macro.chart.body, macro.chart.where))
        return code, rest

    # Macro steps -------------------------------------------------------------------------------------

    def _macro(self, element: Element) -> _Macro:
        """Return a macro step; tell why its chart cannot stand in its place."""
        origin, name = self.graph.origin(element), element.get("name")
        body = element.child("body")
        inside = body.child("SFC") if body is not None else None
        if inside is None:
            message = f"the macro step {name} has no chart"
            self.notes.error(UNKNOWN, message, origin, "draw its steps in it, or in the chart itself")
            return _Macro(None, name, name)
        where = f"{origin.where}, macro step {name}"
        chart = _Chart(inside, self.pou, where, self.scope, self.declarations, self)
        first, last = chart._beginnings(), chart._ends()
        for what, found, remedy in (
            ("begin", first, "make one of them the initial step of its chart"),
            ("end", last, "lead every way to one step that no transition follows"),
        ):
            if len(found) != 1:
                several = f": {', '.join(found)}" if found else ""
                message = f"the macro step {name} has {len(found)} steps that {what} it{several}"
                self.notes.error(UNKNOWN, message, origin, remedy)
        return _Macro(chart, first[0] if first else name, last[0] if last else name)

    def _beginnings(self) -> list[str]:
        """Return the initial steps, or the steps with nothing before them."""
        initial = [each.get("name") for each in self.steps.values() if each.flag("initialStep")]
        if initial:
            return initial
        places = ((key, each) for key, each in self.charts.items() if each.name in PLACES)
        return [self._name_of(key, first=True) for key, each in places if not any(self._above(each))]

    def _ends(self) -> list[str]:
        """Return the steps that no transition follows."""
        transitions = [each for each in self.charts.values() if each.name == "transition"]
        left = {key for each in transitions for key, _ in self._found(each, PLACES)}
        places = (key for key, each in self.charts.items() if each.name in PLACES)
        return [self._name_of(key, first=False) for key in places if key not in left]

    def _name_of(self, key: str, *, first: bool) -> str:
        """Return the step that a place begins with, or ends with: itself, or one in a macro step."""
        macro = self.macros.get(key)
        if macro is None:
            return self.charts[key].get("name")
        return macro.first if first else macro.last

    def _target(self, name: str) -> str:
        """Return the step that a jump means: of a macro step, the first one in it."""
        chart: _Chart | None = self
        while chart is not None:
            for key, macro in chart.macros.items():
                if chart.charts[key].get("name").casefold() == name.casefold():
                    return macro.first
            chart = chart.outer
        return name

    # Ways --------------------------------------------------------------------------------------------

    def _above(self, element: Element) -> Iterator[str]:
        for point in element.all("connectionPointIn"):
            for link in links_of(point):
                yield link.source

    def _found(self, element: Element, kinds: tuple[str, ...]) -> Iterator[tuple[str, Element]]:
        """Yield what lies above, through divergences and convergences."""
        waiting, seen = [element], set[str]()
        while waiting:
            here = waiting.pop(0)
            for key in self._above(here):
                found = self.charts.get(key)
                if found is None:
                    message = f"localId {key} is no part of the chart"
                    self.notes.error(NETWORK, message, self.graph.origin(here), "connect it anew")
                elif key in seen:
                    continue
                elif found.name in kinds:
                    yield key, found
                elif found.name in MERGING:
                    waiting.append(found)
                elif found.name == "jumpStep" and here.name == "selectionConvergence":
                    pass  # CODESYS draws a way that ends with a jump on to where the others meet
                else:
                    message = f"a {element.name} cannot follow a {found.name} here"
                    remedy = "steps and transitions take turns"
                    self.notes.error(NETWORK, message, self.graph.origin(element), remedy)
                seen.add(key)

    def _targets(self) -> dict[str, list[tuple[str, Element]]]:
        """Return the steps that each transition leads to."""
        result: dict[str, list[tuple[str, Element]]] = {}
        divergences = {
            each.get("name").casefold(): key
            for key, each in self.charts.items()
            if each.name == "simultaneousDivergence" and each.get("name")
        }
        below: dict[str, list[str]] = {}
        for place, element in self.charts.items():
            for key in self._above(element) if element.name in PLACES else ():
                below.setdefault(key, []).append(self._name_of(place, first=True))
        for place, element in self.charts.items():
            if element.name not in (*PLACES, "jumpStep"):
                continue
            for key, _ in self._found(element, ("transition",)):
                if element.name == "jumpStep":
                    target = element.get("targetName").strip()
                    names = below.get(divergences.get(target.casefold(), ""), [self._target(target)])
                else:
                    names = [self._name_of(place, first=True)]
                result.setdefault(key, []).extend((name, element) for name in names)
        return result

    # Transitions -------------------------------------------------------------------------------------

    def _transition(self, key: str, element: Element, targets: list[tuple[str, Element]]) -> Code:
        origin = self.graph.origin(element)
        sources = list(self._found(element, PLACES))
        if not sources or not targets:
            side = "before" if not sources else "behind"
            message = f"the transition has no step {side} it"
            self.notes.error(NETWORK, message, origin, "connect it with a step")
            return Code()
        before, condition = self._condition(element, origin)
        if condition is None:
            return Code()
        priority = element.get("priority").strip()
        chosen = f" (PRIORITY := {priority})" if priority.isdecimal() else ""
        from_ = self._names([(self._name_of(place, first=False), each) for place, each in sources])
        to = self._names(targets)
        head = origin.code(f"TRANSITION{chosen} FROM ") + from_ + origin.code(" TO ") + to
        if before:
            head += origin.code(":\n") + before + origin.code("       ")
        return head + origin.code(" := ") + condition.code + origin.code(";\nEND_TRANSITION\n\n")

    def _names(self, steps: list[tuple[str, Element]]) -> Code:
        parts: list[Code] = []
        for name, element in steps:
            origin = self.graph.origin(element)
            if not is_name(name):
                self.notes.error(NETWORK, f"there is no step {name!r}", origin, "name a step of the chart")
                name = "_"
            parts.append(origin.code(name))
        if len(parts) == 1:
            return parts[0]
        origin = Origin(self.body, self.where)
        return origin.code("(") + joined(origin.code(", "), parts) + origin.code(")")

    def _condition(self, element: Element, origin: Origin) -> tuple[Code, Value | None]:
        holder = element.child("condition")
        if holder is None:
            self.notes.error(NETWORK, "the transition has no condition", origin, "give it one, such as TRUE")
            return Code(), None
        before, value = self._given(holder, element, origin)
        if value is not None and holder.flag("negated"):
            value = negation(value, origin)
        return before, value

    def _given(self, holder: Element, element: Element, origin: Origin) -> tuple[Code, Value | None]:
        reference, inline = holder.child("reference"), holder.child("inline")
        if reference is not None:
            name = reference.get("name").strip()
            for each in self.pou.all("transitions", "transition"):
                if each.get("name").casefold() == name.casefold():
                    return self._of_body(each.child("body"), name, origin)
            if is_name(name):
                return Code(), Value(origin.code(name))
            self.notes.error(NETWORK, f"there is no transition {name}", origin, "write it, or name another")
            return Code(), None
        if inline is not None:
            return self._of_body(inline, inline.get("name").strip(), origin)
        point = holder.child("connectionPointIn") or holder
        if not any(True for _ in point.all("connection")):
            self.notes.error(NETWORK, "the transition has no condition", origin, "give it one, such as TRUE")
            return Code(), None
        return self._of_network(self.graph, self._end(element, point), origin)

    @staticmethod
    def _end(element: Element, point: Element) -> Node:
        """Return a node that takes a condition."""
        pin = Pin(element, "", links_of(point))
        return Node(element, "condition", f"{element.get('localId')}?", 0.0, 0.0, 0.0, None, 1 << 30, [pin])

    def _of_network(self, graph: Graph, end: Node, origin: Origin) -> tuple[Code, Value | None]:
        """Return the condition that a network yields at its end."""
        wanted, waiting = {end.id}, [end]
        while waiting:
            for pin in waiting.pop().taking:
                for link in pin.links:
                    source = graph.nodes.get(link.source)
                    if source is not None and source.id not in wanted:
                        wanted.add(source.id)
                        waiting.append(source)
        if graph is self.graph:
            self.in_conditions |= wanted
        graph.nodes[end.id] = end
        before, value = Networks(graph, order_of(graph, wanted), self.scope, self.notes).condition(end)
        if graph is self.graph:
            del graph.nodes[end.id]
        return before, value or true(origin)

    def _of_body(self, body: Element | None, name: str, origin: Origin) -> tuple[Code, Value | None]:
        kinds = body.children if body is not None else []
        kind = next((each for each in kinds if each.name in ("ST", "IL", "FBD", "LD", "SFC")), None)
        if kind is None:
            self.notes.error(NETWORK, "the transition has no condition", origin, "give it one, such as TRUE")
            return Code(), None
        here = Origin(kind, f"{origin.where}, transition {name}" if name else origin.where)
        if kind.name == "ST":
            return self._of_text(here, name)
        if kind.name in ("FBD", "LD"):
            graph = Graph(kind, here.where, self.notes)
            for node in graph.nodes.values():
                target = node.element.child("variable" if node.kind == "coil" else "expression")
                if node.kind in ("coil", "outVariable") and target is not None:
                    if name and target.text.strip().casefold() != name.casefold():
                        continue
                    node.kind = "condition"
                    return self._of_network(graph, node, here)
            message = "the network of the transition has no output for it"
            self.notes.error(NETWORK, message, here, f"add a coil or output variable {name}".rstrip())
        elif kind.name == "IL":
            told_il(here, self.notes)
        else:
            self.notes.error(UNKNOWN, "a transition cannot be a chart", here, "write a condition")
        return Code(), None

    def _of_text(self, origin: Origin, name: str) -> tuple[Code, Value | None]:
        """Return a condition in ST: an expression, `:= expression;`, or statements that set its name."""
        code = stripped(origin.quoted(origin.element.whole()))
        text = str(code)
        if text.rstrip(" \t\n;").count(";"):
            if is_name(name) and name.casefold() in words(text):
                self.scope.declare(name, "BOOL", origin)
                return code + origin.code("\n"), Value(origin.code(name))
            message = "the condition is more than one expression"
            self.notes.error(NETWORK, message, origin, "write one expression")
            return Code(), None
        found = _ASSIGNED.match(text)
        start = 0
        if found is not None and (found.group(1) is None or found.group(1).casefold() == name.casefold()):
            start = found.end()
        code = stripped(sliced(code, start, len(text.rstrip(" \t\n;"))))
        if not code:
            self.notes.error(NETWORK, "the transition has no condition", origin, "give it one, such as TRUE")
            return Code(), None
        return Code(), Value(code, 0)

    # Actions -----------------------------------------------------------------------------------------

    def _associations(self) -> dict[str, list[Code]]:
        """Return the action blocks of each step."""
        result: dict[str, list[Code]] = {}
        for block in self.charts.values():
            if block.name != "actionBlock":
                continue
            steps = [key for key in self._above(block) if key in self.steps]
            if not steps:
                message = "the action block belongs to no step"
                self.notes.error(NETWORK, message, self.graph.origin(block), "connect it with a step")
            for key in steps:
                made = [self._association(each, self.steps[key], block) for each in block.all("action")]
                result.setdefault(key, []).extend(made)
        return result

    def _association(self, action: Element, step: Element, block: Element) -> Code:
        origin = Origin(action, f"{self.graph.origin(block).where}, step {step.get('name')}")
        name = self._action_name(action, step, origin)
        if name is None:
            return Code()
        qualifier = self.declarations.plain(origin, action.get("qualifier").strip() or "N")
        duration = action.get("duration").strip()
        time = origin.code(", ") + self.declarations.plain(origin, duration) if duration else Code()
        named = (each.strip() for each in action.get("indicator").split(","))
        variables = (each for each in named if all(map(is_name, each.split("."))))  # it may be any text
        indicators = "".join(f", {each}" for each in variables)
        return origin.code(f"    {name}(") + qualifier + time + origin.code(f"{indicators});\n")

    def _action_name(self, action: Element, step: Element, origin: Origin) -> str | None:
        reference, inline = action.child("reference"), action.child("inline")
        if reference is not None:
            name = reference.get("name").strip()
            if not is_name(name):
                remedy = "name an action of the unit, or a BOOL variable"
                self.notes.error(NETWORK, f"{name!r} is no action", origin, remedy)
                return None
            own = self.own.get(name.casefold())
            if own is not None and name.casefold() not in self.actions:
                self.used.add(name.casefold())
                where = f"{self.where}, action {name}"
                body = self._body(own.child("body"), where, name, origin)
                self.actions[name.casefold()] = ActionText(own.get("name"), body, Origin(own, where))
            return name
        if inline is not None:
            name = self.scope.fresh(f"{step.get('name')}_action")
            body = self._body(inline, origin.where, name, origin)
            self.actions[name.casefold()] = ActionText(name, body, origin)
            return name
        self.notes.error(
            NETWORK, "the action has no body and no name", origin, "name an action or a variable"
        )
        return None

    def _body(self, body: Element | None, where: str, name: str, origin: Origin) -> Code:
        """Return the body of an action, which may be a chart."""
        chart = body.child("SFC") if body is not None else None
        if chart is None:
            return statements_of(body, where, self.scope, self.notes)
        if name.casefold() in self.within:
            self.notes.error(UNKNOWN, f"the action {name} is a chart that uses it", origin, "use another one")
            return Code()
        within = (*self.within, name.casefold())
        inner = _Chart(chart, self.pou, f"{where}, SFC", self.scope, self.declarations, None, within)
        charted = inner.text()
        self.used |= charted.used
        return charted.code

    # What else is drawn ------------------------------------------------------------------------------

    def _rest(self, origin: Origin) -> Code:
        """Return networks beside the chart: they run after it."""
        rest = {
            key
            for key, each in self.graph.nodes.items()
            if key not in self.in_conditions and each.kind in (*EVALUATED, "label")
        }
        if not rest:
            return Code()
        for key in rest:
            node = self.graph.nodes[key]
            for pin in node.taking:
                for link in pin.links:
                    source = self.graph.nodes.get(link.source)
                    if source is not None and source.kind in EVALUATED and link.source in self.in_conditions:
                        message = f"the {source.kind} feeds a transition and a network beside the chart"
                        remedy = "draw it twice, or put it into a variable"
                        self.notes.error(NETWORK, message, self.graph.origin(source.element), remedy)
                        return Code()
        return Networks(self.graph, order_of(self.graph, rest), self.scope, self.notes).statements(origin)
