"""Export: projects that came in, in the form of today, and what is Structured Text, as one project.

What came in graphically stays as it was drawn. Older forms (1.0, 1.01, 2.0) become 2.01.

Source: PLCopen TC6 XML 2.01.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from softplc.diagnostics import CompileError, Diagnostic
from softplc.parser import parse
from softplc.plcopen.notes import Notes
from softplc.plcopen.pieces import Pieces
from softplc.plcopen.reading import read
from softplc.plcopen.serialise import SPACE, XHTML, document, made
from softplc.plcopen.text import Text
from softplc.plcopen.writer import Writer
from softplc.plcopen.xml import Element, is_xml
from softplc.profiles import IEC, Profile
from softplc.source import SourceSet

BODIES = ("ST", "IL")
EPOCH = "1970-01-01T00:00:00"  # so that the same program gives the same file


def export(sources: Mapping[str, str], profile: Profile = IEC, name: str = "project") -> str:
    """Return one project of files (name to text) in Structured Text and PLCopen XML.

    Raises:
        CompileError: a file has a wrong syntax, or something that the format cannot say.
    """
    texts = SourceSet()
    findings: list[Diagnostic] = []
    project = Parts(name)
    for file, text in sources.items():
        if is_xml(file):
            findings += _take_project(file, text, texts, project)
        else:
            source = texts.add(file, text)
            unit, wrong = parse(source, profile)
            findings += wrong
            if not wrong:
                writer = Writer(Pieces(source, profile))
                project.types += writer.types(unit)
                project.units += writer.units(unit)
                project.globals += writer.globals(unit)
                project.configurations += writer.configurations(unit)
                findings += writer.findings
    if findings:
        raise CompileError([each.located(texts) for each in findings])
    return document(project.root())


class Parts:
    """What the project will hold."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.first: Element | None = None
        self.types: list[Element] = []
        self.units: list[Element] = []
        self.globals: list[Element] = []
        self.configurations: list[Element] = []
        self.data: list[Element] = []

    def root(self) -> Element:
        """Return the whole project."""
        if self.globals:
            self._keep_globals()
        headers = [self.first.child(each) for each in ("fileHeader", "contentHeader")] if self.first else []
        return made(
            "project",
            None,
            (headers[0] if headers else None) or _file_header(),
            (headers[1] if headers else None) or _content_header(self.name),
            made("types", None, made("dataTypes", None, *self.types), made("pous", None, *self.units)),
            made("instances", None, made("configurations", None, *self.configurations)),
            *self.data[:1],
        )

    def _keep_globals(self) -> None:
        """Put global variables where the format has them: in a configuration."""
        if not self.configurations:
            self.configurations.append(made("configuration", {"name": "Globals"}))
        children = self.configurations[0].children
        place = sum(each.name == "resource" for each in children)
        children[place:place] = self.globals


def _file_header() -> Element:
    attributes = {"companyName": "", "productName": "Ironworks", "productVersion": "1"}
    return made("fileHeader", attributes | {"creationDateTime": EPOCH})


def _content_header(name: str) -> Element:
    scales = [made(each, None, made("scaling", {"x": "1", "y": "1"})) for each in ("fbd", "ld", "sfc")]
    return made("contentHeader", {"name": name}, made("coordinateInfo", None, *scales))


def _take_project(file: str, text: str, texts: SourceSet, project: Parts) -> Iterator[Diagnostic]:
    """Take in the parts of a project."""
    notes = Notes()
    root = read(text, notes)
    if root is None:
        written, note = Text(), notes.found[0]
        written.add(note.origin.code("\n"))
        source = texts.take(written.source(file, text))
        yield Diagnostic(note.code, note.message, source.base, source.base + 1, note.remedy)
        return
    _renew(root)
    if project.first is None:
        project.first = root
    project.types += root.all("types", "dataTypes", "dataType")
    project.units += root.all("types", "pous", "pou")
    project.configurations += root.all("instances", "configurations", "configuration")
    project.data += root.all("addData")


def _renew(root: Element) -> None:
    """Bring a project of an older form to that of today."""
    for element in root.walk():
        if "plcopen.org/xml/tc6" in element.space or not element.space:
            element.space = SPACE
        match element.name:
            case "ST" | "IL" | "documentation" | "content" if element.space == SPACE and not element.children:
                paragraph = Element("p", XHTML, {}, element.line, element.column, [], element.pieces)
                element.children, element.pieces = [paragraph], []
            case "fileHeader":
                given = dict(element.attributes)
                element.attributes = {**_file_header().attributes, **given}
                element.attributes["creationDateTime"] = given.get("creationDateTime", EPOCH).replace(
                    " ", "T"
                )
            case "condition" if element.child("connection") is not None:
                element.children = [made("connectionPointIn", None, *element.children)]
            case "pouInstance" if "typeName" not in element.attributes:
                element.attributes["typeName"] = element.attributes.pop("type", element.get("name"))
            case "action" if element.child("relPosition") is not None and "localId" not in element.attributes:
                element.attributes["localId"] = "0"
