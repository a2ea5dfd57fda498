"""First calls: FB_Init of every instance, once, before its program runs (profile codesys).

What a declaration says of an instance becomes statements: those of a block or program a method of its own,
`$init`, those of a global a function. In them, for each variable that is or holds instances: `$init` of its
type, for what is inside; FB_Init, with the arguments of the declaration; then the initial values of that.
FB_Init of a heir begins with that of its base. Variables that end with a call get theirs at its begin.

Source: CODESYS Development System, methods FB_Init, FB_Reinit, FB_Exit; TwinCAT 3 PLC, FB_init.
"""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from softplc.bind.writes import nodes
from softplc.iectypes import Array, BlockType, Struct, Type
from softplc.spaces import Space
from softplc.symbols import FB_INIT, Pou, Project, Variable, all_pous
from softplc.syntax import (
    Argument,
    ArraySpec,
    Call,
    CallStatement,
    Expr,
    For,
    Index,
    Initialise,
    Literal,
    Member,
    Name,
    NamedSpec,
    PouDecl,
    Statement,
    TypeSpec,
    VarBlock,
    VarDecl,
)

if TYPE_CHECKING:
    from softplc.bind.declare import Declarations

INIT = "$init"


def add(declarations: Declarations) -> None:
    """Add what calls FB_Init, where there is one."""
    project = declarations.project
    if not project.profile.objects or not any(FB_INIT in each.methods for each in project.pous.values()):
        return
    calls = _FirstCalls(declarations)
    for pou in all_pous(project):
        if pou.owner is not None and pou.decl.name.casefold() == FB_INIT:
            _begin_with_base(pou, pou.owner)
    for pou in all_pous(project):
        calls.temporary(pou)
    for pou in list(project.pous.values()):
        calls.unit(pou)
    for variable in list(project.globals.values()):
        calls.globals(variable)


def _begin_with_base(method: Pou, owner: Pou) -> None:
    """Let FB_Init of a heir begin with that of its base, unless it calls that itself."""
    base = owner.base.find_method(FB_INIT) if owner.base is not None else None
    if base is None or any(_is_of_base(each) for each in nodes([method.decl.body])):
        return
    at, end = method.at, method.at + len(method.decl.name)
    parameters = [each.name for each in base.parameters("VAR_INPUT", "VAR_IN_OUT")]
    if all(name.casefold() in method.variables for name in parameters):  # else it is told
        arguments = [Argument(at, end, name, Name(at, end, name)) for name in parameters]
        method.decl.body.insert(0, _call(Name(at, end, "SUPER"), method.decl.name, arguments))


def _is_of_base(node: object) -> bool:
    return (
        isinstance(node, Member)
        and isinstance(node.base, Name)
        and node.base.name.upper() == "SUPER"
        and node.name.casefold() == FB_INIT
    )


def _call(target: Expr, method: str, arguments: list[Argument]) -> CallStatement:
    at, end = target.at, target.end
    call = Call(at, end, Member(at, end, target, method, at), arguments)
    call.first = True
    return CallStatement(at, end, call)


