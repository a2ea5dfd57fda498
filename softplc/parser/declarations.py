"""Declarations: types, variables, POUs, configurations.

Source: IEC 61131-3:2013, 6.4 to 6.8.
"""

from __future__ import annotations

from softplc.diagnostics import Diagnostic
from softplc.lexer import Token
from softplc.parser.charts import Charts
from softplc.parser.cursor import SyntaxFault
from softplc.parser.statements import POU_ENDS, POU_STARTS
from softplc.syntax import (
    ArrayInit,
    ArraySpec,
    ConfigurationDecl,
    EnumSpec,
    Expr,
    Init,
    InstanceDecl,
    NamedSpec,
    PouDecl,
    RefSpec,
    ResourceDecl,
    Statement,
    StructInit,
    StructSpec,
    TaskDecl,
    TypeDecl,
    TypeSpec,
    Unit,
    VarBlock,
    VarDecl,
)

VAR_KEYWORDS = (
    "VAR",
    "VAR_INPUT",
    "VAR_OUTPUT",
    "VAR_IN_OUT",
    "VAR_TEMP",
    "VAR_GLOBAL",
    "VAR_EXTERNAL",
)
ACCESS = ("PUBLIC", "PRIVATE", "PROTECTED", "INTERNAL")
MODIFIERS = ("ABSTRACT", "FINAL", "OVERRIDE")
UNSUPPORTED = ("NAMESPACE", "USING", "END_NAMESPACE")
MISSPELT = {"FUNCTIONBLOCK": "FUNCTION_BLOCK", "FUNCTION_BLOC": "FUNCTION_BLOCK", "PROGRAMM": "PROGRAM"}
MISTAKEN = ("BY", "AT", "WITH", "OF", "ON")  # keywords that people take for names


