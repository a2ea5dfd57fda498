"""ST2053: arguments where an instance is declared are for FB_Init of its type, which the profile codesys has.

Accepted: FUNCTION_BLOCK F VAR_INPUT n : INT; END_VAR n := n; END_FUNCTION_BLOCK PROGRAM P
    VAR f : F := (n := 3); END_VAR f(); END_PROGRAM
Rejected: FUNCTION_BLOCK F VAR_INPUT n : INT; END_VAR n := n; END_FUNCTION_BLOCK PROGRAM P VAR f : F(n := 3);
    END_VAR f(); END_PROGRAM
Source: CODESYS Development System, methods FB_Init, FB_Reinit, FB_Exit; compiler error C0119.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import BOOL, Array, BlockType, Type
from softplc.rules.context import Context, Declared
from softplc.symbols import FB_INIT, Pou, Variable
from softplc.syntax import ArraySpec, NamedSpec

ON = (NamedSpec, Declared, Pou)
GIVEN = ("bInitRetains", "bInCopyCode")


def check(subject: NamedSpec | Declared | Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for arguments that nothing takes, and for a FB_Init that is none."""
    if isinstance(subject, Pou):
        yield from _method(subject, context)
    elif isinstance(subject, Declared):
        yield from _elements(subject.variable, context)
    elif not subject.taken and any(subject.given) and subject.resolved is not None:
        yield _loose(subject, subject.resolved, context)


def _loose(spec: NamedSpec, type_: Type, context: Context) -> Diagnostic:
    """Return what to tell of arguments that no FB_Init takes."""
    while isinstance(type_, Array):
        type_ = type_.element
    if not isinstance(type_, BlockType):
        remedy = "an enumeration names its type so: USINT (Red := 1, Green)"
        return context.error("ST2053", f"{type_} takes no arguments", spec, remedy)
    pou, objects = type_.pou, context.project.profile.objects
    if objects and pou.find_method(FB_INIT) is not None:
        message = f"nothing here takes arguments for {pou.name}.FB_Init"
        return context.error(
            "ST2053", message, spec, f"declare a variable of {pou.name}, or of an array of it"
        )
    message = f"{pou.name} has no FB_Init: it takes no arguments where an instance is declared"
    value = "[(input := value), ...]" if spec.apiece else "(input := value)"
    remedy = f"give inputs behind it: {pou.name} := {value}, or assign them in the first scan"
    if not objects:
        message = f"{pou.name} takes no arguments where an instance is declared"
        remedy += "; FB_Init belongs to the profile codesys"
    return context.error("ST2053", message, spec, remedy)


def _elements(variable: Variable, context: Context) -> Iterator[Diagnostic]:
    """Compare arguments for each element with the elements that there are."""
    spec = variable.decl.spec if variable.decl is not None else None
    while isinstance(spec, ArraySpec):
        spec = spec.element
    if not isinstance(spec, NamedSpec) or not spec.apiece or not spec.taken or variable.type is None:
        return
    count, type_ = 1, variable.type
    while isinstance(type_, Array):
        count, type_ = count * type_.count, type_.element
    if len(spec.given) != count:
        message = f"{len(spec.given)} lists of arguments for {count} instance{'s' * (count != 1)}"
        remedy = f"write one for each, or {type_}(...) without [ ] for all"
        yield context.error("ST2053", message, spec, remedy)


def _method(pou: Pou, context: Context) -> Iterator[Diagnostic]:
    """Check that FB_Init has the inputs that each one has."""
    owner = pou.owner
    if owner is None or owner.kind not in ("FUNCTION_BLOCK", "CLASS") or pou.kind != "METHOD":
        return
    if pou.decl.name.casefold() != FB_INIT or not context.project.profile.objects:
        return
    for name in GIVEN:
        found = pou.variables.get(name.casefold())
        if found is None or found.section != "VAR_INPUT" or found.type not in (BOOL, None):
            message = f"{pou.name} lacks the input {name} : BOOL"
            remedy = "begin with VAR_INPUT bInitRetains : BOOL; bInCopyCode : BOOL; END_VAR"
            yield Diagnostic("ST2053", message, pou.at, pou.at + len(pou.decl.name), remedy)
            return
