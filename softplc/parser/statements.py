"""Statements.

Source: IEC 61131-3:2013, 7.3.3, table 72.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from softplc.parser import hints
from softplc.parser.cursor import SyntaxFault
from softplc.parser.expressions import Expressions
from softplc.parser.hints import CLOSED
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
    Index,
    Literal,
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
OUTSIDE = {
    "END_VAR": "no VAR is open here",
    "#": "comments are // ... or (* ... *)",
    "VAR": "declarations stand before the first statement",
}
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
                    if self._headless and self._take_orphan(key):
                        continue
                    if stops and key.startswith("END_") and stops[-1].startswith("END_"):
                        break  # the statement says that it ends otherwise
                    self.fail("a statement", f"no open statement ends with {key}")
                    self.advance()
                    self.take_op(";")
                    continue
            if self.token.key in ("ELSEIF", "ELSE_IF") and "ELSIF" in self._open:
                self.fail("ELSIF", "did you mean ELSIF?")
                self.replace("ELSIF")
                break
            if self._takes_end_for_keyword():
                continue
            if self.take_op(";"):
                continue
            self._guarded(statements)
        return statements

    def _stray_end(self, key: str) -> bool:
        return key not in self._open

    def _takes_end_for_keyword(self) -> bool:
        """Let ENDIF and END IF be END_IF, and tell that."""
        token, following = self.token, self.peek()
        meant = CLOSED.get(token.key, "")
        if token.key == "END" and following.kind == "kw" and f"END_{following.key}" in ENDS:
            meant = f"END_{following.key}"
        if not meant or token.kind != "id" or meant not in self._open:
            return False
        self.fail(meant, f"did you mean {meant}?")
        if token.key == "END":
            self.advance()
        self.replace(meant)
        return True

    def _take_orphan(self, key: str) -> bool:
        """Skip what belongs to a statement whose begin could not be read: that is told."""
        if key == self._headless[-1]:
            self._headless.pop()
        elif key not in ("ELSE", "ELSIF", "UNTIL"):
            return False
        self.advance()
        if key in ("ELSIF", "UNTIL"):
            while self.token.kind != "end" and not self.at_keyword("THEN", *ENDS) and not self.at_op(";"):
                self.advance()
            self.take_keyword("THEN")
        self.take_op(";")
        return True

    _open: tuple[str, ...] = ()
    _headless: list[str]
    _ended = False

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
            first = self.tokens[start].key if self.tokens[start].kind == "kw" else ""
            if f"END_{first}" in ENDS and not self._ended:
                self._headless.append(f"END_{first}")
            self._ended = False
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
            raise self.fail("a statement", OUTSIDE.get(self.token.key, ""))
        target = self.postfix(self._primary())
        if self.at_op(":="):
            self.advance()
            value = self.expression()
            self.semicolon()
            return Assign(target.at, value.end, target, value)
        latch = self.take_sign("S", "R")
        if latch:
            condition = self.expression()
            self.semicolon()
            value = Literal(target.at, target.end, "bool", latch == "S")
            return If(
                target.at, condition.end, [(condition, [Assign(target.at, target.end, target, value)])], []
            )
        if isinstance(target, Name | Member | Index) and self.take_sign("REF"):
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
        raise self.fail("':=' or '('", hints.for_statement(token, self.token, self.peek()))

    def _end(self, key: str, at: int) -> int:
        """Take the keyword that ends a statement, and its semicolon if there (few compilers insist)."""
        wrong = self.at_keyword(*ENDS) and self.token.key not in (key, *self._open)
        if wrong and self.token.key.startswith("END_"):
            self.fail(key, f"did you mean {key}?")
            self.replace(key)
        if not self.at_keyword(key):
            line_note = f"{key} is missing for the statement that begins here"
            self.note("ST1015", line_note, at, at + len(key) - 4, self._remedy_for_end(key, at))
            self._ended = True
            raise SyntaxFault
        end = self.advance().end
        self.take_op(";")
        return end

    def _remedy_for_end(self, key: str, at: int) -> str:
        """Return what to add; where ELSE IF opened the statement, what was meant."""
        position = self.position
        while position > 0 and self.tokens[position].at > at:
            position -= 1
        after_else = key == "END_IF" and position > 0 and self.tokens[position - 1].key == "ELSE"
        nested = any(
            one.key == "ELSE" and two.key == "IF"
            for one, two in pairwise(self.tokens[position : self.position])
        )
        if after_else or (key == "END_IF" and nested):
            return "ELSE IF opens another IF, with an END_IF of its own: did you mean ELSIF?"
        return f"add {key};"

    def _if(self, at: int) -> Statement:
        branches: list[tuple[Expr, list[Statement]]] = []
        otherwise: list[Statement] = []
        while True:
            condition = self._condition()
            self._then()
            branches.append((condition, self._block("ELSIF", "ELSE", "END_IF")))
            if not self.take_keyword("ELSIF"):
                break
        if self.take_keyword("ELSE"):
            otherwise = self._block("END_IF")
        return If(at, self._end("END_IF", at), branches, otherwise)

    def _condition(self) -> Expr:
        """Read a condition; where it has :=, tell that and read it again as the comparison that was meant."""
        start = self.position
        condition = self.expression()
        if not self.at_op(":="):
            return condition
        self.fail("'='", "values are compared with =")
        self.tokens[self.position] = self.token._replace(key="=", text="=")
        self.position, self.token = start, self.tokens[start]
        return self._condition()

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
        if not self.take_op(":"):
            fault = self.fail("':'", "labels end with a colon")
            if self.token.kind not in ("id", "kw"):
                raise fault
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
        condition = self._condition()
        self._do()
        body = self._block("END_WHILE")
        return While(at, self._end("END_WHILE", at), condition, body)

    def _repeat(self, at: int) -> Statement:
        body = self._block("UNTIL", "END_REPEAT")
        self.expect_keyword("UNTIL")
        condition = self._condition()
        self.take_op(";")
        return Repeat(at, self._end("END_REPEAT", at), body, condition)

    def _exit(self, at: int) -> Statement:
        self.semicolon()
        return Exit(at, at + 4)

    def _continue(self, at: int) -> Statement:
        self.semicolon()
        return Continue(at, at + 8)

    def _return(self, at: int) -> Statement:
        if not self.at_op(";") and self.token.kind not in ("kw", "end"):
            raise self.fail("';'", "RETURN takes no value: assign it to the name of the function before")
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
