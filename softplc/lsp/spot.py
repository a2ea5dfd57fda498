"""The spot: where in a text somebody writes, told from the tokens before it: broken text does not matter."""

from __future__ import annotations

from dataclasses import dataclass, field

from softplc.bind.scope import Scope
from softplc.iectypes import Array, BlockType, Interface, OpenArray, Reference, Struct, Type
from softplc.lexer import Token, tokenise
from softplc.source import SourceSet
from softplc.symbols import Pou, Variable

UNITS = ("FUNCTION", "FUNCTION_BLOCK", "PROGRAM", "CLASS", "INTERFACE")
MODIFIERS = ("PUBLIC", "PRIVATE", "PROTECTED", "INTERNAL", "ABSTRACT", "FINAL", "OVERRIDE")
OPENS = {"STRUCT": "END_STRUCT", "UNION": "END_UNION", "TYPE": "END_TYPE"}
INDEX, TARGET = "[]", "^"


@dataclass(slots=True)
class OpenCall:
    """The call whose brackets are open: the way to what is called, and the argument that is being written."""

    way: list[str]
    position: int
    named: str
    at: int


@dataclass(slots=True)
class Spot:
    """Where somebody writes.

    Attributes:
        unit, method: the unit around it, and the method in that; namespaces: those around the unit.
        prefix: what is there already of the name.
        way: before a dot, the names, indices and dereferences that lead to it.
        type_name: before `#`, what stands there.
        declares: between VAR and END_VAR, in a structure or in TYPE.
        awaits_type: a type is to come.
        silent: inside a comment or a string.
        starts: a statement may begin here.
    """

    unit: str = ""
    method: str = ""
    namespaces: list[str] = field(default_factory=list)
    prefix: str = ""
    way: list[str] = field(default_factory=list)
    type_name: str = ""
    declares: bool = False
    awaits_type: bool = False
    silent: bool = False
    starts: bool = False
    call: OpenCall | None = None


def spot_at(text: str, offset: int) -> Spot:
    """Return the spot at an offset."""
    before = text[:offset]
    tokens, findings = tokenise(SourceSet().add("text", before))
    tokens = tokens[:-1]
    spot = Spot()
    line = before.rfind("\n") + 1
    spot.silent = any(
        each.code == "ST1003" or (each.code == "ST1002" and each.at >= line) for each in findings
    )
    rest = before[tokens[-1].end :] if tokens else before
    spot.silent = spot.silent or "//" in rest[rest.rfind("\n") + 1 :]
    if tokens and tokens[-1].kind in ("id", "kw", "typed") and tokens[-1].end == offset:
        last = tokens.pop()
        spot.type_name, _, spot.prefix = last.text.rpartition("#")
    elif len(tokens) > 1 and tokens[-1].text == "#":
        spot.type_name = tokens[-2].text
    _surroundings(tokens, spot)
    if tokens and tokens[-1].text == ".":
        spot.way = way_before(tokens, len(tokens) - 1)
    spot.call = None if spot.declares else _open_call(tokens)
    last_key = tokens[-1].key if tokens else ";"
    spot.starts = last_key in (";", "THEN", "DO", "ELSE", "REPEAT", ":") or last_key.startswith("END_")
    return spot


def _surroundings(tokens: list[Token], spot: Spot) -> None:
    """Find the unit and the section around the end of the tokens."""
    section = ""
    configured = False
    for place, token in enumerate(tokens):
        key = token.key
        if key == "NAMESPACE":
            spot.namespaces.append(_space_name(tokens, place + 1))
        elif key == "END_NAMESPACE" and spot.namespaces:
            spot.namespaces.pop()
        if token.kind != "kw":
            continue
        if key in ("CONFIGURATION", "END_CONFIGURATION"):
            configured = key == "CONFIGURATION"
        elif (key in UNITS or key == "METHOD") and not configured:
            name = _unit_name(tokens, place + 1)
            spot.unit, spot.method = (spot.unit, name) if key == "METHOD" else (name, "")
        elif key == "END_METHOD":
            spot.method = ""
        elif key.startswith("END_") and key[4:] in UNITS:
            spot.unit = spot.method = ""
        if key.startswith("VAR"):
            section = "END_VAR"
        elif key in OPENS:
            section = "END_VAR" if section == "END_VAR" else OPENS[key]
        elif key == section or (key == "END_TYPE" and section):
            section = ""
    spot.declares = bool(section)
    last = tokens[-1] if tokens else None
    ready = last is not None and (last.text == ":" or last.key in ("OF", "REF_TO"))
    header = len(tokens) > 2 and any(each.key in ("FUNCTION", "METHOD") for each in tokens[-6:-2])
    spot.awaits_type = ready and (spot.declares or header)


