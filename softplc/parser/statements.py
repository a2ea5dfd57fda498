"""Statements.

Source: IEC 61131-3:2013, 7.3.3, table 72.
"""

from __future__ import annotations

from collections.abc import Callable

from softplc.parser.cursor import SyntaxFault
from softplc.parser.expressions import Expressions
from softplc.syntax import (
    Assign,
    Attempt,
    Call,
    CallStatement,
    Case,
    CaseBranch,
    Continue,
    Exit,
    Expr,
    For,
    If,
    Member,
    Name,
    Repeat,
    Return,
    Statement,
    While,
    referring,
)

POU_ENDS = (
    "END_FUNCTION",
    "END_FUNCTION_BLOCK",
    "END_PROGRAM",
    "END_CLASS",
    "END_INTERFACE",
    "END_METHOD",
    "METHOD",
    "END_STEP",
    "END_TRANSITION",
    "END_ACTION",
    "END_GET",
    "END_SET",
    "END_PROPERTY",
)
POU_STARTS = (
    "FUNCTION",
    "FUNCTION_BLOCK",
    "PROGRAM",
    "CLASS",
    "INTERFACE",
    "TYPE",
    "CONFIGURATION",
    "VAR_GLOBAL",
    "NAMESPACE",
    "END_NAMESPACE",
)
STARTS = ("IF", "CASE", "FOR", "WHILE", "REPEAT", "EXIT", "CONTINUE", "RETURN")
ENDS = ("END_IF", "END_CASE", "END_FOR", "END_WHILE", "END_REPEAT", "ELSE", "ELSIF", "UNTIL")