class _FirstCalls:
    """Makes the statements; `_counters` are the variables of loops that those made last need."""

    def __init__(self, declarations: Declarations) -> None:
        self.declarations = declarations
        self.project: Project = declarations.project
        self._known: dict[Type, bool] = {}
        self._counters: list[VarDecl] = []

    def temporary(self, pou: Pou) -> None:
        """Let a unit begin with the calls for its variables that end with its own."""
        first = [each for v in pou.variables.values() if v.pou is pou and v.temporary for each in self._of(v)]
        if pou.decl.body and first:
            self._declare_counters(pou)
            pou.decl.body[:0] = first

    def unit(self, pou: Pou) -> None:
        """Give a block or program the method that makes the calls for its variables."""
        if pou.kind not in ("FUNCTION_BLOCK", "CLASS", "PROGRAM") or not self._has_calls(pou):
            return
        at, end = pou.at, pou.at + len(pou.decl.name)
        body: list[Statement] = []
        if pou.base is not None and self._has_calls(pou.base):
            body.append(_call(Name(at, end, "SUPER"), INIT, []))
        for each in pou.variables.values():
            if each.pou is pou and not each.temporary:
                body += self._of(each)
        pou.methods[INIT] = self._made("METHOD", pou.name, pou.at, body, pou.decl.space, pou)

    def globals(self, variable: Variable) -> None:
        """Give a global the function that makes its calls."""
        body = self._of(variable)
        if body:
            space = variable.space or Space()
            pou = self._made("FUNCTION", variable.name, variable.at, body, space, None)
            self.project.first_calls[pou] = variable

    def _made(
        self, kind: str, name: str, at: int, body: list[Statement], space: Space, owner: Pou | None
    ) -> Pou:
        decl = PouDecl(at, at, kind, INIT, at, None, [], body, access="PUBLIC", space=space)
        pou = Pou(kind, f"{name}.{INIT}", decl, owner=owner)
        self._declare_counters(pou)
        return pou

    def _declare_counters(self, pou: Pou) -> None:
        section = "VAR" if pou.on_stack else "VAR_TEMP"
        block = VarBlock(pou.at, pou.at, section, False, False, self._counters)
        self.declarations.declare_variables(pou, [block])
        self._counters = []

    # What has calls ------------------------------------------------------------------------------

    def _has_calls(self, pou: Pou) -> bool:
        """Tell whether something inside of an instance has FB_Init."""
        if pou.base is not None and self._has_calls(pou.base):
            return True
        return any(self._starts(each) for each in pou.variables.values() if each.pou is pou)

    def _starts(self, variable: Variable) -> bool:
        lies_here = not variable.elsewhere and not variable.by_reference and not variable.temporary
        return lies_here and variable.type is not None and self._type_starts(variable.type)

    def _type_starts(self, type_: Type) -> bool:
        while isinstance(type_, Array):
            type_ = type_.element
        if not isinstance(type_, Struct | BlockType):
            return False
        known = self._known.get(type_)
        if known is None:
            self._known[type_] = False  # what holds itself is told
            if isinstance(type_, Struct):
                known = any(self._type_starts(each.type) for each in type_.fields.values())
            else:
                known = type_.pou.find_method(FB_INIT) is not None or self._has_calls(type_.pou)
            self._known[type_] = known
        return known

    # Statements ----------------------------------------------------------------------------------

    def _of(self, variable: Variable) -> list[Statement]:
        """Return what is done first for a variable, nothing if it holds no instance with FB_Init."""
        type_, decl = variable.type, variable.decl
        if variable.elsewhere or variable.by_reference or type_ is None or decl is None:
            return []
        if not self._type_starts(type_):
            return []
        spec = _named(decl.spec)
        at, end = variable.at, variable.end
        target = Name(at, end, variable.name)
        given = self._given(spec, type_)
        body = (
            self._each(target, type_, given) if spec and spec.apiece else self._all(target, type_, given[0])
        )
        if variable.init is not None:
            body.append(Initialise(at, end, target, variable.init))
            self.declarations.given_later.append(variable)
        return body

    @staticmethod
    def _given(spec: NamedSpec | None, type_: Type) -> list[list[Argument]]:
        """Return the arguments that a declaration gives; several variables of one have them each."""
        while isinstance(type_, Array):
            type_ = type_.element
        if spec is None or not isinstance(type_, BlockType) or type_.pou.find_method(FB_INIT) is None:
            return [[]]
        given = deepcopy(spec.given) if spec.taken else spec.given
        spec.taken = True
        return given or [[]]

    def _each(self, target: Expr, type_: Type, given: list[list[Argument]]) -> list[Statement]:
        """Return the calls for the elements of an array, each with arguments of its own."""
        elements = [(target, type_)]
        while isinstance(elements[0][1], Array):
            array = elements[0][1]
            elements = [
                (
                    Index(base.at, base.end, base, [Literal(base.at, base.end, "int", n) for n in place]),
                    array.element,
                )
                for base, _ in elements
                for place in _places(array)
            ]
        rest = iter(given)  # another number of them is told
        return [each for base, inner in elements for each in self._all(base, inner, next(rest, given[-1]))]

    def _all(self, target: Expr, type_: Type, given: list[Argument]) -> list[Statement]:
        """Return the calls for what is or holds instances."""
        if isinstance(type_, Array):
            return self._loop(target, type_, given)
        at, end = target.at, target.end
        if isinstance(type_, Struct):
            fields = [each for each in type_.fields.values() if self._type_starts(each.type)]
            return [
                each for f in fields for each in self._all(Member(at, end, target, f.name, at), f.type, given)
            ]
        body: list[Statement] = []
        if not isinstance(type_, BlockType) or not self._type_starts(type_):
            return body
        if self._has_calls(type_.pou):
            body.append(_call(target, INIT, []))
        method = type_.pou.find_method(FB_INIT)
        if method is not None:
            values = {"bInitRetains": True, "bInCopyCode": False}
            own = [
                Argument(at, end, name, Literal(at, end, "bool", value))
                for name, value in values.items()
                if name.casefold() in method.variables
            ]
            body.append(_call(target, method.decl.name, [*own, *given]))
        return body

    def _loop(self, target: Expr, array: Array, given: list[Argument]) -> list[Statement]:
        """Return a loop over an array for each of its dimensions."""
        at, end = target.at, target.end
        names: list[str] = []
        for _ in array.ranges:
            names.append(f"${len(self._counters) + 1}")
            self._counters.append(VarDecl(at, end, names[-1], NamedSpec(at, end, "DINT"), None))
        indices: list[Expr] = [Name(at, end, name) for name in names]
        body = self._all(Index(at, end, target, indices), array.element, given)
        for name, (low, high) in reversed(list(zip(names, array.ranges, strict=True))):
            first, last = Literal(at, end, "int", low), Literal(at, end, "int", high)
            body = [For(at, end, Name(at, end, name), first, last, None, body)]
        return body


def _named(spec: TypeSpec) -> NamedSpec | None:
    while isinstance(spec, ArraySpec):
        spec = spec.element
    return spec if isinstance(spec, NamedSpec) else None


def _places(array: Array) -> list[list[int]]:
    """Return the indices of an array in order of memory."""
    places: list[list[int]] = [[]]
    for low, high in array.ranges:
        places = [[*each, number] for each in places for number in range(low, high + 1)]
    return places
