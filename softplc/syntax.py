"""Syntax tree: what the parser builds; `type`, `ref` and `value` are filled in by `softplc.bind`."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from softplc.spaces import Space

if TYPE_CHECKING:
    from softplc.bind.calls import Binding
    from softplc.iectypes import Type
    from softplc.symbols import Ref

REF = "__REF"  # REF, whatever a program names so
Scalar = bool | int | float | str


@dataclass(slots=True, eq=False)
class Node:
    """A piece of source; `at` and `end` are global offsets."""

    at: int
    end: int


# Types of fields that hold no node.
_LEAVES = (
    "int",
    "str",
    "bool",
    "frozenset[str]",
    "set[str]",
    "dict[str, set[str]]",
    "list[tuple[str, int]]",
    "Scalar",
    "Scalar | None",
    "Type | None",
    "Ref | None",
    "Binding | None",
    "Space",
    "list[Space]",
)


_INNER: dict[type, tuple[str, ...]] = {}


def inner(node: Node) -> tuple[str, ...]:
    """Return the fields of a node that may hold other nodes."""
    kind = type(node)
    found = _INNER.get(kind)
    if found is None:
        found = _INNER[kind] = tuple(each.name for each in fields(node) if each.type not in _LEAVES)
    return found


@dataclass(slots=True, eq=False)
class Expr(Node):
    """An expression. `value` is its constant value, if it has one; `type` None means unknown or wrong."""

    type: Type | None = field(default=None, init=False)
    value: Scalar | None = field(default=None, init=False)


@dataclass(slots=True, eq=False)
class Literal(Expr):
    """A literal of class int, real, bool, time, date, string or wstring; `type_name` where one is written."""

    kind: str
    literal: Scalar
    type_name: str = ""


@dataclass(slots=True, eq=False)
class Name(Expr):
    """A name; `ref` is what it means, `getter` the call that it is if it names a property.

    A variable of REFERENCE TO is `followed`: it stands for what it refers to, unless it is meant `raw`.
    """

    name: str
    ref: Ref | None = field(default=None, init=False)
    getter: Call | None = field(default=None, init=False)
    followed: bool = field(default=False, init=False)
    raw: bool = field(default=False, init=False)


@dataclass(slots=True, eq=False)
class TypedName(Expr):
    """An enumeration value with its type: `Color#Red`."""

    type_name: str
    name: str


@dataclass(slots=True, eq=False)
class Member(Expr):
    base: Expr
    name: str
    name_at: int
    ref: Ref | None = field(default=None, init=False)
    getter: Call | None = field(default=None, init=False)
    followed: bool = field(default=False, init=False)
    raw: bool = field(default=False, init=False)


@dataclass(slots=True, eq=False)
class BitAccess(Expr):
    """Partial access `x.%B1`, `x.%X3` or `x.3`; `size` is X, B, W or D."""

    base: Expr
    size: str
    number: int


@dataclass(slots=True, eq=False)
class Index(Expr):
    base: Expr
    indices: list[Expr]
    followed: bool = field(default=False, init=False)
    raw: bool = field(default=False, init=False)


@dataclass(slots=True, eq=False)
class Deref(Expr):
    """What a reference refers to: `r^`."""

    base: Expr


@dataclass(slots=True, eq=False)
class Direct(Expr):
    """A directly represented variable, such as `%IX0.0`."""

    address: str


@dataclass(slots=True, eq=False)
class Unary(Expr):
    op: str
    operand: Expr


@dataclass(slots=True, eq=False)
class Binary(Expr):
    """An operation; `operand_type` is the type both sides are converted to."""

    op: str
    left: Expr
    right: Expr
    operand_type: Type | None = field(default=None, init=False)


@dataclass(slots=True, eq=False)
class Argument(Node):
    """An argument: positional (no name), `name := value`, or `name => value`; `compared`: written with =."""

    name: str
    value: Expr | None
    output: bool = False
    negated: bool = False
    compared: bool = field(default=False, init=False)


@dataclass(slots=True, eq=False)
class Call(Expr):
    """A call of a function or a function block instance; `rewritten` replaces operator functions.

    `first` says that a declaration gave it: what FB_Init always takes is not written there.
    What yields a REFERENCE TO is `followed`, as a variable is.
    """

    callee: Expr
    arguments: list[Argument]
    first: bool = field(default=False, init=False)
    binding: Binding | None = field(default=None, init=False)
    rewritten: Expr | None = field(default=None, init=False)
    followed: bool = field(default=False, init=False)
    raw: bool = field(default=False, init=False)


@dataclass(slots=True, eq=False)
class ArrayInit(Node):
    """`[1, 3(0)]`: pairs of repetition (None: once) and initialiser (None: the element's own).

    `spread` marks the list inside a repetition, `2(1, 2)`, whose items go to the array itself.
    """

    items: list[tuple[Expr | None, Init | None]]
    spread: bool = False


@dataclass(slots=True, eq=False)
class StructInit(Node):
    """`(a := 1, b := 2)`: members of a structure or inputs of a function block instance."""

    items: list[tuple[str, Init, int]]


Init = Expr | ArrayInit | StructInit


# Types -----------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class TypeSpec(Node):
    """A type as written; `resolved` is what it means."""

    resolved: Type | None = field(default=None, init=False)


@dataclass(slots=True, eq=False)
class NamedSpec(TypeSpec):
    """A type name, with a string length or a subrange where given.

    `given` are arguments for FB_Init: one list for all instances, or one for each element of an array
    (`apiece`); `taken` once they are called with.
    """

    name: str
    length: Expr | None = None
    low: Expr | None = None
    high: Expr | None = None
    given: list[list[Argument]] = field(default_factory=list)
    apiece: bool = False
    taken: bool = False


@dataclass(slots=True, eq=False)
class ArraySpec(TypeSpec):
    """An array; `rank` counts the dimensions of `ARRAY[*, *]`, which has no ranges."""

    ranges: list[tuple[Expr, Expr]]
    element: TypeSpec
    rank: int = 0


@dataclass(slots=True, eq=False)
class RefSpec(TypeSpec):
    """A reference; `implicit` (REFERENCE TO) is followed wherever it stands."""

    target: TypeSpec
    implicit: bool = False


@dataclass(slots=True, eq=False)
class PointerSpec(TypeSpec):
    target: TypeSpec


@dataclass(slots=True, eq=False)
class StructSpec(TypeSpec):
    """A structure; members of one with OVERLAP begin at its start, unless they have a place of their own.

    `base` is the structure whose members come first (profile codesys).
    """

    fields: list[VarDecl]
    overlap: bool = False
    base: NamedSpec | None = None


@dataclass(slots=True, eq=False)
class EnumSpec(TypeSpec):
    """`strict` where a pragma of CODESYS says that it is no number."""

    values: list[tuple[str, Expr | None, int]]
    base: str = ""
    strict: bool = False


@dataclass(slots=True, eq=False)
class OfSpec(TypeSpec):
    """The type of an expression, or of an output of the call that it is; only softplc.plcopen makes it."""

    value: Expr
    output: str = ""


@dataclass(slots=True, eq=False)
class VarDecl(Node):
    """One variable; a list `a, b : INT` becomes several that share type and initialiser.

    `edge` is R_EDGE, F_EDGE or empty.
    """

    name: str
    spec: TypeSpec
    init: Init | None
    address: str = ""
    address_at: int = 0
    edge: str = ""


@dataclass(slots=True, eq=False)
class VarBlock(Node):
    """A VAR ... END_VAR block; `section` is VAR, VAR_INPUT, ...; `space` is for globals.

    The inputs of a `lent` one are only read: VAR_IN_OUT CONSTANT of CODESYS.
    """

    section: str
    constant: bool
    retain: bool
    declarations: list[VarDecl]
    access: str = "PROTECTED"
    space: Space = field(default_factory=Space)
    lent: bool = False


@dataclass(slots=True, eq=False)
class TypeDecl(Node):
    name: str
    spec: TypeSpec
    init: Init | None
    space: Space = field(default_factory=Space)
    internal: bool = False

    @property
    def key(self) -> str:
        return self.space.key(self.name)


# Statements ------------------------------------------------------------------------------------


@dataclass(slots=True, eq=False)
class Assign(Node):
    """An assignment; `setter` is the call that it is where the target is a property."""

    target: Expr
    value: Expr
    setter: Call | None = field(default=None, init=False)


@dataclass(slots=True, eq=False)
class Attempt(Node):
    """`target ?= value`: NULL where the value does not refer to what the target may."""

    target: Expr
    value: Expr


@dataclass(slots=True, eq=False)
class Initialise(Node):
    """What a declaration gives an instance behind FB_Init; only softplc.bind.firstcalls makes it."""

    target: Expr
    init: Init


@dataclass(slots=True, eq=False)
class CallStatement(Node):
    call: Expr


@dataclass(slots=True, eq=False)
class If(Node):
    """Branches are pairs of condition and body, IF and every ELSIF alike."""

    branches: list[tuple[Expr, list[Statement]]]
    otherwise: list[Statement]


@dataclass(slots=True, eq=False)
class CaseBranch(Node):
    """Labels are pairs low, high; both the same expression for a single value."""

    labels: list[tuple[Expr, Expr]]
    body: list[Statement]


@dataclass(slots=True, eq=False)
class Case(Node):
    selector: Expr
    branches: list[CaseBranch]
    otherwise: list[Statement]


@dataclass(slots=True, eq=False)
class For(Node):
    variable: Expr
    first: Expr
    last: Expr
    step: Expr | None
    body: list[Statement]


@dataclass(slots=True, eq=False)
class While(Node):
    condition: Expr
    body: list[Statement]


@dataclass(slots=True, eq=False)
class Repeat(Node):
    body: list[Statement]
    condition: Expr


@dataclass(slots=True, eq=False)
class Exit(Node):
    pass


@dataclass(slots=True, eq=False)
class Continue(Node):
    pass


@dataclass(slots=True, eq=False)
class Return(Node):
    pass


Statement = (
    Assign
    | Attempt
    | Initialise
    | CallStatement
    | If
    | Case
    | For
    | While
    | Repeat
    | Exit
    | Continue
    | Return
)


# Program organisation units and configuration ------------------------------------------------------


@dataclass(slots=True, eq=False)
class Association(Node):
    """An action block of a step: `name(qualifier, time, indicators)`; indicators only tell readers."""

    name: str
    qualifier: str
    time: Expr | None
    indicators: list[Expr]


@dataclass(slots=True, eq=False)
class StepDecl(Node):
    name: str
    initial: bool
    associations: list[Association]


@dataclass(slots=True, eq=False)
class TransitionDecl(Node):
    """A transition from steps to steps, by name and place; `before` runs in every scan, first of all."""

    priority: int
    sources: list[tuple[str, int]]
    targets: list[tuple[str, int]]
    condition: Expr
    before: list[Statement] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class ActionDecl(Node):
    """An action; `chart` if it is one, with the statements behind it in `body`."""

    name: str
    body: list[Statement]
    chart: Chart | None = None


@dataclass(slots=True, eq=False)
class Chart(Node):
    """The body of a POU or action in SFC."""

    steps: list[StepDecl] = field(default_factory=list)
    transitions: list[TransitionDecl] = field(default_factory=list)
    actions: list[ActionDecl] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class PouDecl(Node):
    """A POU; `kind` is FUNCTION, FUNCTION_BLOCK, PROGRAM, CLASS, INTERFACE or METHOD.

    `extends` and `implements` are names with their places; `modifiers` are ABSTRACT, FINAL, OVERRIDE;
    `paths` are VAR_ACCESS of a program.
    """

    kind: str
    name: str
    name_at: int
    result: TypeSpec | None
    blocks: list[VarBlock]
    body: list[Statement]
    methods: list[PouDecl] = field(default_factory=list)
    extends: list[tuple[str, int]] = field(default_factory=list)
    implements: list[tuple[str, int]] = field(default_factory=list)
    modifiers: frozenset[str] = frozenset()
    access: str = "PROTECTED"
    chart: Chart | None = None
    space: Space = field(default_factory=Space)
    paths: list[AccessDecl] = field(default_factory=list)

    @property
    def key(self) -> str:
        return self.space.key(self.name)


@dataclass(slots=True, eq=False)
class TaskDecl(Node):
    name: str
    interval: Expr | None
    priority: Expr | None
    single: Expr | None


@dataclass(slots=True, eq=False)
class PathPart(Node):
    """A part of a path: a name or a direct address, with the indices behind it."""

    name: str
    indices: list[Expr]


@dataclass(slots=True, eq=False)
class AccessDecl(Node):
    """An entry of VAR_ACCESS: `name : path : type READ_WRITE`."""

    name: str
    path: list[PathPart]
    spec: TypeSpec
    writable: bool


@dataclass(slots=True, eq=False)
class SettingDecl(Node):
    """An entry of VAR_CONFIG: `path AT address : type := init`."""

    path: list[PathPart]
    address: str
    address_at: int
    spec: TypeSpec
    init: Init | None


@dataclass(slots=True, eq=False)
class BlockTask(Node):
    """A block of a program that another task runs: `name WITH task`."""

    name: str
    task: str
    task_at: int


@dataclass(slots=True, eq=False)
class InstanceDecl(Node):
    """A program instance: `PROGRAM name WITH task : type (block WITH task, inputs and outputs);`."""

    name: str
    task: str
    task_at: int
    type_name: str
    type_at: int
    arguments: list[Argument]
    blocks: list[BlockTask] = field(default_factory=list)
    retain: bool = False


@dataclass(slots=True, eq=False)
class ResourceDecl(Node):
    name: str
    blocks: list[VarBlock]
    tasks: list[TaskDecl]
    instances: list[InstanceDecl]


@dataclass(slots=True, eq=False)
class ConfigurationDecl(Node):
    """A configuration; one without a name is VAR_CONFIG outside of all, as profile codesys has it."""

    name: str
    blocks: list[VarBlock]
    resources: list[ResourceDecl]
    access: list[AccessDecl] = field(default_factory=list)
    settings: list[SettingDecl] = field(default_factory=list)
    space: Space = field(default_factory=Space)


@dataclass(slots=True, eq=False)
class Unit(Node):
    """One file, or all files of a compilation merged.

    `skipped` are names in text that could not be read; `internal` are keys of namespaces;
    `lists` are the names of global variables by the file they are in.
    """

    types: list[TypeDecl] = field(default_factory=list)
    pous: list[PouDecl] = field(default_factory=list)
    globals: list[VarBlock] = field(default_factory=list)
    configurations: list[ConfigurationDecl] = field(default_factory=list)
    skipped: set[str] = field(default_factory=set)
    spaces: list[Space] = field(default_factory=list)
    internal: set[str] = field(default_factory=set)
    lists: dict[str, set[str]] = field(default_factory=dict)


def referring(value: Expr) -> Expr:
    """Return a reference to what an expression names: REF(x); NULL and 0 refer to nothing."""
    nothing = isinstance(value, Literal) and value.literal == 0 and value.kind == "int"
    if nothing or (isinstance(value, Name) and value.name.upper() == "NULL"):
        return Name(value.at, value.end, "NULL")
    return Call(
        value.at, value.end, Name(value.at, value.end, REF), [Argument(value.at, value.end, "", value)]
    )
