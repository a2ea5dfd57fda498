"""Formatter of Structured Text: lines, indentation and spaces; never a token."""

from __future__ import annotations

from runtime.errors import PlantError
from softplc.diagnostics import ERROR, CompileError
from softplc.formatter.layout import lay_out
from softplc.formatter.pieces import same_meaning, split
from softplc.formatter.reader import Reader
from softplc.lexer import tokenise
from softplc.parser import parse
from softplc.pipeline import deep_recursion
from softplc.profiles import IEC, Profile
from softplc.source import SourceSet

WIDTH = 110


def format_text(text: str, name: str = "text.st", profile: Profile = IEC) -> str:
    """Return a file as it should look: same tokens and comments, other white space, keywords in capitals.

    Raises:
        CompileError: its syntax is wrong, so that nobody can tell what belongs together.
        PlantError: the result would mean something else: a fault of the formatter.
    """
    sources = SourceSet()
    source = sources.add(name, text.replace("\r\n", "\n"))
    with deep_recursion():
        unit, findings = parse(source, profile)
    wrong = [each.located(sources) for each in findings if each.severity == ERROR]
    if wrong:
        raise CompileError(wrong)
    pieces = split(source.text, tokenise(source, profile)[0])
    result = "\n".join(lay_out(Reader(pieces, unit).read(), WIDTH))
    result = f"{result}\n" if result else ""
    if not same_meaning(pieces, split(result, tokenise(SourceSet().add(name, result), profile)[0])):
        raise PlantError(f"{name}: formatting would change the program", "please report it with the file")
    return result.replace("\n", "\r\n") if "\r\n" in text else result
