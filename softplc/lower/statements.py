"""Statements to IR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from softplc import ir
from softplc.bind.calls import Binding
from softplc.iectypes import (
    BOOL,
    DINT,
    LINT,
    UDINT,
    Array,
    BlockType,
    Field,
    Interface,
    Reference,
    String,
    Struct,
    Type,
    is_plain,
)
from softplc.lower.branches import Branches, Way
from softplc.lower.calls import limits_of
from softplc.lower.context import LoweringError, machine
from softplc.lower.expressions import Expressions
from softplc.lower.sites import Sites, step_of
from softplc.symbols import Instance, Pou, Setting, Variable
from softplc.syntax import (
    ArrayInit,
    Assign,
    Attempt,
    Call,
    CallStatement,
    Case,
    Continue,
    Exit,
    Expr,
    For,
    If,
    Init,
    Initialise,
    Name,
    Node,
    Repeat,
    Return,
    Statement,
    StructInit,
    While,
)

PRIVATE = ("VAR", "VAR_OUTPUT", "VAR_TEMP", "RESULT")


class Statements(Expressions):
    """Lowers the body of one routine."""

    def body(self, statements: list[Statement]) -> list[ir.Stmt]:
        result: list[ir.Stmt] = []
        marks, sites = self.sizes.marks, self.sizes.sites
        for statement in statements:
            if marks is not None:
                result += marks.of(statement)
            if sites is not None:
                result += sites.before(statement, self.pou)
            with self.statement_slots():
                result += self.statement(statement)
            if marks is not None:
                result += marks.after(statement)
            if sites is not None:
                result += self._active(sites, statement)
        return result

    def _active(self, sites: Sites, statement: Statement) -> list[ir.Stmt]:
        """Return what asks at a step of a chart, while it is active."""
        step = step_of(statement)
        place = self.place(step) if step is not None else None
        if step is None or place is None or not isinstance(step.type, BlockType):
            return []
        active = ir.Load(BOOL, place.at(step.type.pou.variables["x"].offset))
        return [ir.If(active, sites.ask(statement, self.pou, "step"), [])]

    def _next_round(self, node: Node) -> int:
        """Return what a loop asks before its next round."""
        return self.sizes.sites.number(node, self.pou, "loop") if self.sizes.sites is not None else -1

    def edges(self, pou: Pou) -> list[ir.Stmt]:
        """Return what finds the edges of inputs with R_EDGE or F_EDGE, before the body."""
        result: list[ir.Stmt] = []
        for variable in pou.variables.values():
            if variable.edge is None or variable.last is None or variable.decl is None:
                continue
            value = self.slot(1)
            raw = ir.Place("self", variable.offset)
            if pou.kind == "PROGRAM" and self.instance is not None:
                offset, bit = self.layout.programs[self.instance][variable]
                raw = ir.Place("image", offset, bit=bit)
            now, last = ir.Load(BOOL, value), ir.Load(BOOL, self.variable(variable.last))
            off = last if variable.decl.edge == "R_EDGE" else now
            on = now if off is last else last
            changed = ir.Op(BOOL, "AND", (on, ir.Op(BOOL, "NOT", (off,))))
            result.append(ir.Store(value, ir.Load(BOOL, raw), BOOL))
            result.append(ir.Store(self.variable(variable.edge), changed, BOOL))
            result.append(ir.Store(self.variable(variable.last), now, BOOL))
        return result

    def linked(self, pou: Pou) -> list[ir.Stmt]:
        """Return what gives temporary variables the first values that are only known in the call."""
        return [
            statement
            for each in pou.variables.values()
            if each.temporary and isinstance(each.init, Expr) and each.init.value is None
            for statement in self.assign(self.variable(each), each.type, each.init)
        ]

    def bindings(self, instance: Instance) -> tuple[list[ir.Stmt], list[ir.Stmt]]:
        """Return what copies the inputs of a program before it runs, and its outputs after."""
        before: list[ir.Stmt] = []
        after: list[ir.Stmt] = []
        for argument in instance.arguments:
            variable = instance.pou.variables[argument.name.casefold()]
            offset, bit = self.layout.programs[instance][variable]
            place = ir.Place("image", offset, bit=bit)
            if argument.value is None:
                continue
            if argument.output:
                after += self.output(variable, argument.value, argument.negated, place)
            else:
                before += self.assign(place, variable.type, argument.value)
        return before, after

    def run_block(self, instance: Instance, variable: Variable) -> list[ir.Stmt]:
        """Run a function block of a program by itself."""
        if not isinstance(variable.type, BlockType):
            raise LoweringError(f"{variable.name} is no block")
        before, after = self.located(instance, variable)
        place = ir.Place("image", self.layout.programs[instance][variable][0])
        return [*before, ir.Call(self.routine(Binding(), variable.type.pou), place), *after]

    def on_rising_edge(self, trigger: Expr, last: ir.Place, body: list[ir.Stmt]) -> list[ir.Stmt]:
        """Run statements where a trigger has become TRUE since the last scan."""
        value = self.slot(1)
        now, before = ir.Load(BOOL, value), ir.Load(BOOL, last)
        rises = self.slot(1)
        edge = ir.Op(BOOL, "AND", (now, ir.Op(BOOL, "NOT", (before,))))
        return [
            ir.Store(value, self.expr(trigger, BOOL), BOOL),
            ir.Store(rises, edge, BOOL),
            ir.Store(last, now, BOOL),
            ir.If(ir.Load(BOOL, rises), body, []),
        ]

    def statement(self, node: Statement) -> list[ir.Stmt]:
        if isinstance(node, Assign) and node.setter is not None and node.setter.binding is not None:
            return self.function_call(node.setter.binding)[0]
        if isinstance(node, Assign):
            first = self.find_way(node.target)
            target = self.place(node.target)
            if target is None:
                raise LoweringError("assignment to no place")
            return [*first, *self.assign(target, node.target.type, node.value)]
        if isinstance(node, Initialise):
            place = self.place(node.target)
            if place is None or node.target.type is None:
                raise LoweringError("initial value of no place")
            return self._first(place, node.target.type, node.init)
        if isinstance(node, CallStatement):
            return self._call(node)
        if isinstance(node, Attempt):
            return self._attempt(node)
        if isinstance(node, If):
            return self._if(node)
        if isinstance(node, Case):
            return self._case_text(node) if isinstance(node.selector.type, String) else [self._case(node)]
        if isinstance(node, For):
            return self._watched(node, self._for(node))
        if isinstance(node, While):
            line = self.line(node.at)
            body = self.body(node.body)
            loop = ir.Loop(self.expr(node.condition, BOOL), False, body, line, self._next_round(node))
            return self._watched(node, loop)
        if isinstance(node, Repeat):
            body = self.body(node.body)
            until, line = self.expr(node.condition, BOOL), self.line(node.at)
            return [ir.Loop(until, True, body, line, self._next_round(node.condition))]
        kinds = {Exit: "exit", Continue: "continue", Return: "return"}
        return [ir.Jump(kinds[type(node)])]

    def set_first(self, instance: Instance, setting: Setting) -> list[ir.Stmt]:
        """Return what gives a variable the initial value that VAR_CONFIG says."""
        if setting.init is None:
            return []
        offset, bit = self.layout.of_path(setting.path, instance)
        return self._first(ir.Place("image", offset, bit=bit), setting.path.type, setting.init)

    def _first(self, place: ir.Place, type_: Type, init: Init) -> list[ir.Stmt]:
        """Return what writes an initial value, into whatever it belongs to."""
        place = replace(place, tag="")
        if isinstance(init, Expr):
            return self.assign(place, type_, init)
        if isinstance(init, StructInit):
            body: list[ir.Stmt] = []
            for name, value, _ in init.items:
                member = _member_of(type_, name.casefold())
                if member is not None and member.type is not None:
                    body += self._first(place.at(member.offset, bit=member.bit), member.type, value)
            return body
        if not isinstance(type_, Array):
            raise LoweringError("a list of what is no array")
        if is_plain(type_) or isinstance(type_.element, String):
            data = bytearray(type_.size)
            self.sizes.write(data, 0, type_, init)
            return [ir.Fill(place, bytes(data))]
        return [
            each
            for at, value in _items(type_, init)
            for each in self._first(place.at(at), type_.element, value)
        ]

    def _is_private(self, node: Expr) -> bool:
        """Tell whether nothing outside the routine can reach a variable while it runs."""
        if not isinstance(node, Name) or not isinstance(node.ref, Variable):
            return False
        variable = node.ref
        if variable.pou is None or variable.address or variable.section not in PRIVATE:
            return False
        unit = (self.pou.owner or self.pou) if self.pou is not None and not variable.temporary else None
        while unit is not None and not unit.methods:
            unit = unit.base
        return unit is None

    def _call(self, node: CallStatement) -> list[ir.Stmt]:
        call = node.call
        if not isinstance(call, Call) or call.binding is None:
            raise LoweringError("call statement without call")
        pou = call.binding.pou
        if pou is not None and pou.kind == "ACTION":
            return self.action_call(call)
        if pou is not None and pou.kind in ("FUNCTION_BLOCK", "PROGRAM"):
            return self.block_call(call)
        if pou is not None:
            return self.function_call(call.binding)[0]
        return self.effects(call, call.binding)

    def _attempt(self, node: Attempt) -> list[ir.Stmt]:
        """Lower `?=`: the class of what the value refers to decides."""
        first = self.find_way(node.target)
        target, wanted = self.place(node.target), node.target.type
        pou = wanted.pou if isinstance(wanted, Interface) else None
        if isinstance(wanted, Reference) and isinstance(wanted.target, BlockType):
            pou = wanted.target.pou
        if target is None or pou is None:
            raise LoweringError("attempt without class")
        value, result = self.slot(8), self.slot(8)
        there = ir.Load(LINT, value)
        numbers = [(each.number, each.number) for each in pou.descendants()]
        number = ir.Load(UDINT, ir.Place("ref", 0, pointer=value))
        found: list[ir.Stmt] = [ir.Switch(number, [(numbers, [ir.Store(result, there, LINT)])], [])]
        zero = ir.Const(LINT, 0)
        given = self.expr(node.value, wanted if isinstance(node.value.type, BlockType) else None)
        return [
            *first,
            ir.Store(value, given, LINT),
            ir.Store(result, zero, LINT),
            ir.If(ir.Op(BOOL, "<>", (there, zero)), found, []),
            ir.Store(target, ir.Load(LINT, result), LINT),
        ]

    def _watched(self, node: For | While, loop: ir.Count | ir.Loop) -> list[ir.Stmt]:
        """Return a loop, with marks for whether it ran where coverage is asked for."""
        marks = self.sizes.marks
        if marks is None:
            return [loop]
        ran = self.slot(1)
        never = ir.Op(BOOL, "NOT", (ir.Load(BOOL, ran),))
        loop.body[:0] = [
            ir.Store(ran, ir.Const(BOOL, True), BOOL),
            *marks.went(marks.branches.loop(node, ran=True)),
        ]
        before: list[ir.Stmt] = [ir.Store(ran, ir.Const(BOOL, False), BOOL)]
        return [*before, loop, ir.If(never, marks.went(marks.branches.loop(node, ran=False)), [])]

    def _way(self, body: list[Statement], name: Callable[[Branches], Way]) -> list[ir.Stmt]:
        """Return the statements of a way, after its mark where coverage is asked for."""
        marks = self.sizes.marks
        return [*(marks.went(name(marks.branches)) if marks is not None else []), *self.body(body)]

    def _if(self, node: If) -> list[ir.Stmt]:
        otherwise = self._way(node.otherwise, partial(Branches.otherwise, node=node))
        for number, (condition, body) in reversed(list(enumerate(node.branches))):
            then = self._way(body, partial(Branches.condition, node=node, number=number))
            asked = (
                self.sizes.sites.ask(condition, self.pou, "condition") if self.sizes.sites and number else []
            )
            otherwise = [*asked, ir.If(self.expr(condition, BOOL), then, otherwise)]
        return otherwise

    def _case(self, node: Case) -> ir.Stmt:
        branches: list[tuple[list[tuple[int, int]], list[ir.Stmt]]] = []
        for branch in node.branches:
            ranges = [(_whole(low.value), _whole(high.value)) for low, high in branch.labels]
            branches.append(
                (ranges, self._way(branch.body, partial(Branches.label, node=node, branch=branch)))
            )
        otherwise = self._way(node.otherwise, partial(Branches.otherwise, node=node))
        return ir.Switch(self.expr(node.selector), branches, otherwise)

    def _case_text(self, node: Case) -> list[ir.Stmt]:
        selector = self.kept_text(node.selector)
        before, selector.body = selector.body, []
        result = self._way(node.otherwise, partial(Branches.otherwise, node=node))
        for branch in reversed(node.branches):
            found: ir.Expr = ir.Const(BOOL, False)
            for label, _ in branch.labels:
                order = ir.Query(DINT, "compare", (selector, self.text(label)))
                same = ir.Op(BOOL, "=", (order, ir.Const(DINT, 0)))
                found = same if isinstance(found, ir.Const) else ir.Op(BOOL, "OR", (found, same))
            taken = self._way(branch.body, partial(Branches.label, node=node, branch=branch))
            result = [ir.If(found, taken, result)]
        return [*before, *result]

    def _for(self, node: For) -> ir.Count:
        place = self.place(node.variable)
        type_ = node.variable.type
        if place is None:
            raise LoweringError("FOR without variable")
        step: int | ir.Expr = 1
        if node.step is not None:
            value = node.step.value
            step = int(value) if isinstance(value, int) else self.expr(node.step, type_)
        return ir.Count(
            place,
            machine(type_),
            self.expr(node.first, type_),
            self.expr(node.last, type_),
            step,
            self.body(node.body),
            self.line(node.at),
            limits_of(type_),
            self._is_private(node.variable) and not self.project.references and self.sizes.sites is None,
            self._next_round(node),
        )


def _member_of(type_: Type, key: str) -> Field | Variable | None:
    if isinstance(type_, Struct):
        return type_.fields.get(key)
    return type_.pou.find_variable(key) if isinstance(type_, BlockType) else None


def _items(type_: Array, init: ArrayInit) -> list[tuple[int, Init]]:
    """Return where in an array each value of a list goes; what has none is left out."""
    values = _listed(init)[: type_.count]
    return [(n * type_.stride, each) for n, each in enumerate(values) if each is not None]


def _listed(init: ArrayInit) -> list[Init | None]:
    """Return the values of a list one by one, repeated ones too."""
    values: list[Init | None] = []
    for count, value in init.items:
        times = int(count.value) if count is not None and isinstance(count.value, int) else 1
        values += (_listed(value) if isinstance(value, ArrayInit) and value.spread else [value]) * times
    return values


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise LoweringError("CASE label without value")
    return int(value)
