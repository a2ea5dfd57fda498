"""Symbols: variables, program organisation units and the project that holds them."""

from __future__ import annotations

from dataclasses import dataclass, field

from softplc.diagnostics import Diagnostic
from softplc.iectypes import BOOL, Alias, Array, BlockType, Enum, Field, Interface, OpenArray, Struct, Type
from softplc.profiles import IEC, Profile
from softplc.spaces import Space
from softplc.syntax import (
    Argument,
    ConfigurationDecl,
    Expr,
    Init,
    InstanceDecl,
    Name,
    PouDecl,
    Scalar,
    TaskDecl,
    TypeDecl,
    VarDecl,
)

FB_INIT, FIRST_INPUTS = "fb_init", ("binitretains", "bincopycode")


@dataclass(slots=True, eq=False)
class Variable:
    """A declared variable.

    Attributes:
        section: VAR, VAR_INPUT, VAR_OUTPUT, VAR_IN_OUT, VAR_TEMP, VAR_GLOBAL, VAR_EXTERNAL, VAR_STAT,
            VAR_INST, RESULT or ENO.
        offset: byte offset in the image, the instance or the frame, once laid out.
        bit: bit of a located BOOL, else -1.
        target: the global that a VAR_EXTERNAL or VAR_STAT means, what a VAR_INST is in the instance.
        edge, last: for inputs with R_EDGE or F_EDGE, what the body reads, and the input's last value.
        resource: of a global, the key of the resource that declares it.
        choices: of a name that several resources declare, what it means in each, by the resource's key;
            "" is what it means everywhere else.
        common: the variable with the choices, for each of these.
    """

    name: str
    section: str
    type: Type | None
    init: Init | None
    at: int
    end: int
    constant: bool = False
    lent: bool = False
    retain: bool = False
    address: str = ""
    address_at: int = 0
    value: Scalar | None = None
    pou: Pou | None = None
    offset: int = -1
    bit: int = -1
    target: Variable | None = None
    decl: VarDecl | None = None
    access: str = "PROTECTED"
    edge: Variable | None = None
    last: Variable | None = None
    space: Space | None = None
    resource: str = ""
    choices: dict[str, Variable] | None = None
    common: Variable | None = None

    @property
    def by_reference(self) -> bool:
        """Tell whether a call hands over where the argument lies, not its value."""
        if self.section != "VAR_INPUT" or self.pou is None or self.pou.kind == "PROGRAM":
            return self.section == "VAR_IN_OUT"
        return isinstance(self.type, OpenArray | BlockType)

    @property
    def temporary(self) -> bool:
        """Tell whether it is made anew in each call."""
        on_stack = self.pou is not None and self.pou.on_stack
        return self.section == "VAR_TEMP" or (on_stack and self.section == "VAR")

    @property
    def elsewhere(self) -> bool:
        """Tell whether it means another one and takes no place: VAR_EXTERNAL, VAR_STAT, VAR_INST."""
        return self.section in ("VAR_EXTERNAL", "VAR_STAT", "VAR_INST")

    @property
    def end_of_chain(self) -> Variable:
        return self.target or self

    def seen_from(self, resource: str) -> Variable | None:
        """Return the variable that is meant in what runs in a resource."""
        final = self.end_of_chain
        if final.choices is None:
            return final
        return final.choices.get(resource) or final.choices.get("")

    def is_seen_from(self, resource: str) -> bool:
        """Tell whether what runs in a resource may name it; "" tells nothing of where that is."""
        seen = self.seen_from(resource)
        return not resource or (seen is not None and seen.resource in ("", resource))


@dataclass(slots=True, eq=False)
class EnumValue:
    """One value of an enumeration, as a name in scope."""

    name: str
    type: Enum
    number: int


