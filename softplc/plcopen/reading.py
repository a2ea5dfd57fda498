"""Projects are read: XML whose root is one."""

from __future__ import annotations

from softplc.plcopen.edition10 import UNITS, as_tc6, is_edition10
from softplc.plcopen.notes import BROKEN, Notes
from softplc.plcopen.text import Origin
from softplc.plcopen.xml import BrokenXmlError, Element, parse


def read(text: str, notes: Notes) -> Element | None:
    """Return the root of a project, or note that there is none."""
    try:
        root = parse(text)
    except BrokenXmlError as exc:
        place = Element("", "", {}, exc.line, exc.column)
        notes.error(BROKEN, exc.text, Origin(place), exc.remedy)
        return None
    if is_edition10(root) and root.name in ("Project", *UNITS):
        return as_tc6(root, notes)
    if root.name != "project" or (root.child("types") is None and "plcopen" not in root.space):
        message = f"<{root.name}> is no PLCopen project"
        notes.error(BROKEN, message, Origin(root), "export the program as PLCopen XML (TC6, or IEC 61131-10)")
        return None
    return root
