"""Expressions, by precedence climbing.

Source: IEC 61131-3:2013, 7.3.2, table 71.
"""

from __future__ import annotations

from softplc.diagnostics import Diagnostic
from softplc.literals import (
    LiteralError,
    character,
    date_ns,
    duration_ns,
    real,
    text_of,
    whole,
)
from softplc.parser.cursor import Cursor
from softplc.syntax import (
    Argument,
    Binary,
    BitAccess,
    Call,
    Deref,
    Direct,
    Expr,
    Index,
    Literal,
    Member,
    Name,
    TypedName,
    Unary,
)

PRECEDENCE = {
    "OR": 1,
    "OR_ELSE": 1,
    "XOR": 2,
    "AND": 3,
    "AND_THEN": 3,
    "&": 3,
    "=": 4,
    "<>": 4,
    "<": 5,
    ">": 5,
    "<=": 5,
    ">=": 5,
    "+": 6,
    "-": 6,
    "*": 7,
    "/": 7,
    "MOD": 7,
    "**": 8,
}
UNARY_PRECEDENCE = 9
SAME = {"&": "AND", "AND_THEN": "AND", "OR_ELSE": "OR"}  # a right side that does not decide is left out
MAX_OPERANDS = 2_000
OPERATOR_FUNCTIONS = ("AND", "OR", "XOR", "MOD")
TYPED_INTS = frozenset(
    ["SINT", "INT", "DINT", "LINT", "USINT", "UINT", "UDINT", "ULINT", "BYTE", "WORD", "DWORD", "LWORD"]
)
TYPED_TEXTS = ("STRING", "WSTRING", "CHAR", "WCHAR")
TYPED_REALS = frozenset({"REAL", "LREAL"})


