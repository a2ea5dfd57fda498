"""Signatures: the parameters of the call that is being written."""

from __future__ import annotations

from dataclasses import dataclass

from softplc.bind.scope import Scope
from softplc.library.functions import FUNCTIONS
from softplc.lsp.describe import parameters
from softplc.lsp.spot import Spot, called
from softplc.lsp.standard import about, signature


@dataclass(frozen=True, slots=True)
class Signature:
    """A call's label, its parameters as parts of the label, and which of them is being written."""

    label: str
    text: str
    parts: list[str]
    active: int


def signature_at(spot: Spot, scope: Scope) -> Signature | None:
    """Return the signature of the call whose brackets are open, or None."""
    if spot.call is None or spot.silent:
        return None
    name = spot.call.way[-1]
    pou = called(spot.call.way, scope)
    if pou is not None:
        known = parameters(pou)
        parts = [f"{each.name} : {each.type}" for each in known]
        names = [each.name.casefold() for each in known]
        result = f" : {pou.result.type}" if pou.result is not None and pou.result.type is not None else ""
        return Signature(f"{name}({', '.join(parts)}){result}", "", parts, _active(spot, names))
    function = FUNCTIONS.get(name.upper())
    if function is None:
        head, text = about(name)
        return Signature(head, text, ["IN"], 0) if head else None
    parts = [f"{each} : {type_}" for each, type_ in function.parameters]
    names = [each.casefold() for each, _ in function.parameters]
    return Signature(signature(function), about(name)[1], parts, min(_active(spot, names), len(parts) - 1))


def _active(spot: Spot, names: list[str]) -> int:
    assert spot.call is not None
    key = spot.call.named.casefold()
    return names.index(key) if key in names else spot.call.position