@dataclass(slots=True, eq=False)
class Pou:
    """A program organisation unit; `variables` by casefolded name, in order of declaration.

    `kept` is where in the image its temporary variables lie, if something may refer to them; else -1.
    No unit runs within itself, so that one place is enough. `kept_frame` is the same for its parameters
    and result, which are copied there and back.
    """

    kind: str
    name: str
    decl: PouDecl
    variables: dict[str, Variable] = field(default_factory=dict)
    result: Variable | None = None
    type: BlockType | Interface | None = None
    library: bool = False
    uses: set[Pou] = field(default_factory=set)
    frame_size: int = 0
    local_size: int = 0
    methods: dict[str, Pou] = field(default_factory=dict)
    owner: Pou | None = None
    base: Pou | None = None
    interfaces: list[Pou] = field(default_factory=list)
    derived: list[Pou] = field(default_factory=list)
    number: int = 0
    kept: int = -1
    kept_frame: int = -1
    other_names: dict[str, str] = field(default_factory=dict)
    _face: BlockType | None = None

    @property
    def face(self) -> BlockType:
        """Return the type that a program has where its name stands for its only instance."""
        self._face = self._face or BlockType(self)
        return self._face

    @property
    def made_up(self) -> bool:
        """Tell whether the compiler made it: the first calls of instances, see softplc.bind.firstcalls."""
        return self.decl.name.startswith("$")

    @property
    def on_stack(self) -> bool:
        """Tell whether its variables end with the call."""
        return self.kind in ("FUNCTION", "METHOD")

    @property
    def root(self) -> Pou:
        return self.base.root if self.base is not None else self

    def enable_out(self) -> Variable | None:
        """Return the ENO that the body sets; it is there once the body names it."""
        if self.kind not in ("FUNCTION", "FUNCTION_BLOCK"):
            return None
        at, end = self.decl.name_at, self.decl.name_at + len(self.decl.name)
        return self.variables.setdefault("eno", Variable("ENO", "ENO", BOOL, None, at, end, pou=self))

    def find_variable(self, key: str) -> Variable | None:
        """Return the variable that a key names, also by a name that a profile has for it."""
        return self.variables.get(self.other_names.get(key, key))

    def find_method(self, name: str) -> Pou | None:
        """Return the method a call means: the unit's own, or one that it inherits."""
        found = self.methods.get(name.casefold())
        for parent in (self.base, *(self.interfaces if self.kind == "INTERFACE" else ())):
            if found is None and parent is not None:
                found = parent.find_method(name)
        return found

    def all_interfaces(self) -> list[Pou]:
        """Return every interface it has, inherited ones too; an interface has itself."""
        found = [self] if self.kind == "INTERFACE" else []
        for parent in (*self.interfaces, self.base):
            found += parent.all_interfaces() if parent is not None else []
        return found

    def offers(self, other: Pou) -> bool:
        """Tell whether it is another unit, descends from it or implements it."""
        if self is other or other in self.all_interfaces():
            return True
        return self.base is not None and self.base.offers(other)

    def descendants(self) -> list[Pou]:
        """Return itself and every class or block made from it."""
        found = [self] if self.kind != "INTERFACE" else []
        for each in self.derived:
            found += [d for d in each.descendants() if d not in found]
        return found

    def implementations(self, name: str) -> dict[Pou, list[int]]:
        """Return the methods a call through this type may reach, with the numbers of the classes."""
        found: dict[Pou, list[int]] = {}
        for each in self.descendants():
            method = each.find_method(name)
            if method is not None and "ABSTRACT" not in each.decl.modifiers:
                found.setdefault(method, []).append(each.number)
        return found

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
    """A task of a resource; `interval_ns` 0 means every scan, or at each rising edge of `single`.

    `blocks` are function blocks that it runs by themselves, `resource` the name of its resource. Where
    several resources have a task of its name, `name` begins with that of the resource.
    """

    name: str
    interval_ns: int
    priority: int
    at: int
    single: Expr | None = None
    last: Variable | None = None
    blocks: list[tuple[Instance, Variable]] = field(default_factory=list)
    resource: str = ""


@dataclass(slots=True, eq=False)
class VariablePath:
    """A variable by its path: `root` of a program instance or a global, then the way inside.

    Attributes:
        instance: the instance, None for globals and direct addresses.
        root: the variable, None for direct addresses.
        steps: member of a block, member of a structure, or number of an element from 0.
        address: a direct address, else empty.
    """

    instance: InstanceDecl | None
    root: Variable | None
    steps: list[Variable | Field | int]
    type: Type
    address: str = ""

    @property
    def declared(self) -> Variable | Field | None:
        """Return the variable or member as it is declared, if the path ends with one."""
        last = self.steps[-1] if self.steps else self.root
        return None if isinstance(last, int) else last


@dataclass(slots=True, eq=False)
class Setting:
    """What VAR_CONFIG gives a variable of an instance: an address, an initial value, or both."""

    path: VariablePath
    address: str
    address_at: int
    init: Init | None


@dataclass(slots=True, eq=False)
class Access:
    """An access path: another name for a variable; `at` is where the path ends.

    One that a program declares, `program`, is there in each of its instances: `instance.name`.
    """

    name: str
    path: VariablePath
    writable: bool
    at: int
    program: Pou | None = None


