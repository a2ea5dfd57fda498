"""XML, read with care: elements with their places; no document types, no entities, bounded size and depth.

Source: Extensible Markup Language (XML) 1.0, fifth edition; Namespaces in XML 1.0, third edition.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple
from xml.parsers import expat

from runtime.errors import PlantError

MOST_CHARACTERS = 64 << 20
MOST_DEPTH = 200
MOST_ELEMENTS = 2_000_000
_DECLARED = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z][A-Za-z0-9._-]*)["']""")
_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class Piece(NamedTuple):
    """Text of the file without line end or reference in it, or one of these; `line` and `column` from 1."""

    text: str
    line: int
    column: int


@dataclass(slots=True, eq=False)
class Element:
    """An element; `space` is the namespace, `pieces` its own text."""

    name: str
    space: str
    attributes: dict[str, str]
    line: int
    column: int
    children: list[Element] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)

    def get(self, name: str, default: str = "") -> str:
        return self.attributes.get(name, default)

    def flag(self, name: str) -> bool:
        """Tell whether an attribute is true; `xsd:boolean` has two spellings."""
        return self.get(name).strip() in ("true", "1")

    def child(self, *names: str) -> Element | None:
        """Return what lies there by name, a level each; the first where there are several."""
        here: Element | None = self
        for name in names:
            here = next((each for each in here.children if each.name == name), None) if here else None
        return here

    def all(self, *names: str) -> Iterator[Element]:
        """Yield everything that lies there by name, a level each."""
        if not names:
            yield self
            return
        for each in self.children:
            if each.name == names[0]:
                yield from each.all(*names[1:])

    def walk(self) -> Iterator[Element]:
        """Yield this element and all below it, in order of the file."""
        waiting = [self]
        while waiting:
            here = waiting.pop()
            yield here
            waiting.extend(reversed(here.children))

    @property
    def text(self) -> str:
        return "".join(each.text for each in self.pieces)

    def whole(self) -> list[Piece]:
        """Return the text in here and below, such as that of `<ST><xhtml:p>...`; indentation is none."""
        holders = [each for each in self.walk() if not each.children or each.text.strip()]
        return [piece for each in holders for piece in each.pieces]


class BrokenXmlError(PlantError):
    """This is no XML that is taken here; `line` and `column` from 1."""

    def __init__(self, text: str, remedy: str, line: int, column: int) -> None:
        super().__init__(text, remedy)
        self.line, self.column = line, column


def is_xml(name: str) -> bool:
    """Tell whether a file of this name is PLCopen XML."""
    return name.casefold().endswith(".xml")


def decode(data: bytes) -> str:
    """Return the text of a file as its byte order mark or its declaration says, with plain line ends.

    Raises:
        UnicodeDecodeError: it is no such text.
    """
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "")
    if not encoding:
        declared = _DECLARED.match(data[:400].lstrip())
        encoding = declared.group(1).decode("ascii") if declared is not None else "utf-8"
    try:
        text = data.decode(encoding)
    except LookupError:
        text = data.decode("utf-8")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def parse(text: str) -> Element:
    """Return the root element.

    Raises:
        BrokenXmlError: the text is no XML, has a document type, or is larger or deeper than anyone writes.
    """
    if len(text) > MOST_CHARACTERS:
        raise BrokenXmlError(
            f"the file has more than {MOST_CHARACTERS >> 20} million characters", "split it", 1, 1
        )
    return _Reader().read(text)


class _Reader:
    def __init__(self) -> None:
        self.root: Element | None = None
        self.open: list[Element] = []
        self.count = 0
        # The text is decoded already: what the file declares counts no more.
        self.parser = expat.ParserCreate("utf-8", " ")
        self.parser.buffer_text = False
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._data
        self.parser.StartDoctypeDeclHandler = self._doctype

    def read(self, text: str) -> Element:
        try:
            self.parser.Parse(text.removeprefix("\ufeff").encode("utf-8", "replace"), True)
        except expat.ExpatError as exc:
            message = f"this is no XML: {expat.ErrorString(exc.code)}"
            remedy = "export it again, or mend it at this place"
            raise BrokenXmlError(message, remedy, exc.lineno, exc.offset + 1) from exc
        if self.root is None:
            raise AssertionError("XML without a root is an error")
        return self.root

    def _here(self) -> tuple[int, int]:
        return self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber + 1

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        line, column = self._here()
        self.count += 1
        if len(self.open) >= MOST_DEPTH or self.count > MOST_ELEMENTS:
            limit = (
                f"nested deeper than {MOST_DEPTH} levels"
                if len(self.open) >= MOST_DEPTH
                else f"more than {MOST_ELEMENTS} elements"
            )
            raise BrokenXmlError(f"the file has {limit}", "no PLCopen XML looks like this", line, column)
        space, _, local = name.rpartition(" ")
        own = {key.rpartition(" ")[2]: value for key, value in attributes.items()}
        element = Element(local, space, own, line, column)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def _end(self, _name: str) -> None:
        self.open.pop()

    def _data(self, data: str) -> None:
        line, column = self._here()
        pieces = self.open[-1].pieces
        for number, part in enumerate(data.split("\n")):
            if number:
                pieces.append(Piece("\n", line, column))
                line, column = line + 1, 1
            if part:
                pieces.append(Piece(part, line, column))
                column += len(part)

    def _doctype(self, *_: object) -> None:
        line, column = self._here()
        raise BrokenXmlError(
            "a document type (DOCTYPE) is not taken: it can name other files and grow without bound",
            "remove it: PLCopen XML has none",
            line,
            column,
        )
