"""Paths of VAR_CONFIG and VAR_ACCESS: from names to variables of program instances; what is wrong is noted.

Source: IEC 61131-3:2013, 6.5.6.2 and 6.8.1, table 62.
"""

from __future__ import annotations

from collections.abc import Iterable

from softplc.addresses import parse_address
from softplc.bind.declare import Declarations
from softplc.bind.initialisers import mark_init
from softplc.bind.resources import instances_in_several
from softplc.diagnostics import Diagnostic, did_you_mean
from softplc.iectypes import BOOL, Array, BlockType, Field, Struct, Type, same
from softplc.symbols import Access, Pou, Setting, Variable, VariablePath
from softplc.syntax import AccessDecl, ConfigurationDecl, InstanceDecl, Node, PathPart, SettingDecl


def bind_paths(declarations: Declarations) -> None:
    """Resolve every path of every configuration, and those of programs."""
    for pou in declarations.project.pous.values():
        own = _Paths(declarations, ConfigurationDecl(0, 0, "", [], [], space=pou.decl.space))
        for access in pou.decl.paths:
            own.access(access, pou)
    for configuration in declarations.project.configurations:
        paths = _Paths(declarations, configuration)
        names: set[str] = set()
        for access in configuration.access:
            key = access.name.casefold()
            if key in names or key in declarations.project.globals or key in declarations.project.common:
                paths.note(f"{access.name} is already declared", access, "rename one of the two", "ST2002")
                continue
            names.add(key)
            paths.access(access)
        for setting in configuration.settings:
            paths.setting(setting)


