"""Names: every occurrence of a name in the texts, and the symbol it means."""

from __future__ import annotations

from collections.abc import Iterator

from softplc.bind.properties import shown
from softplc.iectypes import Array, BlockType, Enum, Interface, Reference, Struct, Type
from softplc.lsp.symbols import (
    Index,
    Occurrence,
    Symbol,
    type_symbol,
    unit_symbol,
    value_symbol,
    variable_symbol,
)
from softplc.parser import parse
from softplc.pipeline import Examination
from softplc.source import SourceSet
from softplc.symbols import FB_INIT, EnumValue, Pou, Variable, all_pous
from softplc.syntax import (
    AccessDecl,
    Argument,
    ArrayInit,
    ArraySpec,
    Association,
    Call,
    Chart,
    ConfigurationDecl,
    EnumSpec,
    Expr,
    Init,
    Initialise,
    InstanceDecl,
    Member,
    Name,
    NamedSpec,
    Node,
    PouDecl,
    SettingDecl,
    StructInit,
    StructSpec,
    TypedName,
    TypeSpec,
    Unit,
    VarDecl,
    inner,
)
from softplc.syntax import Index as IndexExpr


def index_of(examination: Examination, texts: SourceSet) -> Index:
    """Find every name of the files and of the library blocks that they use."""
    finder = _Finder(examination, texts)
    return Index(finder.run(), finder.fields)


