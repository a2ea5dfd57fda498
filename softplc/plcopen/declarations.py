"""Declarations: types, initial values and lists of variables, from XML to Structured Text.

Source: PLCopen TC6 XML 2.01, dataType, value, varList; IEC 61131-3:2013, 6.4 and 6.5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from softplc.iectypes import ELEMENTARY
from softplc.plcopen.notes import NAME, UNKNOWN, Notes
from softplc.plcopen.text import Code, Origin, joined
from softplc.plcopen.values import is_expression
from softplc.plcopen.xml import Element
from softplc.profiles import Profile

SECTIONS = {
    "localVars": "VAR",
    "tempVars": "VAR_TEMP",
    "inputVars": "VAR_INPUT",
    "outputVars": "VAR_OUTPUT",
    "inOutVars": "VAR_IN_OUT",
    "externalVars": "VAR_EXTERNAL",
    "globalVars": "VAR_GLOBAL",
}
QUALIFIERS = (
    ("constant", "CONSTANT"),
    ("retain", "RETAIN"),
    ("nonretain", "NON_RETAIN"),
    ("persistent", "PERSISTENT"),
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_QUOTED = re.compile(r"""\s*(?:W?STRING\#)?(['"])(?:\$.|(?!\1)[^$\n])*\1\s*""", re.IGNORECASE)
_ADDRESS = re.compile(r"%[A-Za-z]+[0-9*][0-9.]*|%[A-Za-z]+\*")


class Declarations:
    """Writes declarations, in the words of a profile; `constants` are casefolded names that values may be.

    `begins` tells whether instances of a type are begun by FB_Init.
    """

    def __init__(
        self,
        notes: Notes,
        profile: Profile,
        constants: frozenset[str] = frozenset(),
        begins: Callable[[str], bool] = lambda name: False,
    ) -> None:
        self.notes = notes
        self.profile = profile
        self.constants = constants
        self.begins = begins

    # Names -------------------------------------------------------------------------------------------

    def name(self, origin: Origin, attribute: str = "name") -> Code | None:
        """Return the name that an attribute gives, or tell that it is none."""
        text = origin.element.get(attribute).strip()
        if _NAME.fullmatch(text):
            return origin.code(text)
        what = origin.element.name
        message = f"{text!r} is no name" if text else f"the {what} has no {attribute}"
        self.notes.error(NAME, message, origin, "letters, digits and underscores, not first a digit")
        return None

    def plain(self, origin: Origin, text: str, instead: str = "0") -> Code:
        """Return a value or type that stands in an attribute; what would end its declaration is told."""
        if text and is_expression(text):
            return origin.code(text)
        self.notes.error(NAME, f"{text!r} is no value", origin, "write one value as in Structured Text")
        return origin.code(instead) if instead else Code()

    # Types -------------------------------------------------------------------------------------------

    def type(self, holder: Element | None, origin: Origin) -> Code:
        """Return the type in `<type>`, `<baseType>` or `<returnType>`."""
        inner = next((each for each in holder.children if each.name != "addData"), None) if holder else None
        if inner is None:
            self.notes.error(UNKNOWN, "a type is missing", origin, "give the variable a type")
            return origin.code("BOOL")
        return self._type(Origin(inner, origin.where))

    def _type(self, origin: Origin) -> Code:
        element = origin.element
        match element.name:
            case "string" | "wstring" | "STRING" | "WSTRING":
                length = element.get("length").strip()
                size = origin.code("[") + self.plain(origin, length) + origin.code("]") if length else Code()
                return origin.code(element.name.upper()) + size
            case "derived":
                return self._derived(origin, element.get("name").strip())
            case "array":
                return self._array(origin)
            case "enum":
                return self._enum(origin)
            case "struct":
                fields = joined(
                    origin.code(" "),
                    [self.variable(Origin(e, origin.where)) for e in element.all("variable")],
                )
                return origin.code("STRUCT ") + fields + origin.code(" END_STRUCT")
            case "subrangeSigned" | "subrangeUnsigned":
                base = self.type(element.child("baseType"), origin)
                return (
                    base + origin.code(" (") + self._range(element.child("range"), origin) + origin.code(")")
                )
            case "pointer":
                word = "POINTER TO " if self.profile.pointers else "REF_TO "
                return origin.code(word) + self.type(element.child("baseType"), origin)
        if element.name in ELEMENTARY or element.name.startswith("ANY"):
            return origin.code(element.name)
        remedy = "use an elementary type, derived, array, enum, struct or a subrange"
        self.notes.error(UNKNOWN, f"there is no type <{element.name}>", origin, remedy)
        return origin.code("BOOL")

    def _derived(self, origin: Origin, text: str) -> Code:
        words = text.upper().split()
        known = words[:1] in (["POINTER"], ["REFERENCE"], ["REF_TO"], ["ARRAY"])
        if len(words) > 1 and not known and words[0].isalpha():
            remedy = "use a name, or a pointer"
            self.notes.error(UNKNOWN, f"the type {text} cannot be translated", origin, remedy)
            return origin.code("BOOL")
        return self.plain(origin, text, "BOOL")

    def _array(self, origin: Origin) -> Code:
        element = origin.element
        ranges = [self._range(each, origin) for each in element.all("dimension")]
        size = joined(origin.code(", "), ranges)
        base = self.type(element.child("baseType"), origin)
        return origin.code("ARRAY [") + size + origin.code("] OF ") + base

    def _range(self, limits: Element | None, origin: Origin) -> Code:
        if limits is None:
            self.notes.error(UNKNOWN, "a range is missing", origin, "give lower and upper")
            return origin.code("0..0")
        inner = Origin(limits, origin.where)
        low, high = limits.get("lower").strip(), limits.get("upper").strip()
        if low == high == "*":
            return inner.code("*")
        return self.plain(inner, low) + inner.code("..") + self.plain(inner, high)

    def _enum(self, origin: Origin) -> Code:
        element = origin.element
        values: list[Code] = []
        for each in element.all("values", "value"):
            inner = Origin(each, origin.where)
            name = self.name(inner)
            if name is not None:
                given = each.get("value").strip()
                values.append(name + (inner.code(" := ") + self.plain(inner, given) if given else Code()))
        base = element.child("baseType")
        kind = self.type(base, origin) + origin.code(" ") if base is not None else Code()
        return kind + origin.code("(") + joined(origin.code(", "), values) + origin.code(")")

    def data_type(self, element: Element) -> Code:
        """Return a `<dataType>` as a TYPE declaration."""
        origin = Origin(element, f"type {element.get('name')}")
        name = self.name(origin)
        if name is None:
            return Code()
        spec = self.type(element.child("baseType"), origin)
        init = self.initial(element, origin, str(spec))
        return origin.code("TYPE ") + name + origin.code(" : ") + spec + init + origin.code(";\nEND_TYPE\n\n")

    # Values ------------------------------------------------------------------------------------------

    def initial(self, holder: Element, origin: Origin, type_name: str) -> Code:
        value = holder.child("initialValue")
        if value is None:
            return Code()
        written = self._value(value, origin, type_name)
        sign = " REF= " if type_name.upper().startswith("REFERENCE TO ") else " := "
        return origin.code(sign) + written if written else Code()

    def _value(self, holder: Element, origin: Origin, type_name: str) -> Code:
        for each in holder.children:
            inner = Origin(each, origin.where)
            if each.name == "simpleValue":
                text = each.get("value").strip()
                if not text and type_name[:6] not in ("STRING", "WSTRIN"):
                    return Code()
                return self.plain(inner, self._literal(each.get("value"), type_name), "")
            if each.name == "arrayValue":
                element_type = type_name.partition("] OF ")[2]
                items = [self._item(item, inner, element_type) for item in each.all("value")]
                return inner.code("[") + joined(inner.code(", "), items) + inner.code("]")
            if each.name == "structValue":
                members: list[Code] = []
                for item in each.all("value"):
                    own = Origin(item, origin.where)
                    name = self.name(own, "member")
                    if name is not None:
                        value = self._value(item, own, "")
                        members += [name + own.code(" := ") + value] if value else []
                if not members:
                    return Code()
                return inner.code("(") + joined(inner.code(", "), members) + inner.code(")")
        return Code()

    def _literal(self, text: str, type_name: str) -> str:
        """Return a value as a literal; editors such as Beremiz keep text without its quotes."""
        kind = type_name.upper()
        if self.profile.loose or not kind.startswith(("STRING", "WSTRING")) or _QUOTED.fullmatch(text):
            return text.strip()
        if text.strip().casefold() in self.constants:
            return text.strip()
        quote = '"' if kind.startswith("W") else "'"
        return quote + text.replace("$", "$$").replace(quote, f"${quote}") + quote

    def _item(self, item: Element, origin: Origin, type_name: str) -> Code:
        own = Origin(item, origin.where)
        value = self._value(item, own, type_name)
        times = item.get("repetitionValue").strip()
        if times in ("", "1") and value:
            return value
        return self.plain(own, times or "1") + own.code("(") + value + own.code(")")

    # Variables ---------------------------------------------------------------------------------------

    def variable(self, origin: Origin) -> Code:
        """Return one declaration with its semicolon."""
        element = origin.element
        name = self.name(origin)
        if name is None:
            return Code()
        address = element.get("address").strip()
        place = Code()
        if address and _ADDRESS.fullmatch(address):
            place = origin.code(f" AT {address}")
        elif address:
            remedy = "addresses look like %IX0.0, %QW4 or %MD8"
            self.notes.error(NAME, f"{address!r} is no address", origin, remedy)
        spec = self.type(element.child("type"), origin)
        init = self.initial(element, origin, str(spec))
        if self.begins(str(spec)):
            init = self._assigned(origin, begins=True) + init
        init = init or self._assigned(origin)
        return name + place + origin.code(" : ") + spec + init + origin.code(";") + _remark(origin)

    def _assigned(self, origin: Origin, *, begins: bool = False) -> Code:
        """Return what CODESYS keeps beside the type of an instance: arguments of FB_Init, or first inputs."""
        given: list[Code] = []
        for each in origin.element.walk():
            name, value = each.child("Name"), each.child("Value")
            if each.name == "InputAssignment" and value is not None and (name is not None or begins):
                own = Origin(value, origin.where)
                target = self.plain(own, name.text.strip()) + own.code(" := ") if name is not None else Code()
                given.append(target + self.plain(own, value.text.strip()))
        if not given:
            return Code()
        return origin.code("(" if begins else " := (") + joined(origin.code(", "), given) + origin.code(")")

    def blocks(self, holder: Element, where: str) -> Code:
        """Return every list of variables in an interface, a configuration or a resource."""
        parts: list[Code] = []
        for each in holder.children:
            if each.name in SECTIONS:
                parts += self.block(each, where, inside=holder.name == "interface")
        return joined(Code(), parts)

    def block(self, element: Element, where: str, *, inside: bool = False) -> Iterator[Code]:
        """Yield a list of variables; one of CODESYS whose parts differ in what they keep as several."""
        mixed = [each for each in element.walk() if each.name == "MixedAttrsVarList"]
        for each in mixed[0].children if mixed else (element,):
            yield self._block(Origin(each, where), inside)

    def _block(self, origin: Origin, inside: bool) -> Code:
        element = origin.element
        declared = [self.variable(Origin(e, origin.where)) for e in element.all("variable")]
        if not declared:
            return Code()
        section = SECTIONS[element.name]
        if inside and section == "VAR_GLOBAL" and self.profile.objects:
            section = "VAR_STAT"  # of a unit: so CODESYS and TwinCAT export it
        words = [section, *(word for key, word in QUALIFIERS if element.flag(key))]
        body = joined(Code(), [origin.code("    ") + each + origin.code("\n") for each in declared])
        return origin.code(" ".join(words) + "\n") + body + origin.code("END_VAR\n")


def _remark(origin: Origin) -> Code:
    """Return the documentation of a variable as a comment."""
    text = documentation(origin.element)
    return origin.code(f"  (* {text} *)") if text else Code()


def documentation(element: Element) -> str:
    """Return what is written about an element, fit for a comment."""
    holder = element.child("documentation")
    if holder is None:
        return ""
    words = "".join(each.text for each in holder.whole())
    for mark in ("(*", "*)", "{", "}"):
        words = words.replace(mark, " ")
    return " ".join(words.split())


def declared_names(holders: Iterable[Element]) -> set[str]:
    """Return the names of variables in lists of variables, casefolded."""
    return {
        variable.get("name").casefold()
        for holder in holders
        for block in holder.children
        if block.name in SECTIONS
        for variable in block.all("variable")
    }