@dataclass(slots=True, eq=False)
class Instance:
    """A program instance, and the task it runs in ("" for every scan).

    Attributes:
        inputs: constants.
        arguments: what is copied before and after each run.
        settings: what VAR_CONFIG says.
        blocks: its function blocks that run in tasks of their own.
        resource: the key of its resource; its name begins `name` where several have such an instance.
    """

    name: str
    pou: Pou
    task: str
    at: int
    variables: dict[str, Variable] = field(default_factory=dict)
    inputs: list[tuple[str, Scalar]] = field(default_factory=list)
    arguments: list[Argument] = field(default_factory=list)
    decl: InstanceDecl | None = None
    settings: list[Setting] = field(default_factory=list)
    blocks: set[Variable] = field(default_factory=set)
    resource: str = ""

    @property
    def retain(self) -> bool:
        return self.decl is not None and self.decl.retain

    def address_of(self, variable: Variable) -> str:
        """Return the address of a variable of the program in this instance, or nothing."""
        for each in self.settings:
            if each.path.root is variable and not each.path.steps and each.address:
                return each.address
        return "" if is_partial(variable.address) else variable.address

    def copied(self, block: Variable | None) -> list[Setting]:
        """Return the located variables of blocks: of one that runs alone, or of all others."""
        return [
            each
            for each in self.settings
            if each.address and each.path.steps
            if (each.path.root if each.path.root in self.blocks else None) is block
        ]


@dataclass(slots=True, eq=False)
class Project:
    """Everything that was declared; keys are full names without case.

    `spaces` are namespaces by key, `full_names` what there is in the spelling of its declaration, `texts`
    the spaces as written, `internal` the keys of what is INTERNAL. `paths` is what is wrong with paths,
    `lists` the names of global variables by the list (file) they are in, where the profile knows lists.
    `named` are programs that other units name, `called` those that they call (profile codesys).
    `first_calls` are functions, one for each global that FB_Init is called for.
    `common` are the names of globals that several resources have (`globals` has each variable by its path),
    `varying` the units that mean another variable by them in each.
    """

    profile: Profile = IEC
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
    pointers: bool = False
    charts: list[Diagnostic] = field(default_factory=list)
    heritage: list[Diagnostic] = field(default_factory=list)
    warnings: list[Diagnostic] = field(default_factory=list)
    settings: dict[InstanceDecl, list[Setting]] = field(default_factory=dict)
    access: list[Access] = field(default_factory=list)
    paths: list[Diagnostic] = field(default_factory=list)
    type_keys: set[str] = field(default_factory=set)
    spaces: dict[str, str] = field(default_factory=dict)
    lists: dict[str, set[str]] = field(default_factory=dict)
    full_names: dict[str, str] = field(default_factory=dict)
    texts: list[Space] = field(default_factory=list)
    internal: set[str] = field(default_factory=set)
    named: set[Pou] = field(default_factory=set)
    called: set[Pou] = field(default_factory=set)
    first_calls: dict[Pou, Variable] = field(default_factory=dict)
    common: dict[str, Variable] = field(default_factory=dict)
    varying: set[Pou] = field(default_factory=set)

    def global_names(self) -> list[Variable]:
        """Return the globals as units name them: those of one name in several resources once."""
        return [*(each for each in self.globals.values() if each.common is None), *self.common.values()]


def all_pous(project: Project) -> list[Pou]:
    """Return every unit, methods included."""
    units = [*project.pous.values(), *project.first_calls]
    return [each for pou in units for each in (pou, *pou.methods.values())]


def is_first(project: Project, pou: Pou) -> bool:
    """Tell whether it is FB_Init, or what calls that: always called as the very method of its block."""
    return pou.made_up or (project.profile.objects and pou.decl.name.casefold() == FB_INIT)


def is_partial(address: str) -> bool:
    """Tell whether an address is only partly specified: `%I*`."""
    return address.endswith("*")


def constant_of(init: Init | None) -> Variable | None:
    """Return the constant array or structure whose initial value an initialiser takes, if it names one."""
    if not isinstance(init, Name) or not isinstance(init.ref, Variable):
        return None
    constant = init.ref.end_of_chain
    return constant if constant.constant and isinstance(constant.type, Array | Struct) else None


def is_shared(variable: Variable) -> bool:
    """Tell whether it is what a variable of VAR_STAT means: a global that its unit alone names."""
    return variable.pou is None and variable.decl is not None and "$" in variable.name[:-1]


Ref = Variable | Pou | EnumValue
