"""Charts become statements: steps and actions are instances of library blocks.

Each scan: transitions are judged by the steps as they are, then the steps change, then the actions of the
steps that are active now run. What stands before a condition (a network that leads to it) runs in every scan,
first of all. In the first scan the initial step becomes active and no transition is judged. A chart in an
action does all that in the scans in which the action runs, and stands still in the others.
Source: IEC 61131-3:2013, 6.7.4 and 6.7.5; actions run without a final scan (figure 23 b).
"""

from __future__ import annotations

from softplc.diagnostics import Diagnostic, did_you_mean
from softplc.parser.charts import TIMED
from softplc.syntax import (
    ActionDecl,
    Argument,
    Assign,
    Association,
    Binary,
    Call,
    CallStatement,
    Chart,
    Expr,
    If,
    Literal,
    Member,
    Name,
    NamedSpec,
    Node,
    PouDecl,
    Statement,
    TransitionDecl,
    Unary,
    VarBlock,
    VarDecl,
)

STARTED = "started$"


def expand(decl: PouDecl, problems: list[Diagnostic]) -> None:
    """Replace the chart of a POU by variables and statements."""
    chart, decl.chart = decl.chart, None
    if chart is not None:
        decl.body = [*_Expansion(decl, chart, problems).statements(), *decl.body]


