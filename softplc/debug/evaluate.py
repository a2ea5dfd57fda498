"""Evaluate: ST expressions and assignments, compiled by the same compiler, in a routine that stands still.

An expression becomes a routine of its own that runs on the image and on the stack frame of the stopped one;
what it calls is compiled with it, without asking anybody.
"""

from __future__ import annotations

import ctypes
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields

from runtime.errors import PlantError
from softplc import ir
from softplc.bind.bodies import bind_unit
from softplc.codegen.loader import Loaded
from softplc.debug.values import Value
from softplc.diagnostics import ERROR, Diagnostic
from softplc.faults import Fault
from softplc.guard import Watched
from softplc.iectypes import Array, BlockType, OpenArray, String, Struct, Type
from softplc.layout import DT_NS, FAULT_CODE, HEADER_SIZE, STOP, scalar_of
from softplc.lexer import tokenise
from softplc.lower.context import LoweringError, machine
from softplc.lower.project import lower_units, reached
from softplc.lower.statements import Statements
from softplc.parser.cursor import SyntaxFault
from softplc.parser.units import Units
from softplc.pipeline import Stoppable, deep_recursion
from softplc.profiles import compiling
from softplc.rules.walk import Walk
from softplc.stack import Frames
from softplc.symbols import Instance, Pou, Project
from softplc.syntax import Assign, Call, CallStatement, Expr, Member, Node

NAME = "iw_expression"
KEPT = 256
LONGEST = 4_000
ALLOWED = ("ST3007", "ST2024", "ST2032")  # who debugs sees the inside of everything
_ENTRY = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_POINTER = 8
_FAULT = (slice(FAULT_CODE, STOP), slice(DT_NS, HEADER_SIZE))  # what a fault writes into the head


@dataclass(frozen=True, slots=True)
class Where:
    """Where an expression is evaluated: in a routine that stands still, or in none.

    Attributes:
        instance: of the program, if the routine is one of a program.
        self_address, local: its instance or parameters, and its stack frame; 0 where it has none.
        resource: the key of the resource whose globals count.
    """

    pou: Pou | None = None
    instance: Instance | None = None
    self_address: int = 0
    local: int = 0
    resource: str = ""


@dataclass(frozen=True, slots=True)
class Compiled:
    """An expression as code; `type` is None for what has no value, `place` tells that it is a variable."""

    text: str
    type: Type | None
    place: bool
    loaded: Loaded
    entry: Callable[..., int]