class _Finder:
    def __init__(self, examination: Examination, texts: SourceSet) -> None:
        self.examination = examination
        self.project = examination.project
        self.texts = texts
        self.found: list[Occurrence] = []
        self.types = {each.name.casefold(): each for each in self.project.type_decls}
        self.meant = {id(each.spec.resolved): each for each in self.project.type_decls}
        self.units = {id(each.decl): each for each in all_pous(self.project)}
        scopes = [self.project.globals, *(each.variables for each in self.units.values())]
        self.declared = {id(each.decl): each for scope in scopes for each in scope.values() if each.decl}
        self.fields: dict[int, dict[str, Symbol]] = {}
        self.charts = _charts(examination, texts)

    def run(self) -> list[Occurrence]:
        for unit in self.examination.units.values():
            for spec in _specs(unit):
                self._note_fields(spec)
        for unit in self.examination.units.values():
            self._unit(unit)
        for pou in self.project.pous.values():
            if pou.library:
                self._add(unit_symbol(pou), pou.decl.name_at, declares=True)
                for variable in pou.variables.values():
                    self._add(variable_symbol(variable), variable.at, declares=True)
        return list(dict.fromkeys(self.found))

    def _add(
        self, symbol: Symbol, at: int, name: str = "", *, declares: bool = False, writes: bool = False
    ) -> None:
        """Note a name, if it is really written there: charts make nodes that are not."""
        spaces, _, name = shown(name or symbol.name).rpartition(".")
        at += len(spaces) + bool(spaces)
        source = self.texts.at(at)
        text = source.text[at - source.base : at - source.base + len(name)]
        if text.casefold() == name.casefold():
            self.found.append(Occurrence(at, at + len(name), symbol, declares, writes))

    # Declarations --------------------------------------------------------------------------------

    def _unit(self, unit: Unit) -> None:
        for decl in unit.types:
            self._add(type_symbol(decl), decl.at, declares=True)
            self._spec(decl.spec, decl.name)
            self._init(decl.init, decl.spec.resolved)
        for block in unit.globals:
            self._variables(block.declarations)
        for pou in unit.pous:
            self._pou(pou, self.units.get(id(pou)))
        for configuration in unit.configurations:
            self._configuration(configuration)

    def _note_fields(self, spec: TypeSpec) -> None:
        if isinstance(spec, StructSpec) and isinstance(spec.resolved, Struct):
            self.fields[id(spec.resolved)] = {
                each.name.casefold(): Symbol(("field", each.at), "field", each.name, each)
                for each in spec.fields
            }

    def _variables(self, declarations: list[VarDecl]) -> None:
        for decl in declarations:
            variable = self.declared.get(id(decl))
            if variable is None:
                continue
            external = variable.target is not None
            self._add(variable_symbol(variable), decl.at, decl.name, declares=not external)
            self._spec(decl.spec, "")
            self._init(decl.init, variable.type)

    def _pou(self, decl: PouDecl, pou: Pou | None) -> None:
        if pou is None:
            return
        self._add(unit_symbol(pou), decl.name_at, decl.name, declares=True)
        for name, at in (*decl.extends, *decl.implements):
            for parent in (pou.base, *pou.interfaces):
                if parent is not None and parent.decl.name.casefold() == _local(name):
                    self._add(unit_symbol(parent), at, name)
        if decl.result is not None:
            self._spec(decl.result, "")
        for block in decl.blocks:
            self._variables(block.declarations)
        self._body(decl.body)
        chart = self.charts.get(decl.name_at)
        if chart is not None:
            self._chart(chart, pou)
        for method in decl.methods:
            self._pou(method, self.units.get(id(method)))

    def _configuration(self, decl: ConfigurationDecl) -> None:
        for block in decl.blocks:
            self._variables(block.declarations)
        self._paths(decl)
        for resource in decl.resources:
            for block in resource.blocks:
                self._variables(block.declarations)
            tasks = {
                task.name.casefold(): Symbol(
                    ("task", resource.at, task.name.casefold()), "task", task.name, task
                )
                for task in resource.tasks
            }
            for task in resource.tasks:
                self._add(tasks[task.name.casefold()], task.at, declares=True)
                self._body([task.interval, task.priority, task.single])
            for instance in resource.instances:
                self._add(_instance_symbol(instance), instance.at, declares=True)
                if instance.task.casefold() in tasks:
                    self._add(tasks[instance.task.casefold()], instance.task_at)
                pou = self._unit_named(instance.type_name)
                if pou is not None:
                    self._add(unit_symbol(pou), instance.type_at, instance.type_name)
                    self._arguments(instance.arguments, pou)
                    for block_task in instance.blocks:
                        variable = pou.variables.get(block_task.name.casefold())
                        if variable is not None:
                            self._add(variable_symbol(variable), block_task.at, block_task.name)
                        if block_task.task.casefold() in tasks:
                            self._add(tasks[block_task.task.casefold()], block_task.task_at)
                self._body([each.value for each in instance.arguments])

    def _paths(self, decl: ConfigurationDecl) -> None:
        """Note the names on the way to a variable: VAR_ACCESS and VAR_CONFIG."""
        resources = {each.name.casefold(): each for each in decl.resources}
        entries: list[AccessDecl | SettingDecl] = [*decl.access, *decl.settings]
        for entry in entries:
            owner: Type | Pou | None = None
            within = list(resources.values())
            for part in entry.path:
                key = part.name.casefold()
                self._body(part.indices)
                instances = {each.name.casefold(): each for one in within for each in one.instances}
                if owner is None and part is entry.path[0] and key in resources and len(entry.path) > 1:
                    within = [resources[key]]
                    continue
                if owner is None and key in instances:
                    symbol: Symbol | None = _instance_symbol(instances[key])
                    owner = self._unit_named(instances[key].type_name)
                elif owner is None and not decl.name and (unit := self._unit_named(key)) is not None:
                    symbol, owner = unit_symbol(unit), unit
                else:
                    symbol, owner = self._step(owner, key)
                if symbol is not None:
                    self._add(symbol, part.at, part.name)
            self._spec(entry.spec, "")

    def _step(self, owner: Type | Pou | None, key: str) -> tuple[Symbol | None, Type | None]:
        """Return what a name in a path means, and the type it leads to, past indices."""
        if isinstance(owner, Pou | None):
            scope = owner.variables if owner is not None else {**self.project.globals, **self.project.common}
            variable = scope.get(key)
            symbol = variable_symbol(variable) if variable is not None else None
            type_ = variable.type if variable is not None else None
        else:
            symbol, type_ = self._member(owner, key), _member_type(owner, key)
        while isinstance(type_, Array):
            type_ = type_.element
        return symbol, type_

    def _spec(self, spec: TypeSpec, name: str) -> None:
        """Note the types and values that a type specification names."""
        if isinstance(spec, NamedSpec):
            self._type_name(spec.name, spec.at, spec.resolved)
            self._body([spec.length, spec.low, spec.high, spec.given])
            method = _first_method(spec.resolved)
            if method is not None:
                self._arguments([each for arguments in spec.given for each in arguments], method)
        elif isinstance(spec, ArraySpec):
            self._body([list(pair) for pair in spec.ranges])
            self._spec(spec.element, "")
        elif isinstance(target := getattr(spec, "target", None), TypeSpec):  # of a reference
            self._spec(target, "")
        elif isinstance(spec, StructSpec):
            symbols = self.fields.get(id(spec.resolved), {})
            for each in spec.fields:
                if each.name.casefold() in symbols:
                    self._add(symbols[each.name.casefold()], each.at, declares=True)
                self._spec(each.spec, "")
                self._init(each.init, each.spec.resolved)
        elif isinstance(spec, EnumSpec) and isinstance(spec.resolved, Enum):
            for text, value, at in spec.values:
                self._add(value_symbol(spec.resolved, text.casefold()), at, declares=True)
                self._body(value)

    def _type_name(self, name: str, at: int, type_: Type | None) -> None:
        decl = self.meant.get(id(type_)) if type_ is not None else None
        if decl is None or decl.name.casefold() != _local(name):
            decl = self.types.get(_local(name))
        pou = type_.pou if isinstance(type_, BlockType | Interface) else None
        if pou is not None:
            self._add(unit_symbol(pou), at, name)
        elif decl is not None:
            self._add(type_symbol(decl), at, name)

    def _unit_named(self, name: str) -> Pou | None:
        """Return a program by its name, full or not."""
        found = self.project.pous.get(name.casefold())
        same = [each for each in self.units.values() if each.decl.name.casefold() == _local(name)]
        return found or (same[0] if len(same) == 1 else None)

    def _init(self, init: Init | None, type_: Type | None) -> None:
        if isinstance(init, Expr):
            self._body(init)
        elif isinstance(init, ArrayInit):
            element = type_.element if isinstance(type_, Array) else None
            for count, value in init.items:
                self._body(count)
                spread = isinstance(value, ArrayInit) and value.spread
                self._init(value, type_ if spread else element)
        elif isinstance(init, StructInit):
            for name, value, at in init.items:
                symbol = self._member(type_, name)
                if symbol is not None:
                    self._add(symbol, at, name)
                self._init(value, _member_type(type_, name))

    # Bodies --------------------------------------------------------------------------------------

    def _body(self, node: object) -> None:
        stack = [node]
        while stack:
            each = stack.pop()
            if isinstance(each, list | tuple):
                stack.extend(each)
            elif isinstance(each, Initialise) or (isinstance(each, Call) and each.first):
                continue  # written where the instance is declared
            elif isinstance(each, Node):
                self._node(each)
                stack.extend([getattr(each, name) for name in inner(each) if name != "rewritten"])

    def _node(self, node: Node) -> None:
        if isinstance(node, Name):
            self._name(node)
        elif isinstance(node, Member):
            symbol = self._member(node.base.type, node.name)
            if symbol is None and isinstance(node.ref, EnumValue):
                symbol = value_symbol(node.ref.type, node.name.casefold(), node.ref)
                if isinstance(node.base, Name):
                    self._type_name(node.base.name, node.at, node.ref.type)
            if symbol is not None:
                self._add(symbol, node.name_at, node.name)
        elif isinstance(node, TypedName):
            self._typed(node)
        elif isinstance(node, Call):
            self._call(node)
        target = getattr(node, "target", None)
        if isinstance(target, Name) and isinstance(target.ref, Variable):
            self._add(variable_symbol(target.ref), target.at, target.name, writes=True)

    def _name(self, node: Name) -> None:
        if isinstance(node.ref, Variable):
            self._add(variable_symbol(node.ref), node.at, node.name)
        elif isinstance(node.ref, Pou):
            self._add(unit_symbol(node.ref), node.at, node.name)
        elif isinstance(node.ref, EnumValue):
            self._add(value_symbol(node.ref.type, node.name.casefold(), node.ref), node.at, node.name)

    def _chart(self, chart: Chart, pou: Pou) -> None:
        """Note steps and actions by their names; their bodies are in that of the unit."""
        actions = {
            each.name.casefold(): Symbol(("action", each.at), "action", each.name, each)
            for each in chart.actions
        }
        for action in chart.actions:
            self._add(actions[action.name.casefold()], action.at, declares=True)
            if action.chart is not None:
                self._chart(action.chart, pou)
        names = [(each.name, each.at) for each in chart.steps]
        names += [name for each in chart.transitions for name in (*each.sources, *each.targets)]
        places = [each for step in chart.steps for each in step.associations]
        roots = [_root(each) for place in places for each in place.indicators]
        names += [(each.name, each.at) for each in (*places, *roots) if isinstance(each, Association | Name)]
        for name, at in names:
            variable = pou.variables.get(name.casefold())
            symbol = actions.get(name.casefold()) or (variable_symbol(variable) if variable else None)
            if symbol is not None:
                self._add(symbol, at, name)

    def _typed(self, node: TypedName) -> None:
        self._type_name(node.type_name, node.at, node.type)
        if isinstance(node.type, Enum):
            symbol = value_symbol(node.type, node.name.casefold())
            self._add(symbol, node.at + len(node.type_name) + 1, node.name)

    def _call(self, node: Call) -> None:
        binding, callee = node.binding, node.callee
        if binding is None:
            return
        pou = binding.pou
        if pou is not None and pou.kind == "METHOD":
            at = callee.name_at if isinstance(callee, Member) else callee.at
            self._add(unit_symbol(pou), at, pou.decl.name)
        elif isinstance(callee, Name) and callee.ref is None:
            name = callee.name.upper()
            self._add(Symbol(("function", name), "function", name), callee.at)
        if pou is not None:
            self._arguments(node.arguments, pou)

    def _arguments(self, arguments: list[Argument], pou: Pou) -> None:
        for argument in arguments:
            parameter = pou.variables.get(argument.name.casefold()) if argument.name else None
            if parameter is not None:
                self._add(variable_symbol(parameter), argument.at, argument.name)

    def _member(self, type_: Type | None, name: str) -> Symbol | None:
        key = name.casefold()
        if isinstance(type_, Struct):
            return self.fields.get(id(type_), {}).get(key)
        if isinstance(type_, BlockType):
            variable = type_.pou.find_variable(key)
            return variable_symbol(variable) if variable is not None else None
        return None


