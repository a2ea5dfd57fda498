"""Parser: tokens to syntax tree, hand-written recursive descent that recovers and reports many errors."""

from __future__ import annotations

import re

from softplc.diagnostics import Diagnostic
from softplc.lexer import tokenise
from softplc.parser.units import Units
from softplc.profiles import IEC, Profile
from softplc.source import Source
from softplc.syntax import Unit

MAX_DIAGNOSTICS = 100
_STRICT = re.compile(r"\{\s*attribute\s+'strict'\s*\}", re.IGNORECASE)


def parse(source: Source, profile: Profile = IEC) -> tuple[Unit, list[Diagnostic]]:
    """Return the tree of one file and what is wrong with its syntax."""
    tokens, findings = tokenise(source, profile)
    parser = Units(tokens, profile)
    parser.strict = [source.base + each.start() for each in _STRICT.finditer(source.text)]
    unit = parser.unit()
    found = parser.findings
    if any(each.code == "ST1003" for each in findings):  # what is open to the end hides what ends the units
        found = [each for each in found if each.at < tokens[-1].at]
    return unit, (findings + found)[:MAX_DIAGNOSTICS]
