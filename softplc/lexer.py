"""Lexer: text to tokens; comments and pragmas go, literals keep their text."""

from __future__ import annotations

import re
from typing import NamedTuple

from softplc.diagnostics import WARNING, Diagnostic
from softplc.profiles import IEC, Profile
from softplc.source import Source

KEYWORDS = frozenset(
    [
        "ARRAY",
        "AT",
        "BY",
        "CASE",
        "CLASS",
        "CONFIGURATION",
        "CONSTANT",
        "CONTINUE",
        "DO",
        "ELSE",
        "ELSIF",
        "END_ACTION",
        "END_CASE",
        "END_CLASS",
        "END_INTERFACE",
        "END_METHOD",
        "END_NAMESPACE",
        "END_STEP",
        "END_TRANSITION",
        "END_CONFIGURATION",
        "END_FOR",
        "END_FUNCTION",
        "END_FUNCTION_BLOCK",
        "END_IF",
        "END_PROGRAM",
        "END_REPEAT",
        "END_RESOURCE",
        "END_STRUCT",
        "END_TYPE",
        "END_VAR",
        "END_WHILE",
        "EXIT",
        "FOR",
        "FUNCTION",
        "FUNCTION_BLOCK",
        "IF",
        "INITIAL_STEP",
        "INTERFACE",
        "METHOD",
        "NAMESPACE",
        "NON_RETAIN",
        "OF",
        "PERSISTENT",
        "PROGRAM",
        "REPEAT",
        "RESOURCE",
        "RETAIN",
        "RETURN",
        "STRUCT",
        "THEN",
        "TO",
        "TYPE",
        "UNTIL",
        "USING",
        "VAR",
        "VAR_ACCESS",
        "VAR_CONFIG",
        "VAR_EXTERNAL",
        "VAR_GLOBAL",
        "VAR_INPUT",
        "VAR_IN_OUT",
        "VAR_OUTPUT",
        "VAR_TEMP",
        "WHILE",
        "WITH",
        "AND",
        "OR",
        "XOR",
        "NOT",
        "MOD",
        "TRUE",
        "FALSE",
    ]
)


OBJECT_KEYWORDS = frozenset(
    {"END_GET", "END_SET", "END_PROPERTY", "UNION", "END_UNION", "VAR_STAT", "VAR_INST"}
)


class Token(NamedTuple):
    """One token; `key` ignores case.

    Kinds: id, kw, int, real, typed, time, date, string, wstring, broken, direct, op, end.
    """

    kind: str
    key: str
    text: str
    at: int
    end: int


