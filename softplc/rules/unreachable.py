"""ST6005: every statement can be reached (a warning).

Accepted: VAR a : INT; END_VAR IF a > 1 THEN RETURN; END_IF; a := 1;
Rejected: VAR a : INT; END_VAR RETURN; a := 1;
Source: IEC 61131-3:2013, 7.3.3.3 (the standard lets it be).
"""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.writes import nodes
from softplc.diagnostics import WARNING, Diagnostic
from softplc.rules.context import Context
from softplc.symbols import Pou
from softplc.syntax import (
    Case,
    Continue,
    Exit,
    Expr,
    For,
    If,
    Literal,
    Node,
    Repeat,
    Return,
    Statement,
    Unary,
    While,
)

ON = (Pou,)


def check(pou: Pou, context: Context) -> Iterator[Diagnostic]:
    """Yield a warning for each first statement that is never reached."""
    yield from _list(pou.decl.body)


def _list(statements: list[Statement]) -> Iterator[Diagnostic]:
    for position, statement in enumerate(statements):
        dead = _dead(statement)
        for body in _bodies(statement):
            if any(body is each for each in dead):
                yield _never(body[0])
            else:
                yield from _list(body)
        if _ends(statement) and position + 1 < len(statements):
            yield _never(statements[position + 1])
            return


def _never(lost: Node) -> Diagnostic:
    return Diagnostic("ST6005", "this is never reached", lost.at, lost.end, "remove it", WARNING)


def _ends(statement: Statement) -> bool:
    """Tell whether nothing behind a statement is reached."""
    if isinstance(statement, Return | Exit | Continue):
        return True
    if isinstance(statement, If | Case):
        bodies = _bodies(statement)
        whole = bool(statement.otherwise) and len(bodies) == len(statement.branches) + 1
        return whole and all(body and _ends(body[-1]) for body in bodies)
    if isinstance(statement, While | Repeat):
        forever = _literal(statement.condition) is isinstance(statement, While)
        return forever and not any(isinstance(node, Exit) for node in nodes(statement.body))
    return False


def _dead(statement: Statement) -> list[list[Statement]]:
    """Return the bodies that a literal keeps from running; a named constant is a switch."""
    if isinstance(statement, If):
        dead = [(condition, body) for condition, body in statement.branches if _literal(condition) is False]
        return [body for condition, body in dead if body and body[0].at > condition.at]  # no transition
    if isinstance(statement, While):
        return [statement.body] if _literal(statement.condition) is False else []
    if isinstance(statement, For):
        first, last = _number(statement.first), _number(statement.last)
        step = 1 if statement.step is None else _number(statement.step)
        if first is not None and last is not None and step:
            return [statement.body] if (first > last if step > 0 else first < last) else []
    return []


def _bodies(statement: Statement) -> list[list[Statement]]:
    bodies: list[list[Statement]] = []
    if isinstance(statement, If):
        bodies = [*(body for _, body in statement.branches), statement.otherwise]
    elif isinstance(statement, Case):
        bodies = [*(branch.body for branch in statement.branches), statement.otherwise]
    elif isinstance(statement, For | While | Repeat):
        bodies = [statement.body]
    return [body for body in bodies if body]


def _literal(condition: Expr) -> bool | None:
    return bool(condition.literal) if isinstance(condition, Literal) and condition.kind == "bool" else None


def _number(value: Expr) -> int | None:
    sign = isinstance(value, Unary) and value.op == "-"
    inner = value.operand if isinstance(value, Unary) else value
    if not isinstance(inner, Literal) or not isinstance(inner.literal, int):
        return None
    return -inner.literal if sign else int(inner.literal)