class Declarations(Charts):
    """The whole parser."""

    def unit(self) -> Unit:
        """Read a file."""
        at = self.token.at
        unit = Unit(at, self.tokens[-1].end)
        while self.token.kind != "end":
            start = self.position
            try:
                self._top(unit)
            except SyntaxFault:
                self.depth = 0
                self._open = ()
                if self.position == start:
                    self.advance()
                self.skip_to(*POU_STARTS, semicolon=False)
                self.skip_names(start)
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
        if self.take_op(";"):
            return
        if token.kind == "id" and token.key in UNSUPPORTED:
            self._unsupported()
            return
        meant = MISSPELT.get(token.key)
        if meant is not None and self.peek().kind == "id":
            self.fail(meant, f"did you mean {meant}?")
            self.replace(meant)
            return
        raise self.fail(
            "TYPE, FUNCTION, FUNCTION_BLOCK, PROGRAM, CLASS, INTERFACE, VAR_GLOBAL or CONFIGURATION"
        )

    # Types -------------------------------------------------------------------------------------

    def _types(self, unit: Unit) -> None:
        self.advance()
        while not self.at_keyword("END_TYPE"):
            if self.token.kind == "end" or self.at_keyword(*POU_STARTS):
                raise self.fail("END_TYPE")
            start = self.position
            try:
                name = self.expect_name("a type name")
                self.expect_op(":")
                spec = self.spec()
                init = self.initialiser() if self.take_op(":=") else None
                if self.at_op(";") or not isinstance(spec, StructSpec):  # many write none after END_STRUCT
                    self.semicolon()
                unit.types.append(TypeDecl(name.at, name.end, name.text, spec, init))
            except SyntaxFault:
                self.skip_to("END_TYPE", "END_STRUCT", *POU_STARTS)
                if self.take_keyword("END_STRUCT"):
                    self.take_op(";")
                self.skip_names(start)
        self.advance()
        self.take_op(";")

    def spec(self) -> TypeSpec:
        """Read a type as it stands after a colon."""
        self.enter()
        token = self.token
        result: TypeSpec
        if token.kind == "kw" and token.key == "ARRAY":
            result = self._array()
        elif token.kind == "kw" and token.key == "STRUCT":
            result = self._struct()
        elif token.kind == "op" and token.text == "(":
            result = self._enum("")
        elif token.kind == "id" and token.key == "POINTER":
            raise self.fail("a type name", "POINTER TO is not supported: use REF_TO")
        elif token.kind == "id" and token.key == "REF_TO":
            self.advance()
            target = self.spec()
            result = RefSpec(token.at, target.end, target)
        else:
            result = self._named()
        self.leave()
        return result

    def _named(self) -> TypeSpec:
        name = self.expect_name("a type name")
        if self.at_op("["):
            self.advance()
            length = self.expression()
            end = self.expect_op("]").end
            return NamedSpec(name.at, end, name.text, length)
        if self.at_op("("):
            if name.key in ("STRING", "WSTRING"):
                self.advance()
                length = self.expression()
                return NamedSpec(name.at, self.expect_op(")").end, name.text, length)
            if self._at_enum():
                return self._enum(name.text)
            self.advance()
            low = self.expression()
            self.expect_op("..")
            high = self.expression()
            return NamedSpec(name.at, self.expect_op(")").end, name.text, None, low, high)
        return NamedSpec(name.at, name.end, name.text)

    def _at_enum(self) -> bool:
        return self.peek().kind == "id" and self.peek(2).text in (":=", ",", ")")

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
                self.expect_op("..")
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
        at = self.advance().at
        fields: list[VarDecl] = []
        overlap = self.token.key == "OVERLAP" and self.peek().kind == "id"
        if overlap:
            self.advance()
        while not self.at_keyword("END_STRUCT"):
            fields.extend(self._declaration("END_STRUCT"))
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
        return ArrayInit(at, self.expect_op("]").end, items)

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
        constant = retain = False
        access = self.advance().key if self.token.key in ACCESS else "PROTECTED"
        while self.token.kind == "kw" and self.token.key in (
            "CONSTANT",
            "RETAIN",
            "NON_RETAIN",
            "PERSISTENT",
        ):
            key = self.advance().key
            constant |= key == "CONSTANT"
            retain |= key in ("RETAIN", "PERSISTENT")
        declarations: list[VarDecl] = []
        while not self.at_keyword("END_VAR"):
            if self.token.kind == "end" or self.at_keyword(*VAR_KEYWORDS, *POU_STARTS):
                raise self.fail("END_VAR")
            declarations.extend(self._declaration("END_VAR"))
        end = self.advance().end
        self.take_op(";")
        return VarBlock(start.at, end, start.key, constant, retain, declarations, access)

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
            self.skip_to(stop, "END_VAR", "END_STRUCT", "END_TYPE", *VAR_KEYWORDS, *POU_STARTS)
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
        self.expect_op(":")
        spec = self.spec()
        edge = self.advance().key if self.token.key in ("R_EDGE", "F_EDGE") else ""
        init = self.initialiser() if self.take_op(":=") else None
        self.semicolon()
        return [VarDecl(n.at, n.end, n.text, spec, init, address, address_at, edge) for n in names]

    def _variable_name(self) -> Token:
        """Take a name; a keyword that stands clearly for one is told once and then is one."""
        token = self.token
        if token.kind == "kw" and token.key in MISTAKEN and self.peek().text in (":", ","):
            self.fail("a variable name")
            self.treat_as_name(token.key)
        return self.expect_name("a variable name")

    # Program organisation units ------------------------------------------------------------------

    def _pou(self) -> PouDecl:
        start = self.advance()
        modifiers: set[str] = set()
        access = "PUBLIC" if start.key in ("CLASS", "FUNCTION_BLOCK", "INTERFACE") else "PROTECTED"
        while self.token.key in (*ACCESS, *MODIFIERS) and self.peek().kind == "id":
            key = self.advance().key
            access = key if key in ACCESS else access
            modifiers |= {key} - set(ACCESS)
        name = self.expect_name(f"the name of the {start.key.lower().replace('_', ' ')}")
        extends = self._names_after("EXTENDS")
        implements = self._names_after("IMPLEMENTS")
        result: TypeSpec | None = None
        if start.key in ("FUNCTION", "METHOD") and self.take_op(":"):
            result = self.spec()
        self.take_op(";")
        blocks: list[VarBlock] = []
        methods: list[PouDecl] = []
        body: list[Statement] = []
        while True:
            if self.at_keyword(*VAR_KEYWORDS):
                blocks.append(self._var_block())
            elif self.at_keyword("METHOD") and start.key != "METHOD":
                methods.append(self._pou())
            elif self.token.kind == "id" and self.token.key == "PROPERTY" and self.peek().kind == "id":
                self._property()
            else:
                break
        self._open = ()
        chart = self.chart() if self.at_chart() else None
        if start.key not in ("CLASS", "INTERFACE"):
            body = self.body()
        while start.key != "METHOD" and self.at_keyword("METHOD"):
            methods.append(self._pou())
        end = f"END_{start.key}"
        if not self.take_keyword(end):
            if self.token.kind == "kw" and self.token.key.startswith("VAR"):
                raise self.fail(end, "declarations stand before the first statement")
            self.fail(end)
            if self.at_keyword(*POU_ENDS) and not self.at_keyword("METHOD"):
                self.advance()
        self.take_op(";")
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
        )

    def _names_after(self, key: str) -> list[tuple[str, int]]:
        names: list[tuple[str, int]] = []
        if self.token.kind == "id" and self.token.key == key:
            self.advance()
            while True:
                name = self.expect_name("a name")
                names.append((name.text, name.at))
                if not self.take_op(","):
                    break
        return names

    # Configuration -----------------------------------------------------------------------------

    def _configuration(self) -> ConfigurationDecl:
        start = self.advance()
        name = self.expect_name("the name of the configuration")
        blocks: list[VarBlock] = []
        resources: list[ResourceDecl] = []
        loose = ResourceDecl(start.at, start.end, "", [], [], [])
        while not self.at_keyword("END_CONFIGURATION"):
            if self.at_keyword("VAR_GLOBAL"):
                blocks.append(self._var_block())
            elif self.at_keyword("VAR_ACCESS", "VAR_CONFIG"):
                self._refused()
            elif self.at_keyword("RESOURCE"):
                resources.append(self._resource())
            elif not self._resource_part(loose):
                raise self.fail("RESOURCE, TASK, PROGRAM, VAR_GLOBAL or END_CONFIGURATION")
        end = self.advance().end
        self.take_op(";")
        if loose.tasks or loose.instances:
            resources.append(loose)
        return ConfigurationDecl(start.at, end, name.text, blocks, resources)

    def _unsupported(self) -> None:
        """Tell of namespaces once, and read what is in them as if they were not there."""
        token = self.advance()
        if token.key != "END_NAMESPACE":
            message = f"{token.key} is not supported"
            self.findings.append(
                Diagnostic("ST1017", message, token.at, token.end, "declare without namespaces")
            )
        while self.token.kind == "id" or self.at_op(".") or self.at_op(","):
            if self.token.key in UNSUPPORTED:
                return
            self.advance()
        self.take_op(";")

    def _property(self) -> None:
        """Tell that properties are not supported, and skip one."""
        start, token = self.position, self.token
        self.note("ST1017", "PROPERTY is not supported", token.at, token.end, "write methods")
        while (
            self.token.kind != "end" and self.token.key != "END_PROPERTY" and not self.at_keyword(*POU_STARTS)
        ):
            self.advance()
        self.skip_names(start)
        if self.token.key == "END_PROPERTY":
            self.advance()

    def _refused(self) -> None:
        """Tell that a section is not supported, and skip it."""
        token = self.token
        remedies = {
            "VAR_ACCESS": "bind tags to variables in the plant folder instead",
            "VAR_CONFIG": "write the address at the variable itself: AT %IX0.0",
        }
        message = f"{token.key} is not supported"
        self.note("ST1017", message, token.at, token.end, remedies[token.key])
        self.skip_to("END_VAR", "END_CONFIGURATION", *POU_STARTS, semicolon=False)
        self.take_keyword("END_VAR")
        self.take_op(";")

    def _resource(self) -> ResourceDecl:
        start = self.advance()
        name = self.expect_name("the name of the resource")
        if self.token.kind == "id" and self.token.key == "ON":
            self.advance()
            self.expect_name("the type of the resource")
        resource = ResourceDecl(start.at, start.end, name.text, [], [], [])
        while not self.at_keyword("END_RESOURCE"):
            if self.at_keyword("VAR_GLOBAL"):
                resource.blocks.append(self._var_block())
            elif not self._resource_part(resource):
                raise self.fail("TASK, PROGRAM, VAR_GLOBAL or END_RESOURCE")
        resource.end = self.advance().end
        self.take_op(";")
        return resource

    def _resource_part(self, resource: ResourceDecl) -> bool:
        start = self.position
        task = self.token.kind == "id" and self.token.key == "TASK"
        if not task and not self.at_keyword("PROGRAM"):
            return False
        try:
            if task:
                resource.tasks.append(self._task())
            else:
                resource.instances.append(self._instance())
        except SyntaxFault:
            self.skip_to("END_RESOURCE", "END_CONFIGURATION", "PROGRAM", "RESOURCE")
            self.skip_names(start)
        return True

    def _task(self) -> TaskDecl:
        self.advance()
        name = self.expect_name("the name of the task")
        parts: dict[str, Expr] = {}
        if self.take_op("("):
            while not self.at_op(")"):
                key = self.expect_name("INTERVAL, PRIORITY or SINGLE")
                if key.key not in ("INTERVAL", "PRIORITY", "SINGLE"):
                    self.note(
                        "ST1016",
                        f"a task has no {key.text}",
                        key.at,
                        key.end,
                        "a task has INTERVAL, PRIORITY and SINGLE",
                    )
                self.expect_op(":=")
                parts[key.key] = self.expression()
                if not self.take_op(","):
                    break
            self.expect_op(")")
        self.semicolon()
        return TaskDecl(
            name.at, name.end, name.text, parts.get("INTERVAL"), parts.get("PRIORITY"), parts.get("SINGLE")
        )

    def _instance(self) -> InstanceDecl:
        self.advance()
        if self.at_keyword("RETAIN", "NON_RETAIN"):
            self.advance()
        name = self.expect_name("the name of the program instance")
        task, task_at = "", 0
        if self.take_keyword("WITH"):
            token = self.expect_name("the name of a task")
            task, task_at = token.text, token.at
        self.expect_op(":")
        type_name = self.expect_name("the name of a program")
        arguments = self.arguments() if self.at_op("(") else []
        self.semicolon()
        return InstanceDecl(
            name.at, name.end, name.text, task, task_at, type_name.text, type_name.at, arguments
        )
