"""Layout: lines to text: empty lines, alignment, breaks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from softplc.formatter.pieces import Piece
from softplc.formatter.reader import Line
from softplc.formatter.spacing import rank, spaced

STEP = 4
MOST_PADDING = 24
GOOD_RANK = 3
POOR_DEPTH = 2  # a break behind := is worth one two brackets deeper


@dataclass(slots=True)
class Word:
    """A token or comment of a line.

    Attributes:
        space: a space stands before it.
        rank: how well the line breaks before it, 0 not at all.
        broken: the line breaks before it.
        depth: how many brackets are open.
    """

    text: str
    space: bool = False
    rank: int = 0
    broken: bool = False
    depth: int = 0


@dataclass(slots=True)
class Block:
    """The rows of a line.

    Attributes:
        colon: where its colon would stand if nothing were aligned; 0 for none.
        plain: one name stands before it.
    """

    line: Line
    rows: list[str] = field(default_factory=list)
    colon: int = 0
    plain: bool = False


def lay_out(lines: list[Line], width: int) -> list[str]:
    """Return the text, line by line."""
    blocks = [_block(line, width) for line in lines]
    for group in _groups(blocks):
        _align(group, width)
    rows: list[str] = []
    opened = True
    for block in blocks:
        line = block.line
        first = line.above[0].newlines if line.above else (line.pieces[0].newlines if line.pieces else 0)
        apart = (line.apart or first > 1) and not opened and (not line.closes or bool(line.above))
        comments = _above(line)
        if rows and apart and (comments or block.rows):
            rows.append("")
        for number, (comment, text) in enumerate(zip(line.above, comments, strict=True)):
            if number and comment.newlines > 1:
                rows.append("")
            rows += text
        if line.above and line.pieces and line.pieces[0].newlines > 1 and not line.closes and block.rows:
            rows.append("")
        rows += block.rows
        opened = line.opens
    return rows


def _above(line: Line) -> list[list[str]]:
    """Return the comments above a line at its level; what follows in a comment moves with its start."""
    texts: list[list[str]] = []
    for comment in line.above:
        start, *rest = comment.text.split("\n")
        shift = line.indent * STEP - comment.column
        texts.append([" " * (line.indent * STEP) + start, *(_moved(each, shift) for each in rest)])
    return texts


def _moved(text: str, shift: int) -> str:
    bare = text.lstrip()
    column = len(text[: len(text) - len(bare)].expandtabs(4))
    return (" " * max(0, column + shift) + bare).rstrip() if bare else ""


# Rows ----------------------------------------------------------------------------------------------


def _block(line: Line, width: int) -> Block:
    block = Block(line)
    pieces = [piece for piece in line.pieces if piece.token.kind != "end"]
    if pieces:
        words = _words(line, pieces)
        block.rows = _rows(words, line.indent * STEP, 2 * STEP if line.opens else STEP, width)
        colon = next((number for number, word in enumerate(words) if word.text == ":"), 0)
        if line.declares and len(block.rows) == 1 and colon:
            block.colon = line.indent * STEP + len(_joined(words[:colon]))
            block.plain = colon == 1
    return block


def _words(line: Line, pieces: list[Piece]) -> list[Word]:
    """Return what the line is made of; comments inside it keep their place."""
    head = pieces[0].is_word("TASK", "TRANSITION")
    words = [Word(pieces[0].text)]
    depth = 0
    label = line.label
    opened: list[bool] = []
    for number, piece in enumerate(pieces[1:], 1):
        before = pieces[number - 1]
        earlier = pieces[number - 2] if number > 1 else None
        depth += before.is_op("(", "[")
        forced = False
        for comment in piece.comments:
            words.append(Word(comment.text, True, 0, forced or comment.newlines > 0, depth))
            forced = comment.to_line_end
        space = spaced(earlier, before, piece, label=label, head=head and depth == 0)
        best = rank(before, piece, earlier)
        broken = piece.newlines > 0 and best > 0
        if before.is_op("(", "["):
            opened.append(broken or bool(piece.comments and words[-1].broken))
        if piece.is_op(")", "]"):
            depth -= 1
            outer = opened.pop() if opened else False
            broken = outer and piece.newlines > 0
        words.append(Word(piece.text, space or bool(piece.comments), best, forced or broken, depth))
        label = label and not piece.is_op(":")
    return words


def _rows(words: list[Word], column: int, further: int, width: int) -> list[str]:
    """Return the rows of a line: broken where the author broke it, and where it would be too wide.

    What goes on stands `further` in: more where a body follows.
    """
    rows: list[str] = []
    start = 0
    for end in range(1, len(words) + 1):
        if end == len(words) or words[end].broken:
            rows += _fitted(words[start:end], column, further if start else 0, further, width)
            start = end
    return rows


def _fitted(words: list[Word], column: int, indent: int, further: int, width: int) -> list[str]:
    rows: list[str] = []
    first = 0
    while first < len(words):
        left = column if words[first].text in (")", "]") else column + indent
        last = _last(words, first, width - left)
        rows.append(" " * left + _joined(words[first:last]))
        first = last
        indent = further
    return rows


def _last(words: list[Word], first: int, room: int) -> int:
    """Return which word begins the next row."""
    used = 0
    best, best_value = 0, (0, 0, 0)  # at the outermost bracket, then by rank, then the last
    for number in range(first, len(words)):
        word = words[number]
        if number > first and word.rank:
            poor = POOR_DEPTH if word.rank < GOOD_RANK else 0
            value = (-word.depth - poor, word.rank, number)
            if best == 0 or value >= best_value:
                best, best_value = number, value
        used += len(word.text) + (word.space and number > first)
        if used > room and best:
            return best
    return len(words)


def _joined(words: list[Word]) -> str:
    return words[0].text + "".join(f" {word.text}" if word.space else word.text for word in words[1:])


# Alignment -----------------------------------------------------------------------------------------


def _groups(blocks: list[Block]) -> Iterator[list[Block]]:
    """Yield runs of declarations that nothing stands between."""
    group: list[Block] = []
    for block in blocks:
        line = block.line
        apart = bool(line.above) or (bool(line.pieces) and line.pieces[0].newlines > 1)
        if group and (apart or not line.declares or line.indent != group[0].line.indent):
            yield group
            group = []
        if line.declares:
            group.append(block)
        else:
            _behind([block])
    if group:
        yield group


def _align(group: list[Block], width: int) -> None:
    """Align colons, of single names at least, then the comments behind, where that takes no wide gaps."""
    told = [block for block in group if block.colon]
    for some in (told, [block for block in told if block.plain]):
        column = max((block.colon for block in some), default=0)
        fitting = [block for block in some if len(block.rows[0]) + column - block.colon <= width]
        if fitting and column - min(block.colon for block in fitting) <= MOST_PADDING:
            for block in fitting:
                row = block.rows[0]
                block.rows[0] = row[: block.colon] + " " * (column - block.colon) + row[block.colon :]
            break
    _behind(group)


def _behind(group: list[Block]) -> None:
    """Write the comments that stand behind lines."""
    told = [block for block in group if block.line.behind and block.rows]
    column = max((len(block.rows[-1]) for block in told), default=0)
    aligned = told and column - min(len(block.rows[-1]) for block in told) <= MOST_PADDING
    for block in told:
        row = block.rows[-1]
        padding = column - len(row) if aligned else 0
        texts = [comment.text for comment in block.line.behind]
        block.rows[-1] = f"{row}{' ' * padding}  {' '.join(texts)}"