_PATTERN = re.compile(
    r"""
    (?P<space>[\s\ufeff]+)
  | (?P<line>//[^\n]*)
  | (?P<comment>\(\*|/\*)
  | (?P<pragma>\{)
  | (?P<time>(?:T|TIME|LT|LTIME)\#[+-]?[0-9][0-9_.a-zA-Z]*)
  | (?P<date>(?:L?DATE_AND_TIME|L?TIME_OF_DAY|L?DATE|L?TOD|L?DT|L?D)\#[0-9](?:[0-9_.:-]*[0-9])?)
  | (?P<typed>[A-Za-z_][A-Za-z0-9_]*\#(?:
        [+-]?[0-9][0-9]?\#[0-9A-Fa-f_]+
      | [+-]?[0-9][0-9_]*(?:\.[0-9][0-9_]*)?(?:[eE][+-]?[0-9]+)?
      | [A-Za-z_][A-Za-z0-9_]*
      | (?=['"])))
  | (?P<id>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<based>[0-9][0-9_]*\#[0-9A-Za-z_]+)
  | (?P<real>[0-9][0-9_]*(?:\.[0-9][0-9_]*(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+))
  | (?P<int>[0-9][0-9_]*)
  | (?P<string>'(?:\$.|[^'$\n])*')
  | (?P<wstring>"(?:\$.|[^"$\n])*")
  | (?P<direct>%[A-Za-z]+[0-9][0-9.]*|%[A-Za-z]+\*|%[IQM][XBWDL]?\b)
  | (?P<foreign>==|!=|=<|&&|\|\|?|!|%|~)
  | (?P<op>:=|=>|\?=|\.\.|\*\*|<>|<=|>=|[-+*/=<>&():;,.\[\]^\#])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_COMMENT = {"(*": re.compile(r"\(\*|\*\)"), "/*": re.compile(r"/\*|\*/")}
_UNDERSCORES = re.compile(r"__|_$")
_NAMES_AND_NUMBERS = ("id", "int", "based", "real", "typed")
_KINDS = {"time": "time", "date": "date", "based": "int"}
FOREIGN_CODE = "this pragma holds code for another compiler: it does nothing here"
FOREIGN = {  # operators of C and its heirs, and what they are here
    "==": "=",
    "!=": "<>",
    "=<": "<=",
    "&&": "AND",
    "||": "OR",
    "|": "OR",
    "!": "NOT",
    "~": "NOT",
    "%": "MOD",
}


def tokenise(source: Source, profile: Profile = IEC) -> tuple[list[Token], list[Diagnostic]]:
    """Return all tokens, the last of kind `end`, and what could not be read."""
    text, base = source.text, source.base
    tokens: list[Token] = []
    findings: list[Diagnostic] = []
    position, size = 0, len(text)
    match = _PATTERN.match
    while position < size:
        found = match(text, position)
        if found is None:
            findings.append(_stray(text, position, base))
            if text[position] in "'\"":
                end = _string_end(text, position)
                tokens.append(Token("broken", "", "", base + position, base + end))
                position = end
            else:
                position += 1
            continue
        kind = found.lastgroup or ""
        start, position = position, found.end()
        if kind in ("space", "line"):
            continue
        if kind == "comment":
            close = comment_end(text, start)
            position = size if close is None else close
            if close is None:
                findings.append(_open_comment(text[start : start + 2], base + start))
            continue
        if kind == "pragma":
            close, at = pragma_end(text, start), base + start
            position = size if close is None else close
            if close is None:
                findings.append(Diagnostic("ST1003", "pragma is not closed", at, at + 1, "close it with }"))
            elif text.startswith("{{", start):
                end = base + position
                findings.append(Diagnostic("ST6021", FOREIGN_CODE, at, end, "write it in ST", WARNING))
            continue
        word = found.group()
        key = word.upper()
        if kind == "foreign":
            meant = FOREIGN[word]
            at, remedy = base + start, f"did you mean {meant}?"
            findings.append(Diagnostic("ST1001", f"{word} has no meaning here", at, base + position, remedy))
            tokens.append(Token("kw" if meant.isalpha() else "op", meant, word, at, base + position))
            continue
        if kind in ("string", "wstring") and _quote_follows(text, start, position):
            at, end = base + position - 1, base + _string_end(text, position)
            message, remedy = "the text ends at this quote", f"write a quote inside of a text as ${word[0]}"
            findings.append(Diagnostic("ST1002", message, at, at + 1, remedy))
            tokens.append(Token("broken", "", "", base + start, end))
            position = end - base
            continue
        if not profile.loose and _UNDERSCORES.search(word) and kind in _NAMES_AND_NUMBERS:
            at = base + start
            findings.append(
                Diagnostic(
                    "ST1004",
                    f"underscores in {word} do not stand alone",
                    at,
                    at + len(word),
                    "one between two letters or digits",
                )
            )
        if kind == "id":
            keyword = key in KEYWORDS or (profile.objects and key in OBJECT_KEYWORDS)
            kind = "kw" if keyword else "id"
        tokens.append(Token(_KINDS.get(kind, kind), key, word, base + start, base + position))
    tokens.append(Token("end", "end of file", "", base + size, base + size))
    return tokens, findings


def _quote_follows(text: str, start: int, end: int) -> bool:
    """Tell whether a text was meant to go on behind its closing quote: 'it's', 'it''s'."""
    quote, following = text[start], text[end : end + 1]
    if following == quote:
        return True
    line_end = text.find("\n", end)
    rest = text[end : line_end if line_end >= 0 else len(text)]
    return (following.isalnum() or following == "_") and rest.count(quote) % 2 == 1


def _string_end(text: str, position: int) -> int:
    """Return where an open string was probably meant to end: before the line's last semicolon."""
    line_end = text.find("\n", position)
    line_end = line_end if line_end >= 0 else len(text)
    semicolon = text.rfind(";", position, line_end)
    return semicolon if semicolon >= 0 else line_end


def _stray(text: str, position: int, base: int) -> Diagnostic:
    char = text[position]
    at = base + position
    if char in "'\"":
        return Diagnostic("ST1002", "string is not closed on its line", at, at + 1, f"close it with {char}")
    return Diagnostic("ST1001", f"character {char!r} has no meaning here", at, at + 1, "remove it")


def pragma_end(text: str, start: int) -> int | None:
    """Return the position after the pragma that starts there, None if it is open; {{ C code }} is one too."""
    mark = "}}" if text.startswith("{{", start) else "}"
    close = text.find(mark, start)
    return close + len(mark) if close >= 0 else None


def comment_end(text: str, start: int) -> int | None:
    """Return the position after the comment that starts there, None if it is open; one kind nests."""
    opening = text[start : start + 2]
    depth = 0
    for found in _COMMENT[opening].finditer(text, start):
        depth += 1 if found.group() == opening else -1
        if depth == 0:
            return found.end()
    return None


def _open_comment(opening: str, at: int) -> Diagnostic:
    close = opening[::-1].replace("(", ")")
    return Diagnostic("ST1003", "comment is not closed", at, at + 2, f"close it with {close}")
