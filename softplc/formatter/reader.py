"""Reader: pieces to lines, by the structure of the program."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from softplc.formatter.pieces import TYPES, WORDS, Comment, Piece
from softplc.syntax import CaseBranch, Expr, Node, PouDecl, Unit, inner

UNITS = ("FUNCTION", "FUNCTION_BLOCK", "PROGRAM", "CLASS", "INTERFACE", "METHOD")
HEAD_WORDS = (
    "PUBLIC",
    "PRIVATE",
    "PROTECTED",
    "INTERNAL",
    "ABSTRACT",
    "FINAL",
    "OVERRIDE",
    "EXTENDS",
    "IMPLEMENTS",
    "PROPERTY",
)
SECTIONS = ("CONSTANT", "RETAIN", "NON_RETAIN", "PERSISTENT")
OPENED = {"IF": "THEN", "FOR": "DO", "WHILE": "DO"}
INNER_ENDS = ("ELSE", "ELSIF", "UNTIL")


@dataclass(slots=True)
class Line:
    """One line to be: comments above it, pieces, comments behind them.

    Attributes:
        opens, closes: no empty line follows, or comes before.
        apart: an empty line comes before.
        declares: a declaration of the kind that is aligned with those around it.
        label: a CASE label: its colon stands close.
    """

    indent: int
    pieces: list[Piece]
    above: list[Comment] = field(default_factory=list)
    behind: list[Comment] = field(default_factory=list)
    opens: bool = False
    closes: bool = False
    apart: bool = False
    declares: bool = False
    label: bool = False


class Reader:
    """Reads a file without syntax errors."""

    def __init__(self, pieces: list[Piece], unit: Unit) -> None:
        self.pieces = pieces
        self.position = 0
        self.lines: list[Line] = []
        self.heads: dict[int, int] = {}
        self.labels: set[int] = set()
        for node in _nodes(unit):
            if isinstance(node, PouDecl):
                self.heads[node.at] = _head_end(node)
            elif isinstance(node, CaseBranch):
                self.labels.add(node.at)

    @property
    def here(self) -> Piece:
        return self.pieces[self.position]

    def ahead(self, count: int = 1) -> Piece:
        return self.pieces[min(self.position + count, len(self.pieces) - 1)]

    def read(self) -> list[Line]:
        """Return the lines; the last has what stands at the end of the file."""
        while self.here.token.kind != "end":
            self._top(0)
        self._line(0, [self.here])
        return self.lines

    # Lines ---------------------------------------------------------------------------------------

    def _line(
        self,
        indent: int,
        pieces: list[Piece],
        *,
        inner: int = 0,
        opens: bool = False,
        closes: bool = False,
        apart: bool = False,
        declares: bool = False,
        label: bool = False,
    ) -> Line:
        """Add a line; comments above it stand `inner` levels deeper, those on the line before behind that."""
        first = pieces[0]
        comments = list(first.comments)
        if self.lines:
            while comments and comments[0].newlines == 0:
                self.lines[-1].behind.append(comments.pop(0))
        if comments and inner:
            self.lines.append(Line(indent + inner, [], comments))
            comments = []
        line = Line(indent, pieces, comments, [], opens, closes, apart, declares, label)
        self.lines.append(line)
        return line

    def _take(self) -> Piece:
        piece = self.here
        self.position += 1
        return piece

    def _until(self, *, keys: tuple[str, ...] = (), ops: tuple[str, ...] = (";",)) -> list[Piece]:
        """Take pieces up to and with a keyword or operator outside of brackets."""
        taken: list[Piece] = []
        depth = 0
        while self.here.token.kind != "end":
            piece = self._take()
            taken.append(piece)
            depth += piece.is_op("(", "[") - piece.is_op(")", "]")
            if depth == 0 and (piece.is_op(*ops) or piece.is_keyword(*keys)):
                break
        return taken

    def _close(self, indent: int, inner: int = 1) -> None:
        """Add the line of an END_ keyword, with its semicolon."""
        pieces = [self._capital(self._take())]
        if self.here.is_op(";") and not self.here.comments:
            pieces.append(self._take())
        self._line(indent, pieces, inner=inner, closes=True)

    @staticmethod
    def _capital(piece: Piece) -> Piece:
        if piece.token.key in WORDS or piece.token.key in TYPES:
            piece.text = piece.token.key
        return piece

    def _types(self, pieces: list[Piece]) -> list[Piece]:
        """Write the names of elementary types in capitals where a type stands."""
        for before, piece in pairwise(pieces):
            typed = before.is_op(":", ")") or before.is_word("OF", "REF_TO", "TO")
            if (typed and piece.token.key in (*TYPES, "REF_TO", "POINTER")) or piece.is_word(
                "R_EDGE", "F_EDGE"
            ):
                self._capital(piece)
        return pieces

    # Units ---------------------------------------------------------------------------------------

    def _top(self, indent: int) -> None:
        piece = self.here
        apart = bool(self.lines) and not self.lines[-1].opens
        if piece.is_keyword("TYPE"):
            self._line(indent, [self._take()], opens=True, apart=apart)
            while not self.here.is_keyword("END_TYPE"):
                self._declaration(indent + 1)
            self._close(indent)
        elif piece.token.at in self.heads:
            self._unit(indent)
        elif piece.token.key.startswith("VAR"):
            self._section(indent, apart=apart)
        elif piece.is_keyword("CONFIGURATION"):
            self._configuration(indent, "END_CONFIGURATION", apart)
        elif piece.is_word("ACTION"):
            start = len(self.lines)
            self._chart_part(indent)
            self.lines[start].apart = apart
        elif piece.is_word("NAMESPACE"):
            pieces = [self._capital(self._take())]
            while self.here.token.kind == "id" or self.here.is_op("."):
                pieces.append(self._take())
            if self.here.token.kind != "end" and pieces[1].is_word("INTERNAL") and len(pieces) > 2:
                self._capital(pieces[1])
            self._line(indent, pieces, opens=True, apart=apart)
            while not self.here.is_word("END_NAMESPACE"):
                self._top(indent + 1)
            self._close(indent)
        elif piece.is_op(";"):
            self._empty(indent)
        else:
            self._line(indent, self._until())

    def _unit(self, indent: int) -> None:
        """Read a POU or method; what is in it stands at its own level."""
        end = self.heads[self.here.token.at]
        pieces: list[Piece] = []
        while self.here.token.end <= end or self.here.is_op(".") or pieces[-1].is_op("."):
            piece = self._take()
            if piece.token.at < end and piece.is_word(*HEAD_WORDS):
                self._capital(piece)
            pieces.append(piece)
        if self.here.is_op(";"):
            pieces.append(self._take())
        self._line(indent, self._types(pieces), opens=True, apart=not self.lines or not self.lines[-1].opens)
        while self.here.is_word("USING") and not self.ahead().is_op(":=", "(", "."):
            self._line(indent, [self._capital(self._take()), *self._until()])
        while pieces[0].is_word("PROPERTY") and self.here.is_word("GET", "SET"):
            self._line(indent + 1, [self._capital(self._take())], opens=True)
            self._members(indent + 2)
            self._close(indent + 1)
        while self.here.token.key.startswith("VAR") and self.here.token.kind == "kw":
            self._section(indent)
        start = len(self.lines)
        self._members(indent)
        if start < len(self.lines) and not self.lines[start - 1].opens:
            self.lines[start].apart = True
        self._close(indent, inner=0)

    def _members(self, indent: int) -> None:
        chart = self._starts_chart()
        behind = -1  # where the lines after a method begin
        while not self._ends():
            start = len(self.lines)
            if self.here.token.at in self.heads:
                self._unit(indent + 1)
                behind = start = len(self.lines)
            elif self.here.is_word("ACTION") and self.ahead().token.at in self.heads:  # of profile codesys
                self._chart_part(indent + 1)
                self.lines[start].apart = True
                behind = start = len(self.lines)
            elif chart and self._chart_part(indent):
                continue
            elif self.here.token.kind == "kw" and self.here.token.key.startswith("VAR"):
                self._section(indent)
            else:
                self._statement(indent)
            if start == behind and start < len(self.lines):
                self.lines[start].apart = True

    def _ends(self) -> bool:
        key, kind = self.here.token.key, self.here.token.kind
        inner = kind == "kw" and (key.startswith("END_") or key in INNER_ENDS)
        return kind == "end" or inner or self.here.is_word("END_NAMESPACE")

    def _section(self, indent: int, *, apart: bool = False) -> None:
        pieces = [self._take()]
        if self.here.is_word(*HEAD_WORDS[:4]):
            pieces.append(self._capital(self._take()))
        while self.here.is_keyword(*SECTIONS):
            pieces.append(self._take())
        self._line(indent, pieces, opens=True, apart=apart)
        while not self.here.is_keyword("END_VAR"):
            self._declaration(indent + 1)
        self._close(indent)

    def _declaration(self, indent: int) -> None:
        """Read `name : type := init;`; a structure has lines of its own."""
        if self.here.is_op(";"):
            self._empty(indent)
            return
        pieces = self._until(keys=("STRUCT", "UNION"))
        if pieces[0].is_word("INTERNAL") and pieces[1].token.kind == "id":
            self._capital(pieces[0])
        if len(pieces) > 2 and pieces[-2].is_word("READ_ONLY", "READ_WRITE"):
            self._capital(pieces[-2])
        if not pieces[-1].is_keyword("STRUCT", "UNION"):
            self._line(indent, self._types(pieces), declares=True)
            return
        if self.here.is_word("OVERLAP") and not self.ahead().is_op(":", ","):
            pieces.append(self._capital(self._take()))
        self._line(indent, pieces, opens=True)
        while not self.here.is_keyword("END_STRUCT", "END_UNION"):
            self._declaration(indent + 1)
        end = [self._take()]
        if self.here.is_op(":=", ";"):
            end += self._until()
        self._line(indent, end, inner=1, closes=True)

    def _configuration(self, indent: int, end: str, apart: bool) -> None:
        pieces = [self._take(), self._take()]
        if self.here.is_word("ON"):
            pieces += [self._capital(self._take()), self._take()]
        self._line(indent, pieces, opens=True, apart=apart)
        while not self.here.is_keyword(end):
            if self.here.token.kind == "kw" and self.here.token.key.startswith("VAR"):
                self._section(indent + 1)
            elif self.here.is_keyword("RESOURCE"):
                self._configuration(indent + 1, "END_RESOURCE", apart=False)
            elif self.here.is_op(";"):
                self._empty(indent + 1)
            else:
                pieces = self._until()
                self._capital(pieces[0])
                for piece, sign in pairwise(pieces):
                    if sign.is_op(":=") and piece.is_word("INTERVAL", "PRIORITY", "SINGLE"):
                        self._capital(piece)
                self._line(indent + 1, pieces)
        self._close(indent)

    # Charts --------------------------------------------------------------------------------------

    def _starts_chart(self) -> bool:
        named = self.ahead().token.kind == "id" and self.ahead(2).is_op(":")
        return self.here.is_keyword("INITIAL_STEP") or (self.here.is_word("STEP", "ACTION") and named)

    def _chart_part(self, indent: int) -> bool:
        """Read a step, transition or action if one starts here."""
        if self.here.is_keyword("INITIAL_STEP") or self.here.is_word("STEP"):
            self._line(indent, self._head(":"), opens=True, label=True)
            while not self.here.is_keyword("END_STEP"):
                self._line(indent + 1, self._until())
        elif self.here.is_word("TRANSITION"):
            pieces = [self._capital(self._take())]
            while not self.here.is_op(":=", ":") or pieces[-1].is_word("PRIORITY"):
                pieces.append(self._take())
                if pieces[-1].is_word("FROM", "TO", "PRIORITY"):
                    self._capital(pieces[-1])
            if self.here.is_op(":"):
                pieces.append(self._take())
            self._line(indent, pieces, opens=True, label=pieces[-1].is_op(":"))
            while not self.here.is_op(":="):
                self._statement(indent + 1)
            self._line(indent + 1, self._until())
        elif self.here.is_word("ACTION"):
            pieces = [self._capital(self._take()), self._take()]
            if self.here.is_op(":"):  # profile codesys: not always there
                pieces.append(self._take())
            self._line(indent, pieces, opens=True, label=pieces[-1].is_op(":"))
            chart = self._starts_chart()
            while not self._ends():
                if not chart or not self._chart_part(indent + 1):
                    self._statement(indent + 1)
        else:
            return False
        self._close(indent)
        return True

    def _head(self, stop: str) -> list[Piece]:
        pieces = self._until(ops=(stop,))
        self._capital(pieces[0])
        return pieces

    # Statements ----------------------------------------------------------------------------------

    def _block(self, indent: int) -> None:
        while not self._ends():
            self._statement(indent)

    def _statement(self, indent: int) -> None:
        key = self.here.token.key if self.here.token.kind == "kw" else ""
        if key in OPENED:
            self._line(indent, self._until(keys=(OPENED[key],), ops=()), opens=True)
            self._block(indent + 1)
            while self.here.is_keyword("ELSIF", "ELSE"):
                keys = ("THEN",) if self.here.is_keyword("ELSIF") else ("ELSE",)
                self._line(indent, self._until(keys=keys, ops=()), inner=1, opens=True, closes=True)
                self._block(indent + 1)
            self._close(indent)
        elif key == "REPEAT":
            self._line(indent, [self._take()], opens=True)
            self._block(indent + 1)
            pieces = [self._take()]
            while not self.here.is_keyword("END_REPEAT"):
                pieces.append(self._take())
            self._line(indent, pieces, inner=1, closes=True)
            self._close(indent, inner=0)
        elif key == "CASE":
            self._case(indent)
        elif self.here.is_op(";"):
            self._empty(indent)
        else:
            self._line(indent, self._until())

    def _case(self, indent: int) -> None:
        self._line(indent, self._until(keys=("OF",), ops=()), opens=True)
        while not self.here.is_keyword("ELSE", "END_CASE"):
            label = self._line(indent + 1, self._until(ops=(":",)), opens=True, label=True)
            start = len(self.lines)
            close = not self.here.comments and not self.here.newlines
            while self.here.token.at not in self.labels and not self._ends():
                self._statement(indent + 2)
            only = self.lines[start:]
            if len(only) == 1 and close and only[0].pieces[-1].is_op(";") and not only[0].opens:
                label.pieces += only[0].pieces
                label.behind = only[0].behind
                label.opens = False
                self.lines.pop()
        if self.here.is_keyword("ELSE"):
            self._line(indent, [self._take()], inner=1, opens=True, closes=True)
            self._block(indent + 1)
        self._close(indent)

    def _empty(self, indent: int) -> None:
        """Read a semicolon that ends nothing: it stays behind the line before, if that is complete."""
        piece = self._take()
        if self.lines and not self.lines[-1].opens and not piece.comments and not self.lines[-1].behind:
            self.lines[-1].pieces.append(piece)
        else:
            self._line(indent, [piece])


def _head_end(decl: PouDecl) -> int:
    """Return where the head of a unit ends: its name, parents and type."""
    ends = [decl.name_at + len(decl.name.partition("$")[0])]
    if decl.name.endswith("$set"):  # of a property: what it takes is of the property's type
        ends.append(decl.blocks[0].declarations[0].spec.end)
    ends += [at + len(name) for name, at in (*decl.extends, *decl.implements)]
    if decl.result is not None:
        ends.append(decl.result.end)
    return max(ends)


def _nodes(node: object) -> Iterator[Node]:
    """Yield the nodes of a tree but for expressions."""
    if isinstance(node, list | tuple):
        for each in node:
            yield from _nodes(each)
    elif isinstance(node, Node) and not isinstance(node, Expr):
        yield node
        for name in inner(node):
            yield from _nodes(getattr(node, name))
