"""Hints: what people mean who write something else, by what stands where the parser stopped."""

from __future__ import annotations

import re

from softplc.diagnostics import did_you_mean
from softplc.iectypes import ELEMENTARY
from softplc.lexer import Token

_HEX = re.compile(r"0x([0-9A-Fa-f]+)", re.IGNORECASE)
_UNITS = re.compile(r"(?:d|h|m|s|ms|us|ns)(?:[0-9].*)?", re.IGNORECASE)
WORDS = (
    "IF",
    "CASE",
    "FOR",
    "WHILE",
    "REPEAT",
    "RETURN",
    "VAR",
    "VAR_INPUT",
    "VAR_OUTPUT",
    "VAR_IN_OUT",
    "VAR_TEMP",
    "VAR_EXTERNAL",
    "END_VAR",
    "END_IF",
    "END_CASE",
    "END_FOR",
    "END_WHILE",
    "END_REPEAT",
    "END_PROGRAM",
    "END_FUNCTION",
    "END_FUNCTION_BLOCK",
)
JUMPS = {
    "SWITCH": "choices are written CASE x OF ... END_CASE",
    "BEGIN": "statements need no BEGIN and END",
    "GOTO": "there are no jumps: use IF, a loop or RETURN",
    "JMP": "there are no jumps: use IF, a loop or RETURN",
    "BREAK": "a loop is left with EXIT",
    "VAR_STAT": "VAR_STAT belongs to the profile codesys",
    "__TRY": "there is no __TRY: a fault stops the task, its outputs go to their safe values",
}
DECLARED = "variables are declared in a VAR block: name : type;"
TYPES = {*ELEMENTARY, "STRING", "WSTRING", "ARRAY"}
CLOSED = {"ENDIF": "END_IF", "ENDCASE": "END_CASE", "ENDFOR": "END_FOR", "ENDWHILE": "END_WHILE"} | {
    "ENDREPEAT": "END_REPEAT"
}
"""Ends of statements as they are written elsewhere."""
INSTRUCTIONS = ("LD", "LDN", "CAL", "CALC", "CALCN")
"""What bodies in Instruction List begin with."""


def is_instruction(token: Token, following: Token) -> bool:
    """Tell whether a body begins in Instruction List: an operator with its operand, and no sign of ST."""
    operand = following.kind in ("id", "int", "real", "typed", "time", "string", "direct")
    literal = following.kind == "kw" and following.key in ("TRUE", "FALSE")
    return token.kind == "id" and token.key in INSTRUCTIONS and (operand or literal)


def behind_number(number: Token, word: Token) -> str:
    """Return how to write a number with letters right behind it: 0x1F, 500ms."""
    if number.kind not in ("int", "real") or word.kind != "id" or word.at != number.end:
        return ""
    text = number.text + word.text
    found = _HEX.fullmatch(text)
    if found is not None:
        return f"hexadecimal numbers are written 16#{found.group(1).upper()}"
    return f"durations are written T#{text}" if _UNITS.fullmatch(word.text) else ""


def for_statement(first: Token, token: Token, following: Token) -> str:
    """Return what a statement that begins with a name may have been meant to be."""
    if token.kind == "op" and token.text in ("+", "-", "*", "/"):
        return f"write {first.text} := {first.text} {token.text} ...;"
    if token.kind == "op" and token.text == ":":
        if following.text == "=":
            return "assignments are written with := , without a blank in it"
        return DECLARED if following.key in TYPES else JUMPS["GOTO"]
    if first.key in JUMPS:
        return JUMPS[first.key]
    near = did_you_mean(first.text, WORDS)
    if near:
        return near
    if token.kind == "id":
        return DECLARED
    return f"write {first.text} := value; or call it: {first.text}();"
