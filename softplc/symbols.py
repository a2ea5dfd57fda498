"""Symbols: variables, program organisation units and the project that holds them."""

from __future__ import annotations

from dataclasses import dataclass, field

from softplc.diagnostics import Diagnostic
from softplc.iectypes import Alias, BlockType, Enum, Type
from softplc.syntax import (
    Argument,
    ConfigurationDecl,
    Expr,
    Init,
    PouDecl,
    Scalar,
    TaskDecl,
    TypeDecl,
    VarDecl,
)


@dataclass(slots=True, eq=False)
class Variable:
    """A declared variable.

    Attributes:
        section: VAR, VAR_INPUT, VAR_OUTPUT, VAR_IN_OUT, VAR_TEMP, VAR_GLOBAL, VAR_EXTERNAL or RESULT.
        offset: byte offset in the image, the instance or the frame, once laid out.
        bit: bit of a located BOOL, else -1.
        target: the global that a VAR_EXTERNAL means.
        edge, last: for inputs with R_EDGE or F_EDGE, what the body reads, and the input's last value.
    """

    name: str
    section: str
    type: Type | None
    init: Init | None
    at: int
    end: int
    constant: bool = False
    retain: bool = False
    address: str = ""
    address_at: int = 0
    value: Scalar | None = None
    pou: Pou | None = None
    offset: int = -1
    bit: int = -1
    target: Variable | None = None
    decl: VarDecl | None = None
    edge: Variable | None = None
    last: Variable | None = None

    @property
    def end_of_chain(self) -> Variable:
        return self.target or self


@dataclass(slots=True, eq=False)
class EnumValue:
    """One value of an enumeration, as a name in scope."""

    name: str
    type: Enum
    number: int


@dataclass(slots=True, eq=False)
class Pou:
    """A program organisation unit; `variables` by casefolded name, in order of declaration."""

    kind: str
    name: str
    decl: PouDecl
    variables: dict[str, Variable] = field(default_factory=dict)
    result: Variable | None = None
    type: BlockType | None = None
    library: bool = False
    uses: set[Pou] = field(default_factory=set)
    frame_size: int = 0
    local_size: int = 0

    @property
    def at(self) -> int:
        return self.decl.name_at

    def parameters(self, *sections: str) -> list[Variable]:
        return [each for each in self.variables.values() if each.section in sections]


@dataclass(slots=True, eq=False)
class Duplicate:
    """A name declared twice in one scope."""

    name: str
    what: str
    at: int
    end: int
    first_at: int


@dataclass(slots=True, eq=False)
class Task:
    """A task of a resource; `interval_ns` 0 means every scan, or at each rising edge of `single`."""

    name: str
    interval_ns: int
    priority: int
    at: int
    single: Expr | None = None
    last: Variable | None = None


@dataclass(slots=True, eq=False)
class Instance:
    """A program instance, and the task it runs in ("" for every scan).

    `inputs` are constants, `arguments` what is copied before and after each run.
    """

    name: str
    pou: Pou
    task: str
    at: int
    variables: dict[str, Variable] = field(default_factory=dict)
    inputs: list[tuple[str, Scalar]] = field(default_factory=list)
    arguments: list[Argument] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Project:
    """Everything that was declared."""

    types: dict[str, Type | Alias] = field(default_factory=dict)
    type_decls: list[TypeDecl] = field(default_factory=list)
    enum_values: dict[str, list[EnumValue]] = field(default_factory=dict)
    pous: dict[str, Pou] = field(default_factory=dict)
    globals: dict[str, Variable] = field(default_factory=dict)
    configurations: list[ConfigurationDecl] = field(default_factory=list)
    duplicates: list[Duplicate] = field(default_factory=list)
    directs: set[str] = field(default_factory=set)
    triggers: dict[TaskDecl, Variable] = field(default_factory=dict)
    references: bool = False
    warnings: list[Diagnostic] = field(default_factory=list)


def is_hidden(name: str) -> bool:
    """Tell whether the compiler made a variable up."""
    return "$" in name


Ref = Variable | Pou | EnumValue
