"""Declarations: names into the project, type specifications into types."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from softplc import library
from softplc.addresses import parse_relative
from softplc.bind import charts, firstcalls, heritage, resources
from softplc.bind.expressions import Expressions
from softplc.bind.fold import as_type
from softplc.bind.initialisers import mark_init
from softplc.bind.properties import shown
from softplc.bind.qualify import qualify
from softplc.bind.scope import Scope
from softplc.diagnostics import Diagnostic
from softplc.iectypes import (
    BOOL,
    BYTE,
    DEFAULT_STRING_LENGTH,
    ELEMENTARY,
    INT,
    MAX_STRING_LENGTH,
    Alias,
    Array,
    BlockType,
    Elementary,
    Enum,
    Field,
    Interface,
    OpenArray,
    Pointer,
    Reference,
    String,
    Struct,
    Subrange,
    Type,
    base_of,
)
from softplc.library.other_names import OF_BLOCKS
from softplc.profiles import IEC, Profile
from softplc.symbols import Duplicate, EnumValue, Pou, Project, Variable, is_partial
from softplc.syntax import (
    ArraySpec,
    ConfigurationDecl,
    EnumSpec,
    Expr,
    Init,
    InstanceDecl,
    Literal,
    NamedSpec,
    PointerSpec,
    PouDecl,
    RefSpec,
    ResourceDecl,
    StructInit,
    StructSpec,
    TypeDecl,
    TypeSpec,
    Unit,
    VarBlock,
)

MAX_IMAGE_BYTES = 1 << 30


class Declarations:
    """Builds the project from the units; library blocks join when they are first named."""

    def __init__(self, load_library: Callable[[str, str], Unit], profile: Profile = IEC) -> None:
        self.project = Project(profile)
        self._load_library = load_library
        self._pending: dict[str, TypeDecl] = {}
        self._resolving: set[str] = set()
        self._evaluating: set[Variable] = set()
        self._failed: set[str] = set()
        self._open_references: dict[str, list[tuple[Reference | Pointer, TypeSpec]]] = {}
        self.specs: dict[int, tuple[TypeSpec, Scope]] = {}
        self._declared: set[Pou] = set()
        self.cycles: list[TypeDecl] = []
        self.given_later: list[Variable] = []  # their initial values are written behind FB_Init

    def declare(self, unit: Unit) -> Project:
        """Take in the merged unit of the user."""
        for decl in unit.types:
            key = decl.key
            if key in self._pending or decl.name.upper() in ELEMENTARY:
                first = self._pending.get(key)
                self._duplicate(decl.name, "type", decl.at, decl.end, first.at if first else -1)
                continue
            self._pending[key] = decl
        self.project.type_decls = unit.types
        self.project.type_keys = set(self._pending)
        self._namespaces(unit)
        self._qualify(unit)
        pous = [self._register(decl, in_library=False) for decl in unit.pous]
        self.project.configurations = _configurations(unit)
        self._globals(unit)
        for pou in pous if self.project.profile.objects else ():
            clash = self.project.globals.get(pou.name.casefold()) if pou and pou.kind == "PROGRAM" else None
            if pou is not None and clash is not None:  # the name of a program is a variable there
                self._duplicate(clash.name, "program or variable", clash.at, clash.end, pou.at)
        for decl in self._pending.values():  # before constants have values: those may use them
            if isinstance(decl.spec, EnumSpec):
                self._type_of(decl.key)
        for decl in list(self._pending.values()):
            self._type_of(decl.key)
        self._resolve_variables(self.project.globals)
        for variable in self.project.common.values():
            resources.agree(variable, self.constant)
        known = [pou for pou in pous if pou is not None]
        heritage.connect(self.project, known, self.load)
        for pou in known:
            self._declare_pou(pou)
        firstcalls.add(self)
        return self.project

    def _globals(self, unit: Unit) -> None:
        """Declare the globals; a name that several resources have leads to a variable for each of them."""
        project = self.project
        blocks: list[tuple[str, list[VarBlock]]] = [("", unit.globals)]
        for configuration in unit.configurations:
            blocks.append(("", configuration.blocks))
            blocks += [(each.name, each.blocks) for each in configuration.resources]
        common = resources.declared_twice(blocks)
        for resource, own in blocks:
            self._variables(None, own, project.globals, resource, common)
        project.duplicates += resources.name_clashes(project)

    def _namespaces(self, unit: Unit) -> None:
        """Take in the namespaces: which there are, what uses them, and what is only theirs."""
        project = self.project
        project.texts = unit.spaces
        project.lists = unit.lists
        project.spaces = {each.name.casefold(): each.name for each in unit.spaces if each.name}
        decls: list[TypeDecl | PouDecl] = [*unit.types, *unit.pous]
        project.full_names = {each.key: each.space.full(each.name) for each in decls} | project.spaces
        for decl in decls:
            if decl.key in project.spaces:
                at = decl.name_at if isinstance(decl, PouDecl) else decl.at
                self._duplicate(decl.name, "namespace", at, at + len(decl.name), -1)
        project.internal = set(unit.internal)
        project.internal |= {each.key for each in unit.types if each.internal}
        project.internal |= {each.key for each in unit.pous if each.access == "INTERNAL"}

    def _qualify(self, unit: Unit) -> None:
        """Make one name of `N.x` wherever no POU is around; `_declare_pou` does it for the others."""
        outside: list[TypeDecl | VarBlock | ConfigurationDecl]
        outside = [*unit.types, *unit.globals, *unit.configurations]
        for each in outside:
            qualify(each, Scope(self.project, None, each.space), set())

    # Names ---------------------------------------------------------------------------------------

    def _duplicate(self, name: str, what: str, at: int, end: int, first_at: int) -> None:
        self.project.duplicates.append(Duplicate(name, what, at, end, first_at))

    def _register(self, decl: PouDecl, in_library: bool) -> Pou | None:
        key = decl.key
        first = self.project.pous.get(key)
        if first is not None and not first.library:
            self._duplicate(decl.name, "POU", decl.name_at, decl.name_at + len(decl.name), first.at)
            return None
        clash = self._pending.get(key)
        if clash is not None:
            self._duplicate(decl.name, "type", decl.name_at, decl.name_at + len(decl.name), clash.at)
            return None
        pou = Pou(decl.kind, decl.space.full(decl.name), decl, library=in_library)
        if decl.kind in ("FUNCTION_BLOCK", "CLASS"):
            pou.type = BlockType(pou)
        elif decl.kind == "INTERFACE":
            pou.type = Interface(pou)
        for method in decl.methods:
            inner = Pou(method.kind, f"{pou.name}.{method.name}", method, library=in_library, owner=pou)
            first = pou.methods.get(method.name.casefold())
            if first is not None:
                end = method.name_at + len(method.name)
                kind = f"the {method.name[-3:].upper()} of property" if "$" in method.name else "method"
                self._duplicate(shown(method.name), kind, method.name_at, end, first.at)
                continue
            pou.methods[method.name.casefold()] = inner
        self.project.references |= bool(pou.methods)
        self.project.pous[key] = pou
        return pou

    def _declare_pou(self, pou: Pou) -> None:
        if pou in self._declared:
            return
        self._declared.add(pou)
        decl = pou.decl
        if pou.base is not None:
            self._declare_pou(pou.base)
            pou.variables.update(pou.base.variables)
        own = {each.name.casefold() for block in decl.blocks for each in block.declarations}
        outer = pou.owner.variables.keys() if pou.owner is not None else set()
        qualify(decl, Scope(self.project, None, decl.space), {*own, *pou.variables, *outer})
        charts.expand(decl, self.project.charts)
        if decl.kind == "FUNCTION" or decl.result is not None:
            name = shown(decl.name)
            result = Variable(name, "RESULT", None, None, decl.name_at, decl.name_at + len(name), pou=pou)
            if decl.result is not None:
                result.type, result.init = self.resolve(decl.result, Scope(self.project, pou))
            pou.result = result
            pou.variables[name.casefold()] = result
        self._variables(pou, decl.blocks, pou.variables)
        self._against_methods(pou)
        self._resolve_variables(pou.variables)
        for method in pou.methods.values():
            self._declare_pou(method)

    def _against_methods(self, pou: Pou) -> None:
        """Note names that a variable and a method or property have, also one that is inherited."""
        told: set[str] = set()
        unit: Pou | None = pou
        while unit is not None:
            for method in unit.methods.values():
                name = shown(method.decl.name)
                variable = pou.variables.get(name.casefold())
                if variable is None or name.casefold() in told or pou not in (unit, variable.pou):
                    continue
                told.add(name.casefold())
                what = "property or variable" if "$" in method.decl.name else "method or variable"
                if unit is pou:
                    self._duplicate(name, what, method.at, method.at + len(name), variable.at)
                else:
                    self._duplicate(name, what, variable.at, variable.end, method.at)
            unit = unit.base

    def _variables(
        self,
        pou: Pou | None,
        blocks: list[VarBlock],
        into: dict[str, Variable],
        resource: str = "",
        common: Collection[str] = (),
    ) -> None:
        """Declare variables; `common` are the names that several resources have."""
        for block in blocks:
            for decl in block.declarations:
                name = decl.name if pou is not None else block.space.full(decl.name)
                plain = name.casefold()
                if plain in common and resource:
                    name = f"{resource}.{name}"
                key = name.casefold()
                first = into.get(key)
                if first is not None:
                    self._duplicate(decl.name, "variable", decl.at, decl.end, first.at)
                    continue
                into[key] = Variable(
                    name,
                    block.section,
                    None,
                    decl.init,
                    decl.at,
                    decl.end,
                    constant=block.constant,
                    retain=block.retain,
                    lent=block.lent,
                    address=decl.address,
                    address_at=decl.address_at,
                    pou=pou,
                    access=block.access,
                    decl=decl,
                    space=block.space,
                    resource=resource.casefold(),
                )
                if plain in common:
                    resources.add_choice(self.project, plain, into[key])
                located = decl.address and not is_partial(decl.address) and self.project.profile.objects
                if located and pou is not None and (pou.kind, block.section) == ("FUNCTION_BLOCK", "VAR"):
                    into[key].section = "VAR_STAT"  # all instances have the same place
                if block.section == "VAR_EXTERNAL":
                    into[key].target = Scope(self.project, None, block.space).variable(decl.name)
                if into[key].section == "VAR_STAT" and pou is not None:
                    self._static(pou, into[key])
                if block.section == "VAR_INST" and pou is not None:
                    self._of_instance(pou, into[key])
                if decl.edge:
                    self._edge(into, into[key])

    def _static(self, pou: Pou, variable: Variable) -> None:
        """Let a variable of VAR_STAT mean a hidden global, which all instances and calls share."""
        shared = replace(variable, name=f"{pou.name}${variable.name}", section="VAR_GLOBAL", pou=None)
        variable.target = self.project.globals[shared.name.casefold()] = shared

    @staticmethod
    def _of_instance(pou: Pou, variable: Variable) -> None:
        """Let a variable of VAR_INST mean a hidden one of the instance; only methods have instances."""
        owner = pou.owner or pou
        inner = replace(variable, name=f"{pou.decl.name}${variable.name}", section="VAR", pou=owner)
        variable.target = owner.variables[inner.name.casefold()] = inner

    @staticmethod
    def _edge(into: dict[str, Variable], variable: Variable) -> None:
        """Give an input with R_EDGE or F_EDGE its two helpers."""
        helpers = [
            Variable(
                f"{variable.name}${what}", "VAR", BOOL, None, variable.at, variable.end, pou=variable.pou
            )
            for what in ("edge", "last")
        ]
        variable.edge, variable.last = helpers
        into.update({each.name.casefold(): each for each in helpers})

    def _resolve_variables(self, variables: dict[str, Variable]) -> None:
        for variable in list(variables.values()):
            if variable.decl is None or variable.type is not None:
                continue
            variable.type, init = self.resolve(variable.decl.spec, self.scope_of(variable))
            variable.init = _over(variable.init, init)
            block = variable.type
            while isinstance(block, Array):
                block = block.element
            if isinstance(block, BlockType) and variable.pou is not None:
                variable.pou.uses.add(block.pou)
            if variable.section in ("VAR_STAT", "VAR_INST") and variable.target is not None:
                variable.target.type, variable.target.init = variable.type, variable.init

    def declare_variables(self, pou: Pou, blocks: list[VarBlock]) -> None:
        """Declare further variables of a unit."""
        self._variables(pou, blocks, pou.variables)
        self._resolve_variables(pou.variables)

    # Types ---------------------------------------------------------------------------------------

    def _note(self, spec: TypeSpec, scope: Scope) -> None:
        self.specs.setdefault(spec.at, (spec, scope))

    def resolve(self, spec: TypeSpec, scope: Scope) -> tuple[Type | None, Init | None]:
        """Return the type a specification means, and the initial value that type has of its own."""
        if spec.resolved is not None:
            return spec.resolved, None
        self._note(spec, scope)
        init: Init | None = None
        if isinstance(spec, NamedSpec):
            spec.resolved, init = self._named(spec, scope)
        elif isinstance(spec, ArraySpec):
            spec.resolved = self._array(spec, scope)
        elif isinstance(spec, RefSpec | PointerSpec):
            spec.resolved = self._reference(spec, scope)
        elif isinstance(spec, StructSpec):
            spec.resolved = self._struct(spec, "STRUCT", scope)
        elif isinstance(spec, EnumSpec):
            spec.resolved = self._enum(spec, "enumeration", scope)
        return spec.resolved, init

    def _reference(self, spec: RefSpec | PointerSpec, scope: Scope) -> Type | None:
        """Return a reference or pointer type; inside the type it refers to, the target comes later."""
        target = spec.target
        key = self._key_of(target.name, scope) if isinstance(target, NamedSpec) else ""
        if key in self._resolving:
            reference = self._made(spec, None)
            self._open_references.setdefault(key, []).append((reference, target))
            return reference
        found, _ = self.resolve(target, scope)
        return self._made(spec, found) if found is not None else None

    @staticmethod
    def _made(spec: RefSpec | PointerSpec, target: Type | None) -> Reference | Pointer:
        return Reference(target, spec.implicit) if isinstance(spec, RefSpec) else Pointer(target)

    def _named(self, spec: NamedSpec, scope: Scope) -> tuple[Type | None, Init | None]:
        name = spec.name.upper()
        if name in ("STRING", "WSTRING"):
            return self._string(spec, scope), None
        if spec.length is not None:  # only strings have one
            self.typer(scope).value(spec.length)
            return None, None
        found: Type | Alias | None = ELEMENTARY.get(name) or self._named_type(spec.name, scope)
        if found is None and self._is_bit(spec):
            found = BOOL
        if found is None and name == "PVOID" and self.project.profile.pointers:
            found = Pointer(BYTE)
        if spec.low is not None and spec.high is not None:
            typer = self.typer(scope)
            typer.value(spec.low)
            typer.value(spec.high)
            low, high = spec.low.value, spec.high.value
            whole = isinstance(found, Elementary) and found.kind in ("int", "uint")
            if isinstance(low, int) and isinstance(high, int) and whole and isinstance(found, Elementary):
                least, most = found.limits
                if least <= low <= high <= most:
                    return Subrange(f"{name}({low}..{high})", found, low, high), None
            return None, None
        if isinstance(found, Alias):
            return found.type, found.init
        return found, None

    def _string(self, spec: NamedSpec, scope: Scope) -> Type | None:
        wide = spec.name.upper() == "WSTRING"
        if spec.length is None:
            return String(DEFAULT_STRING_LENGTH, wide)
        self.typer(scope).value(spec.length)
        length = spec.length.value
        good = isinstance(length, int) and 1 <= length <= MAX_STRING_LENGTH
        return String(int(length), wide) if good and length is not None else None

    def _is_type(self, key: str) -> bool:
        return key in self._pending or key in self.project.types or key in self.project.pous

    def _key_of(self, name: str, scope: Scope) -> str:
        """Return the key of a type or unit that a name means, or nothing."""
        keys = scope.space.candidates(name, self._is_type)
        return keys[0] if len(keys) == 1 else ""

    def _named_type(self, name: str, scope: Scope) -> Type | Alias | None:
        """Return a type of the user or a function block type."""
        keys = scope.space.candidates(name, self._is_type)
        if keys:
            return self._type_of(keys[0]) if len(keys) == 1 else None
        pou = self.load(name)
        return pou.type if pou is not None else None

    def _type_of(self, key: str) -> Type | Alias | None:
        """Return the type of a key, resolving it if it is the first use."""
        if key in self.project.types:
            return self.project.types[key]
        decl = self._pending.get(key)
        if decl is not None:
            return self._type_decl(key, decl)
        return self.project.pous[key].type

    def _type_decl(self, key: str, decl: TypeDecl) -> Type | Alias | None:
        if key in self._failed:
            return None
        if key in self._resolving:
            self.cycles.append(decl)
            self._failed.add(key)
            return None
        self._resolving.add(key)
        spec, scope = decl.spec, Scope(self.project, None, decl.space)
        name = decl.space.full(decl.name)
        result: Type | Alias | None
        self._note(spec, scope)
        init: Init | None = decl.init
        if isinstance(spec, StructSpec):
            result = spec.resolved = self._struct(spec, name, scope)
        elif isinstance(spec, EnumSpec):
            result = spec.resolved = self._enum(spec, name, scope)
        else:
            inner, own = self.resolve(spec, scope)
            init = _over(init, own)
            result = inner
            if isinstance(inner, Subrange) and isinstance(spec, NamedSpec) and spec.low is not None:
                result = spec.resolved = Subrange(name, inner.base, inner.low, inner.high)
        self._resolving.discard(key)
        for reference, inside in self._open_references.pop(key, ()):
            reference.target = inside.resolved = result if isinstance(result, Type) else None
        if result is None:
            self._failed.add(key)
        if isinstance(result, Type):
            self.project.types[key] = Alias(result, init) if init is not None else result
            if isinstance(result, Enum) and isinstance(self.project.types[key], Alias):
                self.project.types[key] = self._enum_with_initial(result, init, scope)
        return self.project.types.get(key)

    def _enum_with_initial(self, enum: Enum, init: Init | None, scope: Scope) -> Enum:
        if isinstance(init, Expr):
            self.typer(scope).expr(init, enum)
            if isinstance(init.value, int):
                changed = Enum(enum.name, enum.base, enum.values, init.value, enum.strict)
                for values in self.project.enum_values.values():
                    for value in values:
                        if value.type is enum:
                            value.type = changed
                return changed
        return enum

    def load(self, name: str) -> Pou | None:
        """Take a library POU into the project, if it is not there yet."""
        known = self.project.pous.get(name.casefold())
        if known is not None:
            return known
        text = library.source_of(name)
        if text is None:
            return None
        unit = self._load_library(name, text)
        pou = self._register(unit.pous[0], in_library=True)
        if pou is not None:
            self._declare_pou(pou)
            if self.project.profile.loose:
                pou.other_names = OF_BLOCKS.get(pou.name.split("_")[0], {})
        return pou

    def _array(self, spec: ArraySpec, scope: Scope) -> Type | None:
        typer = self.typer(scope)
        ranges: list[tuple[int, int]] = []
        for low, high in spec.ranges:
            typer.value(low)
            typer.value(high)
            first, last = low.value, high.value
            if isinstance(first, int) and isinstance(last, int) and first <= last:
                ranges.append((int(first), int(last)))
        element, init = self.resolve(spec.element, scope)
        if spec.rank and element is not None:
            return OpenArray(element, spec.rank)
        if element is None or len(ranges) != len(spec.ranges):
            return None
        array = Array(element, tuple(ranges), init)
        return array if array.size <= MAX_IMAGE_BYTES else None

    def _struct(self, spec: StructSpec, name: str, scope: Scope) -> Type | None:
        struct = Struct(name, overlap=spec.overlap)
        good = spec.base is None or self._extend(struct, spec.base, scope)
        for each in spec.fields:
            key = each.name.casefold()
            type_, init = self.resolve(each.spec, scope)
            if key in struct.fields:
                self._duplicate(each.name, "member", each.at, each.end, -1)
                continue
            if type_ is None:
                good = False
                continue
            member = Field(each.name, type_, 0, _over(each.init, init), packed=self._is_bit(each.spec))
            place = parse_relative(each.address)
            if place is not None:
                member.fixed = True
                member.offset, member.bit = place
            elif is_partial(each.address):
                member.address, member.address_at = each.address, each.address_at
            struct.add(member)
        return struct if good and struct.size <= MAX_IMAGE_BYTES else None

    def _extend(self, struct: Struct, base: NamedSpec, scope: Scope) -> bool:
        """Begin a structure with the members of another; tell whether there is one."""
        found, _ = self.resolve(base, scope)
        if isinstance(found, Struct) and found.overlap == struct.overlap:
            for member in found.fields.values():
                struct.add(replace(member))
            return True
        if found is not None:
            message, remedy = f"{struct} cannot extend {found}", "name a structure"
            self.project.heritage.append(Diagnostic("ST2020", message, base.at, base.end, remedy))
        return False

    def _is_bit(self, spec: TypeSpec) -> bool:
        """Tell whether a member is declared as BIT: several lie in one byte."""
        return self.project.profile.objects and isinstance(spec, NamedSpec) and spec.name.upper() == "BIT"

    def _enum(self, spec: EnumSpec, name: str, scope: Scope) -> Type | None:
        base = ELEMENTARY.get(spec.base.upper(), INT) if spec.base else INT
        values: dict[str, tuple[str, int]] = {}
        enum = Enum(name, base, values, strict=spec.strict or not self.project.profile.bits_count)
        number = 0
        typer = self.typer(scope)
        typer.declared = enum
        for text, expr, at in spec.values:
            key = text.casefold()
            if expr is not None:
                typer.expr(expr)
                if isinstance(expr.value, int):
                    number = int(expr.value)
            if key in values:
                self._duplicate(text, "enumeration value", at, at + len(text), -1)
                continue
            values[key] = (text, number)
            self.project.enum_values.setdefault(scope.space.key(text), []).append(
                EnumValue(text, enum, number)
            )
            number += 1
        first = next(iter(values.values()))[1]
        if first:
            object.__setattr__(enum, "initial", first)
        return enum

    # Constants -----------------------------------------------------------------------------------

    def typer(self, scope: Scope) -> Expressions:
        in_library = scope.pou is not None and scope.pou.library
        return Expressions(scope, self.constant, self.load, in_library)

    def scope_of(self, owner: Variable | Pou | TypeDecl | None) -> Scope:
        """Return where the names in a declaration are looked up."""
        if isinstance(owner, Pou):
            return Scope(self.project, owner)
        if isinstance(owner, Variable):
            space = owner.space if owner.pou is None else None
            return Scope(self.project, owner.pou, space, owner.resource)
        return Scope(self.project, None, owner.space if owner is not None else None)

    def constant(self, variable: Variable) -> None:
        """Find the value of a constant variable; a cycle leaves it without one."""
        if variable.value is not None or variable in self._evaluating:
            return
        self._evaluating.add(variable)
        if variable.choices is not None:
            resources.agree(variable, self.constant)
            self._evaluating.discard(variable)
            return
        if variable.type is None and variable.decl is not None:
            variable.type, init = self.resolve(variable.decl.spec, self.scope_of(variable))
            variable.init = _over(variable.init, init)
        if isinstance(variable.init, Expr):
            mark_init(self.typer(self.scope_of(variable)), variable.init, variable.type)
            variable.value = _as_declared(variable.init, variable.type)
        elif variable.init is None and isinstance(base_of(variable.type), Elementary):
            zero = Literal(variable.at, variable.end, "int", 0)
            self.typer(self.scope_of(None)).value(zero, variable.type)
            variable.value = zero.value
        self._evaluating.discard(variable)


def _over(own: Init | None, type_s: Init | None) -> Init | None:
    """Return an initial value over that of its type: members that it leaves out keep theirs."""
    if not isinstance(own, StructInit) or not isinstance(type_s, StructInit):
        return own or type_s
    before = {name.casefold(): value for name, value, _ in type_s.items}
    given = [
        (name, _over(value, before.pop(name.casefold(), None)) or value, at) for name, value, at in own.items
    ]
    kept = [each for each in type_s.items if each[0].casefold() in before]
    return StructInit(own.at, own.end, [*kept, *given])


def _as_declared(init: Expr, type_: Type | None) -> bool | int | float | str | None:
    return None if init.value is None else as_type(init.value, type_)


def _configurations(unit: Unit) -> list[ConfigurationDecl]:
    """Return the configurations; VAR_CONFIG outside of them is for the first, or for all programs."""
    named = [each for each in unit.configurations if each.name]
    outside = [each for each in unit.configurations if not each.name]
    if not outside:
        return named
    if not named:
        first = outside[0]
        resource = ResourceDecl(first.at, first.end, "", [], [], [])
        for each in unit.pous:
            if each.kind == "PROGRAM":
                name = each.space.full(each.name)
                instance = InstanceDecl(each.at, each.end, name, "", 0, name, each.name_at, [])
                resource.instances.append(instance)
        named = [ConfigurationDecl(first.at, first.end, "", [], [resource])]
    settings = [setting for each in outside for setting in each.settings]
    return [replace(named[0], settings=[*named[0].settings, *settings]), *named[1:]]
