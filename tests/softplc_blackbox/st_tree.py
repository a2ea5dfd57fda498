"""A tree of a Structured Text program, and its text. One statement a line, so a fault has a line."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

SIGNED = {"SINT": 8, "INT": 16, "DINT": 32, "LINT": 64}
UNSIGNED = {"USINT": 8, "UINT": 16, "UDINT": 32, "ULINT": 64}
BITS = {"BYTE": 8, "WORD": 16, "DWORD": 32, "LWORD": 64}
WHOLE = {**SIGNED, **UNSIGNED}
REALS = ("REAL", "LREAL")
MOMENTS = ("LTIME", "TOD", "DT")  # beside TIME
DAY_NS = 86_400 * 10**9


@dataclass(frozen=True)
class Array:
    low: int
    high: int
    element: object

    def __str__(self):
        return f"ARRAY[{self.low}..{self.high}] OF {self.element}"


@dataclass(frozen=True)
class Struct:
    name: str
    members: tuple  # of (name, type)

    def __str__(self):
        return self.name


@dataclass(frozen=True)
class String:
    capacity: int

    def __str__(self):
        return f"STRING[{self.capacity}]"


@dataclass(frozen=True)
class Sub:
    """A subrange: leaving it is a fault."""

    base: str
    low: int
    high: int

    def __str__(self):
        return f"{self.base}({self.low}..{self.high})"


@dataclass(frozen=True)
class Enum:
    name: str
    values: tuple

    def __str__(self):
        return self.name


@dataclass(frozen=True)
class Ref:
    target: object

    def __str__(self):
        return f"REF_TO {self.target}"


@dataclass(frozen=True)
class Lit:
    value: object
    type: object
    typed: bool = True

    def __str__(self):
        return literal(self.value, self.type, self.typed)


@dataclass(frozen=True)
class Var:
    name: str
    type: object

    def __str__(self):
        return self.name


@dataclass(frozen=True)
class Index:
    base: object
    index: object
    type: object

    def __str__(self):
        return f"{self.base}[{self.index}]"


@dataclass(frozen=True)
class Code:
    """The number of the character at a position of a string, from 1."""

    of: Var
    index: object
    type: object = "INT"

    def __str__(self):
        return f"CHAR_TO_INT({self.of}[{self.index}])"


@dataclass(frozen=True)
class Member:
    base: object
    name: str
    type: object

    def __str__(self):
        return f"{self.base}.{self.name}"


@dataclass(frozen=True)
class Deref:
    base: object
    type: object

    def __str__(self):
        return f"{self.base}^"


@dataclass(frozen=True)
class RefOf:
    """A reference to a place; to nothing where that is None."""

    place: object
    type: object

    def __str__(self):
        return "NULL" if self.place is None else f"REF({self.place})"


@dataclass(frozen=True)
class Unary:
    op: str
    of: object
    type: object

    def __str__(self):
        return f"({self.op} {self.of})"


@dataclass(frozen=True)
class Binary:
    op: str
    left: object
    right: object
    type: object  # of the result
    operands: object  # the type both sides are converted to

    def __str__(self):
        return f"({self.left} {self.op} {self.right})"


@dataclass(frozen=True)
class Call:
    """A standard function, by position."""

    name: str
    args: tuple
    type: object

    def __str__(self):
        return f"{self.name}({', '.join(map(str, self.args))})"


@dataclass(frozen=True)
class UserCall:
    """A function of the program; arguments as (formal name, expression or place, kind)."""

    function: Function
    args: tuple
    type: object

    def __str__(self):
        texts = (f"{n} {'=>' if k == 'output' else ':='} {a}" for n, a, k in self.args)
        return f"{self.function.name}({', '.join(texts)})"


@dataclass(frozen=True)
class MethodCall:
    """A method of an instance, of the own one where that is None, or of SUPER."""

    instance: object
    method: Function
    args: tuple
    type: object

    def __str__(self):
        before = "" if self.instance is None else f"{self.instance}."
        return f"{before}{self.method.name}({', '.join(f'{n} := {a}' for n, a, _ in self.args)})"


@dataclass(frozen=True)
class Declared:
    name: str
    type: object
    initial: object = None


@dataclass
class Function:
    """A function or method (with result type) or function block (without)."""

    name: str
    inputs: list
    outputs: list
    inouts: list
    locals: list
    result: object
    body: list
    temps: list = field(default_factory=list)
    externals: list = field(default_factory=list)
    methods: list = field(default_factory=list)
    base: Function | None = None
    word: str = ""

    def find(self, name):
        """Return the method of that name, its own or an inherited one."""
        own = next((each for each in self.methods if each.name == name), None)
        return own if own is not None or self.base is None else self.base.find(name)

    def lines(self):
        word = (self.word or ("FUNCTION" if self.result is not None else "FUNCTION_BLOCK")).split()[0]
        head = f"{self.word or word} {self.name}" + (f" : {self.result}" if self.result is not None else "")
        yield head + (f" EXTENDS {self.base.name}" if self.base is not None else "")
        for section, variables in (
            ("VAR_INPUT", self.inputs),
            ("VAR_OUTPUT", self.outputs),
            ("VAR_IN_OUT", self.inouts),
            ("VAR", self.locals),
            ("VAR_TEMP", self.temps),
            ("VAR_EXTERNAL", self.externals),
        ):
            if variables and self.base is None:
                yield f"{section} {' '.join(map(declaration, variables))} END_VAR"
        for method in self.methods:
            yield from method.lines()
        yield from self.body
        yield f"END_{word}"


@dataclass
class Assign:
    target: object
    value: object


@dataclass
class If:
    branches: list  # of (condition or None, statements)


@dataclass
class For:
    control: Var
    start: object
    end: object
    step: object
    body: list


@dataclass
class While:
    counter: Var
    limit: int
    condition: object
    body: list
    repeat: bool


@dataclass
class Case:
    selector: object
    branches: list  # of (list of (low, high), statements)
    otherwise: list | None


@dataclass
class BlockCall:
    instance: object
    block: Function
    args: tuple


@dataclass
class SuperCall:
    """The body of the block that this one extends."""

    block: Function


@dataclass
class Word:
    """EXIT, CONTINUE or RETURN."""

    text: str


@dataclass
class Program:
    structs: list
    functions: list
    global_variables: list
    variables: list
    body: list

    def text(self):
        """Return the source; statements learn their line."""
        out = Writer()
        for struct in self.structs:
            if isinstance(struct, Enum):
                out.line(f"TYPE {struct} : ({', '.join(struct.values)}); END_TYPE")
                continue
            out.line(
                f"TYPE {struct} : STRUCT {' '.join(f'{n} : {t};' for n, t in struct.members)} "
                "END_STRUCT; END_TYPE"
            )
        out.line(f"VAR_GLOBAL {' '.join(map(declaration, self.global_variables))} END_VAR")
        for function in self.functions:
            for line in function.lines():
                out.line(line) if isinstance(line, str) else out.statement(line)
        out.line("PROGRAM Main")
        out.line("VAR")
        for variable in self.variables:
            out.line("  " + declaration(variable))
        out.line("END_VAR")
        for statement in self.body:
            out.statement(statement)
        out.line("END_PROGRAM")
        return "\n".join(out.lines) + "\n"


class Writer:
    def __init__(self):
        self.lines = []

    def line(self, text):
        self.lines.append(text)

    def block(self, statements):
        for each in statements:
            self.statement(each)
        if not statements:
            self.line(";")

    def statement(self, node):
        node.line = len(self.lines) + 1
        match node:
            case Assign():
                self.line(f"{node.target} := {node.value};")
            case Word():
                self.line(f"{node.text};")
            case SuperCall():
                self.line("SUPER();")
            case BlockCall():
                texts = (f"{n} {'=>' if k == 'output' else ':='} {a}" for n, a, k in node.args)
                self.line(f"{node.instance}({', '.join(texts)});")
            case If():
                node.lines = []
                for position, (condition, body) in enumerate(node.branches):
                    node.lines.append(len(self.lines) + 1)
                    word = "IF" if position == 0 else "ELSIF"
                    self.line("ELSE" if condition is None else f"{word} {condition} THEN")
                    self.block(body)
                self.line("END_IF;")
            case For():
                by = "" if node.step is None else f" BY {node.step}"
                self.line(f"FOR {node.control} := {node.start} TO {node.end}{by} DO")
                self.block(node.body)
                self.line("END_FOR;")
            case While():
                self.line(f"{node.counter} := 0;")
                bound = f"{node.counter} >= {node.limit}"
                if node.repeat:
                    self.line("REPEAT")
                    self.line(f"{node.counter} := {node.counter} + 1;")
                    self.block(node.body)
                    node.test_line = len(self.lines) + 1
                    self.line(f"UNTIL {bound} OR {node.condition} END_REPEAT;")
                else:
                    node.test_line = len(self.lines) + 1
                    self.line(f"WHILE NOT ({bound}) AND {node.condition} DO")
                    self.line(f"{node.counter} := {node.counter} + 1;")
                    self.block(node.body)
                    self.line("END_WHILE;")
            case Case():
                self.line(f"CASE {node.selector} OF")
                for labels, body in node.branches:
                    texts = (label_text(low, high, node.selector.type) for low, high in labels)
                    self.line(f"{', '.join(texts)}:")
                    self.block(body)
                if node.otherwise is not None:
                    self.line("ELSE")
                    self.block(node.otherwise)
                self.line("END_CASE;")


def label_text(low, high, type_):
    if isinstance(type_, Enum):
        return f"{type_.name}#{type_.values[low]}"
    return str(low) if low == high else f"{low}..{high}"


def declaration(variable):
    initial = "" if variable.initial is None else f" := {initializer(variable.initial, variable.type)}"
    return f"{variable.name} : {variable.type}{initial};"


def initializer(value, type_):
    match type_:
        case Array():
            return f"[{', '.join(initializer(each, type_.element) for each in value)}]"
        case Struct():
            return f"({', '.join(f'{n} := {initializer(value[n], t)}' for n, t in type_.members)})"
        case _:
            return literal(value, type_, False)


def literal(value, type_, typed):
    if isinstance(type_, String):
        escaped = value.replace("$", "$$").replace("'", "$'")
        return f"'{escaped}'"
    if type_ in ("TIME", "LTIME"):
        return f"{type_}#{value}ns"
    if type_ == "TOD":
        return f"TOD#{value // 3_600_000_000_000}:{value // 60_000_000_000 % 60}:{value / 1e9 % 60:.3f}"
    if type_ == "DT":
        return f"DT#{datetime.fromtimestamp(value // 10**9, UTC):%Y-%m-%d-%H:%M:%S}"
    if isinstance(type_, Enum):
        return f"{type_.name}#{type_.values[value]}"
    if isinstance(type_, Sub):
        return str(value)
    if isinstance(type_, Ref):
        return str(value)
    if type_ == "BOOL":
        return "TRUE" if value else "FALSE"
    if type_ in BITS:
        return f"{type_}#16#{value:X}" if typed else f"16#{value:X}"
    text = repr(float(value)) if type_ in REALS else str(value)
    return f"{type_}#{text}" if typed else text