class Expressions(Cursor):
    """The part of the parser that reads expressions."""

    def expression(self) -> Expr:
        self.enter()
        result = self._binary(0)
        self.leave()
        return result

    def _binary(self, least: int) -> Expr:
        left = self._unary()
        operands = 1
        while True:
            operands += 1
            if operands > MAX_OPERANDS:
                self.too_deep(f"more than {MAX_OPERANDS} operands in a row")
            token = self.token
            if token.kind not in ("op", "kw") and token.key not in SAME:
                return left
            rank = PRECEDENCE.get(token.key)
            if rank is None or rank <= least:
                return left
            self.advance()
            self.enter()
            right = self._binary(rank)
            self.leave()
            op = SAME.get(token.key, token.key)
            left = Binary(left.at, right.end, op, left, right)

    def _unary(self) -> Expr:
        token = self.token
        if token.kind == "op" and token.text in ("-", "+"):
            self.advance()
            self.enter()
            operand = self._binary(UNARY_PRECEDENCE)
            self.leave()
            return Unary(token.at, operand.end, token.text, operand)
        if token.kind == "kw" and token.key == "NOT":
            if self.peek().text == "(" and self.peek(2).kind == "id" and self.peek(3).text in (":=", "=>"):
                self.advance()
                return self.postfix(Name(token.at, token.end, token.text))
            self.advance()
            self.enter()
            operand = self._binary(UNARY_PRECEDENCE)
            self.leave()
            return Unary(token.at, operand.end, "NOT", operand)
        return self.postfix(self._primary())

    def postfix(self, expr: Expr) -> Expr:
        """Read what may follow a name: members, indices, calls, bits."""
        while self.token.kind == "op":
            text = self.token.text
            if text == ".":
                self.advance()
                expr = self._member(expr)
            elif text == "[":
                self.advance()
                indices = [self.expression()]
                while self.take_op(","):
                    indices.append(self.expression())
                end = self.expect_op("]").end
                expr = Index(expr.at, end, expr, indices)
            elif text == "^" and self.profile.objects and _is_self(expr):
                self.advance()  # THIS^ is THIS
            elif text == "^":
                expr = Deref(expr.at, self.advance().end, expr)
            elif text == "(" and isinstance(expr, Name | Member | Index | Deref):
                arguments = self.arguments()
                expr = Call(expr.at, self.previous_end, expr, arguments)
            else:
                return expr
        return expr

    def _member(self, base: Expr) -> Expr:
        token = self.token
        if token.kind == "int" and token.text.isdigit():
            self.advance()
            return BitAccess(base.at, token.end, base, "X", int(token.text))
        if token.kind == "direct" and token.key[1:2] in "XBWD" and token.text[2:].isdigit():
            self.advance()
            return BitAccess(base.at, token.end, base, token.key[1], int(token.text[2:]))
        if token.kind == "typed" and isinstance(base, Name | Member):
            return self._typed_in(base)
        before = self.tokens[self.position - 2]
        if isinstance(base, Literal) and before.kind == "int" and token.kind != "id":
            raise self.fail("a digit", f"write {before.text}.0")
        if token.kind == "kw" and self.peek().kind != "end":
            raise self.fail("a member name")
        self.expect_name("a member name")
        return Member(base.at, token.end, base, token.text, token.at)

    def _typed_in(self, base: Expr) -> Expr:
        """Read `N.Color#Red`, the value of a type in a namespace."""
        token = self.advance()
        names: list[str] = []
        inner = base
        while isinstance(inner, Member):
            names.append(inner.name)
            inner = inner.base
        if not isinstance(inner, Name):
            raise self.fail_at(
                token, "only the name of a namespace stands here", "write Namespace.Type#Value"
            )
        prefix, value = token.text.split("#", 1)
        name = ".".join([inner.name, *reversed(names), prefix])
        if value[:1].isalpha() or value[:1] == "_":
            return TypedName(base.at, token.end, name, value)
        try:
            return self._typed(name, value, base.at, token.end)
        except LiteralError as exc:
            message = f"wrong literal {token.text}"
            self.findings.append(Diagnostic("ST1014", message, base.at, token.end, str(exc)))
            return Literal(base.at, token.end, "wrong", 0)

    def arguments(self) -> list[Argument]:
        """Read `(...)` of a call."""
        self.expect_op("(")
        arguments: list[Argument] = []
        if self.take_op(")"):
            return arguments
        while True:
            arguments.append(self.argument())
            if not self.take_op(","):
                break
        self.expect_op(")")
        return arguments

    def argument(self) -> Argument:
        token = self.token
        following = self.peek()
        if token.kind == "kw" and token.key == "NOT" and following.kind == "id" and self.peek(2).text == "=>":
            self.advance()
            name = self.advance()
            self.advance()
            target = self.expression()
            return Argument(name.at, target.end, name.text, target, output=True, negated=True)
        if token.kind == "id" and following.kind == "op" and following.text in (":=", "=>"):
            self.advance()
            self.advance()
            output = following.text == "=>"
            if self.at_op(",") or self.at_op(")"):
                return Argument(token.at, following.end, token.text, None, output=output)
            value = self.expression()
            return Argument(token.at, value.end, token.text, value, output=output)
        value = self.expression()
        return Argument(value.at, value.end, "", value)

    def _primary(self) -> Expr:
        token = self.token
        kind = token.kind
        if kind == "id":
            self.advance()
            return Name(token.at, token.end, token.text)
        if kind in ("int", "real", "time", "date", "string", "wstring", "typed"):
            self.advance()
            return self._literal()
        if kind == "op" and token.text == "(":
            self.advance()
            inner = self.expression()
            self.expect_op(")")
            return inner
        if kind == "kw":
            if token.key in ("TRUE", "FALSE"):
                self.advance()
                return Literal(token.at, token.end, "bool", token.key == "TRUE")
            if token.key in OPERATOR_FUNCTIONS and self.peek().text == "(":
                self.advance()
                return Name(token.at, token.end, token.text)
        if kind == "broken":  # told by the lexer
            self.advance()
            return Literal(token.at, token.end, "wrong", 0)
        if kind == "direct":
            self.advance()
            return Direct(token.at, token.end, token.text)
        raise self.fail("an expression", self._hint())

    def _hint(self) -> str:
        """Return what may be meant where an expression should begin."""
        token, before, following = self.token, self.tokens[max(self.position - 1, 0)], self.peek()
        if token.text == "." and following.kind == "int":
            return f"write 0.{following.text}"
        if token.text == before.text and token.text in ("<", ">"):
            return f"shift with {'SHL' if token.text == '<' else 'SHR'}(x, n)"
        if token.text in ("<", ">", "<=", ">=", "=", "<>") and before.key in ("AND", "OR", "XOR"):
            return f"say what is compared: {before.text} x {token.text} ..."
        return ""

    def _literal(self) -> Expr:
        token = self.tokens[self.position - 1]
        at, end = token.at, token.end
        try:
            if token.kind == "int":
                return Literal(at, end, "int", whole(token.text))
            if token.kind == "real":
                return Literal(at, end, "real", real(token.text))
            if token.kind in ("string", "wstring"):
                return Literal(at, end, token.kind, text_of(token.text, token.kind == "wstring"))
            prefix, text = token.text.split("#", 1)
            if token.kind == "time":
                name = "LTIME" if prefix.upper().startswith("L") else "TIME"
                return Literal(at, end, "time", duration_ns(text), name)
            if token.kind == "date":
                name, ns = date_ns(prefix.upper(), text)
                return Literal(at, end, "date", ns, name)
            return self._typed(prefix, text, at, end)
        except LiteralError as exc:
            self.findings.append(Diagnostic("ST1014", f"wrong literal {token.text}", at, end, str(exc)))
            return Literal(at, end, "wrong", 0)

    def _typed(self, prefix: str, text: str, at: int, end: int) -> Expr:
        """Read `INT#5`, `BOOL#1`, `REAL#1.5`, `STRING#'x'` or `Color#Red`."""
        key = prefix.upper()
        if not text:
            return self._typed_text(prefix, at)
        if text[0].isalpha() or text[0] == "_":
            if key == "BOOL" and text.upper() in ("TRUE", "FALSE"):
                return Literal(at, end, "bool", text.upper() == "TRUE")
            return TypedName(at, end, prefix, text)
        if key == "BOOL":
            if text not in ("0", "1"):
                raise LiteralError("BOOL# takes 0, 1, TRUE or FALSE")
            return Literal(at, end, "bool", text == "1")
        if key in TYPED_REALS:
            return Literal(at, end, "real", real(text), key)
        if key in TYPED_INTS:
            if "." in text or "e" in text.lower().split("#")[0]:
                raise LiteralError(f"{key} takes whole numbers")
            return Literal(at, end, "int", _signed(text), key)
        if "." in text:
            raise LiteralError(f"{prefix} is no type of real numbers")
        return Literal(at, end, "int", _signed(text), prefix)

    def _typed_text(self, prefix: str, at: int) -> Expr:
        """Read the text after `STRING#`, `CHAR#`, `WSTRING#` or `WCHAR#`; the wide ones take both quotes."""
        key = prefix.upper()
        token = self.advance()
        if key not in TYPED_TEXTS:
            raise LiteralError(
                f"{prefix} is no type of text: STRING#'..', CHAR#'..', WSTRING#\"..\", WCHAR#\"..\""
            )
        wide = key in ("WSTRING", "WCHAR")
        if token.kind == "wstring" and not wide:
            raise LiteralError(f"{key} has single quotes: {key}#'..'")
        text = text_of(token.text, wide) if key.endswith("STRING") else character(token.text, key)
        return Literal(at, token.end, "wstring" if wide else "string", text, key)


def _is_self(expr: Expr) -> bool:
    return isinstance(expr, Name) and expr.name.upper() in ("THIS", "SUPER")


def _signed(text: str) -> int:
    return -whole(text[1:]) if text.startswith("-") else whole(text.lstrip("+"))
