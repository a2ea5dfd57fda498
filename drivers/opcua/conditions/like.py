"""The operator Like, in time that a hostile pattern cannot stretch beyond text times pattern."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class _Token(NamedTuple):
    """What one place of a text may be; `many` is any number of places."""

    chars: frozenset[str] | None = None
    negated: bool = False
    many: bool = False

    def takes(self, char: str) -> bool:
        return self.chars is None or (char in self.chars) != self.negated


@lru_cache(maxsize=256)
def _tokens(pattern: str) -> tuple[_Token, ...] | None:
    """Return a pattern's parts; None where it is not one. Source: OPC 10000-4, 7.7.3, table of wildcards."""
    found: list[_Token] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "%":
            if not found or not found[-1].many:
                found.append(_Token(many=True))
        elif char == "_":
            found.append(_Token())
        elif char == "[":
            end = pattern.find("]", at)
            if end <= at:
                return None
            inside = pattern[at:end]
            negated = inside.startswith("^") and len(inside) > 1
            found.append(_Token(_range(inside[negated:]), negated))
            at = end + 1
        elif char == "\\":
            if at == len(pattern):
                return None
            found.append(_Token(frozenset(pattern[at])))
            at += 1
        else:
            found.append(_Token(frozenset(char)))
    return tuple(found)


def _range(inside: str) -> frozenset[str]:
    chars: set[str] = set()
    at = 0
    while at < len(inside):
        if inside[at + 1 : at + 2] == "-" and at + 2 < len(inside):
            chars.update(
                map(chr, range(ord(inside[at]), min(ord(inside[at + 2]), ord(inside[at]) + 255) + 1))
            )
            at += 3
        else:
            chars.add(inside[at])
            at += 1
    return frozenset(chars)


def like(text: str, pattern: str) -> bool | None:
    """Tell whether a whole text is like a pattern; None where the pattern is none."""
    tokens = _tokens(pattern)
    if tokens is None:
        return None
    at = token = 0
    star, mark = -1, 0
    while at < len(text):
        if token < len(tokens) and tokens[token].many:
            star, mark, token = token, at, token + 1
        elif token < len(tokens) and tokens[token].takes(text[at]):
            at, token = at + 1, token + 1
        elif star >= 0:
            mark += 1
            at, token = mark, star + 1
        else:
            return False
    return all(each.many for each in tokens[token:])
