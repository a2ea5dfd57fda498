"""Pieces: the tokens of a file, each with the comments before it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from softplc.iectypes import ELEMENTARY
from softplc.lexer import Token, comment_end, pragma_end

_SPACE = re.compile(r"[\s\ufeff]*")
TYPES = frozenset({*ELEMENTARY, "STRING", "WSTRING", "CHAR", "WCHAR"})
WORDS = frozenset(
    [
        "TASK",
        "ON",
        "STEP",
        "TRANSITION",
        "ACTION",
        "FROM",
        "EXTENDS",
        "IMPLEMENTS",
        "PUBLIC",
        "PRIVATE",
        "PROTECTED",
        "INTERNAL",
        "ABSTRACT",
        "FINAL",
        "OVERRIDE",
        "REF_TO",
        "R_EDGE",
        "F_EDGE",
        "INTERVAL",
        "PRIORITY",
        "SINGLE",
        "NAMESPACE",
        "END_NAMESPACE",
        "OVERLAP",
        "PROPERTY",
        "GET",
        "SET",
        "POINTER",
        "READ_ONLY",
        "READ_WRITE",
        "USING",
    ]
)
"""Words that are keywords in their place only, and are written in capitals there."""


@dataclass(slots=True)
class Comment:
    """A comment or pragma; `newlines` counts the line ends before it, `column` is where it began, from 0."""

    text: str
    newlines: int
    column: int

    @property
    def to_line_end(self) -> bool:
        return self.text.startswith("//")


@dataclass(slots=True)
class Piece:
    """A token, what stands before it, and how it is written; `newlines` lie between comments and token."""

    token: Token
    comments: list[Comment] = field(default_factory=list)
    newlines: int = 0
    text: str = ""

    def is_op(self, *texts: str) -> bool:
        return self.token.kind == "op" and self.token.text in texts

    def is_keyword(self, *keys: str) -> bool:
        return self.token.kind == "kw" and self.token.key in keys

    def is_word(self, *keys: str) -> bool:
        return self.token.kind in ("kw", "id") and self.token.key in keys

    @property
    def gap(self) -> int:
        """Return how many line ends lie between the token before and the first thing after it."""
        return self.comments[0].newlines if self.comments else self.newlines


def split(text: str, tokens: list[Token]) -> list[Piece]:
    """Return every token with what is written before it; the last is the end of the file."""
    pieces: list[Piece] = []
    position = 0
    for token in tokens:
        piece = Piece(token, text=token.key if token.kind == "kw" else token.text)
        piece.comments, piece.newlines = _comments(text, position, token.at)
        pieces.append(piece)
        position = token.end
    return pieces


def _comments(text: str, start: int, end: int) -> tuple[list[Comment], int]:
    """Return the comments between two tokens, and the line ends before the second."""
    found: list[Comment] = []
    position = start
    while True:
        space = _SPACE.match(text, position, end)
        position = space.end() if space else position
        newlines = space.group().count("\n") if space else 0
        if position >= end:
            return found, newlines
        if text.startswith("//", position):
            line_end = text.find("\n", position)
            close = line_end if 0 <= line_end < end else end
        elif text[position] == "{":
            close = pragma_end(text, position) or end
        else:
            close = comment_end(text, position) or end
        line_start = text.rfind("\n", 0, position) + 1
        column = len(text[line_start:position].expandtabs(4))
        found.append(Comment(text[position:close].rstrip(), newlines, column))
        position = close


def same_meaning(before: list[Piece], after: list[Piece]) -> bool:
    """Tell whether two texts have the same tokens and comments, apart from white space and capitals."""
    return _essence(before) == _essence(after)


def _essence(pieces: list[Piece]) -> list[object]:
    found: list[object] = []
    for piece in pieces:
        found += [[line.strip() for line in comment.text.splitlines()] for comment in piece.comments]
        token = piece.token
        free = token.kind == "kw" or (token.kind == "id" and token.key in WORDS | TYPES)
        found.append((token.kind, token.key if free else token.text))
    return found
