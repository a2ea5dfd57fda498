"""Spacing: what stands between two tokens of a line, and where a line may break."""

from __future__ import annotations

from softplc.formatter.pieces import Piece

CLOSE = (",", ";", ")", "]", ".", "^", "..")
TIGHT = ("(", "[", ".", "..")
SIGNS = ("+", "-")
OPERATORS = ("=", "<>", "<", ">", "<=", ">=", "+", "-", "*", "/", "**", "&")
WORDS = ("AND", "OR", "XOR", "MOD")
VALUES = ("TRUE", "FALSE")


def awaits_value(before: Piece | None) -> bool:
    """Tell whether an operand is to come after a token: a sign there belongs to it."""
    if before is None:
        return True
    token = before.token
    if token.kind == "op":
        return token.text not in (")", "]", "^")
    return token.kind == "kw" and token.key not in VALUES


def spaced(earlier: Piece | None, before: Piece, piece: Piece, *, label: bool, head: bool) -> bool:
    """Tell whether a space stands between two tokens; `head` where names and brackets stand apart."""
    token = piece.token
    if before.token.kind == "typed" and before.token.text.endswith("#"):
        return False
    if piece.is_op(*CLOSE) or before.is_op(*TIGHT) or "#" in (token.text, before.token.text):
        return False
    if before.is_op(*SIGNS) and awaits_value(earlier):
        return False
    if piece.is_op("=") and before.is_word("REF") and earlier is not None and earlier.token.kind == "id":
        return False  # REF= of the profile codesys
    if piece.is_op(":") and label:
        return False
    if piece.is_op("("):
        if before.token.kind == "id":
            return head
        if before.is_keyword(*WORDS):
            return not awaits_value(earlier)
        return not before.is_op(")", "]", "^") and before.token.kind not in ("int", "typed")
    if piece.is_op("["):
        return (
            before.token.kind not in ("id",)
            and not before.is_op(")", "]", "^")
            and not before.is_keyword("ARRAY")
        )
    return True


def rank(before: Piece, piece: Piece, earlier: Piece | None) -> int:
    """Return how well a line breaks between two tokens: 0 not at all, more is better."""
    if before.is_op(","):
        return 9
    if piece.is_keyword("OR", "XOR") and not awaits_value(before):
        return 8
    if (piece.is_keyword("AND") or piece.is_op("&")) and not awaits_value(before):
        return 7
    if piece.is_op("=", "<>", "<", ">", "<=", ">=") or before.is_op("=", "<>", "<", ">", "<=", ">="):
        return 5
    if piece.is_op(*SIGNS) and not awaits_value(before):
        return 4
    if piece.is_op("*", "/", "**") or piece.is_keyword("MOD"):
        return 3
    if before.is_keyword(*WORDS) or (before.is_op(*OPERATORS) and not awaits_value(earlier)):
        return 2
    if before.is_op(":=", "=>", "?="):
        return 2
    return 1 if before.is_op("(", "[") else 0
