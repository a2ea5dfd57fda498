"""Program organisation units: functions, function blocks, programs, classes, interfaces, methods.

Source: IEC 61131-3:2013, 6.6.
"""

from __future__ import annotations

from softplc.iectypes import ELEMENTARY
from softplc.lexer import Token
from softplc.parser.declarations import ACCESS, CALLED_WITH, VAR_KEYWORDS
from softplc.parser.hints import is_instruction
from softplc.parser.paths import Paths
from softplc.parser.statements import POU_ENDS, POU_STARTS
from softplc.spaces import Space, Using
from softplc.syntax import AccessDecl, PouDecl, Statement, TypeSpec, VarBlock, VarDecl

MODIFIERS = ("ABSTRACT", "FINAL", "OVERRIDE")
OBJECTS = ("FUNCTION_BLOCK", "CLASS")
Names = list[tuple[str, int]]


class Pous(Paths):
    """The part of the parser that reads program organisation units."""

    spaces: list[Space]

    def usings(self) -> list[Using]:
        """Read USING directives."""
        found: list[Using] = []
        while self.take_keyword("USING"):
            while True:
                name = self.qualified_name("the name of a namespace")
                found.append(Using(name.text, name.at, name.end))
                if not self.take_op(","):
                    break
            self.semicolon()
        return found

    def _own_usings(self, at: int) -> None:
        """Read USING of a unit, which is for this unit alone."""
        if self.at_keyword("USING"):
            self.space = Space(self.space.name, self.space, self.usings(), at)
            self.spaces.append(self.space)

    def _pou(self) -> PouDecl:
        start = self.advance()
        modifiers: set[str] = set()
        public = self.profile.objects or start.key in ("CLASS", "FUNCTION_BLOCK", "INTERFACE")
        access = "PUBLIC" if public else "PROTECTED"
        while self.token.key in (*ACCESS, *MODIFIERS) and self.peek().kind == "id":
            key = self.advance().key
            access = key if key in ACCESS else access
            modifiers |= {key} - set(ACCESS)
        name = self.expect_name(f"the name of the {start.key.lower().replace('_', ' ')}")
        outer = self.space
        self._own_usings(start.at)
        extends = self._names_after("EXTENDS")
        implements = self._names_after("IMPLEMENTS")
        self._only_objects(start.key, extends, implements)
        result: TypeSpec | None = None
        if start.key in ("FUNCTION", "METHOD") and self._at_result(name):
            result = self.spec()
        self.take_op(";")
        self._own_usings(start.at)
        blocks: list[VarBlock] = []
        methods: list[PouDecl] = []
        paths: list[AccessDecl] = []
        body: list[Statement] = []
        while True:
            if self.at_keyword(*VAR_KEYWORDS):
                blocks.append(self._var_block())
            elif self.at_keyword("VAR_ACCESS") and start.key == "PROGRAM":
                self._entries(lambda: paths.append(self._access()))
            elif self._at_action():
                methods.append(self.action_in(space=self.space))
            elif (self.at_keyword("METHOD") and start.key != "METHOD") or self._at_property():
                self._method(start.key, methods)
            elif self.token.key in ("VAR_STAT", "VAR_INST") and self.peek().kind in ("id", "kw"):
                raise self.fail("VAR or the body", f"{self.token.key} belongs to the profile codesys")
            else:
                break
        self._open = ()
        self._headless = []
        chart = self.chart() if self.at_chart() else None
        self._skip_instructions()
        if start.key not in ("CLASS", "INTERFACE"):
            body = self.body()
        while start.key != "METHOD" and (self.at_keyword("METHOD") or self._at_property()):
            self._method(start.key, methods)
        end = f"END_{start.key}"
        if not self.take_keyword(end):
            if self.token.kind == "kw" and self.token.key.startswith("VAR"):
                raise self.fail(end, "declarations stand before the first statement")
            self.fail(end)
            if self.at_keyword(*POU_ENDS) and not self.at_keyword("METHOD") and start.key != "METHOD":
                self.advance()
        self.take_op(";")
        space, self.space = self.space, outer
        return PouDecl(
            start.at,
            self.previous_end,
            start.key,
            name.text,
            name.at,
            result,
            blocks,
            body,
            methods,
            extends,
            implements,
            frozenset(modifiers),
            access,
            chart,
            space,
            paths,
        )

    def _only_objects(self, key: str, extends: Names, implements: Names) -> None:
        """Tell of EXTENDS and IMPLEMENTS where they have no meaning."""
        kind = key.lower().replace("_", " ")
        if extends and key not in (*OBJECTS, "INTERFACE"):
            text, at = extends[0]
            self.note("ST1010", f"a {kind} extends nothing", at, at + len(text), "make it a FUNCTION_BLOCK")
        elif implements and key not in OBJECTS:
            text, at = implements[0]
            remedy = "write EXTENDS" if key == "INTERFACE" else "make it a FUNCTION_BLOCK"
            article = "an" if key == "INTERFACE" else "a"
            self.note("ST1010", f"{article} {kind} implements nothing", at, at + len(text), remedy)

    def _skip_instructions(self) -> None:
        """Tell that a body is in Instruction List, and skip it."""
        if not is_instruction(self.token, self.peek()):
            return
        remedy = "write it in ST, FBD or LD: the standard itself gives IL up"
        self.note("ST1021", "Instruction List (IL) is not translated", self.token.at, self.token.end, remedy)
        while self.token.kind != "end" and not self.at_keyword(*POU_ENDS, *POU_STARTS):
            self.advance()

    def _at_result(self, name: Token) -> bool:
        """Take the colon before the type of the result; if it is forgotten, tell that and go on."""
        if self.take_op(":"):
            return True
        if self.token.kind == "id" and self.peek().kind == "kw" and self.token.key in ELEMENTARY:
            self.fail("':'", f"write {name.text} : {self.token.text}")
            return True
        return False

    def _at_property(self) -> bool:
        return self.token.kind == "id" and self.token.key == "PROPERTY" and self.peek().kind == "id"

    def _names_after(self, key: str) -> list[tuple[str, int]]:
        names: list[tuple[str, int]] = []
        if self.token.kind == "id" and self.token.key == key:
            self.advance()
            while True:
                name = self.qualified_name()
                names.append((name.text, name.at))
                if not self.take_op(","):
                    break
        return names

    def _method(self, key: str, methods: list[PouDecl]) -> None:
        """Read a method or property of a unit."""
        if key == "FUNCTION":
            self.fail_at(self.token, "a function has no methods", "make it a FUNCTION_BLOCK or a CLASS")
        if self.at_keyword("METHOD"):
            methods.append(self._pou())
        else:
            self._property(methods)

    def _property(self, methods: list[PouDecl]) -> None:
        """Read a property: its GET and SET are methods, with a result and an input of its name."""
        if not self.profile.objects:
            self._skip_property()
            return
        start = self.advance()
        access = "PUBLIC"
        modifiers: set[str] = set()
        while self.token.key in (*ACCESS, *MODIFIERS) and self.peek().kind == "id":
            key = self.advance().key
            access = key if key in ACCESS else access
            modifiers |= {key} - set(ACCESS)
        name = self.expect_name("the name of the property")
        self.expect_op(":")
        spec = self.spec()
        self.take_op(";")
        if self.token.key not in ("GET", "SET"):
            self.fail("GET or SET", "a property is read by GET ... END_GET, written by SET ... END_SET")
        while self.token.key in ("GET", "SET"):
            word = self.advance()
            blocks: list[VarBlock] = []
            while self.at_keyword(*VAR_KEYWORDS):
                if self.token.key in CALLED_WITH:
                    remedy = "a property has one value: declare VAR, or write a METHOD"
                    self.fail_at(self.token, f"{word.key} has no {self.token.key}", remedy)
                blocks.append(self._var_block())
            self._open = ()
            body = self.body()
            self.expect_keyword(f"END_{word.key}")
            self.take_op(";")
            value = VarDecl(name.at, name.end, name.text, spec, None)
            if word.key == "SET":
                blocks.insert(0, VarBlock(name.at, name.end, "VAR_INPUT", False, False, [value]))
            accessor = PouDecl(
                start.at,
                self.previous_end,
                "METHOD",
                f"{name.text}${word.key.lower()}",
                name.at,
                spec if word.key == "GET" else None,
                blocks,
                body,
                modifiers=frozenset(modifiers),
                access=access,
                space=self.space,
            )
            methods.append(accessor)
        self.expect_keyword("END_PROPERTY")
        self.take_op(";")

    def _skip_property(self) -> None:
        """Tell that properties belong to a profile, and skip one."""
        start, token = self.position, self.token
        remedy = "write methods; PROPERTY belongs to the profile codesys"
        self.note("ST1017", "PROPERTY is not part of the standard", token.at, token.end, remedy)
        while (
            self.token.kind != "end" and self.token.key != "END_PROPERTY" and not self.at_keyword(*POU_STARTS)
        ):
            self.advance()
        self.skip_names(start)
        if self.token.key == "END_PROPERTY":
            self.advance()

    def _at_action(self) -> bool:
        """Tell whether an action begins here that is no part of a chart."""
        return self.profile.objects and self.token.key == "ACTION" and self.peek().kind == "id"

    def action_in(self, space: Space) -> PouDecl:
        """Read an action of a unit, before or behind its body: another body with the unit's variables."""
        action = self._action()
        place = action.at, action.end
        return PouDecl(
            *place, "ACTION", action.name, action.at, None, [], action.body, access="PUBLIC", space=space
        )