def _charts(examination: Examination, texts: SourceSet) -> dict[int, Chart]:
    """Return the charts by the place of their unit's name: binding has made statements of them."""
    found: dict[int, Chart] = {}
    for source in texts.files:
        if source.name in examination.units and "END_STEP" in source.text.upper():
            for decl in parse(source, examination.profile)[0].pous:
                for each in (decl, *decl.methods):
                    if each.chart is not None:
                        found[each.name_at] = each.chart
    return found


def _root(node: Expr) -> Expr:
    """Return what a chain of members and indices begins with."""
    while isinstance(node, Member | IndexExpr):
        node = node.base
    return node


def _first_method(type_: Type | None) -> Pou | None:
    """Return FB_Init of a type, or of what an array is of."""
    while isinstance(type_, Array):
        type_ = type_.element
    return type_.pou.find_method(FB_INIT) if isinstance(type_, BlockType) else None


def _local(name: str) -> str:
    """Return a name without its namespaces, casefolded."""
    return name.rpartition(".")[2].casefold()


def _instance_symbol(instance: InstanceDecl) -> Symbol:
    return Symbol(("instance", instance.at), "instance", instance.name, instance)


def _member_type(type_: Type | None, name: str) -> Type | None:
    key = name.casefold()
    if isinstance(type_, Struct):
        member = type_.fields.get(key)
        return member.type if member is not None else None
    if isinstance(type_, BlockType | Interface):
        variable = type_.pou.find_variable(key)
        return variable.type if variable is not None else None
    return type_.target if isinstance(type_, Reference) else None


def _specs(node: object) -> Iterator[TypeSpec]:
    """Yield every type specification of a tree."""
    stack = [node]
    while stack:
        each = stack.pop()
        if isinstance(each, list | tuple):
            stack.extend(each)
        elif isinstance(each, Node) and not isinstance(each, Expr):
            if isinstance(each, TypeSpec):
                yield each
            stack.extend([getattr(each, name) for name in inner(each)])
