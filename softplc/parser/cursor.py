"""Cursor: the place in the tokens, expectations, and recovery after a syntax error."""

from __future__ import annotations

from typing import NoReturn

from softplc.diagnostics import Diagnostic
from softplc.lexer import Token
from softplc.parser import hints
from softplc.profiles import IEC, Profile

MAX_DEPTH = 120


class SyntaxFault(Exception):  # noqa: N818 - never leaves the parser
    """Unwinds to the nearest place that can go on; the finding is already noted."""


class Cursor:
    """Reads tokens forward; an error is noted once for each token it happens at."""

    def __init__(self, tokens: list[Token], profile: Profile = IEC) -> None:
        self.profile = profile
        self.tokens = tokens
        self.position = 0
        self.token = tokens[0]
        self.findings: list[Diagnostic] = []
        self.depth = 0
        self.skipped: set[str] = set()  # names in declarations that could not be read
        self.strict: list[int] = []  # where the pragma of that name stands
        self._last_error_at = -1

    def advance(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.position += 1
            self.token = self.tokens[self.position]
        return token

    def peek(self, ahead: int = 1) -> Token:
        return self.tokens[min(self.position + ahead, len(self.tokens) - 1)]

    @property
    def previous_end(self) -> int:
        return self.tokens[self.position - 1].end if self.position else self.token.at

    def behind_strict(self) -> bool:
        """Tell whether the pragma stands right before this token."""
        before = self.previous_end if self.position else -1
        return any(before <= each < self.token.at for each in self.strict)

    def at_op(self, text: str) -> bool:
        return self.token.kind == "op" and self.token.text == text

    def take_sign(self, *keys: str) -> str:
        """Take `REF=`, `S=` or `R=`, where the profile has it; return its word, or nothing."""
        if not (self.profile.pointers and self.token.kind == "id" and self.token.key in keys):
            return ""
        if self.peek().kind != "op" or self.peek().text != "=":
            return ""
        word = self.advance().key
        self.advance()
        return word

    def at_keyword(self, *keys: str) -> bool:
        return self.token.kind == "kw" and self.token.key in keys

    def take_op(self, text: str) -> bool:
        if self.at_op(text):
            self.advance()
            return True
        return False

    def take_keyword(self, key: str) -> bool:
        if self.token.kind == "kw" and self.token.key == key:
            self.advance()
            return True
        return False

    def note(self, code: str, message: str, at: int, end: int, remedy: str = "") -> None:
        """Note an error, but only the first one at a token: the rest would follow from it."""
        if self.position != self._last_error_at:
            self._last_error_at = self.position
            self.findings.append(Diagnostic(code, message, at, end, remedy))

    def fail(self, expected: str, remedy: str = "") -> SyntaxFault:
        """Note that something else was expected here; the caller raises the result."""
        token = self.token
        shown = "end of file" if token.kind == "end" else repr(token.text)
        if not remedy and token.kind == "kw" and expected.endswith("name"):
            remedy = f"{token.key} is a keyword: choose another name"
        remedy = remedy or hints.behind_number(self.tokens[max(self.position - 1, 0)], token)
        self.note(
            "ST1010", f"expected {expected}, found {shown}", token.at, max(token.end, token.at + 1), remedy
        )
        return SyntaxFault()

    def fail_at(self, token: Token, message: str, remedy: str) -> SyntaxFault:
        """Note what is wrong with a token that has been read; the caller raises the result."""
        self.note("ST1010", message, token.at, token.end, remedy)
        return SyntaxFault()

    def replace(self, key: str) -> None:
        """Let the token here be a keyword that was meant."""
        self.tokens[self.position] = self.token = self.token._replace(kind="kw", key=key)

    def treat_as_keywords(self, *keys: str) -> None:
        """Let names be the keywords that were meant from here on, so that one mistake is told once."""
        for i in range(self.position, len(self.tokens)):
            if self.tokens[i].kind == "id" and self.tokens[i].key in keys:
                self.tokens[i] = self.tokens[i]._replace(kind="kw")
        self.token = self.tokens[self.position]

    def treat_as_name(self, key: str) -> None:
        """Let a keyword be a name from here on, so that one mistake is told once."""
        for i in range(self.position, len(self.tokens)):
            if self.tokens[i].kind == "kw" and self.tokens[i].key == key:
                self.tokens[i] = self.tokens[i]._replace(kind="id")
        self.token = self.tokens[self.position]

    def expect_op(self, text: str) -> Token:
        if self.at_op(text):
            return self.advance()
        raise self.fail(repr(text))

    def expect_keyword(self, key: str) -> Token:
        if self.at_keyword(key):
            return self.advance()
        raise self.fail(key)

    def expect_name(self, what: str = "a name") -> Token:
        if self.token.kind == "id":
            return self.advance()
        raise self.fail(what)

    def qualified_name(self, what: str = "a name") -> Token:
        """Take a name with the namespaces before it as one token."""
        token = self.expect_name(what)
        while self.at_op(".") and self.peek().kind == "id":
            self.advance()
            part = self.advance()
            text = f"{token.text}.{part.text}"
            token = token._replace(text=text, key=text.upper(), end=part.end)
        return token

    def semicolon(self) -> None:
        """Take a semicolon; if it is missing before what can follow it, go on as if it were there."""
        if self.at_op(";"):
            while self.take_op(";"):
                pass
            return
        end = self.previous_end
        if self.token.kind in ("kw", "end") or (self.token.kind == "id" and self._starts_another()):
            self.note("ST1011", "expected ';'", max(end - 1, 0), end, "end the statement with ;")
            return
        raise self.fail("';'")

    def _starts_another(self) -> bool:
        """Tell whether the name here begins another statement or declaration."""
        apart = self.position > 0 and self.token.at > self.previous_end
        return apart and self.peek().text in (":=", "(", "[", ".", "^", "?=", ":", ",", "WITH", "AT")

    def skip_to(self, *keys: str, semicolon: bool = True) -> None:
        """Skip to one of the keywords, or past a semicolon."""
        while self.token.kind != "end":
            if self.token.kind == "kw" and self.token.key in keys:
                return
            if semicolon and self.at_op(";"):
                self.advance()
                return
            self.advance()

    def skip_names(self, start: int) -> None:
        """Remember the names from a token on: what was meant to declare them is missing."""
        ids = (each for each in self.tokens[start : self.position + 1] if each.kind == "id")
        self.skipped.update(each.text.casefold() for each in ids)

    def enter(self) -> None:
        """Go one nesting level deeper; text nested deeper than anyone writes is refused."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self.too_deep(f"nested deeper than {MAX_DEPTH} levels")

    def too_deep(self, message: str) -> NoReturn:
        """Refuse what nobody writes, and all that follows."""
        self.note("ST1012", message, self.token.at, self.token.end, "split it into variables or functions")
        self.depth = 0
        self.position = len(self.tokens) - 1
        self.token = self.tokens[self.position]
        self._last_error_at = self.position  # that the rest is missing needs no telling
        raise SyntaxFault

    def leave(self) -> None:
        self.depth = max(0, self.depth - 1)
