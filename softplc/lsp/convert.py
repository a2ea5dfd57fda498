"""Conversions of our values to those of the protocol."""

from __future__ import annotations

from lsprotocol import types

from softplc.lsp.complete import Item
from softplc.lsp.outline import Entry
from softplc.lsp.places import Places
from softplc.source import SourceSet

_Kind = types.SymbolKind
ENTRY_KINDS = {
    "PROGRAM": _Kind.Module,
    "FUNCTION": _Kind.Function,
    "FUNCTION_BLOCK": _Kind.Class,
    "CLASS": _Kind.Class,
    "INTERFACE": _Kind.Interface,
    "METHOD": _Kind.Method,
    "ACTION": _Kind.Method,
    "type": _Kind.Struct,
    "field": _Kind.Field,
    "value": _Kind.EnumMember,
    "variable": _Kind.Variable,
    "constant": _Kind.Constant,
    "configuration": _Kind.Namespace,
    "resource": _Kind.Namespace,
    "task": _Kind.Event,
    "instance": _Kind.Object,
}
_Proposal = types.CompletionItemKind
ITEM_KINDS = {
    "variable": _Proposal.Variable,
    "field": _Proposal.Field,
    "value": _Proposal.EnumMember,
    "type": _Proposal.Struct,
    "block": _Proposal.Class,
    "function": _Proposal.Function,
    "method": _Proposal.Method,
    "keyword": _Proposal.Keyword,
    "snippet": _Proposal.Snippet,
    "parameter": _Proposal.Property,
}


def symbol_of(entry: Entry, texts: SourceSet, places: Places) -> types.DocumentSymbol:
    """Return an entry of the outline with those in it."""
    return types.DocumentSymbol(
        entry.name,
        ENTRY_KINDS[entry.kind],
        places.range(texts, entry.at, max(entry.end, entry.name_at + len(entry.name))),
        places.range(texts, entry.name_at, entry.name_at + len(entry.name)),
        entry.detail or None,
        children=[symbol_of(each, texts, places) for each in entry.children],
    )


def completion(item: Item) -> types.CompletionItem:
    return types.CompletionItem(
        item.label,
        kind=ITEM_KINDS[item.kind],
        detail=item.detail or None,
        documentation=item.text or None,
        sort_text=f"{item.rank}{item.label}",
        insert_text=item.snippet or None,
        insert_text_format=types.InsertTextFormat.Snippet if item.snippet else None,
    )
