"""Values that lines carry: expressions with what is needed to put them into others.

Source: IEC 61131-3:2013, table 71 (precedence).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from softplc.lexer import tokenise
from softplc.plcopen.notes import NETWORK, Notes
from softplc.plcopen.text import Code, Origin, joined, stripped
from softplc.plcopen.xml import Element
from softplc.source import SourceSet

LOOSEST, UNARY, ATOM = 0, 8, 9
LEVELS = {"OR": 1, "XOR": 2, "AND": 3}
OPERATORS = {
    "ADD": "+",
    "MUL": "*",
    "SUB": "-",
    "DIV": "/",
    "MOD": "MOD",
    "EXPT": "**",
    "AND": "AND",
    "OR": "OR",
    "XOR": "XOR",
    "GT": ">",
    "GE": ">=",
    "EQ": "=",
    "LE": "<=",
    "LT": "<",
    "NE": "<>",
}
CHAINED = ("ADD", "MUL", "AND", "OR", "XOR")
_ATOM = re.compile(r"(?:[A-Za-z0-9_.#%^:]|\[[^\[\]]*\])+|'[^']*'|\"[^\"]*\"")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE = re.compile(r"%?[A-Za-z_][A-Za-z0-9_.%^]*(?:\[[^;]*\][A-Za-z0-9_.%^]*)*")


@dataclass(frozen=True, slots=True)
class Value:
    """An expression.

    Attributes:
        level: how tightly its outermost operator binds.
        constant: TRUE, as the left power rail has it.
        guard: the flag without which the value means nothing: the ENO of the function it comes from.
    """

    code: Code
    level: int = ATOM
    constant: bool = False
    guard: Code | None = None

    def at(self, level: int, origin: Origin) -> Code:
        """Return the expression as an operand of an operator of that level."""
        if self.level >= level:
            return self.code
        return origin.code("(") + self.code + origin.code(")")

    @property
    def reads(self) -> set[str]:
        """Return every name in it, casefolded."""
        return words(str(self.code))


def words(text: str) -> set[str]:
    return {each.casefold() for each in _WORD.findall(text)}


def root_of(text: str) -> str:
    """Return the variable that a path begins at, casefolded."""
    found = _WORD.search(text)
    return found.group().casefold() if found is not None else text.casefold()


def true(origin: Origin) -> Value:
    return Value(origin.code("TRUE"), constant=True)


def negation(value: Value, origin: Origin) -> Value:
    return Value(origin.code("NOT ") + value.at(ATOM, origin), UNARY, guard=value.guard)


def operation(operator: str, values: list[Value], origin: Origin) -> Value:
    """Return values joined by an operator."""
    if len(values) == 1:
        return values[0]
    level = LEVELS.get(operator, 4)
    operands = [each.at(level if operator in LEVELS else UNARY, origin) for each in values]
    return Value(joined(origin.code(f" {operator} "), operands), level)


def conjunction(left: Value, right: Value, origin: Origin) -> Value:
    return right if left.constant else operation("AND", [left, right], origin)


def written(element: Element | None, origin: Origin, notes: Notes) -> Value | None:
    """Return the expression that stands in an element, or tell that it is none."""
    code = stripped(origin.quoted(element.whole())) if element is not None else Code()
    if not code:
        notes.error(NETWORK, "an expression is missing", origin, "write a variable or a value")
        return None
    text = str(code)
    if not is_expression(text):
        notes.error(NETWORK, f"{text!r} is no expression", origin, "write a variable or a value")
        return None
    return Value(code, ATOM if _ATOM.fullmatch(text) else LOOSEST)


def is_name(text: str) -> bool:
    return _WORD.fullmatch(text) is not None


def is_variable(text: str) -> bool:
    return _VARIABLE.fullmatch(text) is not None


def is_expression(text: str) -> bool:
    """Tell whether a text stays in its place: nothing open, nothing that ends a statement."""
    tokens, wrong = tokenise(SourceSet().add("expression", text))
    depth = 0
    for token in tokens:
        if token.kind == "op":
            depth += (token.text in "([") - (token.text in ")]")
            if depth < 0 or token.text == ";" or (token.text in (":=", "=>", ",", ":") and not depth):
                return False
    return not depth and not wrong
