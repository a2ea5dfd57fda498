"""ST2023: there are no instances of what is ABSTRACT, and an ABSTRACT method has no body.

Accepted: CLASS ABSTRACT A METHOD PUBLIC ABSTRACT m END_METHOD END_CLASS
Rejected: CLASS ABSTRACT A END_CLASS PROGRAM P VAR a : A; END_VAR END_PROGRAM
Source: IEC 61131-3:2013, 6.6.5.8.
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import Diagnostic
from softplc.iectypes import Array, BlockType
from softplc.rules.context import Context, Declared
from softplc.symbols import Pou

ON = (Declared, Pou)


def check(subject: Declared | Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield findings for abstract instances and bodies."""
    if isinstance(subject, Pou):
        abstract = subject.kind == "METHOD" and "ABSTRACT" in subject.decl.modifiers
        if abstract and subject.decl.body:
            end = subject.at + len(subject.decl.name)
            message = f"{subject.name} is ABSTRACT: it has no body"
            yield Diagnostic("ST2023", message, subject.at, end, "remove the body or ABSTRACT")
        return
    variable = subject.variable
    type_ = variable.type
    while isinstance(type_, Array):
        type_ = type_.element
    if variable.by_reference or not isinstance(type_, BlockType):
        return
    if variable.constant:
        message = f"{variable.name} is an instance: it cannot be CONSTANT"
        yield Diagnostic("ST2023", message, variable.at, variable.end, "declare it without CONSTANT")
        return
    if "ABSTRACT" in type_.pou.decl.modifiers:
        message = f"{type_} is ABSTRACT: it has no instances"
        yield Diagnostic("ST2023", message, variable.at, variable.end, "use a type that extends it")