class _Expansion:
    """The expansion of a chart; that of an action has `outer`, the chart of the action."""

    def __init__(
        self,
        decl: PouDecl,
        chart: Chart,
        problems: list[Diagnostic],
        outer: _Expansion | None = None,
        action: str = "",
    ) -> None:
        self.decl = decl
        self.chart = chart
        self.problems = problems
        self.outer = outer
        self.name = action or decl.name
        self.prefix: str = f"{outer.prefix}{action}$" if outer is not None else ""
        self.block = VarBlock(chart.at, chart.at, "VAR", False, False, [])
        decl.blocks.append(self.block)
        self.steps = {each.name.casefold(): each for each in chart.steps}
        self.by_priority = sorted(chart.transitions, key=lambda each: each.priority)
        self.flags = {each: f"{self.prefix}fires${number}" for number, each in enumerate(chart.transitions)}
        self.started = f"{self.prefix}{STARTED}"
        self.used = {each.name.casefold() for step in chart.steps for each in step.associations}

    def statements(self) -> list[Statement]:
        self._check()
        if self._is_hidden():
            return []
        at = self.chart
        self._declare(self.started, "BOOL", at)
        body = [each for transition in self.chart.transitions for each in self._prepare(transition)]
        body += [each for transition in self.by_priority for each in self._judge(transition)]
        for step in self.chart.steps:
            self._declare(step.name, "_SFC_STEP", step)
            enters = [self._flag(t, step) for t in self.flags if _among(step.name, t.targets)]
            if step.initial:
                enters.append(Unary(step.at, step.end, "NOT", _name(self.started, step)))
            leaves = [self._flag(t, step) for t in self.flags if _among(step.name, t.sources)]
            inputs = {"enter": _any(enters, step), "leave": _any(leaves, step)}
            body.append(_call(step.name, inputs, step))
        body.append(Assign(at.at, at.end, _name(self.started, at), Literal(at.at, at.end, "bool", True)))
        return [*body, *self._actions()]

    def _check(self) -> None:
        initial = [each for each in self.chart.steps if each.initial]
        if not initial:
            self._problem(f"{self.name} has 0 initial steps", self.chart, "give it one INITIAL_STEP")
        networks = self._networks()
        for network in dict.fromkeys(networks.values()):
            mine = [each for each in initial if networks[each.name.casefold()] == network]
            if len(mine) > 1:
                message = f"{self.name} has {len(mine)} initial steps"
                if len(set(networks.values())) > 1:
                    message += " in one network"
                self._problem(message, mine[1], "give it one INITIAL_STEP")
        if self.decl.kind in ("FUNCTION", "METHOD"):
            self._problem("a function has no steps: it keeps nothing", self.chart, "use a function block")
        known = [each.name for each in self.chart.steps]
        for transition in self.chart.transitions:
            for name, at in (*transition.sources, *transition.targets):
                if name.casefold() not in self.steps:
                    remedy = did_you_mean(name, known) or "declare it with STEP"
                    self._problem(f"there is no step {name}", Node(at, at + len(name)), remedy)

    def _networks(self) -> dict[str, str]:
        """Return to which network each step belongs: the steps that transitions connect (6.7.1).

        Where there is no transition at all somebody forgot them: then all are one.
        """
        networks = {key: key if self.chart.transitions else "" for key in self.steps}
        for each in self.chart.transitions:
            keys = {name.casefold() for name, _ in (*each.sources, *each.targets)}
            joined = {networks[key] for key in keys if key in networks}
            into = min(joined, default="")
            networks = {key: into if at in joined else at for key, at in networks.items()}
        return networks

    def _is_hidden(self) -> bool:
        """Tell whether a step has the name of a variable, and say so: nothing that names it would fit."""
        names = {each.name.casefold() for block in self.decl.blocks for each in block.declarations}
        hidden = [each for each in self.chart.steps if each.name.casefold() in names]
        for each in hidden:
            message, remedy = f"variable {each.name} is already declared", "rename or remove one of the two"
            self.problems.append(Diagnostic("ST2002", message, each.at, each.end, remedy))
        return bool(hidden)

    def _problem(self, message: str, where: Node, remedy: str) -> None:
        self.problems.append(Diagnostic("ST2060", message, where.at, where.end, remedy))

    def _declare(self, name: str, type_name: str, where: Node) -> None:
        spec = NamedSpec(where.at, where.end, type_name)
        self.block.declarations.append(VarDecl(where.at, where.end, name, spec, None))

    def _flag(self, transition: TransitionDecl, where: Node) -> Expr:
        return _name(self.flags[transition], where)

    def _prepare(self, transition: TransitionDecl) -> list[Statement]:
        """Run what stands before a condition, and keep what the condition then is."""
        if not transition.before:
            return []
        kept = f"{self.prefix}condition${self.chart.transitions.index(transition)}"
        self._declare(kept, "BOOL", transition)
        condition = transition.condition
        transition.condition = _name(kept, condition)
        taken = Assign(condition.at, condition.end, _name(kept, condition), condition)
        return [*transition.before, taken]

    def _judge(self, transition: TransitionDecl) -> list[Statement]:
        """Let a transition fire if it is enabled, its condition holds, and none before it took a step."""
        flag = self.flags[transition]
        self._declare(flag, "BOOL", transition)
        enabled = _name(self.started, transition)
        for name, _ in transition.sources:
            if name.casefold() in self.steps:
                enabled = _both(enabled, _member(name, "X", transition), transition)
        mine = {name.casefold() for name, _ in transition.sources}
        for other in self.by_priority[: self.by_priority.index(transition)]:
            if mine & {name.casefold() for name, _ in other.sources}:
                taken = Unary(transition.at, transition.end, "NOT", self._flag(other, transition))
                enabled = _both(enabled, taken, transition)
        condition = transition.condition
        fires = Assign(condition.at, condition.end, _name(flag, condition), _bool(True, condition))
        inner = If(condition.at, condition.end, [(condition, [fires])], [])
        return [
            Assign(condition.at, condition.end, _name(flag, condition), _bool(False, condition)),
            If(condition.at, condition.end, [(enabled, [inner])], []),
        ]

    def _actions(self) -> list[Statement]:
        """Return the control of every action, then what they do."""
        used: dict[str, list[tuple[str, Association]]] = {}
        for step in self.chart.steps:
            for each in step.associations:
                used.setdefault(each.name.casefold(), []).append((step.name, each))
        bodies = {each.name.casefold(): each for each in self.chart.actions}
        controls: list[Statement] = []
        effects: list[Statement] = []
        for key, places in used.items():
            first = places[0][1]
            control = f"{self.prefix}{first.name}$control"
            if self._is_used_around(key):
                message = f"{first.name} is an action of the chart around this one too"
                self._problem(message, first, "use it in one of the two")
                continue
            self._declare(control, "_SFC_ACTION", first)
            controls += self._control(control, places)
            active = _member(control, "Q", first)
            if key in bodies:
                effects.append(If(first.at, first.end, [(active, self._body(bodies[key]))], []))
            else:
                effects.append(Assign(first.at, first.end, _name(first.name, first), active))
        for key, action in bodies.items():
            if key not in used:
                self._problem(f"no step uses the action {action.name}", action, "name it in a step")
        return [*controls, *effects]

    def _body(self, action: ActionDecl) -> list[Statement]:
        if action.chart is None:
            return action.body
        inner = _Expansion(self.decl, action.chart, self.problems, self, action.name)
        return [*inner.statements(), *action.body]

    def _is_used_around(self, key: str) -> bool:
        outer = self.outer
        while outer is not None and key not in outer.used:
            outer = outer.outer
        return outer is not None

    def _control(self, control: str, places: list[tuple[str, Association]]) -> list[Statement]:
        statements: list[Statement] = []
        inputs: dict[str, list[Expr]] = {}
        first = places[0][1]
        for step, each in places:
            inputs.setdefault(each.qualifier, []).append(_member(step, "X", each))
            if each.qualifier in TIMED and each.time is None:
                self._problem(
                    f"the qualifier {each.qualifier} needs a time",
                    each,
                    f"{each.name}({each.qualifier}, T#1s)",
                )
            elif each.qualifier not in TIMED and each.time is not None:
                self._problem(f"the qualifier {each.qualifier} takes no time", each, "remove it")
            elif each.time is not None:
                take = Assign(each.at, each.end, _member(control, "T", each), each.time)
                statements.append(If(each.at, each.end, [(_member(step, "X", each), [take])], []))
        arguments = {qualifier: _any(steps, first) for qualifier, steps in inputs.items()}
        return [*statements, _call(control, arguments, first)]


def _among(name: str, steps: list[tuple[str, int]]) -> bool:
    return name.casefold() in {each.casefold() for each, _ in steps}


def _name(name: str, where: Node) -> Expr:
    return Name(where.at, where.end, name)


def _member(name: str, member: str, where: Node) -> Expr:
    return Member(where.at, where.end, _name(name, where), member, where.at)


def _bool(value: bool, where: Node) -> Expr:
    return Literal(where.at, where.end, "bool", value)


def _both(left: Expr, right: Expr, where: Node) -> Expr:
    return Binary(where.at, where.end, "AND", left, right)


def _any(values: list[Expr], where: Node) -> Expr:
    result = values[0] if values else _bool(False, where)
    for each in values[1:]:
        result = Binary(where.at, where.end, "OR", result, each)
    return result


def _call(name: str, inputs: dict[str, Expr], where: Node) -> Statement:
    arguments = [Argument(where.at, where.end, key, value) for key, value in inputs.items()]
    return CallStatement(where.at, where.end, Call(where.at, where.end, _name(name, where), arguments))