class _Paths:
    """Paths of one configuration."""

    def __init__(self, declarations: Declarations, configuration: ConfigurationDecl) -> None:
        self.declarations = declarations
        self.project = declarations.project
        self.configuration = configuration
        self.scope = declarations.scope_of(None)
        self.scope.space = configuration.space

    def note(self, message: str, node: Node, remedy: str = "", code: str = "ST2044") -> None:
        self.project.paths.append(Diagnostic(code, message, node.at, node.end, remedy))

    def access(self, decl: AccessDecl, program: Pou | None = None) -> None:
        path = self._path(decl.path, globals_too=True) if program is None else self._own(program, decl)
        type_, _ = self.declarations.resolve(decl.spec, self.scope)
        if path is None or type_ is None:
            return
        if path.address:
            path.type = type_
            self.project.directs.add(path.address.upper())
        elif self._has_type(path, type_, decl.spec, decl.path[-1]):
            constant = path.root is not None and path.root.constant
            if decl.writable and constant:
                self.note(f"{decl.path[-1].name} is a constant", decl.path[-1], "make it READ_ONLY")
        self.project.access.append(Access(decl.name, path, decl.writable, decl.path[-1].at, program))

    def setting(self, decl: SettingDecl) -> None:
        path = self._path(decl.path, globals_too=False)
        type_, _ = self.declarations.resolve(decl.spec, self.scope)
        if decl.init is not None:
            mark_init(self.declarations.typer(self.scope), decl.init, type_)
        if path is None or path.instance is None or type_ is None:
            return
        if not self._has_type(path, type_, decl.spec, decl.path[-1]):
            return
        if not decl.address and decl.init is None:
            self.note("VAR_CONFIG gives neither address nor value here", decl, "write AT or := or both")
        self.project.settings.setdefault(path.instance, []).append(
            Setting(path, decl.address, decl.address_at, decl.init)
        )

    def _has_type(self, path: VariablePath, type_: Type, spec: Node, part: PathPart) -> bool:
        if same(type_, path.type):
            return True
        self.note(f"{part.name} is {path.type}, not {type_}", spec, f"write {path.type}")
        return False

    def _path(self, parts: list[PathPart], globals_too: bool) -> VariablePath | None:
        resources = {each.name.casefold(): each for each in self.configuration.resources}
        first, rest = parts[0], parts[1:]
        resource = resources.get(first.name.casefold())
        within = resource.name.casefold() if resource is not None and rest else ""
        if resource is not None and rest:
            instances = {each.name.casefold(): each for each in resource.instances}
            first, rest = rest[0], rest[1:]
        else:
            several = instances_in_several(self.project)
            instances = {
                each.name.casefold(): each
                for one in resources.values()
                for each in one.instances
                if not one.name or each.name.casefold() not in several
            }
            if first.name.casefold() in several and first.name.casefold() not in instances:
                self._in_several(first)
                return None
        if first.name.startswith("%"):
            if globals_too:
                return self._direct(first, rest)
            self._unknown(first, (), "there is no program instance")
            return None
        instance = instances.get(first.name.casefold())
        if instance is None:
            variable = self.scope.variable(first.name)
            seen = variable.seen_from(within) if variable is not None else None
            if variable is not None and seen is None and globals_too and not within:
                self._in_several(first)
                return None
            if variable is not None and within and not variable.is_seen_from(within):
                seen = None
            if seen is not None and globals_too:
                return self._inside(None, seen, first, rest)
            known = [each.name for each in instances.values()]
            if globals_too:
                known += [each.name for each in self.project.global_names() if each.is_seen_from(within)]
            known += [each.name for each in resources.values()]
            self._unknown(first, known, "there is no program instance")
            return None
        return self._of_program(instance, first, rest)

    def _in_several(self, part: PathPart) -> None:
        """Tell that a name leads to several resources."""
        self.note(f"several resources have {part.name}", part, f"begin with the resource: R.{part.name}")

    def _own(self, program: Pou, decl: AccessDecl) -> VariablePath | None:
        """Follow a path that begins with a variable of the program in which it is declared."""
        key = decl.name.casefold()
        known = [each.program for each in self.project.access if each.name.casefold() == key]
        if key in program.variables or program in known:
            self.note(f"{decl.name} is already declared", decl, "rename one of the two", "ST2002")
            return None
        return self._within(None, program, decl.path)

    def _of_program(
        self, instance: InstanceDecl, first: PathPart, rest: list[PathPart]
    ) -> VariablePath | None:
        pou = self.scope.unit(instance.type_name)
        if pou is None:
            return None  # told with the instance
        if not rest:
            self.note(
                f"{first.name} is a program instance, not a variable", first, "name one of its variables"
            )
            return None
        return self._within(instance, pou, rest)

    def _within(self, instance: InstanceDecl | None, pou: Pou, rest: list[PathPart]) -> VariablePath | None:
        found = pou.variables.get(rest[0].name.casefold())
        if found is None or found.elsewhere or found.section in ("VAR_TEMP", "VAR_IN_OUT"):
            known = [each.name for each in pou.variables.values()]
            self._unknown(rest[0], known, f"{pou.name} has no variable")
            return None
        return self._inside(instance, found, rest[0], rest[1:])

    def _inside(
        self, instance: InstanceDecl | None, root: Variable, first: PathPart, rest: list[PathPart]
    ) -> VariablePath | None:
        if root.type is None:
            return None
        path = VariablePath(instance, root, [], root.type)
        if not self._indexed(path, first):
            return None
        for part in rest:
            key = part.name.casefold()
            type_ = path.type
            known: Iterable[str] = ()
            step: Variable | Field | None = None
            if isinstance(type_, Struct):
                step = type_.fields.get(key)
                known = [each.name for each in type_.fields.values()]
            elif isinstance(type_, BlockType):
                step = type_.pou.variables.get(key)
                if step is not None and step.section == "VAR_STAT" and step.address:
                    remedy = f"declare it AT {step.address[:2]}*, or remove this"
                    self.note(f"{step.name} lies at {step.address} in all instances", part, remedy)
                    return None
                known = [each.name for each in type_.pou.variables.values()]
                if step is not None and step.section in (
                    "VAR_TEMP",
                    "VAR_EXTERNAL",
                    "VAR_STAT",
                    "VAR_INST",
                    "VAR_IN_OUT",
                ):
                    step = None
            if step is None or step.type is None:
                self._unknown(part, known, f"{type_} has no member")
                return None
            path.steps.append(step)
            path.type = step.type
            if not self._indexed(path, part):
                return None
        return path

    def _indexed(self, path: VariablePath, part: PathPart) -> bool:
        """Follow the indices of one part."""
        if not part.indices:
            return True
        type_ = path.type
        if not isinstance(type_, Array) or len(type_.ranges) != len(part.indices):
            self.note(f"{part.name} is {type_}: it takes other indices", part, "give one for each dimension")
            return False
        typer = self.declarations.typer(self.scope)
        number = 0
        for index, (low, high) in zip(part.indices, type_.ranges, strict=True):
            typer.value(index)
            if not isinstance(index.value, int) or not low <= index.value <= high:
                self.note(f"the index is no constant from {low} to {high}", index)
                return False
            number = number * (high - low + 1) + index.value - low
        path.steps.append(number)
        path.type = type_.element
        return True

    def _direct(self, part: PathPart, rest: list[PathPart]) -> VariablePath | None:
        if parse_address(part.name) is None or rest or part.indices:
            self.note(f"{part.name} is no direct address", part, "addresses look like %IX0.0, %QW4 or %MD8")
            return None
        return VariablePath(None, None, [], BOOL, part.name)

    def _unknown(self, part: PathPart, known: Iterable[str], what: str) -> None:
        names = [each for each in known if "$" not in each]
        remedy = did_you_mean(part.name, names) or (f"there are {', '.join(names[:12])}" if names else "")
        self.note(f"{what} {part.name}", part, remedy)
