"""Interlock expressions: comparisons of tags joined by AND, OR and NOT.

`tank/level_pct > 20 AND NOT filler/fault` reads the way it is meant. Paths are relative to
the plant's root or whole. Times compare with durations: `pump/ran > T#1h30m`. A tag without a
usable value leaves what depends on it undecided: `AND` with something false is false all the
same, and `OR` with something true is true. An undecided interlock refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from runtime.config import TagList, parse_value
from runtime.contract import DataType, Tags, Value

_TOKEN = re.compile(
    r"\s*(?:(<>|<=|>=|[<>=()])|(L?T(?:IME)?#[+-]?[\w.]*|[\w.+-][\w./+-]*)|(\S))", re.IGNORECASE
)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_LONGEST = 500
_COMPARE: dict[str, Callable[[Value, Value], bool]] = {
    "=": lambda a, b: a == b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,  # type: ignore[operator]
    "<=": lambda a, b: a <= b,  # type: ignore[operator]
    ">": lambda a, b: a > b,  # type: ignore[operator]
    ">=": lambda a, b: a >= b,  # type: ignore[operator]
}


class Undecided(Exception):  # noqa: N818 - a verdict, not an error
    """The expression cannot be judged, because a tag has no usable value."""


Test = Callable[[Tags], Value]


@dataclass(frozen=True, slots=True)
class Expression:
    """A parsed expression and the paths that it reads.

    Attributes:
        compared: both sides of each comparison as they are written: a path, a number, a duration or a truth.
    """

    text: str
    paths: tuple[str, ...]
    compared: tuple[tuple[str, str], ...]
    test: Test

    def holds(self, tags: Tags) -> bool:
        """Judge it on the present values.

        Raises:
            Undecided: it depends on a tag that has no usable value.
        """
        return bool(self.test(tags))


def parse_expression(text: str) -> Expression:
    """Parse an interlock.

    Raises:
        ValueError: with the column and what was expected.
    """
    if len(text) > _LONGEST:
        raise ValueError(f"longer than {_LONGEST} characters")
    parser = _Parser(text)
    test = parser.disjunction()
    if parser.word:
        raise ValueError(f"column {parser.column}: unexpected {parser.word!r} in {text!r}")
    return Expression(text, tuple(dict.fromkeys(parser.paths)), tuple(parser.compared), test)


def check_expression(text: str, tags: TagList) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with an expression over these tags, as text and remedy."""
    try:
        expression = parse_expression(text)
    except ValueError as exc:
        yield str(exc), "write it like `tank/level_pct > 20 AND NOT filler/fault`"
        return
    for path in expression.paths:
        if path not in tags:
            yield f"there is no tag {path!r}", tags.close_to(path)
        elif tags[path].data_type is DataType.STRING:
            yield f"{path} is a STRING", "compare numbers and BOOLs only"
    for pair in expression.compared:
        types = [tags[each].data_type for each in pair if each in expression.paths and each in tags]
        if len(types) == 2 and (types[0] is DataType.TIME) is not (types[1] is DataType.TIME):
            said = " and ".join(f"{path} is {type_.iec}" for path, type_ in zip(pair, types, strict=True))
            yield said, "compare a TIME with a TIME, or with a duration like T#3s"
        for one, other in (pair, pair[::-1]):
            if one not in expression.paths or one not in tags:
                continue
            type_ = tags[one].data_type
            if type_ is DataType.TIME and _NUMBER.fullmatch(other) and float(other):
                yield f"{one} is a TIME, {other} has no unit", "write it like T#3s: a bare number is ns"
            elif type_ is not DataType.TIME and "#" in other:
                yield f"{other} is a duration, but {one} is {type_.iec}", "compare it with a number"


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = text
        self.end = 0
        self.column = 1
        self.word = ""
        self.paths: list[str] = []
        self.compared: list[tuple[str, str]] = []
        self.advance()

    def advance(self) -> str:
        taken = self.word
        match = _TOKEN.match(self.text, self.end)
        self.word = match[0].strip() if match else ""
        self.column = (match.end() - len(self.word) if match else len(self.text)) + 1
        self.end = match.end() if match else len(self.text)
        if match and match[3]:
            raise ValueError(f"column {self.column}: unexpected {match[3]!r} in {self.text!r}")
        return taken

    def disjunction(self) -> Test:
        parts = [self.conjunction()]
        while self.word.upper() == "OR":
            self.advance()
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else lambda tags: _joined(parts, tags, decides=True)

    def conjunction(self) -> Test:
        parts = [self.negation()]
        while self.word.upper() == "AND":
            self.advance()
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else lambda tags: _joined(parts, tags, decides=False)

    def negation(self) -> Test:
        if self.word.upper() == "NOT":
            self.advance()
            inner = self.negation()
            return lambda tags: not inner(tags)
        if self.word == "(":
            self.advance()
            inner = self.disjunction()
            if self.word != ")":
                raise ValueError(f"column {self.column}: ')' expected in {self.text!r}")
            self.advance()
            return inner
        return self.comparison()

    def comparison(self) -> Test:
        left_word, left = self.word, self.operand()
        compare = _COMPARE.get(self.word)
        if compare is None:
            return left
        self.advance()
        right_word = self.word
        self.compared.append((left_word, right_word))
        right = self._beside(left_word, right_word, self.operand())
        left = self._beside(right_word, left_word, left)
        return lambda tags: compare(left(tags), right(tags))

    def _beside(self, path: str, word: str, operand: Test) -> Test:
        """Let a number be rounded as the values are that it is compared with: a REAL is never quite 80.3."""
        if path not in self.paths or not _NUMBER.fullmatch(word):
            return operand
        number = float(word)
        try:
            single = DataType.REAL.decode(DataType.REAL.encode(number))
        except ValueError:  # no REAL is so large
            return operand
        return lambda tags: single if tags[path].data_type is DataType.REAL else number

    def operand(self) -> Test:
        column, word = self.column, self.word
        if not word or word in "()<>=" or word in _COMPARE or word.upper() in ("AND", "OR", "NOT"):
            raise ValueError(f"column {column}: a tag or a number expected in {self.text!r}")
        self.advance()
        if word.upper() in ("TRUE", "FALSE"):
            truth = word.upper() == "TRUE"
            return lambda tags: truth
        if _NUMBER.fullmatch(word):
            number = float(word)
            return lambda tags: number
        if "#" in word:
            try:
                span = parse_value(DataType.TIME, word)
            except ValueError as exc:
                raise ValueError(f"column {column}: {exc} in {self.text!r}") from None
            return lambda tags: span
        self.paths.append(word)
        return lambda tags: _read(tags, word)


def _joined(parts: Sequence[Test], tags: Tags, *, decides: bool) -> bool:
    """Judge parts joined by OR (a true one decides) or AND (a false one does), whatever their order."""
    doubt: Undecided | None = None
    for part in parts:
        try:
            if bool(part(tags)) == decides:
                return decides
        except Undecided as exc:
            doubt = doubt or exc
    if doubt is not None:
        raise doubt
    return not decides


def _read(tags: Tags, path: str) -> Value:
    value = tags.value(tags[path])
    if value is None or value != value:
        raise Undecided(f"{path} has no usable value")
    return value
