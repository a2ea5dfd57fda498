"""Descriptions: what a name is, as people read it."""

from __future__ import annotations

import re

from softplc.application import is_hidden
from softplc.iectypes import Enum, Struct, Type
from softplc.lsp.analysis import Analysis
from softplc.lsp.standard import about
from softplc.lsp.symbols import Occurrence, Symbol
from softplc.symbols import EnumValue, Pou, Variable
from softplc.syntax import Expr, InstanceDecl, Node, TaskDecl, TypeDecl, VarDecl

SECTIONS = ("VAR_INPUT", "VAR_IN_OUT", "VAR_OUTPUT")
MOST_MEMBERS = 24
_BEHIND = re.compile(r"\(\*(.*?)\*\)|//([^\n]*)", re.DOTALL)
_LABEL = re.compile(r"[A-Z][a-z]+( [a-z]+)?: ")
_ABOVE = re.compile(r"(?:\(\*((?:(?!\*\)).)*)\*\)|((?:[ \t]*//[^\n]*\n?)+))[ \t]*\n?[ \t]*\Z", re.DOTALL)


def describe(analysis: Analysis, symbol: Symbol) -> str:
    """Return what a symbol is, as Markdown: declaration, place, comment."""
    what = symbol.what
    if symbol.kind == "function":
        head, text = about(symbol.name)
        return _page(head, text)
    declared = analysis.declaration(symbol)
    comment = comment_of(analysis, declared) if declared is not None else ""
    if isinstance(what, Variable):
        return _page(variable_line(analysis, what), _where(what), comment)
    if isinstance(what, Pou):
        return _page("\n".join(unit_lines(analysis, what)), comment)
    if isinstance(what, VarDecl):
        type_ = what.spec.resolved
        return _page(f"{what.name} : {type_ or '?'}{_init(analysis, what.init)}", comment, _members(type_))
    if isinstance(what, EnumValue):
        return _page(f"{what.type}#{what.name} = {what.number}", comment)
    if isinstance(what, TypeDecl):
        return _page(
            f"TYPE {what.name} : {_spelt(what.spec.resolved)}", comment, _members(what.spec.resolved)
        )
    if isinstance(what, TaskDecl | InstanceDecl | Node):
        return _page(f"{symbol.kind} {symbol.name}", comment)
    return ""


def _page(head: str, *texts: str) -> str:
    shown = [f"```iecst\n{head}\n```", *(text for text in texts if text)]
    return "\n\n".join(shown) if head else ""


def variable_line(analysis: Analysis, variable: Variable) -> str:
    """Return the declaration of a variable in one line."""
    section = "VAR_GLOBAL" if variable.section == "VAR_GLOBAL" else variable.section
    words = [section, "CONSTANT" if variable.constant else "", "RETAIN" if variable.retain else ""]
    at = f" AT {variable.address}" if variable.address else ""
    init = variable.decl.init if variable.decl is not None else None
    head = " ".join(word for word in words if word)
    return f"{head} {variable.name}{at} : {variable.type or '?'}{_init(analysis, init)}"


def _where(variable: Variable) -> str:
    return f"in `{variable.pou.name}`" if variable.pou is not None else ""


def unit_lines(analysis: Analysis, pou: Pou) -> list[str]:
    """Return the head and parameters of a unit, one a line."""
    result = f" : {pou.result.type}" if pou.result is not None and pou.result.type is not None else ""
    extends = f" EXTENDS {', '.join(name for name, _ in pou.decl.extends)}" if pou.decl.extends else ""
    implements = (
        f" IMPLEMENTS {', '.join(name for name, _ in pou.decl.implements)}" if pou.decl.implements else ""
    )
    lines = [f"{pou.kind} {pou.name}{extends}{implements}{result}"]
    for section in SECTIONS:
        shown = [each for each in pou.parameters(section) if not is_hidden(each.name)]
        lines += [f"    {variable_line(analysis, each)}" for each in shown]
    lines += [f"    METHOD {each.decl.name}" for each in pou.methods.values() if not each.made_up]
    return lines


def parameters(pou: Pou) -> list[Variable]:
    """Return the parameters in the order in which they are passed."""
    found = pou.parameters(*SECTIONS) if pou.on_stack else [v for s in SECTIONS for v in pou.parameters(s)]
    return [each for each in found if not is_hidden(each.name)]


def _members(type_: Type | None) -> str:
    if isinstance(type_, Struct):
        shown = [f"{each.name} : {each.type}" for each in type_.fields.values()]
    elif isinstance(type_, Enum):
        shown = [f"{name} = {number}" for name, number in type_.values.values()]
    else:
        return ""
    more = ["..."] if len(shown) > MOST_MEMBERS else []
    return "```iecst\n" + "\n".join([*shown[:MOST_MEMBERS], *more]) + "\n```"


def _spelt(type_: Type | None) -> str:
    return (
        "STRUCT"
        if isinstance(type_, Struct)
        else "enumeration"
        if isinstance(type_, Enum)
        else str(type_ or "?")
    )


def _init(analysis: Analysis, init: object) -> str:
    """Return an initialiser as it is written, if it is short."""
    if not isinstance(init, Node):
        return ""
    source = analysis.texts.at(init.at)
    text = source.text[init.at - source.base : init.end - source.base]
    if isinstance(init, Expr) and "\n" in text:
        text = "..."
    return f" := {text}" if len(text) <= 60 else " := ..."


def comment_of(analysis: Analysis, declared: Occurrence) -> str:
    """Return the comment that belongs to a declaration: behind it on its line, or right above it."""
    source = analysis.texts.at(declared.at)
    start = declared.at - source.base
    line_end = source.text.find("\n", start)
    line_end = len(source.text) if line_end < 0 else line_end
    behind = _BEHIND.search(source.text, declared.end - source.base)
    if behind is not None and behind.start() < line_end:
        return _clean(behind.group(1) if behind.group(1) is not None else behind.group(2))
    line_start = source.text.rfind("\n", 0, start) + 1
    above = _ABOVE.search(source.text[:line_start])
    if above is None:
        return ""
    return _clean(above.group(1) if above.group(1) is not None else above.group(2))


def _clean(text: str) -> str:
    """Return a comment as Markdown: empty lines and labels such as `Units:` begin paragraphs."""
    paragraphs = [""]
    for each in text.strip().splitlines():
        line = each.strip().removeprefix("//").strip()
        if not line or _LABEL.match(line):
            paragraphs.append("")
        paragraphs[-1] = f"{paragraphs[-1]} {line}".strip()
    return "\n\n".join(each for each in paragraphs if each)
