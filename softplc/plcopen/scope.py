"""What a body may name: the units of the project, and variables that the translation adds to a unit."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from softplc import library
from softplc.library.functions import FUNCTIONS, conversion, typed
from softplc.plcopen.declarations import declared_names
from softplc.plcopen.text import Code, Origin
from softplc.plcopen.xml import Element

OPEN = "ANY"  # the type of an added variable that is that of its value


@dataclass(slots=True)
class Units:
    """The units of the project by casefolded name: kind, declared outputs, parent and methods of each."""

    kinds: dict[str, str] = field(default_factory=dict)
    outputs: dict[str, list[str]] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    methods: dict[str, set[str]] = field(default_factory=dict)

    def add(self, pou: Element) -> None:
        key = pou.get("name").casefold()
        self.kinds[key] = pou.get("pouType").casefold().replace("_", "")
        interface = pou.child("interface")
        self.outputs[key] = (
            [each.get("name") for each in interface.all("outputVars", "variable")]
            if interface is not None
            else []
        )

        for each in interface.walk() if interface is not None else ():
            if each.name == "Extends":
                self.parents[key] = each.text.strip().casefold()
        self.methods[key] = {
            each.get("name").casefold() for each in pou.all("addData", "data", "Method") if each.get("name")
        }

    def overrides(self, name: str, method: str) -> bool:
        """Tell whether a parent of a unit has a method of this name."""
        seen = {name.casefold()}
        parent = self.parents.get(name.casefold(), "")
        while parent and parent not in seen:
            if method.casefold() in self.methods.get(parent, ()):
                return True
            seen.add(parent)
            parent = self.parents.get(parent, "")
        return False

    def begins(self, name: str) -> bool:
        """Tell whether FB_Init begins instances of a unit."""
        return "fb_init" in self.methods.get(name.casefold(), ()) or self.overrides(name, "fb_init")

    def is_function_block(self, name: str) -> bool:
        key = name.casefold()
        if key in self.kinds:
            return self.kinds[key] == "functionblock"
        return library.source_of(name) is not None and not is_standard(name)


def is_standard(name: str) -> bool:
    """Tell whether a standard function has this name."""
    key = name.upper()
    return key in FUNCTIONS or typed(key) is not None or conversion(key, {}) is not None


@dataclass(slots=True)
class Added:
    """A variable that the translation adds."""

    name: str
    type: str
    origin: Origin


class Scope:
    """Names of one unit, and what is added to them."""

    def __init__(self, units: Units, name: str, holders: Iterable[Element], kind: str) -> None:
        self.units = units
        self.name = name
        self.kind = kind
        self._actions: set[str] = set()
        self._declared = declared_names(holders)
        self._taken = {*self._declared, name.casefold()}
        self.keeps_all = False
        self.temporary: list[Added] = []
        self.kept: list[Added] = []

    def act(self, names: Iterable[str]) -> None:
        """Let names be those of actions, which blocks may call."""
        self._actions.update(each.casefold() for each in names)

    def is_action(self, name: str) -> bool:
        return name.casefold() in self._actions

    def take(self, names: Iterable[str]) -> None:
        """Let names that a body uses be taken."""
        self._taken.update(each.casefold() for each in names)

    def fresh(self, wanted: str) -> str:
        """Return a name that nothing has yet."""
        name, number = wanted, 1
        while name.casefold() in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name.casefold())
        return name

    def add(self, wanted: str, type_name: str, origin: Origin, *, kept: bool = False) -> str:
        """Add a variable; one that is kept has its value in the next scan."""
        name = self.fresh(wanted)
        (self.kept if kept or self.keeps_all else self.temporary).append(Added(name, type_name, origin))
        return name

    def declare(self, name: str, type_name: str, origin: Origin) -> None:
        """Add a variable of just this name, if the unit does not declare it."""
        if name.casefold() not in self._declared:
            self._declared.add(name.casefold())
            self.temporary.append(Added(name, type_name, origin))

    def blocks(self, origin: Origin) -> Code:
        """Return the declarations of what was added."""
        result = Code()
        for section, added in (("VAR", self.kept), ("VAR_TEMP", self.temporary)):
            if added:
                result += origin.code(f"{section}\n")
                for each in added:
                    result += each.origin.code(f"    {each.name} : {each.type};\n")
                result += origin.code("END_VAR\n")
        return result
