"""Bodies: marks every statement of every POU, and the initialisers of its variables."""

from __future__ import annotations

from softplc.bind.declare import Declarations
from softplc.bind.expressions import Expressions, default, settle
from softplc.bind.initialisers import mark_init
from softplc.bind.open_types import settle_open
from softplc.bind.paths import bind_paths
from softplc.bind.properties import bind_setter
from softplc.bind.qualify import without_owner
from softplc.bind.resources import find_varying
from softplc.iectypes import BOOL, TIME, Elementary, Type, base_of
from softplc.symbols import Pou, Project, Variable, is_shared
from softplc.syntax import (
    Assign,
    Attempt,
    CallStatement,
    Case,
    Direct,
    For,
    If,
    Initialise,
    Repeat,
    Statement,
    While,
)


def bind(declarations: Declarations) -> Project:
    """Mark the whole project."""
    project = declarations.project
    for type_ in project.type_decls:
        if type_.init is not None:
            mark_init(declarations.typer(declarations.scope_of(type_)), type_.init, type_.spec.resolved)
    for spec, scope in list(declarations.specs.values()):
        fields = getattr(spec, "fields", ())
        for field in fields:
            if field.init is not None:
                mark_init(declarations.typer(scope), field.init, field.spec.resolved)
    for variable in project.globals.values():
        if variable.init is not None and not is_shared(variable):
            mark_init(declarations.typer(declarations.scope_of(variable)), variable.init, variable.type)
        if variable.constant:
            declarations.constant(variable)
    done: set[str] = set()
    while len(done) < len(project.pous):  # library POUs may join while bodies are marked
        for key, pou in list(project.pous.items()):
            if key in done:
                continue
            done.add(key)
            for each in (pou, *pou.methods.values()):
                bind_unit(declarations, each)
    for pou in project.first_calls:
        bind_unit(declarations, pou)
    for variable in declarations.given_later:
        variable.init = None
    _configuration(declarations)
    bind_paths(declarations)
    find_varying(project)
    return project


def bind_unit(declarations: Declarations, pou: Pou) -> None:
    """Mark the statements of one unit, and the initial values of its variables."""
    typer = declarations.typer(declarations.scope_of(pou))
    settle_open(typer, pou)
    for variable in pou.variables.values():
        if variable.init is not None:
            mark_init(typer, variable.init, variable.type)
        if variable.constant:
            declarations.constant(variable)
    _Body(typer).statements(pou.decl.body)


def _configuration(declarations: Declarations) -> None:
    for configuration in declarations.project.configurations:
        for resource in configuration.resources:
            scope = declarations.scope_of(None)
            scope.resource = resource.name.casefold()
            typer = declarations.typer(scope)
            for task in resource.tasks:
                if task.interval is not None:
                    typer.value(task.interval, TIME)
                if task.priority is not None:
                    typer.value(task.priority)
                if task.single is not None:
                    typer.value(task.single, BOOL)
                    if task.single.value is None:
                        name = f"{resource.name}.{task.name}$single"
                        last = Variable(name, "VAR_GLOBAL", BOOL, None, task.at, task.end)
                        declarations.project.globals[name.casefold()] = last
                        declarations.project.triggers[task] = last
            owners = {configuration.name.casefold(), resource.name.casefold()}
            for instance in resource.instances:
                pou = scope.unit(instance.type_name)
                for argument in instance.arguments:
                    if argument.value is not None:
                        argument.value = without_owner(argument.value, owners, scope)
                    variable = pou.variables.get(argument.name.casefold()) if pou else None
                    if argument.value is not None and argument.output:
                        typer.expr(argument.value)
                    elif argument.value is not None:
                        typer.value(argument.value, variable.type if variable else None)
                    if isinstance(argument.value, Direct) and variable is not None:
                        _take_type(argument.value, variable.type)


def _take_type(node: Direct, type_: Type | None) -> None:
    """Let an address that is connected with a program have the type of the program's variable."""
    own, wanted = node.type, base_of(type_)
    bits = own is BOOL or wanted is BOOL
    if not bits and isinstance(wanted, Elementary) and own is not None and wanted.size == own.size:
        node.type = wanted


class _Body:
    def __init__(self, typer: Expressions) -> None:
        self.typer = typer

    def statements(self, statements: list[Statement]) -> None:
        for statement in statements:
            self.statement(statement)

    def statement(self, node: Statement) -> None:
        typer = self.typer
        if isinstance(node, Assign):
            if typer.project.profile.objects and bind_setter(typer, node):
                return
            target = typer.expr(node.target)
            typer.value(node.value, target)
        elif isinstance(node, Attempt):
            typer.expr(node.target)
            typer.expr(node.value)
        elif isinstance(node, Initialise):
            typer.expr(node.target)
        elif isinstance(node, CallStatement):
            typer.expr(node.call)
        elif isinstance(node, If):
            for condition, body in node.branches:
                typer.value(condition, BOOL)
                self.statements(body)
            self.statements(node.otherwise)
        elif isinstance(node, Case):
            self._case(node)
        elif isinstance(node, For):
            variable = typer.expr(node.variable)
            for part in (node.first, node.last, node.step):
                if part is not None:
                    typer.value(part, variable)
            self.statements(node.body)
        elif isinstance(node, While | Repeat):
            typer.value(node.condition, BOOL)
            self.statements(node.body)

    def _case(self, node: Case) -> None:
        selector: Type | None = self.typer.value(node.selector)
        for branch in node.branches:
            for low, high in branch.labels:
                for label in (low, high) if high is not low else (low,):
                    self.typer.expr(label, selector)
                    settle(label, selector)
                    default(label)
            self.statements(branch.body)
        self.statements(node.otherwise)
