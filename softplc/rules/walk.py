"""The walk: shows every node and every use of a value to the rules that are about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from softplc import rules
from softplc.bind.declare import Declarations
from softplc.bind.scope import Scope
from softplc.diagnostics import Diagnostic
from softplc.iectypes import Array, BlockType, Struct, Type, converts, in_class
from softplc.rules.context import (
    CalledAsValue,
    Condition,
    Constant,
    Context,
    Declared,
    Initial,
    Statement,
    Use,
    Write,
)
from softplc.symbols import EnumValue, Pou, Variable, all_pous, is_shared
from softplc.syntax import (
    ArrayInit,
    ArraySpec,
    Assign,
    Attempt,
    Binary,
    BitAccess,
    Call,
    CallStatement,
    Case,
    Continue,
    Deref,
    EnumSpec,
    Exit,
    Expr,
    For,
    If,
    Index,
    Init,
    Initialise,
    Literal,
    Member,
    Name,
    NamedSpec,
    Node,
    Repeat,
    StructInit,
    Unary,
    While,
)

Rule = Callable[[Any, Context], Iterator[Diagnostic]]
NOT_RULES = ("context", "walk")
ONCE = ("ST2001", "ST2003", "ST4001")


def modules() -> list[ModuleType]:
    """Return the rule modules."""
    names = sorted(each.name for each in iter_modules(rules.__path__) if each.name not in NOT_RULES)
    return [import_module(f"softplc.rules.{name}") for name in names]


@cache
def by_subject() -> dict[type, list[Rule]]:
    """Return the checks by the class they are about."""
    found: dict[type, list[Rule]] = {}
    for module in modules():
        for subject in module.ON:
            found.setdefault(subject, []).append(module.check)
    return found


def check(declarations: Declarations) -> Iterator[Diagnostic]:
    """Yield every finding of every rule."""
    yield from Walk(declarations).run()


def _is_value(node: Expr) -> bool:
    return isinstance(node, Name | Member) and isinstance(node.ref, EnumValue)


class Walk:
    """One pass over a project."""

    def __init__(self, declarations: Declarations) -> None:
        self.project = declarations.project
        self.context = Context(declarations, self.project, Scope(self.project))
        self.rules = by_subject()
        self.findings: list[Diagnostic] = []
        self.untyped: list[Expr] = []
        self._told: set[tuple[str, str, Pou | None]] = set()

    def run(self) -> list[Diagnostic]:
        self.show(self.project)
        for text in self.project.texts:
            self.show(text)
        for spec, scope in self.context.declarations.specs.values():
            self.context.scope = scope
            self.spec(spec)
        self.context.scope = Scope(self.project)
        for decl in self.project.type_decls:
            if decl.init is not None and decl.spec.resolved is not None:
                self.initial(decl.init, decl.spec.resolved)
        for variable in self.project.globals.values():
            if not is_shared(variable):  # VAR_STAT is shown with its unit
                self.variable(variable)
        for pou in all_pous(self.project):
            if not pou.library:
                self.pou(pou)
        for configuration in self.project.configurations:
            self.show(configuration)
            for setting in configuration.settings:
                if setting.init is not None and setting.spec.resolved is not None:
                    self.initial(setting.init, setting.spec.resolved)
            for resource in configuration.resources:
                self.show(resource)
                for task in resource.tasks:
                    self.show(task)
                    if task.single is not None:
                        self.expr(task.single)
                for instance in resource.instances:
                    self.show(instance)
                    self._instance(instance.type_name, instance.arguments)
        if not self.findings and self.untyped:
            worst = self.untyped[0]
            self.findings.append(Context.error("ST3000", "this cannot be used here", worst))
        return self.findings

    def show(self, subject: Any) -> None:
        """Let the rules about a subject see it."""
        for rule in self.rules.get(type(subject), ()):
            for finding in rule(subject, self.context):
                self._add(finding)

    def _add(self, finding: Diagnostic) -> None:
        """Keep a finding, but tell of a missing name only once in a POU."""
        if finding.code in ONCE:
            key = (finding.code, finding.message.casefold(), self.context.pou)
            if key in self._told:
                return
            self._told.add(key)
        self.findings.append(finding)

    # Declarations --------------------------------------------------------------------------------

    def pou(self, pou: Pou) -> None:
        self.context.pou = pou
        self.context.scope = Scope(self.project, pou)
        self.show(pou)
        for variable in pou.variables.values():
            if variable.pou is pou:
                self.variable(variable)
        self.statements(pou.decl.body)
        self.context.pou = None
        self.context.scope = Scope(self.project)

    def variable(self, variable: Variable) -> None:
        self.show(Declared(variable))
        self.context.declared = variable
        own = variable.decl.init if variable.decl is not None else None
        if own is not None and variable.type is not None:
            self.initial(own, variable.type)
        self.context.declared = None

    def spec(self, spec: Node) -> None:
        self.show(spec)
        if isinstance(spec, NamedSpec):
            for part in (spec.length, spec.low, spec.high):
                if part is not None:
                    self.constant(part, "a length" if part is spec.length else "a limit")
        elif isinstance(spec, ArraySpec):
            for low, high in spec.ranges:
                self.constant(low, "an array limit")
                self.constant(high, "an array limit")
        elif isinstance(spec, EnumSpec):
            for _, value, _ in spec.values:
                if value is not None:
                    self.constant(value, "an enumeration value")
        for field in getattr(spec, "fields", ()):
            if field.init is not None and field.spec.resolved is not None:
                self.initial(field.init, field.spec.resolved)

    def constant(self, value: Expr, what: str) -> None:
        self.expr(value)
        self.show(Constant(value, what))

    def initial(self, init: Init, type_: Type) -> None:
        self.show(Initial(init, type_))
        if isinstance(init, Expr) and isinstance(type_, Array | Struct | BlockType):
            self.expr(init)  # what is wrong with it is told there
        elif isinstance(init, Expr):
            self.use(init, type_)
            if init.type is None or converts(init.type, type_):
                self.show(Constant(init, "an initial value"))
        elif isinstance(init, ArrayInit):
            element = getattr(type_, "element", None)
            for count, value in init.items:
                if count is not None:
                    self.constant(count, "a repetition")
                if value is not None and element is not None:
                    spread = isinstance(value, ArrayInit) and value.spread
                    self.initial(value, type_ if spread else element)
        elif isinstance(init, StructInit):
            self._members(init, type_)

    def _members(self, init: StructInit, type_: Type) -> None:
        for name, value, _ in init.items:
            key = name.casefold()
            member: Type | None = None
            if isinstance(type_, Struct) and key in type_.fields:
                member = type_.fields[key].type
            elif isinstance(type_, BlockType):
                variable = type_.pou.find_variable(key)
                member = variable.type if variable is not None else None
            if member is not None:
                self.initial(value, member)

    def _instance(self, type_name: str, arguments: list[Any]) -> None:
        pou = self.context.scope.unit(type_name)
        for argument in arguments:
            variable = pou.variables.get(argument.name.casefold()) if pou else None
            if variable is None or variable.type is None or argument.value is None:
                continue
            if argument.output:
                self.output(variable, argument.value)
            else:
                self.use(argument.value, variable.type)

    # Statements ----------------------------------------------------------------------------------

    def statements(self, statements: list[Any]) -> None:
        for statement in statements:
            self.statement(statement)

    def statement(self, node: Any) -> None:
        self.show(node)
        if isinstance(node, Assign) and node.setter is not None:
            self.call(node.setter)
        elif isinstance(node, Assign):
            self.expr(node.target)
            self.show(Write(node.target, "assigned"))
            if node.target.type is not None and not _is_value(node.target):
                self.use(node.value, node.target.type)
            else:
                self.expr(node.value)
        elif isinstance(node, Attempt):
            self.expr(node.target)
            self.show(Write(node.target, "assigned"))
            self.expr(node.value)
        elif isinstance(node, Initialise):
            return  # shown where it is declared
        elif isinstance(node, CallStatement):
            if isinstance(node.call, Call):
                self.call(node.call)
                self.show(Statement(node.call))
        elif isinstance(node, If):
            for condition, body in node.branches:
                self.condition(condition)
                self.statements(body)
            self.statements(node.otherwise)
        elif isinstance(node, Case):
            self.expr(node.selector)
            for branch in node.branches:
                for low, high in branch.labels:
                    self.expr(low)
                    if high is not low:
                        self.expr(high)
                self.statements(branch.body)
            self.statements(node.otherwise)
        elif isinstance(node, For):
            self._for(node)
        elif isinstance(node, While | Repeat):
            self.condition(node.condition)
            self.context.loops += 1
            self.statements(node.body)
            self.context.loops -= 1
        else:
            assert isinstance(node, Exit | Continue | Node)

    def _for(self, node: For) -> None:
        self.expr(node.variable)
        self.show(Write(node.variable, "counted"))
        for part in (node.first, node.last):
            if node.variable.type is not None:
                self.use(part, node.variable.type)
            else:
                self.expr(part)
        if node.step is not None:
            self.expr(node.step)
        self.context.loops += 1
        self.statements(node.body)
        self.context.loops -= 1

    def condition(self, node: Expr) -> None:
        self.expr(node)
        self.show(Condition(node))

    # Expressions ---------------------------------------------------------------------------------

    def use(self, value: Expr, target: Type) -> None:
        self.expr(value)
        self.show(Use(value, target))

    def expr(self, node: Expr) -> None:
        """Show an expression and its parts."""
        if isinstance(node, Literal) and node.type is not None:
            return
        if isinstance(node, Name | Member) and node.getter is not None:
            self.expr(node.getter)
            return
        if isinstance(node, Call):
            self.call(node)
            if node.rewritten is None:
                self.show(CalledAsValue(node))
        elif isinstance(node, Name):
            self.show(node)
        else:
            if isinstance(node, Binary):
                self.expr(node.left)
                self.expr(node.right)
            elif isinstance(node, Unary):
                self.expr(node.operand)
            elif isinstance(node, Index):
                self.expr(node.base)
                for index in node.indices:
                    self.expr(index)
            elif isinstance(node, BitAccess | Deref) or (
                isinstance(node, Member) and not self._names_type(node)
            ):
                self.expr(node.base)
            self.show(node)
        if node.type is None:
            self.untyped.append(node)

    def _names_type(self, node: Member) -> bool:
        """Tell whether the dot follows the name of an enumeration."""
        base = node.base
        return isinstance(base, Name) and base.ref is None and self.context.scope.type(base.name) is not None

    def output(self, parameter: Variable, target: Expr) -> None:
        """Show the target of an output: written, with a value of the output's type."""
        self.expr(target)
        self.show(Write(target, "an output's target"))
        generic = parameter.pou is not None and parameter.pou.library and parameter.pou.kind == "FUNCTION"
        if generic and in_class(parameter.type, "ANY_INT") and in_class(target.type, "ANY_INT"):
            return  # the outputs of SPLIT_DATE and the like are ANY_INT
        if parameter.type is not None and target.type is not None and target.value is None:
            source = Name(target.at, target.end, parameter.name)
            source.type = parameter.type
            self.show(Use(source, target.type))

    def call(self, node: Call) -> None:
        binding = node.binding
        if binding is not None and binding.through is not None:
            if binding.instance is not None:
                self.expr(binding.instance)
        elif not isinstance(node.callee, Name):
            self.expr(node.callee)
        self.show(node)
        if node.rewritten is not None:
            self.expr(node.rewritten)
            return
        if binding is None:
            return
        passed: set[int] = set()
        for parameter, argument in binding.inputs:
            passed.add(id(argument))
            if parameter.by_reference:
                self.expr(argument)
                if parameter.section == "VAR_IN_OUT" and not parameter.lent:
                    self.show(Write(argument, "passed as VAR_IN_OUT"))
            elif parameter.type is not None:
                self.use(argument, parameter.type)
        for parameter, target, _ in binding.outputs:
            passed.add(id(target))
            self.output(parameter, target)
        for given in node.arguments:
            if given.value is not None and id(given.value) not in passed:
                self.expr(given.value)
