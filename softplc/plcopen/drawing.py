"""Charts of Structured Text, drawn: from the top to the bottom, branches side by side.

Source: PLCopen TC6 XML 2.01, sfcObjects; IEC 61131-3:2013, tables 54 to 58.
"""

from __future__ import annotations

from softplc.plcopen.pieces import Pieces
from softplc.plcopen.serialise import formatted, made
from softplc.plcopen.xml import Element
from softplc.syntax import ActionDecl, Association, Chart, StepDecl, TransitionDecl

COLUMN, ROW, WIDTH, HEIGHT = 400, 160, 100, 30
NO_PRIORITY = 1 << 16


def chart_element(chart: Chart, pieces: Pieces) -> tuple[Element, list[Element]]:
    """Return the chart as an SFC body, and the actions of its unit."""
    drawing = _Drawing(chart, pieces)
    actions: list[Element] = []
    for each in chart.actions:
        if each.chart is None:
            body, inner = formatted("ST", _body(each, pieces)), list[Element]()
        else:
            body, inner = chart_element(each.chart, pieces)
        actions += [made("action", {"name": each.name}, made("body", None, body)), *inner]
    return drawing.element(), actions


class _Drawing:
    def __init__(self, chart: Chart, pieces: Pieces) -> None:
        self.chart = chart
        self.pieces = pieces
        self.count = 0
        self.parts: list[Element] = []
        self.steps = {each.name.casefold(): self._next() for each in chart.steps}
        self.transitions = [self._next() for _ in chart.transitions]
        self.out_of: dict[str, list[int]] = {}
        self.into: dict[str, list[int]] = {}
        for number, each in enumerate(chart.transitions):
            for name, _ in each.sources:
                self.out_of.setdefault(name.casefold(), []).append(number)
            for name, _ in each.targets:
                self.into.setdefault(name.casefold(), []).append(number)
        self.splits: dict[str, int] = {}
        self.forks: dict[int, int] = {}

    def _next(self) -> int:
        self.count += 1
        return self.count

    def element(self) -> Element:
        rows = {each.name.casefold(): number for number, each in enumerate(self.chart.steps)}
        for number, transition in enumerate(self.chart.transitions):
            first = transition.sources[0][0].casefold()
            among = self.out_of[first].index(number)
            x, y = 100 + among * COLUMN, 100 + rows.get(first, 0) * ROW + 90
            above = self._before_transition(number, transition, x, y)
            self.parts.append(self._transition(number, transition, above, x, y))
            if len(transition.targets) > 1:
                self.forks[number] = self._next()
                self._merge(
                    "simultaneousDivergence", self.forks[number], [self.transitions[number]], x, y + 30
                )
        for row, step in enumerate(self.chart.steps):
            self._step(step, 100 + row * ROW)
        return made("SFC", None, *self.parts)

    def _before_transition(self, number: int, transition: TransitionDecl, x: int, y: int) -> int:
        """Return what a transition hangs below: a step, or what steps join or part in."""
        if len(transition.sources) > 1:
            joined = self._next()
            steps = [self.steps.get(name.casefold(), 0) for name, _ in transition.sources]
            self._merge("simultaneousConvergence", joined, steps, x, y - 20)
            return joined
        name = transition.sources[0][0].casefold()
        step = self.steps.get(name, 0)
        if len(self.out_of[name]) == 1:
            return step
        if name not in self.splits:
            self.splits[name] = self._next()
            self._merge("selectionDivergence", self.splits[name], [step], x, y - 20)
        return self.splits[name]

    def _merge(self, kind: str, number: int, above: list[int], x: int, y: int) -> None:
        """Draw a divergence or convergence below others."""
        out = made("connectionPointOut", {"formalParameter": ""} if kind.endswith("Divergence") else None)
        points = [self._in(each) for each in above]
        self.parts.append(made(kind, self._size(number, WIDTH, 1), _position(x, y), *points, out))

    @staticmethod
    def _in(*above: int) -> Element:
        return made(
            "connectionPointIn", None, *(made("connection", {"refLocalId": str(each)}) for each in above)
        )

    @staticmethod
    def _size(number: int, width: int, height: int) -> dict[str, str]:
        return {"localId": str(number), "height": str(height), "width": str(width)}

    def _transition(self, number: int, decl: TransitionDecl, above: int, x: int, y: int) -> Element:
        attributes = self._size(self.transitions[number], 20, 10)
        if decl.priority != NO_PRIORITY:
            attributes["priority"] = str(decl.priority)
        text = self.pieces.of(decl.condition)
        inline = made("inline", {"name": ""}, formatted("ST", text))
        return made(
            "transition",
            attributes,
            _position(x, y),
            self._in(above),
            made("connectionPointOut"),
            made("condition", None, inline),
        )

    def _step(self, step: StepDecl, y: int) -> None:
        key = step.name.casefold()
        above = [self.forks.get(each, self.transitions[each]) for each in self.into.get(key, [])]
        if len(above) > 1:
            joined = self._next()
            self._merge("selectionConvergence", joined, above, 100, y - 30)
            above = [joined]
        number = self.steps[key]
        attributes = self._size(number, WIDTH, HEIGHT) | {"name": step.name}
        if step.initial:
            attributes["initialStep"] = "true"
        self.parts.append(
            made(
                "step",
                attributes,
                _position(100, y),
                self._in(*above) if above else None,
                made("connectionPointOut", {"formalParameter": ""}),
                made("connectionPointOutAction", {"formalParameter": ""}),
            )
        )
        if step.associations:
            actions = [self._action(each) for each in step.associations]
            block = self._size(self._next(), WIDTH, HEIGHT * len(actions))
            self.parts.append(
                made("actionBlock", block, _position(100 + WIDTH + 40, y), self._in(number), *actions)
            )

    def _action(self, decl: Association) -> Element:
        attributes = {"localId": str(self._next()), "qualifier": decl.qualifier}
        if decl.time is not None:
            attributes["duration"] = self.pieces.of(decl.time)
        if decl.indicators:
            attributes["indicator"] = ", ".join(map(self.pieces.of, decl.indicators))
        return made(
            "action",
            attributes,
            made("relPosition", {"x": "0", "y": "0"}),
            made("reference", {"name": decl.name}),
        )


def _body(action: ActionDecl, pieces: Pieces) -> str:
    """Return the statements of an action as they stand in the file."""
    return pieces.between(action.end, "END_ACTION").removeprefix(":").strip("\n").rstrip()


def _position(x: int, y: int) -> Element:
    return made("position", {"x": str(x), "y": str(y)})