class Statements(Expressions):
    """The part of the parser that reads statements."""

    def body(self, *stops: str) -> list[Statement]:
        """Read statements up to one of the keywords, or to anything that ends an enclosing body."""
        statements: list[Statement] = []
        while self.token.kind != "end":
            if self.token.kind == "kw":
                key = self.token.key
                if key in stops or key in POU_ENDS or key in POU_STARTS:
                    break
                if key in ENDS:
                    if stops and not self._stray_end(key):
                        break
                    self.fail("a statement", f"no open statement ends with {key}")
                    self.advance()
                    self.take_op(";")
                    continue
            if self.token.key in ("ELSEIF", "ELSE_IF") and "ELSIF" in self._open:
                self.fail("ELSIF", "did you mean ELSIF?")
                self.replace("ELSIF")
                break
            if self.take_op(";"):
                continue
            self._guarded(statements)
        return statements

    def _stray_end(self, key: str) -> bool:
        return key not in self._open

    _open: tuple[str, ...] = ()

    def _block(self, *stops: str) -> list[Statement]:
        """Read the body of a statement; its own ends are known to the bodies inside."""
        outer = self._open
        self._open = (*outer, *stops)
        try:
            return self.body(*stops)
        finally:
            self._open = outer

    def _guarded(self, statements: list[Statement]) -> None:
        """Read one statement; after an error go on at the next."""
        start = self.position
        depth = self.depth
        try:
            statements.append(self.statement())
        except SyntaxFault:
            self.depth = depth
            if self.position == start and self.token.kind != "kw":
                self.advance()
            self.skip_to(*STARTS, *ENDS, *POU_ENDS, *POU_STARTS)
            if self.position == start:
                self.advance()

    def statement(self) -> Statement:
        token = self.token
        if token.kind == "kw":
            handler = _STATEMENTS.get(token.key)
            if handler is not None:
                self.advance()
                self.enter()
                result = handler(self, token.at)
                self.leave()
                return result
        if token.kind not in ("id", "direct"):
            raise self.fail("a statement")
        target = self.postfix(self._primary())
        if self.at_op(":="):
            self.advance()
            value = self.expression()
            self.semicolon()
            return Assign(target.at, value.end, target, value)
        if isinstance(target, Name | Member) and self.take_ref_sign():
            target.raw = True
            value = referring(self.expression())
            self.semicolon()
            return Assign(target.at, value.end, target, value)
        if self.take_op("?="):
            value = self.expression()
            self.semicolon()
            return Attempt(target.at, value.end, target, value)
        if isinstance(target, Call):
            self.semicolon()
            return CallStatement(target.at, target.end, target)
        if self.at_op("="):
            raise self.fail("':='", "assignments are written with :=")
        raise self.fail("':=' or '('")

    def _end(self, key: str, at: int) -> int:
        """Take the keyword that ends a statement, and its semicolon if there (few compilers insist)."""
        if not self.at_keyword(key):
            line_note = f"{key} is missing for the statement that begins here"
            self.note("ST1015", line_note, at, at + len(key) - 4, f"add {key};")
            raise SyntaxFault
        end = self.advance().end
        self.take_op(";")
        return end

    def _if(self, at: int) -> Statement:
        branches: list[tuple[Expr, list[Statement]]] = []
        otherwise: list[Statement] = []
        while True:
            condition = self.expression()
            self._then()
            branches.append((condition, self._block("ELSIF", "ELSE", "END_IF")))
            if not self.take_keyword("ELSIF"):
                break
        if self.take_keyword("ELSE"):
            otherwise = self._block("END_IF")
        return If(at, self._end("END_IF", at), branches, otherwise)

    def _then(self) -> None:
        self._word("THEN")

    def _case(self, at: int) -> Statement:
        selector = self.expression()
        self.expect_keyword("OF")
        branches: list[CaseBranch] = []
        while self.token.kind != "end" and not self.at_keyword("ELSE", "END_CASE", *POU_ENDS):
            branches.append(self._branch())
        otherwise = self._block("END_CASE") if self.take_keyword("ELSE") else []
        return Case(at, self._end("END_CASE", at), selector, branches, otherwise)

    def _branch(self) -> CaseBranch:
        at = self.token.at
        labels: list[tuple[Expr, Expr]] = []
        while True:
            low = self.expression()
            high = self.expression() if self.take_op("..") else low
            labels.append((low, high))
            if not self.take_op(","):
                break
        self.expect_op(":")
        return CaseBranch(at, self.previous_end, labels, self._branch_body())

    def _branch_body(self) -> list[Statement]:
        outer = self._open
        self._open = (*outer, "ELSE", "END_CASE")
        statements: list[Statement] = []
        try:
            while self.token.kind != "end" and not self._at_label():
                if self.token.kind == "kw" and self.token.key in (*ENDS, *POU_ENDS, *POU_STARTS):
                    break
                if not self.take_op(";"):
                    self._guarded(statements)
        finally:
            self._open = outer
        return statements

    def _at_label(self) -> bool:
        """Tell whether a CASE label starts here: something up to a colon, before any := or ;."""
        token = self.token
        if token.kind in ("int", "typed", "time", "date", "string", "wstring") or (
            token.kind == "op" and token.text in "-+("
        ):
            return True
        if token.kind == "kw":
            return token.key in ("TRUE", "FALSE")
        if token.kind != "id":
            return False
        ahead = 1
        while True:
            following = self.peek(ahead)
            if following.kind == "op" and following.text == ":":
                return True
            if following.kind in ("id", "int", "typed") or (
                following.kind == "op" and following.text in (",", "..", ".", "+", "-", "*")
            ):
                ahead += 1
                continue
            return False

    def _for(self, at: int) -> Statement:
        variable = self.postfix(self._primary())
        self.expect_op(":=")
        first = self.expression()
        self.expect_keyword("TO")
        last = self.expression()
        step = self.expression() if self.take_keyword("BY") else None
        self._do()
        body = self._block("END_FOR")
        return For(at, self._end("END_FOR", at), variable, first, last, step, body)

    def _do(self) -> None:
        self._word("DO")

    def _word(self, key: str) -> None:
        """Take a keyword; if it is missing or misspelt, tell that and go on as if it were there."""
        if self.take_keyword(key):
            return
        self.fail(key)
        if self.token.kind == "id" and self.peek().text not in (":=", "(", ".", "[", "^"):
            self.advance()

    def _while(self, at: int) -> Statement:
        condition = self.expression()
        self._do()
        body = self._block("END_WHILE")
        return While(at, self._end("END_WHILE", at), condition, body)

    def _repeat(self, at: int) -> Statement:
        body = self._block("UNTIL", "END_REPEAT")
        self.expect_keyword("UNTIL")
        condition = self.expression()
        self.take_op(";")
        return Repeat(at, self._end("END_REPEAT", at), body, condition)

    def _exit(self, at: int) -> Statement:
        self.semicolon()
        return Exit(at, at + 4)

    def _continue(self, at: int) -> Statement:
        self.semicolon()
        return Continue(at, at + 8)

    def _return(self, at: int) -> Statement:
        self.semicolon()
        return Return(at, at + 6)


_STATEMENTS: dict[str, Callable[[Statements, int], Statement]] = {
    "IF": Statements._if,
    "CASE": Statements._case,
    "FOR": Statements._for,
    "WHILE": Statements._while,
    "REPEAT": Statements._repeat,
    "EXIT": Statements._exit,
    "CONTINUE": Statements._continue,
    "RETURN": Statements._return,
}
