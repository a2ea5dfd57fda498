"""Text of Structured Text by its nodes: a tree forgets parentheses, a file does not."""

from __future__ import annotations

import re
from bisect import bisect_left

from softplc.lexer import Token, tokenise
from softplc.profiles import Profile
from softplc.source import Source
from softplc.syntax import Node

_BEHIND = re.compile(r"[^\n;]*;[ \t]*(?://([^\n]*)|\(\*((?:(?!\*\)).)*)\*\))")
_ABOVE = re.compile(r"(?:\(\*((?:(?!\*\)).)*)\*\)|((?:[ \t]*//[^\n]*\n)+))\s*$", re.DOTALL)


class Pieces:
    """One file, by the offsets of its tree."""

    def __init__(self, source: Source, profile: Profile) -> None:
        self.source = source
        self.profile = profile
        self.tokens: list[Token] = tokenise(source, profile)[0]
        self._starts = [each.at for each in self.tokens]

    def text(self, at: int, end: int) -> str:
        return self.source.text[at - self.source.base : end - self.source.base]

    def of(self, node: Node) -> str:
        """Return the text of an expression, with the parentheses around its ends, on one line."""
        start = bisect_left(self._starts, node.at)
        stop = bisect_left(self._starts, node.end)
        least = depth = 0
        for token in self.tokens[start:stop]:
            depth += (token.text == "(") - (token.text == ")") if token.kind == "op" else 0
            least = min(least, depth)
        at, end = node.at, node.end
        for _ in range(-least):
            start = next(i for i in range(start - 1, -1, -1) if self.tokens[i].text == "(")
            at = self.tokens[start].at
        for _ in range(depth - least):
            stop = next(i for i in range(stop, len(self.tokens)) if self.tokens[i].text == ")") + 1
            end = self.tokens[stop - 1].end
        return " ".join(self.text(at, end).split("\n")).strip()

    def last(self, key: str, before: int) -> Token:
        """Return the last keyword of a kind before an offset."""
        place = bisect_left(self._starts, before)
        return next(each for each in reversed(self.tokens[:place]) if each.key == key)

    def between(self, at: int, key: str) -> str:
        """Return the text from an offset to the next keyword of a kind."""
        place = bisect_left(self._starts, at)
        return self.text(at, next(each for each in self.tokens[place:] if each.key == key).at).strip(" ")

    def behind(self, end: int) -> str:
        """Return the comment behind a declaration on its line."""
        found = _BEHIND.match(self.source.text, end - self.source.base)
        return _clean(found.group(1) or found.group(2) or "") if found is not None else ""

    def above(self, at: int) -> str:
        """Return the comment right above a declaration."""
        found = _ABOVE.search(self.source.text[: at - self.source.base])
        return _clean(found.group(1) or found.group(2) or "") if found is not None else ""


def _clean(text: str) -> str:
    lines = [each.strip().removeprefix("//").strip() for each in text.strip().splitlines()]
    return "\n".join(lines)
