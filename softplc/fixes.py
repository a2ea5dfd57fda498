"""Fixes: the remedy of a finding as a replacement in the text, where it is one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from softplc.diagnostics import Diagnostic

_MEANT = re.compile(r"did you mean (\w+)\?")
_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class Fix:
    """Replace what lies between two places of one file; lines and columns count from 1."""

    title: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str


def fix_of(finding: Diagnostic) -> Fix | None:
    """Return what cures a finding, or None where the remedy is no replacement."""
    line, end = finding.line, finding.end_column
    if finding.end_line != line:
        return None
    if finding.code == "ST1011":
        return Fix("insert ;", line, end, line, end, ";")
    text = finding.source_line[finding.column - 1 : end - 1]
    if finding.code == "ST1010" and text == "=" and finding.message.startswith("expected ':='"):
        return Fix("replace = by :=", line, finding.column, line, end, ":=")
    meant = _MEANT.fullmatch(finding.remedy)
    if meant is None or text.startswith("<"):  # an element of XML
        return None
    name = meant.group(1)
    wrong = _misspelt(text, name)
    if wrong is None:
        return None
    start = finding.column + wrong.start()
    return Fix(f"replace {wrong.group()} by {name}", line, start, line, start + len(wrong.group()), name)


def _misspelt(text: str, name: str) -> re.Match[str] | None:
    """Return the word of a text that is nearest to a name without being it."""
    key = name.casefold()
    words = [each for each in _WORD.finditer(text) if each.group().casefold() != key]
    return max(
        words,
        key=lambda word: SequenceMatcher(None, word.group().casefold(), key).ratio(),
        default=None,
    )
