"""ST6005: nothing stands behind RETURN, EXIT or CONTINUE (a warning).

Accepted: VAR a : INT; END_VAR IF a > 1 THEN RETURN; END_IF; a := 1;
Rejected: VAR a : INT; END_VAR RETURN; a := 1;
Source: IEC 61131-3:2013, 7.3.3.3 (the standard lets it be).
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.diagnostics import WARNING, Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Pou
from softplc.syntax import Case, Continue, Exit, For, If, Repeat, Return, Statement, While

ON = (Pou,)


def check(pou: Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for each first statement that is never reached."""
    yield from _list(pou.decl.body)


def _list(statements: list[Statement]) -> Iterator[Diagnostic]:
    for position, statement in enumerate(statements):
        if isinstance(statement, Return | Exit | Continue) and position + 1 < len(statements):
            lost = statements[position + 1]
            yield Diagnostic("ST6005", "this is never reached", lost.at, lost.end, "remove it", WARNING)
            return
        for inner in _inner(statement):
            yield from _list(inner)


def _inner(statement: Statement) -> list[list[Statement]]:
    if isinstance(statement, If):
        return [*(body for _, body in statement.branches), statement.otherwise]
    if isinstance(statement, Case):
        return [*(branch.body for branch in statement.branches), statement.otherwise]
    return [statement.body] if isinstance(statement, For | While | Repeat) else []