def _unit_name(tokens: list[Token], place: int) -> str:
    while place + 1 < len(tokens) and tokens[place].key in MODIFIERS and tokens[place + 1].kind == "id":
        place += 1
    return tokens[place].text if place < len(tokens) else ""


def _space_name(tokens: list[Token], place: int) -> str:
    """Return the name of a namespace, dots included."""
    place += place < len(tokens) and tokens[place].key == "INTERNAL"
    end = place
    while end < len(tokens) and (tokens[end].kind == "id" or tokens[end].text == "."):
        end += 1
    return "".join(token.text for token in tokens[place:end])


def way_before(tokens: list[Token], place: int) -> list[str]:
    """Return the names, indices and dereferences that stand before a dot or bracket at a place."""
    way: list[str] = []
    place -= 1
    while place >= 0:
        token = tokens[place]
        if token.text == "]":
            depth = 0
            while place >= 0:
                depth += (tokens[place].text == "]") - (tokens[place].text == "[")
                if depth == 0:
                    break
                place -= 1
            way.insert(0, INDEX)
            place -= 1
        elif token.text == "^":
            way.insert(0, TARGET)
            place -= 1
        elif token.kind == "id":
            way.insert(0, token.text)
            if place > 0 and tokens[place - 1].text == ".":
                place -= 2
                continue
            return way
        else:
            return []
    return []


def _open_call(tokens: list[Token]) -> OpenCall | None:
    depth = 0
    commas: list[int] = []  # of the innermost open bracket, the last first
    for place in range(len(tokens) - 1, -1, -1):
        token = tokens[place]
        if token.text in (")", "]"):
            depth += 1
        elif token.text in ("(", "[") and depth:
            depth -= 1
        elif token.text in ("(", "["):
            way = way_before(tokens, place) if token.text == "(" else []
            if way:
                first = (commas[0] if commas else place) + 1
                return OpenCall(way, len(commas), _named(tokens, first), token.at)
            commas = []
        elif depth == 0 and token.text == ",":
            commas.append(place)
        elif token.text == ";" or (token.kind == "kw" and token.key in ("THEN", "DO", "ELSE", "END_VAR")):
            return None
    return None


def _named(tokens: list[Token], first: int) -> str:
    """Return the name of the argument that begins there, if it is named."""
    named = first + 1 < len(tokens) and tokens[first].kind == "id" and tokens[first + 1].text in (":=", "=>")
    return tokens[first].text if named else ""


def type_of(way: list[str], scope: Scope) -> Type | None:
    """Return the type that a way leads to."""
    if not way:
        return None
    ref = scope.lookup(way[0])
    found: Type | None = ref.type if isinstance(ref, Variable) else None
    if way[0].upper() == "THIS" and scope.owner is not None:
        found = scope.owner.type
    for step in way[1:]:
        found = _step(found, step)
    return found


def _step(type_: Type | None, step: str) -> Type | None:
    if step == INDEX:
        return type_.element if isinstance(type_, Array | OpenArray) else None
    if step == TARGET:
        return type_.target if isinstance(type_, Reference) else None
    return member_types(type_).get(step.casefold(), (step, None))[1]


def member_types(type_: Type | None) -> dict[str, tuple[str, Type | None]]:
    """Return the variables inside a type, by casefolded name."""
    if isinstance(type_, Struct):
        return {key: (each.name, each.type) for key, each in type_.fields.items()}
    if isinstance(type_, BlockType | Interface):
        return {key: (each.name, each.type) for key, each in type_.pou.variables.items()}
    return {}


def called(way: list[str], scope: Scope) -> Pou | None:
    """Return the function, block or method that a way leads to, if it is one with declared parameters."""
    if len(way) == 1:
        ref = scope.lookup(way[0])
        if isinstance(ref, Pou) and ref.kind == "FUNCTION":
            return ref
        method = scope.owner.find_method(way[0]) if scope.owner is not None else None
        if method is not None:
            return method
    else:
        owner = type_of(way[:-1], scope)
        if way[-2].upper() == "SUPER" and scope.owner is not None and scope.owner.base is not None:
            owner = scope.owner.base.type
        if isinstance(owner, BlockType | Interface):
            method = owner.pou.find_method(way[-1])
            if method is not None:
                return method
    type_ = type_of(way, scope)
    return type_.pou if isinstance(type_, BlockType) and type_.pou.kind == "FUNCTION_BLOCK" else None
