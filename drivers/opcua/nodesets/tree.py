"""An XML document as a tree whose elements know their line; takes no more than it should."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

LARGEST_BYTES = 64 * 1024 * 1024
_DEEPEST = 64


class BadXmlError(ValueError):
    """The file is not XML that is taken here; `line` and `column` count from 1."""

    def __init__(self, text: str, line: int, column: int) -> None:
        super().__init__(text)
        self.text = text
        self.line = line
        self.column = column


@dataclass(slots=True)
class Element:
    """An element: its name without a prefix, attributes, text before the first child, children, place."""

    tag: str
    attributes: dict[str, str]
    line: int
    column: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def child(self, tag: str) -> Element | None:
        """Return the first child of a name."""
        return next((each for each in self.children if each.tag == tag), None)

    def first(self, tag: str) -> str:
        """Return the text of the first child of a name; empty where there is none."""
        found = self.child(tag)
        return found.text.strip() if found is not None else ""


def read_tree(path: Path) -> Element:
    """Return the root of a document.

    Raises:
        BadXmlError: it is not well-formed, too large, too deep, or defines entities.
        OSError: it cannot be read.
    """
    if path.stat().st_size > LARGEST_BYTES:
        raise BadXmlError(f"the file has more than {LARGEST_BYTES >> 20} MiB", 1, 1)
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    top = Element("", {}, 1, 1)
    open_: list[Element] = [top]

    def bad(text: str) -> BadXmlError:
        return BadXmlError(text, parser.CurrentLineNumber, parser.CurrentColumnNumber + 1)

    def begin(name: str, attributes: dict[str, str]) -> None:
        if len(open_) > _DEEPEST:
            raise bad(f"elements lie more than {_DEEPEST} deep in each other")
        place = parser.CurrentLineNumber, parser.CurrentColumnNumber + 1
        made = Element(name.rpartition(" ")[2], attributes, *place)
        open_[-1].children.append(made)
        open_.append(made)

    def end(_name: str) -> None:
        open_.pop()

    def text(data: str) -> None:
        if not open_[-1].children:  # what lies between children is layout
            open_[-1].text += data

    def doctype(*_about: object) -> None:
        raise bad("a document type is not taken: a NodeSet needs none")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, doctype
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as exc:
        raise BadXmlError(f"not XML: {expat.ErrorString(exc.code)}", exc.lineno, exc.offset + 1) from exc
    except LookupError as exc:
        raise BadXmlError(f"not XML: {exc}", 1, 1) from exc
    return top.children[0]
