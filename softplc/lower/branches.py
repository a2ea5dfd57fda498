"""Branches: the ways that a program can go, as people would name them: `ELSE of IF level > 3`."""

from __future__ import annotations

from collections.abc import Iterator

from softplc.iectypes import Enum
from softplc.source import SourceSet
from softplc.syntax import Case, CaseBranch, Expr, For, If, Node, Statement, While

_LONGEST = 50
_WORDS = {If: "IF", Case: "CASE", For: "FOR", While: "WHILE"}
Way = tuple[str, int, int, str]  # file, line, line of the statement that it is a way of, what


class Branches:
    """Names the ways of each statement that the author wrote; those that a chart became have none."""

    def __init__(self, sources: SourceSet) -> None:
        self._sources = sources

    def of(self, statement: Statement) -> Iterator[Way]:
        """Yield each way that a statement can go."""
        if not self._is_written(statement):
            return
        if isinstance(statement, If):
            yield from (self.condition(statement, each) for each in range(len(statement.branches)))
            yield self.otherwise(statement)
        elif isinstance(statement, Case):
            yield from (self.label(statement, each) for each in statement.branches)
            if statement.otherwise or not _is_complete(statement):
                yield self.otherwise(statement)
        elif isinstance(statement, For | While):
            yield self.loop(statement, ran=True)
            if not _is_constant(statement):
                yield self.loop(statement, ran=False)

    def condition(self, node: If, number: int) -> Way:
        """Name the way behind the condition of IF, or of an ELSIF."""
        condition = node.branches[number][0]
        word = "ELSIF" if number else "IF"
        return self._way(condition if number else node, node, f"{word} {self._text(condition)}")

    def label(self, node: Case, branch: CaseBranch) -> Way:
        """Name one way of a CASE."""
        labels = ", ".join(
            self._text(low) if low is high else f"{self._text(low)}..{self._text(high)}"
            for low, high in branch.labels
        )
        return self._way(branch, node, f"CASE {self._text(node.selector)} OF {labels}")

    def otherwise(self, node: If | Case) -> Way:
        """Name the way of ELSE, written or not."""
        if isinstance(node, If):
            what, none = f"IF {self._text(node.branches[0][0])}", "no condition TRUE"
            none = "FALSE" if len(node.branches) == 1 else none
        else:
            what, none = f"CASE {self._text(node.selector)}", "no label fits"
        if node.otherwise:
            return self._way(node.otherwise[0], node, f"ELSE of {what}")
        return self._way(node, node, f"{what}: {none}, no ELSE")

    def loop(self, node: For | While, *, ran: bool) -> Way:
        """Name what a loop can do: run, or not even once."""
        what = (
            f"WHILE {self._text(node.condition)}"
            if isinstance(node, While)
            else f"FOR {self._text(node.variable)}"
        )
        return self._way(node, node, f"{what}: at least once" if ran else f"{what}: not once")

    def _way(self, node: Node, owner: Node, text: str) -> Way:
        source = self._sources.at(node.at)
        return source.name, source.place(node.at)[0], source.place(owner.at)[0], text

    def _text(self, node: Node) -> str:
        source = self._sources.at(node.at)
        text = " ".join(source.text[node.at - source.base : node.end - source.base].split())
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."

    def _is_written(self, node: Statement) -> bool:
        word = _WORDS.get(type(node), "")
        source = self._sources.at(node.at)
        start = node.at - source.base
        return bool(word) and source.text[start : start + len(word)].upper() == word


def _is_complete(node: Case) -> bool:
    """Tell whether a CASE names every value of an enumeration."""
    type_ = node.selector.type
    named = {low.value for branch in node.branches for low, _ in branch.labels}
    return isinstance(type_, Enum) and named >= {number for _, number in type_.values.values()}


def _is_constant(node: For | While) -> bool:
    """Tell whether a loop cannot but run, as its limits are constants."""
    if isinstance(node, While):
        return node.condition.value is not None
    limits: tuple[Expr | None, ...] = (node.first, node.last)
    return all(each is not None and each.value is not None for each in limits)
