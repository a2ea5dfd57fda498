"""Files: the units in them, and namespaces around units.

Source: IEC 61131-3:2013, 6.9, tables 64 to 66.
"""

from __future__ import annotations

from softplc.parser.configuration import Configurations
from softplc.parser.cursor import SyntaxFault
from softplc.parser.statements import POU_STARTS
from softplc.spaces import Space
from softplc.syntax import Unit

MISSPELT = {"FUNCTIONBLOCK": "FUNCTION_BLOCK", "FUNCTION_BLOC": "FUNCTION_BLOCK", "PROGRAMM": "PROGRAM"}
INSIDE = {
    "VAR": "variables stand in a unit; those for all of them in VAR_GLOBAL",
    "VAR_CONFIG": "VAR_CONFIG stands in a CONFIGURATION",
    "STRUCT": "types stand in TYPE ... END_TYPE",
    "ARRAY": "types stand in TYPE ... END_TYPE",
    "METHOD": "methods stand in a CLASS or FUNCTION_BLOCK",
}
UNITS = "TYPE, FUNCTION, FUNCTION_BLOCK, PROGRAM, CLASS, INTERFACE, VAR_GLOBAL, NAMESPACE or CONFIGURATION"


class Units(Configurations):
    """The whole parser."""

    def unit(self) -> Unit:
        """Read a file."""
        at = self.token.at
        unit = Unit(at, self.tokens[-1].end)
        self.space = Space(at=at)
        self.spaces = unit.spaces
        self.spaces.append(self.space)
        self._headless = []
        while self.token.kind != "end":
            start, space = self.position, self.space
            try:
                self._top(unit)
            except SyntaxFault:
                self.depth, self.space = 0, space
                self._open = ()
                if self.position == start:
                    self.advance()
                self.skip_to(*POU_STARTS, semicolon=False)
                self.skip_names(start)
        if self.space.outer is not None:
            shown = f"END_NAMESPACE is missing for namespace {self.space.name}"
            self.note("ST1015", shown, self.space.at, self.space.at + len("NAMESPACE"), "add END_NAMESPACE")
        unit.skipped = self.skipped
        return unit

    def _top(self, unit: Unit) -> None:
        token = self.token
        if token.kind == "kw":
            if token.key == "TYPE":
                self._types(unit)
                return
            if token.key in ("FUNCTION", "FUNCTION_BLOCK", "PROGRAM", "CLASS", "INTERFACE"):
                unit.pous.append(self._pou())
                return
            if token.key == "VAR_GLOBAL":
                unit.globals.append(self._var_block())
                return
            if token.key == "CONFIGURATION":
                unit.configurations.append(self._configuration())
                return
            if token.key == "VAR_CONFIG" and self.profile.objects:
                unit.configurations.append(self._settings())
                return
            if token.key == "NAMESPACE":
                self._namespace(unit)
                return
            if token.key == "END_NAMESPACE":
                self._end_namespace()
                return
            if token.key == "USING":
                self.space.usings += self.usings()
                return
        if self.take_op(";"):
            return
        if self._at_action() and unit.pous:
            unit.pous[-1].methods.append(self.action_in(unit.pous[-1].space))
            return
        meant = MISSPELT.get(token.key)
        if meant is not None and self.peek().kind == "id":
            if not self.profile.loose:
                self.fail(meant, f"did you mean {meant}?")
            self.replace(meant)
            return
        raise self.fail(
            UNITS, INSIDE.get(token.key, "statements stand in a unit" if token.kind == "id" else "")
        )

    def _namespace(self, unit: Unit) -> None:
        """Open a namespace; NAMESPACE A.B is B in A."""
        start = self.advance()
        internal = self.token.key == "INTERNAL" and self.peek().kind == "id"
        if internal:
            self.advance()
        outer = inner = self.space
        if self.token.kind == "id":
            for part in self.qualified_name().text.split("."):
                inner = Space(inner.full(part), inner, [], start.at)
                self.spaces.append(inner)
        else:  # told once: END_NAMESPACE still closes something
            self.fail("the name of the namespace")
            inner = Space(outer.name, outer, [], start.at)
        inner.closes = outer
        if internal:
            unit.internal.add(inner.name.casefold())
        self.take_op(";")
        self.space = inner

    def _end_namespace(self) -> None:
        if self.space.closes is None:
            raise self.fail("a declaration", "no namespace is open here: remove END_NAMESPACE")
        self.advance()
        self.space = self.space.closes
        self.take_op(";")
