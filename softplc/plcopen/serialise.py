"""Elements become XML text, indented; what has text of its own stays on its line.

Source: Extensible Markup Language (XML) 1.0, fifth edition, 2.2 to 2.7.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, quoteattr

from softplc.plcopen.xml import Element, Piece

SPACE = "http://www.plcopen.org/xml/tc6_0201"
XHTML = "http://www.w3.org/1999/xhtml"
_FORBIDDEN = re.compile(r"[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINES = {"\n": "&#10;", "\t": "&#9;"}


def made(name: str, attributes: dict[str, str] | None = None, *children: Element | None) -> Element:
    """Return a new element of PLCopen XML; children that are None are left out."""
    inner = [each for each in children if each is not None]
    return Element(name, SPACE, {**(attributes or {})}, 0, 0, inner)


def said(name: str, text: str) -> Element:
    """Return an element that holds a text."""
    element = made(name)
    element.pieces.append(Piece(text, 0, 0))
    return element


def formatted(name: str, text: str) -> Element:
    """Return an element whose text is XHTML, as bodies and documentation are."""
    paragraph = Element("p", XHTML, {}, 0, 0)
    paragraph.pieces.append(Piece(text, 0, 0))
    return made(name, None, paragraph)


def document(root: Element) -> str:
    """Return an XML file."""
    lines = ['<?xml version="1.0" encoding="utf-8"?>']
    _write(root, 0, "", lines)
    return "\n".join(lines) + "\n"


def _write(element: Element, depth: int, space: str, lines: list[str]) -> None:
    prefix, own = ("xhtml:", space) if element.space == XHTML else ("", element.space)
    tag = prefix + element.name
    head = tag
    if not depth:
        head += f" xmlns={quoteattr(own)} xmlns:xhtml={quoteattr(XHTML)}"
    elif own != space:
        head += f" xmlns={quoteattr(own)}"
    for key, value in element.attributes.items():
        head += f" {key}={quoteattr(_allowed(value), _LINES)}"
    indent = "  " * depth
    text = element.text
    if element.children and not text.strip():
        lines.append(f"{indent}<{head}>")
        for each in element.children:
            _write(each, depth + 1, own, lines)
        lines.append(f"{indent}</{tag}>")
    elif element.children:
        inner: list[str] = []
        for each in element.children:
            _write(each, 0 if not depth else 1, own, inner)
        body = _text(text, element) + "".join(each.strip() for each in inner)
        lines.append(f"{indent}<{head}>{body}</{tag}>")
    elif text and (text.strip() or element.space == XHTML):
        lines.append(f"{indent}<{head}>{_text(text, element)}</{tag}>")
    else:
        lines.append(f"{indent}<{head}/>")


def _text(text: str, element: Element) -> str:
    text = _allowed(text)
    if element.space == XHTML and any(each in text for each in "<>&\n"):
        return "<![CDATA[" + text.replace("]]>", "]]]]><![CDATA[>") + "]]>"
    return escape(text, {"\r": "&#13;"})


def _allowed(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return _FORBIDDEN.sub("?", text)
