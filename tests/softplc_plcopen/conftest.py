"""Drawings for tests: bodies and projects in PLCopen XML, written by hand."""

from xml.sax.saxutils import escape, quoteattr

import pytest

ELEMENTARY = ("BOOL", "INT", "DINT", "LINT", "UINT", "REAL", "TIME", "WORD")
SPACE = "http://www.plcopen.org/xml/tc6_0201"


def attributes(**given):
    return "".join(
        f" {key}={quoteattr(str(value))}" for key, value in given.items() if value not in (None, False)
    )


def type_of(name):
    return f"<{name}/>" if name in ELEMENTARY else f"<derived name={quoteattr(name)}/>"


def variables(section, declared, **given):
    inner = "".join(
        f'<variable name="{name}"><type>{type_of(kind)}</type></variable>' for name, kind in declared.items()
    )
    return f"<{section}{attributes(**given)}>{inner}</{section}>"


class Body:
    """A body that is drawn from the left to the right and from the top to the bottom."""

    def __init__(self, kind="FBD"):
        self.kind = kind
        self.parts = []
        self.count = 0
        self.x = self.y = 0

    def network(self):
        """Go on in a new network below."""
        self.x, self.y = 0, self.y + 200

    def later(self):
        """Return the id of an element that is drawn later."""
        self.count += 1
        return self.count

    def _add(self, tag, inner="", number=None, **given):
        number = number or self.later()
        self.x += 50
        modifiers = {key: "true" if value is True else value for key, value in given.items()}
        place = f'<position x="{self.x}" y="{self.y}"/>'
        head = attributes(localId=number, **modifiers)
        self.parts.append(f"<{tag}{head}>{place}{inner}</{tag}>")
        return number

    @staticmethod
    def _in(sources):
        links = ""
        for each in sources:
            number, pin = each if isinstance(each, tuple) else (each, None)
            links += f"<connection{attributes(refLocalId=number, formalParameter=pin)}/>"
        return f"<connectionPointIn>{links}</connectionPointIn>"

    def value(self, text, **given):
        return self._add(
            "inVariable", f"<connectionPointOut/><expression>{escape(text)}</expression>", **given
        )

    def put(self, text, *sources, **given):
        inner = f"{self._in(sources)}<expression>{escape(text)}</expression>"
        return self._add("outVariable", inner, **given)

    def both(self, text, *sources, **given):
        inner = f"{self._in(sources)}<connectionPointOut/><expression>{escape(text)}</expression>"
        return self._add("inOutVariable", inner, **given)

    def rail(self):
        return self._add("leftPowerRail", '<connectionPointOut formalParameter=""/>')

    def contact(self, text, *sources, **given):
        inner = f"{self._in(sources)}<connectionPointOut/><variable>{escape(text)}</variable>"
        return self._add("contact", inner, **given)

    def coil(self, text, *sources, **given):
        inner = f"{self._in(sources)}<connectionPointOut/><variable>{escape(text)}</variable>"
        return self._add("coil", inner, **given)

    def block(self, kind, inputs, outputs=("OUT",), name=None, in_outs=None, pins=None, **given):
        """Add a block; `pins` are modifiers of single pins."""
        pins = pins or {}
        lists = ""
        for tag, held in (("inputVariables", inputs), ("inOutVariables", in_outs or {})):
            inner = "".join(
                f"<variable{attributes(formalParameter=pin, **pins.get(pin, {}))}>"
                f"{self._in(sources if isinstance(sources, list) else [sources])}</variable>"
                for pin, sources in held.items()
            )
            lists += f"<{tag}>{inner}</{tag}>"
        shown = "".join(
            f"<variable{attributes(formalParameter=pin, **pins.get(pin, {}))}>"
            "<connectionPointOut/></variable>"
            for pin in outputs
        )
        lists += f"<outputVariables>{shown}</outputVariables>"
        return self._add("block", lists, typeName=kind, instanceName=name, **given)

    def label(self, name):
        return self._add("label", label=name)

    def jump(self, name, *sources, **given):
        return self._add("jump", self._in(sources), label=name, **given)

    def leave(self, *sources, **given):
        return self._add("return", self._in(sources), **given)

    def connector(self, name, source):
        return self._add("connector", self._in([source]), name=name)

    def continuation(self, name):
        return self._add("continuation", "<connectionPointOut/>", name=name)

    def chart(self, tag, *sources, inner="", **given):
        """Add a part of a chart."""
        return self._add(tag, self._in(sources) + inner, **given)

    def raw(self, text):
        self.parts.append(text)

    def __str__(self):
        return f"<{self.kind}>{''.join(self.parts)}</{self.kind}>"


def text(content):
    return f'<ST><p xmlns="http://www.w3.org/1999/xhtml"><![CDATA[{content}]]></p></ST>'


def pou(name, body, interface="", kind="program", more=""):
    return (
        f'<pou name="{name}" pouType="{kind}"><interface>{interface}</interface>{more}'
        f"<body>{body}</body></pou>"
    )


def project(*pous, types="", configurations="", space=SPACE):
    return (
        f'<?xml version="1.0" encoding="utf-8"?>\n<project xmlns="{space}">'
        '<fileHeader companyName="" productName="" productVersion="1"'
        ' creationDateTime="2026-01-01T00:00:00"/>'
        '<contentHeader name="test"><coordinateInfo><fbd><scaling x="1" y="1"/></fbd>'
        '<ld><scaling x="1" y="1"/></ld><sfc><scaling x="1" y="1"/></sfc></coordinateInfo></contentHeader>'
        f"<types><dataTypes>{types}</dataTypes><pous>{''.join(pous)}</pous></types>"
        f"<instances><configurations>{configurations}</configurations></instances></project>\n"
    )


class Draw:
    """Everything above, for tests."""

    Body = Body
    variables = staticmethod(variables)
    text = staticmethod(text)
    pou = staticmethod(pou)
    project = staticmethod(project)


@pytest.fixture(scope="session")
def draw():
    return Draw
