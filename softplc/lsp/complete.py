"""Completion: what may be written at a spot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from softplc import library
from softplc.application import is_hidden
from softplc.bind.scope import Scope
from softplc.iectypes import ELEMENTARY, BlockType, Enum, Interface, Struct, Type
from softplc.lexer import KEYWORDS
from softplc.library.functions import FUNCTIONS, Function
from softplc.lsp.describe import parameters
from softplc.lsp.spot import Spot, called, member_types, type_of
from softplc.lsp.standard import about, signature
from softplc.symbols import Pou, Variable

CONVERTED = ("BOOL", "INT", "DINT", "UINT", "UDINT", "REAL", "LREAL", "WORD", "DWORD", "TIME", "STRING")
SNIPPETS = {
    "IF": "IF ${1:condition} THEN\n    $0\nEND_IF;",
    "CASE": "CASE ${1:selector} OF\n    ${2:0}:\n        $0\nEND_CASE;",
    "FOR": "FOR ${1:i} := ${2:1} TO ${3:10} DO\n    $0\nEND_FOR;",
    "WHILE": "WHILE ${1:condition} DO\n    $0\nEND_WHILE;",
    "REPEAT": "REPEAT\n    $0\nUNTIL ${1:condition}\nEND_REPEAT;",
}
OUTSIDE = {
    "PROGRAM": "PROGRAM ${1:Name}\nVAR\n    $2\nEND_VAR\n\n$0\nEND_PROGRAM",
    "FUNCTION_BLOCK": "FUNCTION_BLOCK ${1:Name}\nVAR_INPUT\n    $2\nEND_VAR\n\n$0\nEND_FUNCTION_BLOCK",
    "FUNCTION": "FUNCTION ${1:Name} : ${2:INT}\nVAR_INPUT\n    $3\nEND_VAR\n\n${1:Name} := $0;\nEND_FUNCTION",
    "TYPE": "TYPE\n    ${1:Name} : STRUCT\n        $0\n    END_STRUCT;\nEND_TYPE",
}
DECLARING = (
    "AT",
    "CONSTANT",
    "RETAIN",
    "NON_RETAIN",
    "PERSISTENT",
    "ARRAY",
    "OF",
    "STRUCT",
    "END_STRUCT",
    "END_VAR",
)


@dataclass(frozen=True, slots=True)
class Item:
    """One proposal; `snippet` has places to fill in, `rank` orders: less is earlier.

    Kinds: variable, field, value, type, block, function, method, keyword, snippet, parameter.
    """

    label: str
    kind: str
    detail: str = ""
    text: str = ""
    snippet: str = ""
    rank: int = 5


def complete(spot: Spot, scope: Scope) -> list[Item]:
    """Return every proposal, whatever its first letters: the editor filters."""
    if spot.silent:
        return []
    if spot.type_name:
        type_ = scope.project.types.get(spot.type_name.casefold())
        return list(_values(type_)) if isinstance(type_, Enum) else []
    if spot.way:
        return list(_members(type_of(spot.way, scope), scope)) or list(_inside(spot.way, scope))
    if spot.awaits_type:
        return list(_types(scope))
    if spot.declares:
        return [Item(word, "keyword") for word in DECLARING]
    if not spot.unit:
        snippets = [Item(word, "snippet", snippet=text, rank=1) for word, text in OUTSIDE.items()]
        return [*snippets, *_keywords()]
    found = list(_parameters(spot, scope)) if spot.call is not None else []
    found += _variables(scope)
    for values in scope.project.enum_values.values():
        found += [Item(each.name, "value", str(each.type)) for each in values[:1]]
    found += _functions(scope)
    if spot.starts:
        found += _calls(scope)
        found += [Item(word, "snippet", snippet=text, rank=6) for word, text in SNIPPETS.items()]
    return [*found, *_keywords()]


def _keywords() -> Iterator[Item]:
    return (Item(word, "keyword", rank=7) for word in sorted(KEYWORDS))


def _values(enum: Enum) -> Iterator[Item]:
    return (Item(name, "value", f"{enum} = {number}") for name, number in enum.values.values())


def _members(type_: Type | None, scope: Scope) -> Iterator[Item]:
    """Yield what may follow a dot."""
    if isinstance(type_, Struct):
        for name, member in member_types(type_).values():
            yield Item(name, "field", str(member))
    elif isinstance(type_, BlockType | Interface):
        inside = scope.owner is not None and scope.owner.offers(type_.pou)
        for variable in type_.pou.variables.values():
            public = (
                variable.section in ("VAR_INPUT", "VAR_OUTPUT", "VAR_IN_OUT") or variable.access == "PUBLIC"
            )
            if not is_hidden(variable.name) and (public or inside) and variable.section != "RESULT":
                yield Item(variable.name, "field", f"{variable.section} : {variable.type}")
        unit: Pou | None = type_.pou
        seen: set[str] = set()
        while unit is not None:
            for key, method in unit.methods.items():
                name, _, accessor = method.decl.name.partition("$")
                if name and key not in seen and name.casefold() not in seen:
                    seen |= {key, name.casefold()}
                    yield Item(name, "field", "property") if accessor else _call_item(name, method, "method")
            unit = unit.base


def _inside(way: list[str], scope: Scope) -> Iterator[Item]:
    """Yield what a namespace has."""
    space = scope.namespace(".".join(way))
    for name in scope.project.full_names.values() if space is not None else ():
        before, _, last = name.rpartition(".")
        if before.casefold() == str(space).casefold():
            yield Item(last, "type", name)


def _types(scope: Scope) -> Iterator[Item]:
    for name in (*ELEMENTARY, "STRING", "ARRAY", "REF_TO"):
        snippet = "ARRAY[${1:0}..${2:9}] OF $0" if name == "ARRAY" else ""
        yield Item(name, "keyword", snippet=snippet, rank=4)
    for decl in scope.project.type_decls:
        yield Item(decl.name, "type", rank=2)
    for pou in scope.project.pous.values():
        if pou.kind in ("FUNCTION_BLOCK", "CLASS", "INTERFACE") and not pou.library:
            yield Item(pou.name, "block", pou.kind, rank=2)
    for name in library.names():
        yield Item(name, "block", "library function block", rank=3)


def _parameters(spot: Spot, scope: Scope) -> Iterator[Item]:
    assert spot.call is not None
    if spot.call.named:
        return
    pou = called(spot.call.way, scope)
    function = FUNCTIONS.get(spot.call.way[-1].upper()) if pou is None else None
    for variable in parameters(pou) if pou is not None else ():
        sign = "=>" if variable.section == "VAR_OUTPUT" else ":="
        text = f"{variable.name} {sign} "
        yield Item(
            variable.name, "parameter", f"{variable.section} : {variable.type}", snippet=f"{text}$0", rank=0
        )
    for name, type_ in function.parameters if function is not None else ():
        yield Item(name, "parameter", type_, snippet=f"{name} := $0", rank=0)


def _variables(scope: Scope) -> list[Item]:
    """Return the variables in scope; those near come first."""
    pou = scope.pou
    owner = pou.owner if pou is not None else None
    groups: list[tuple[int, Iterable[Variable]]] = [
        (1, pou.variables.values() if pou is not None else ()),
        (2, owner.variables.values() if owner is not None else ()),
        (3, scope.project.global_names()),
    ]
    found: dict[str, Item] = {}
    for rank, variables in groups:
        for each in variables:
            if is_hidden(each.name):
                continue
            item = Item(each.name, "variable", f"{each.section} : {each.type or '?'}", rank=rank)
            found.setdefault(each.name.casefold(), item)
    return list(found.values())


def _calls(scope: Scope) -> Iterator[Item]:
    """Yield the calls of the block instances of the unit."""
    for each in scope.pou.variables.values() if scope.pou is not None else ():
        if (
            isinstance(each.type, BlockType)
            and each.type.pou.kind == "FUNCTION_BLOCK"
            and not is_hidden(each.name)
        ):
            item = _call_item(each.name, each.type.pou, "method")
            yield replace(item, label=f"{each.name}(...)", detail=str(each.type), rank=2)


def _functions(scope: Scope) -> Iterator[Item]:
    for pou in scope.project.pous.values():
        if pou.kind == "FUNCTION" and not pou.name.startswith("_"):
            yield _call_item(pou.name, pou, "function")
    if scope.owner is not None:
        for method in (each for each in scope.owner.methods.values() if not each.made_up):
            yield _call_item(method.decl.name, method, "method")
    for function in FUNCTIONS.values():
        yield Item(
            function.name, "function", signature(function), about(function.name)[1], _snippet(function)
        )
    for source in CONVERTED:
        for target in CONVERTED:
            if source != target and about(f"{source}_TO_{target}")[0]:
                name = f"{source}_TO_{target}"
                yield Item(name, "function", about(name)[0], "", f"{name}($1)", rank=6)


def _call_item(name: str, pou: Pou, kind: str) -> Item:
    inputs = [each for each in parameters(pou) if each.section != "VAR_OUTPUT"]
    holes = ", ".join(f"{each.name} := ${{{number}:{each.name}}}" for number, each in enumerate(inputs, 1))
    result = f" : {pou.result.type}" if pou.result is not None and pou.result.type is not None else ""
    shown = ", ".join(f"{each.name} : {each.type}" for each in inputs)
    return Item(name, kind, f"{name}({shown}){result}", snippet=f"{name}({holes})", rank=4)


def _snippet(function: Function) -> str:
    holes = ", ".join(f"${{{number}:{name}}}" for number, (name, _) in enumerate(function.parameters, 1))
    return f"{function.name}({holes})"