class Evaluator:
    """Compiles expressions over one program, each once for a unit, and runs them on its image."""

    def __init__(self, stoppable: Stoppable, image: memoryview, address: int, watched: Watched) -> None:
        self._stoppable = stoppable
        self._watched = watched
        self._image = image
        self._address = address
        self._known: OrderedDict[tuple[object, ...], Compiled] = OrderedDict()

    @property
    def _project(self) -> Project:
        return self._stoppable.declarations.project

    def value(self, text: str, where: Where) -> Value:
        """Return the value of an expression; a variable is where it lies. Nothing is changed by it.

        Raises:
            PlantError: it is wrong, has no value, or has none now.
        """
        compiled, where = self._compiled_for(text, where)
        before = bytes(self._image) if "(" in text else b""  # only what is called could change anything
        try:
            result = self.run(compiled, where) if compiled.type is not None else None
        finally:
            if before:
                self._image[:] = before
        if result is None:
            raise PlantError(f"{text} has no value", "write an expression")
        return result

    def done(self, text: str, where: Where) -> Value | None:
        """Evaluate an expression, or do an assignment or a call, which has no value.

        What begins with the name of a program instance, such as `Main.pump.run`, is of that program; what
        begins with a resource is of that one.

        Raises:
            PlantError: it is wrong, or a fault ended it.
        """
        return self.run(*self._compiled_for(text, where))

    def _compiled_for(self, text: str, where: Where) -> tuple[Compiled, Where]:
        """Return the code of an expression or assignment, and where it is one."""
        try:
            return self.compiled(text, where), where
        except PlantError:
            inside = self._elsewhere(text)
            if inside is None:
                raise
            rest, where = inside
            return self.compiled(rest, where), where

    def holds(self, compiled: Compiled, where: Where) -> bool:
        """Tell whether a condition holds.

        Raises:
            PlantError: it has no value now.
        """
        result = self.run(compiled, where)
        if result is None:
            raise AssertionError("a condition has a value")
        byte = ctypes.string_at(result.address, 1)[0]
        return bool(byte >> max(result.bit, 0) & 1)

    def condition(self, text: str, where: Where) -> Compiled:
        """Compile a condition.

        Raises:
            PlantError: it is wrong, or not BOOL.
        """
        compiled = self.compiled(text, where)
        scalar = scalar_of(compiled.type) if compiled.type is not None else None
        if scalar is None or scalar.name != "BOOL":
            raise PlantError(f"{text} is {compiled.type or 'a statement'}, not BOOL", "write a condition")
        return compiled

    def run(self, compiled: Compiled, where: Where) -> Value | None:
        """Run an expression; None for what has no value.

        Raises:
            PlantError: a fault ended it.
        """
        size = compiled.type.size if compiled.type is not None and not compiled.place else _POINTER
        room = ctypes.create_string_buffer(max(size, _POINTER) + 16)
        before = [(part, bytes(self._image[part])) for part in _FAULT]
        serial = self._watched.serial
        self._watched.serial = (serial | 1) + 2  # the guard ends a loop without end
        code = compiled.entry(self._address, where.self_address, where.local, ctypes.addressof(room))
        self._watched.serial = serial + 4
        for part, data in before:  # a fault of the program itself stays told
            self._image[part] = data
        if code == Fault.WATCHDOG:
            self._watched.clear()
        if code:
            cause = Fault(code).text if code in Fault.__members__.values() else f"fault {code}"
            raise PlantError(f"{compiled.text}: {cause}", "it has no value now")
        if compiled.type is None:
            return None
        if compiled.place:
            (address,) = struct.unpack_from("<Q", room.raw)
            return Value(compiled.text, compiled.type, address, -1, compiled.text)
        return Value(compiled.text, compiled.type, ctypes.addressof(room), keeps=room)

    # Compiling -----------------------------------------------------------------------------------

    def compiled(self, text: str, where: Where) -> Compiled:
        """Return the code of an expression or assignment.

        Raises:
            PlantError: it is wrong; tells why.
        """
        text = text.strip().rstrip(";").rstrip()
        if not text or len(text) > LONGEST:
            raise PlantError("there is no expression", f"write one of up to {LONGEST:,} characters")
        key = (text, where.pou, where.instance, where.resource)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._compile(text, where)
            if len(self._known) > KEPT:
                self._known.popitem(last=False)
        self._known.move_to_end(key)
        return known

    def of_node(self, node: Expr, text: str, where: Where) -> Compiled:
        """Return the code of an expression of the program itself."""
        with self._quietly():
            return self._generated(text, node, where)

    def _compile(self, text: str, where: Where) -> Compiled:
        with self._quietly():
            source = self._stoppable.texts.add("expression", text)
            try:
                return self._generated(text, self._bound(text, where), where)
            finally:
                if self._stoppable.texts.files[-1] is source:  # else a unit of the library came behind it
                    self._stoppable.texts.drop(source)

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Compile in the program's dialect, into code that asks nobody."""
        sizes = self._stoppable.sizes
        sites, sizes.sites = sizes.sites, None
        try:
            with deep_recursion(), compiling(self._project.profile):
                yield
        finally:
            sizes.sites = sites

    def _bound(self, text: str, where: Where) -> Expr | Assign | CallStatement:
        source = self._stoppable.texts.files[-1]
        declarations = self._stoppable.declarations
        tokens, wrong = tokenise(source, self._project.profile)
        parser = Units(tokens, self._project.profile)
        node: Expr | Assign | CallStatement | None = None
        try:
            node = parser.expression()
            if parser.at_op(":="):
                parser.advance()
                value = parser.expression()
                node = Assign(node.at, value.end, node, value)
        except SyntaxFault:
            pass  # the finding is noted
        _refuse(text, [*wrong, *parser.findings])
        if node is None or parser.token.kind != "end":
            rest = text[parser.token.at - source.base :]
            raise PlantError(f"{text}: nothing may stand behind the expression, as {rest!r} does")
        for token in tokens:
            if token.kind == "direct":
                self._stoppable.application.symbol(token.text)  # is there such a place?
        known = set(self._project.pous)
        scope = declarations.scope_of(where.pou)
        scope.resource = where.resource
        typer = declarations.typer(scope)
        if isinstance(node, Assign):
            typer.value(node.value, typer.expr(node.target))
        else:
            if isinstance(node, Expr):
                typer.value(node)
            if isinstance(node, Call) and node.type is None and node.binding is not None:
                node = CallStatement(node.at, node.end, node)
        _refuse_absent(text, node)
        self._take_in([pou for key, pou in self._project.pous.items() if key not in known])
        walk = Walk(declarations)
        walk.context.pou, walk.context.scope = where.pou, scope
        if isinstance(node, Expr):
            walk.expr(node)
        else:
            walk.statement(node)
        _refuse(text, walk.findings)
        if isinstance(node, Expr) and node.type is None:
            raise PlantError(f"{text} has no value", "name a variable, or write an expression")
        return node

    def _take_in(self, units: list[Pou]) -> None:
        """Prepare units of the library that the program itself does not use."""
        done: set[Pou] = set()
        while units:
            known = set(self._project.pous)
            pou = units.pop()
            if pou in done:
                continue
            done.add(pou)
            bind_unit(self._stoppable.declarations, pou)
            self._stoppable.sizes.pou(pou)
            units += [each for key, each in self._project.pous.items() if key not in known]

    def _generated(self, text: str, node: Expr | Assign | CallStatement, where: Where) -> Compiled:
        from softplc.codegen.native import object_code

        sites = self._stoppable.sites
        program = (self._project, sites.layout, self._stoppable.sizes, self._stoppable.texts)
        context = Statements(*program, where.pou, where.instance, where.resource)
        context.slots.append(0)  # what the host hands over
        try:
            if isinstance(node, Expr):
                body, place = _result(context, node)
            else:
                body, place = context.statement(node), False
            if any(each.kind == "ACTION" for each in context.calls):
                raise PlantError(f"{text}: actions cannot be called from here")
            module = ir.Module([ir.Routine(NAME, body, 0, context.slots, exported=True, given=True)])
            lower_units(module, reached(context), Frames(), context.dispatches, program)
        except LoweringError as exc:
            raise PlantError(f"{text} cannot be evaluated: {exc}") from exc
        loaded = Loaded(object_code(module))
        type_ = node.type if isinstance(node, Expr) else None
        return Compiled(text, type_, place, loaded, _ENTRY(loaded.address(NAME)))

    def _elsewhere(self, text: str) -> tuple[str, Where] | None:
        """Return the rest of an expression that begins with a program or resource, and that."""
        text = text.strip()
        for instance in self._stoppable.sites.layout.programs:
            if text.casefold().startswith(f"{instance.name}.".casefold()):
                where = Where(instance.pou, instance, self._address, resource=instance.resource)
                return text[len(instance.name) + 1 :], where
        resource, dot, rest = text.partition(".")
        known = {each.resource for each in self._project.globals.values() if each.common is not None}
        return (rest, Where(resource=resource.casefold())) if dot and resource.casefold() in known else None


