"""Declarations: types, initialisers and variables.

Source: IEC 61131-3:2013, 6.4 and 6.5.
"""

from __future__ import annotations

from itertools import islice

from softplc.iectypes import ELEMENTARY
from softplc.lexer import Token
from softplc.parser.charts import Charts
from softplc.parser.cursor import SyntaxFault
from softplc.parser.statements import POU_ENDS, POU_STARTS, STARTS
from softplc.spaces import Space
from softplc.syntax import (
    ArrayInit,
    ArraySpec,
    EnumSpec,
    Expr,
    Init,
    NamedSpec,
    PointerSpec,
    RefSpec,
    StructInit,
    StructSpec,
    TypeDecl,
    TypeSpec,
    Unit,
    VarBlock,
    VarDecl,
    referring,
)

VAR_KEYWORDS = (
    "VAR",
    "VAR_INPUT",
    "VAR_OUTPUT",
    "VAR_IN_OUT",
    "VAR_TEMP",
    "VAR_GLOBAL",
    "VAR_EXTERNAL",
    "VAR_STAT",  # profile codesys: one variable for all instances and calls
    "VAR_INST",  # profile codesys: a variable of a method that lies in the instance
)
ACCESS = ("PUBLIC", "PRIVATE", "PROTECTED", "INTERNAL")
AS_WIDE_AS_POINTERS = {"__XWORD": "LWORD", "__UXINT": "ULINT", "__XINT": "LINT"}
MISTAKEN = ("BY", "AT", "WITH", "OF", "ON")  # keywords that people take for names


CALLED_WITH = ("VAR_INPUT", "VAR_OUTPUT", "VAR_IN_OUT")


