"""Explanations of findings by code, and of library blocks by name."""

from __future__ import annotations

import re

from softplc import library

_HEAD = re.compile(
    r"\(\* (.*?) ?\*\)\n(FUNCTION.*?\n(?:VAR_(?:INPUT|IN_OUT|OUTPUT)\b.*?END_VAR\n)*)", re.DOTALL
)

SYNTAX = {
    "ST0001": "A file cannot be read: it is missing, locked, or not UTF-8 text.",
    "ST1001": "A character has no meaning in Structured Text.",
    "ST1002": "A string is not closed on its line.",
    "ST1003": "A comment or pragma is not closed. Comments of one kind nest.",
    "ST1004": "A name or number ends with an underscore, or has two in a row.",
    "ST1010": "The grammar asks for something else here. What follows is read on from the next statement.",
    "ST1011": "A statement or declaration does not end with a semicolon.",
    "ST1012": "Statements or expressions are nested too deep.",
    "ST1014": "A literal is written wrong.",
    "ST1015": "A statement that was opened is not closed, such as IF without END_IF.",
    "ST1016": "A task has INTERVAL, PRIORITY and SINGLE only.",
    "ST1017": "PROPERTY belongs to the profile codesys.",
    "ST1020": "A file with the suffix .xml is PLCopen XML: a project, without a document type.",
    "ST1021": "Instruction List (IL) is not translated: write the body in ST, FBD or LD.",
    "ST1022": "This element of PLCopen XML has no translation.",
    "ST1023": "A network or chart is drawn wrong: a line, a label, a connector or a pin is missing.",
    "ST1024": "A name, an address or a value in PLCopen XML is none.",
    "ST1025": "PLCopen XML (TC6 2.01) cannot say this: classes, methods, namespaces, edges of inputs.",
    "ST3000": "An expression cannot be used where it stands.",
    "ST6020": "An element of a network is connected with nothing: it is not evaluated (a warning).",
    "ST6021": "A pragma holds code for another compiler: it does nothing here (a warning).",
    "ST6022": "A task runs a program of a library, or one that has a task already: left out (a warning).",
    "ST9001": "The compiler contradicts itself. This is a fault of the compiler: please report it.",
    "ST9002": "A chain of calls needs more stack than there is, for the variables of functions and methods.",
    "ST9003": "FB_Init, which runs when the program is compiled, stopped or depends on the time.",
}


def explanation(code: str) -> str | None:
    """Return what a code means, or the head of the library block of that name; None if there is neither."""
    from softplc.rules.walk import modules

    key = code.strip().upper()
    if key in SYNTAX:
        return f"{key}: {SYNTAX[key]}"
    for module in modules():
        doc = (module.__doc__ or "").strip()
        if doc.startswith(f"{key}:"):
            return re.sub(r"^(?=(Accepted|Rejected|Source):)", "  ", doc, flags=re.MULTILINE)
    block = _HEAD.match(library.source_of(key) or "") if not key.startswith("_") else None
    return f"{block[1]}\n\n{block[2].rstrip()}" if block is not None else None