def _result(context: Statements, node: Expr) -> tuple[list[ir.Stmt], bool]:
    """Return what puts a value, or the address of a variable, where the host wants it."""
    room = ir.Place("slot", 0, slot=0)
    type_ = node.type
    if type_ is None:
        raise LoweringError("a value without type")
    place = context.place(node)
    if place is not None and place.bit < 0 and node.value is None:
        return [ir.StorePointer(room, place)], True
    if isinstance(type_, String):
        return [ir.Clear(room, type_.capacity), ir.SetText(room, context.text(node))], False
    if isinstance(type_, Array | Struct | BlockType | OpenArray):
        body, source = context.aggregate(node)
        return [*body, ir.Copy(room, source, type_.size)], False
    return [ir.Store(room, context.expr(node), machine(type_))], False


def inside(node: object) -> Iterator[Node]:
    """Yield a node and all nodes in it."""
    if isinstance(node, list | tuple):
        for each in node:
            yield from inside(each)
    elif isinstance(node, Node):
        yield node
        for each in fields(node):
            yield from inside(getattr(node, each.name))


def _refuse_absent(text: str, node: Node) -> None:
    """Refuse what a block has only while it runs, seen from elsewhere: nobody knows where that lies.

    Raises:
        PlantError: there is such a thing.
    """
    for each in inside(node):
        type_ = each.base.type if isinstance(each, Member) else None
        if isinstance(each, Member) and isinstance(type_, BlockType):
            variable = type_.pou.variables.get(each.name.casefold())
            if variable is not None and (variable.by_reference or variable.temporary):
                why = f"{each.name} is there only while {type_.pou.name} runs"
                raise PlantError(f"{text}: {why}", "stop inside of the block")
        binding = each.binding if isinstance(each, Call) else None
        owner = binding.pou.owner if binding is not None and binding.pou is not None else None
        if owner is not None and any(variable.by_reference for variable in owner.variables.values()):
            why = f"{owner.name} has a VAR_IN_OUT, which is there only while it runs"
            raise PlantError(f"{text}: {why}", "stop inside of the block, and look at its variables")


def _refuse(text: str, findings: list[Diagnostic]) -> None:
    """Tell the first error.

    Raises:
        PlantError: there is one.
    """
    for each in findings:
        if each.severity == ERROR and each.code not in ALLOWED:
            remedy = "" if each.remedy.startswith("declare ") else each.remedy
            raise PlantError(f"{text}: {each.code}: {each.message}", remedy)