class Declarations(Charts):
    """The part of the parser that reads declarations; `space` is the namespace it is in."""

    space = Space()

    # Types -------------------------------------------------------------------------------------

    def _types(self, unit: Unit) -> None:
        strict = self.behind_strict()
        self.advance()
        internal = self.token.key == "INTERNAL" and self.peek().kind == "id"
        if internal:
            self.advance()
        while not self.at_keyword("END_TYPE"):
            if self.token.kind == "end" or self.at_keyword(*POU_STARTS):
                raise self.fail("END_TYPE")
            start = self.position
            strict = strict or self.behind_strict()
            try:
                name = self.expect_name("a type name")
                base = self._base()
                self.expect_op(":")
                spec = self.spec()
                if base is not None and isinstance(spec, StructSpec):
                    spec.base = base
                elif base is not None:
                    raise self.fail_at(name, "only a structure extends another", "remove EXTENDS")
                if isinstance(spec, EnumSpec):
                    spec.strict = strict
                strict = False
                init = self.initialiser() if self.take_op(":=") else None
                if self.at_op(";") or not isinstance(spec, StructSpec):  # many write none after END_STRUCT
                    self.semicolon()
                unit.types.append(TypeDecl(name.at, name.end, name.text, spec, init, self.space, internal))
            except SyntaxFault:
                self.skip_to("END_TYPE", "END_STRUCT", "END_UNION", *POU_STARTS)
                if self.take_keyword("END_STRUCT") or self.take_keyword("END_UNION"):
                    self.take_op(";")
                self.skip_names(start)
        self.advance()
        self.take_op(";")

    def _base(self) -> NamedSpec | None:
        """Read the structure that one extends."""
        if self.token.kind != "id" or self.token.key != "EXTENDS":
            return None
        if not self.profile.objects:
            raise self.fail("':'", "make it a member; EXTENDS of structures belongs to the profile codesys")
        self.advance()
        name = self.qualified_name("the name of a structure")
        return NamedSpec(name.at, name.end, name.text)

    def spec(self) -> TypeSpec:
        """Read a type as it stands after a colon."""
        self.enter()
        token = self.token
        result: TypeSpec
        if token.kind == "kw" and token.key == "ARRAY":
            result = self._array()
        elif token.kind == "kw" and token.key in ("STRUCT", "UNION"):
            result = self._struct()
        elif token.kind == "id" and token.key == "UNION" and self.peek().kind == "id":
            self.fail("a type name", "use STRUCT OVERLAP; UNION belongs to the profile codesys")
            self.treat_as_keywords("UNION", "END_UNION")
            result = self._struct()
        elif token.kind == "op" and token.text == "(":
            result = self._enum("")
        elif token.kind == "id" and token.key == "POINTER" and self.profile.pointers:
            self.advance()
            self.expect_keyword("TO")
            target = self.spec()
            result = PointerSpec(token.at, target.end, target)
        elif token.kind == "id" and token.key == "POINTER":
            raise self.fail("a type name", "use REF_TO; POINTER TO belongs to the profile codesys")
        elif token.kind == "id" and token.key == "REFERENCE" and self.peek().key == "TO":
            if not self.profile.pointers:
                self.fail("a type name", "use REF_TO; REFERENCE TO belongs to the profile codesys")
            self.advance()
            self.advance()
            target = self.spec()
            result = RefSpec(token.at, target.end, target, implicit=True)
        elif token.kind == "id" and token.key == "REF_TO":
            self.advance()
            target = self.spec()
            result = RefSpec(token.at, target.end, target)
        else:
            result = self._named()
        self.leave()
        return result

    def _named(self) -> TypeSpec:
        name = self.qualified_name("a type name")
        if self.profile.pointers and name.key in AS_WIDE_AS_POINTERS:
            name = name._replace(text=AS_WIDE_AS_POINTERS[name.key])
        text = name.key in ("STRING", "WSTRING")
        if self.at_op("[") and self.peek().text == "(" and not text:
            return self._with_arguments(name)
        if self.at_op("["):
            self.advance()
            length = self.expression()
            end = self.expect_op("]").end
            return NamedSpec(name.at, end, name.text, length)
        if self.at_op("("):
            if text:
                self.advance()
                length = self.expression()
                return NamedSpec(name.at, self.expect_op(")").end, name.text, length)
            if name.key in ELEMENTARY and self._at_enum():
                return self._enum(name.text)
            if name.key not in ELEMENTARY and not self._at_range():
                return self._with_arguments(name)
            self.advance()
            low = self.expression()
            self.expect_op("..")
            high = self.expression()
            return NamedSpec(name.at, self.expect_op(")").end, name.text, None, low, high)
        return NamedSpec(name.at, name.end, name.text)

    def _with_arguments(self, name: Token) -> NamedSpec:
        """Read what FB_Init takes: `F(n := 1)`, or `F[(n := 1), (n := 2)]` of the elements of an array."""
        apiece = self.take_op("[")
        given = [self.arguments()]
        while apiece and self.take_op(","):
            given.append(self.arguments())
        if apiece:
            self.expect_op("]")
        return NamedSpec(name.at, self.previous_end, name.text, given=given, apiece=apiece)

    def _at_enum(self) -> bool:
        return self.peek().kind == "id" and self.peek(2).text in (":=", ",", ")")

    def _at_range(self) -> bool:
        """Tell whether the bracket here holds the limits of a subrange."""
        depth = 0
        for token in islice(self.tokens, self.position, None):
            if token.kind == "op":
                depth += (token.text in ("(", "[")) - (token.text in (")", "]"))
            if not depth or token.text in ("..", ";"):
                return token.text == ".."
        return False

    def _enum(self, base: str) -> TypeSpec:
        at = self.expect_op("(").at
        values: list[tuple[str, Expr | None, int]] = []
        while True:
            name = self.expect_name("an enumeration value")
            value = self.expression() if self.take_op(":=") else None
            values.append((name.text, value, name.at))
            if not self.take_op(","):
                break
        end = self.expect_op(")").end
        if not base and self.token.kind == "id":
            base = self.advance().text
        return EnumSpec(at, end, values, base)

    def _array(self) -> TypeSpec:
        at = self.advance().at
        self.expect_op("[")
        ranges: list[tuple[Expr, Expr]] = []
        rank = 0
        while True:
            if self.take_op("*"):
                rank += 1
            else:
                low = self.expression()
                if not self.at_op(".."):
                    raise self.fail("'..'", "a dimension is its limits: 0..9")
                self.advance()
                ranges.append((low, self.expression()))
            if not self.take_op(","):
                break
        if rank and ranges:
            raise self.fail("* in every dimension")
        self.expect_op("]")
        self.expect_keyword("OF")
        element = self.spec()
        return ArraySpec(at, element.end, ranges, element, rank)

    def _struct(self) -> TypeSpec:
        start = self.advance()
        at, end_word = start.at, f"END_{start.key}"
        fields: list[VarDecl] = []
        overlap = self.token.key == "OVERLAP" and self.peek().kind == "id"
        if overlap:
            self.advance()
        overlap |= start.key == "UNION"
        while not self.at_keyword(end_word):
            fields.extend(self._declaration(end_word))
        end = self.advance().end
        return StructSpec(at, end, fields, overlap)

    # Initialisers ------------------------------------------------------------------------------

    def initialiser(self) -> Init:
        self.enter()
        result: Init
        if self.at_op("["):
            result = self._array_init()
        elif self.at_op("(") and self.peek().kind == "id" and self.peek(2).text == ":=":
            result = self._struct_init()
        else:
            result = self.expression()
        self.leave()
        return result

    def _array_init(self) -> ArrayInit:
        at = self.expect_op("[").at
        items: list[tuple[Expr | None, Init | None]] = []
        while not self.at_op("]"):
            items.append(self._array_item())
            if not self.take_op(","):
                break
        if self.at_op(":="):
            raise self.fail("']'", "an element with members has parentheses: [(a := 1), (a := 2)]")
        return ArrayInit(at, self.expect_op("]").end, items)

    def _bare_array_init(self, first: Init) -> ArrayInit:
        """Read on in a list that stands without brackets, as older tools write it."""
        items: list[tuple[Expr | None, Init | None]] = [(None, first)]
        while self.take_op(","):
            items.append(self._array_item())
        return ArrayInit(first.at, self.previous_end, items)

    def _array_item(self) -> tuple[Expr | None, Init | None]:
        token = self.token
        if token.kind == "int" and self.peek().text == "(":
            count = self._primary()
            self.advance()
            if self.take_op(")"):
                return count, None
            value = self.initialiser()
            if self.at_op(","):  # 2(1, 2): the list repeats as a whole
                items: list[tuple[Expr | None, Init | None]] = [(None, value)]
                while self.take_op(","):
                    items.append(self._array_item())
                value = ArrayInit(token.at, self.previous_end, items, spread=True)
            self.expect_op(")")
            return count, value
        return None, self.initialiser()

    def _struct_init(self) -> StructInit:
        at = self.expect_op("(").at
        items: list[tuple[str, Init, int]] = []
        while True:
            name = self.expect_name("a member name")
            self.expect_op(":=")
            items.append((name.text, self.initialiser(), name.at))
            if not self.take_op(","):
                break
        return StructInit(at, self.expect_op(")").end, items)

    # Variables ---------------------------------------------------------------------------------

    def _var_block(self) -> VarBlock:
        start = self.advance()
        constant = retain = lent = False
        specified = self.token.key in ACCESS and self.peek().kind in ("id", "kw") and self.peek().key != "AT"
        access = self.advance().key if specified else "PROTECTED"
        while self.token.kind == "kw" and self.token.key in (
            "CONSTANT",
            "RETAIN",
            "NON_RETAIN",
            "PERSISTENT",
        ):
            word = self.advance()
            key = word.key
            if key == "CONSTANT" and start.key in CALLED_WITH:
                lent = self.profile.objects and start.key != "VAR_OUTPUT"
                if not lent:
                    codesys = "" if start.key == "VAR_OUTPUT" else "; it belongs to the profile codesys"
                    self.fail_at(word, f"{start.key} is not CONSTANT", f"remove CONSTANT{codesys}")
                continue
            constant |= key == "CONSTANT"
            retain |= key in ("RETAIN", "PERSISTENT")
        declarations: list[VarDecl] = []
        while not self.at_keyword("END_VAR"):
            if self._leaves_declarations():
                self.fail("END_VAR", f"the declarations after {start.text} end with END_VAR")
                break
            declarations.extend(self._declaration("END_VAR"))
        if self.take_keyword("END_VAR"):
            self.take_op(";")
        end = self.previous_end
        return VarBlock(start.at, end, start.key, constant, retain, declarations, access, self.space, lent)

    def _leaves_declarations(self) -> bool:
        """Tell whether what comes is surely no declaration: END_VAR was forgotten."""
        if self.peek().text in (":", ","):
            return False
        return self.token.kind == "end" or self.at_keyword(*VAR_KEYWORDS, *POU_STARTS, *POU_ENDS, *STARTS)

    def _declaration(self, stop: str) -> list[VarDecl]:
        """Read `a, b AT %Q : type := init;`; after an error go on at the next declaration."""
        if self.take_op(";"):
            return []
        start = self.position
        try:
            return self._plain_declaration()
        except SyntaxFault:
            if self.token.kind == "end" or self.at_keyword(*POU_STARTS):
                raise
            if self.position == start and self.token.kind != "kw":
                self.advance()
            self.skip_to(stop, "END_VAR", "END_STRUCT", "END_UNION", "END_TYPE", *VAR_KEYWORDS, *POU_STARTS)
            self.skip_names(start)
            if self.position == start:
                raise  # a keyword that no declaration starts with: the enclosing block knows better
            if not self.at_keyword(stop) and self.token.kind == "kw" and self.token.key.startswith("END_"):
                raise
            return []

    def _plain_declaration(self) -> list[VarDecl]:
        if self.at_keyword("AT") and self.peek().kind == "direct":  # only reserves the address
            direct = self.peek()
            names = [direct._replace(text=f"{direct.text}$")]
        else:
            names = [self._variable_name()]
        while self.take_op(","):
            names.append(self._variable_name())
        address, address_at = "", 0
        if self.take_keyword("AT"):
            if self.token.kind != "direct":
                raise self.fail("an address", "addresses look like %IX0.0, %QW4 or %MD8")
            address, address_at = self.token.text, self.token.at
            self.advance()
        if not self.at_op(":"):
            raise self.fail("':'", self._colon_hint(names[-1]))
        self.advance()
        spec = self.spec()
        if self.at_keyword("AT"):
            raise self.fail("';'", "the address stands before the colon: x AT %IX0.0 : BOOL;")
        edge = self.advance().key if self.token.key in ("R_EDGE", "F_EDGE") else ""
        init = self.initialiser() if self.take_op(":=") else None
        if init is None and self.take_sign("REF"):
            init = referring(self.expression())
        if init is None and self.at_op("="):
            raise self.fail("':='", "initial values are written with :=")
        if init is not None and self.at_op(",") and self.profile.loose and isinstance(spec, ArraySpec):
            init = self._bare_array_init(init)
        self.semicolon()
        return [VarDecl(n.at, n.end, n.text, spec, init, address, address_at, edge) for n in names]

    def _colon_hint(self, name: Token) -> str:
        """Return how to write a declaration without colon."""
        if name.key in ELEMENTARY and self.token.kind == "id":
            return f"the name comes first: {self.token.text} : {name.text};"
        if self.token.kind == "id" and self.token.key in ELEMENTARY:
            return f"write {name.text} : {self.token.text}"
        if self.at_op(":="):
            return "a variable is name : type := value; statements stand behind END_VAR"
        return ""

    def _variable_name(self) -> Token:
        """Take a name; a keyword that stands clearly for one is told once and then is one."""
        token = self.token
        if token.kind == "kw" and self.peek().text in (":", ",") and not token.key.startswith("END_"):
            self.fail("a variable name")
            if token.key not in MISTAKEN:
                return self.advance()
            self.treat_as_name(token.key)
        return self.expect_name("a variable name")
