"""Inspector: stack, scopes, variables and watches of a program that stands still, for an editor."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from runtime.errors import PlantError
from softplc.bind.scope import Scope as Names
from softplc.debug.evaluate import Where
from softplc.debug.frames import Frame, Scope
from softplc.debug.machine import Machine
from softplc.debug.protocol import Completions, Evaluate, SetExpression, SetVariable, StackTrace, Variables
from softplc.debug.values import Value, shown_type
from softplc.iectypes import BlockType, Struct
from softplc.texts import duration_text, shown

MOST_PARTS = 10_000
MOST_HANDLES = 100_000
REGIONS = ("I", "Q", "M")
YEAR_NS = 365 * 86_400 * 1_000_000_000
_FRAMES = 1_000


@dataclass(frozen=True, slots=True)
class Group:
    """Variables under one heading, or facts that are only text."""

    name: str
    items: list[Value | Group] = field(default_factory=list)
    text: str = ""


def _moment(now_ns: int) -> str:
    """Return the program's time: since the start of a simulation, or the date of a recorded scan."""
    return duration_text(now_ns) if now_ns < YEAR_NS else str(shown("LDT", now_ns))


class Inspector:
    """What there is to see, from one stop to the next; used in the machine's thread."""

    def __init__(self, machine: Machine, *, names_uris: bool = False) -> None:
        self._machine = machine
        self._names_uris = names_uris
        self._handles: dict[int, Group | Value] = {}
        self._next = 1
        self._stop = 0
        self._frames: list[Frame] | None = None

    def forget(self) -> None:
        """Let go of everything: the program goes on."""
        self._handles.clear()
        self._frames = None
        self._stop += 1

    @property
    def frames(self) -> list[Frame]:
        if self._frames is None:
            self._frames = self._machine.stack.frames()
        return self._frames

    # Stack and scopes ----------------------------------------------------------------------------

    def stack_trace(self, asked: StackTrace, first: tuple[int, int]) -> dict[str, Any]:
        """Return the frames, innermost first, and the task; `first` is what lines and columns count from."""
        shown = [self._frame(number, each, first) for number, each in enumerate(self.frames)]
        scans = self._machine.scans
        task = f"task {scans.task}, " if scans.task else ""
        now = _moment(scans.now_ns)
        shown.append(
            {
                "id": self._id(len(shown)),
                "name": f"{task}scan {scans.scan_count}, now {now}",
                "line": 0,
                "column": 0,
                "presentationHint": "label" if shown else "subtle",
            }
        )
        end = asked.start_frame + asked.levels if asked.levels else len(shown)
        return {"stackFrames": shown[asked.start_frame : end], "totalFrames": len(shown)}

    def _frame(self, number: int, frame: Frame, first: tuple[int, int]) -> dict[str, Any]:
        unit = frame.runs.pou.owner or frame.runs.pou
        name = frame.name if frame.name == unit.name else f"{frame.name} ({unit.name})"
        site = frame.site
        shown: dict[str, Any] = {"id": self._id(number), "name": name, "line": 0, "column": 0}
        if site is not None:
            shown["line"], shown["column"] = site.line - 1 + first[0], site.column - 1 + first[1]
            shown["source"] = self.source(site.file)
        return shown

    def source(self, name: str) -> dict[str, Any]:
        """Describe a file; what is no file is asked for by number."""
        path = self._machine.program.path_of(name)
        if path is not None:
            return {"name": Path(path).name, "path": Path(path).as_uri() if self._names_uris else path}
        files = self._machine.program.stoppable.texts.files
        number = next((n for n, each in enumerate(files, 1) if each.name == name), 0)
        return {"name": name, "sourceReference": number, "presentationHint": "deemphasize"}

    def _id(self, number: int) -> int:
        return (self._stop + 1) * _FRAMES + number

    def frame(self, frame_id: int) -> Frame | None:
        """Return a frame by its number, None for the task below them.

        Raises:
            PlantError: there is no such frame now.
        """
        number = frame_id - (self._stop + 1) * _FRAMES
        if not 0 <= number <= len(self.frames):
            raise PlantError("there is no such frame any more", "ask for the stack again")
        return self.frames[number] if number < len(self.frames) else None

    def scopes(self, frame_id: int) -> dict[str, Any]:
        frame = self.frame(frame_id)
        stack = self._machine.stack
        own: list[Scope] = stack.scopes(frame) if frame is not None else []
        shown = [self._scope(Group(each.name, list(each.variables)), each.hint) for each in own]
        more = (Group("Globals", list(stack.globals())), self._programs(), self._image(), self._scan())
        shown += [self._scope(each, "globals" if each is more[0] else "") for each in more if each.items]
        return {"scopes": shown}

    def _scope(self, group: Group, hint: str) -> dict[str, Any]:
        shown: dict[str, Any] = {
            "name": group.name,
            "variablesReference": self._handle(group),
            "namedVariables": len(group.items),
            "expensive": False,
        }
        return shown | ({"presentationHint": hint} if hint else {})

    def _programs(self) -> Group:
        stack = self._machine.stack
        return Group("Programs", [Group(name, list(values)) for name, values in stack.programs() if values])

    def _image(self) -> Group:
        regions = [(each, self._machine.stack.located(each)) for each in REGIONS]
        return Group("Process image", [Group(f"%{name}", list(values)) for name, values in regions if values])

    def _scan(self) -> Group:
        scans = self._machine.scans
        facts = (("now", _moment(scans.now_ns)), ("scan", str(scans.scan_count)), ("task", scans.task))
        return Group("Scan", [Group(name, text=text) for name, text in facts if text])

    # Variables -----------------------------------------------------------------------------------

    def _handle(self, what: Group | Value) -> int:
        number = self._next
        self._next += 1
        self._handles[number] = what
        if len(self._handles) > MOST_HANDLES:
            del self._handles[next(iter(self._handles))]
        return number

    def _of(self, reference: int) -> Group | Value:
        found = self._handles.get(reference)
        if found is None:
            raise PlantError("these variables are gone: the program went on", "ask for the scopes again")
        return found

    def variables(self, asked: Variables) -> dict[str, Any]:
        """Return what is in a scope or a variable; of an array at most 10,000 elements at once."""
        what = self._of(asked.variables_reference)
        start, count = max(asked.start, 0), min(asked.count if asked.count > 0 else MOST_PARTS, MOST_PARTS)
        items: list[Value | Group]
        if isinstance(what, Group):
            items = what.items[start : start + count] if asked.filter != "indexed" else []
        else:
            _, indexed = self._machine.values.count(what)
            if asked.filter and (asked.filter == "indexed") != bool(indexed):
                items = []
            elif indexed:
                items = list(self._machine.values.parts(what, start, count))
            else:
                items = list(islice(self._machine.values.parts(what), start, start + count))
        return {"variables": [self._item(each, asked.format.hex) for each in items]}

    def _item(self, item: Value | Group, hexadecimal: bool) -> dict[str, Any]:
        if isinstance(item, Value):
            named = {"evaluateName": item.expression} if item.expression else {}
            return {"name": item.name, **self._shown(item, hexadecimal), **named}
        reference = self._handle(item) if item.items else 0
        text = item.text or f"{len(item.items)} variables"
        hint = {"attributes": ["readOnly"]}
        return {"name": item.name, "value": text, "variablesReference": reference, "presentationHint": hint}

    def _shown(self, value: Value, hexadecimal: bool, key: str = "value") -> dict[str, Any]:
        named, indexed = self._machine.values.count(value)
        shown: dict[str, Any] = {
            key: self._machine.values.text(value, hexadecimal),
            "type": shown_type(value.type),
            "variablesReference": self._handle(value) if named or indexed else 0,
        }
        if named:
            shown["namedVariables"] = named
        if indexed:
            shown["indexedVariables"] = indexed
        if value.constant:
            shown["presentationHint"] = {"attributes": ["constant", "readOnly"]}
        return shown

    def set_variable(self, asked: SetVariable) -> dict[str, Any]:
        """Set a variable of a scope, or a part of one.

        Raises:
            PlantError: there is none of that name, or the value does not fit.
        """
        what = self._of(asked.variables_reference)
        items = what.items if isinstance(what, Group) else self._machine.values.parts(what)
        found = next((each for each in items if each.name == asked.name), None)
        if not isinstance(found, Value):
            raise PlantError(f"there is no variable {asked.name!r} to be set here", "choose one of the list")
        self._machine.change(found, asked.value)
        return self._shown(found, hexadecimal=False)

    # Expressions ---------------------------------------------------------------------------------

    def _where(self, frame_id: int) -> Where:
        frame = self.frame(frame_id) if frame_id else None
        return frame.where if frame is not None else Where()

    def evaluate(self, asked: Evaluate) -> dict[str, Any]:
        """Return the value of an expression; an assignment or a call in the console is done.

        Raises:
            PlantError: it is wrong, or has no value now.
        """
        where = self._where(asked.frame_id)
        if asked.context == "repl":
            found = self._machine.done(asked.expression, where)
            if found is None:
                return {"result": "done", "variablesReference": 0}
        else:
            found = self._machine.evaluator.value(asked.expression, where)
        return self._shown(found, asked.format.hex, "result")

    def set_expression(self, asked: SetExpression) -> dict[str, Any]:
        """Set what an expression names.

        Raises:
            PlantError: it names no variable, or the value does not fit.
        """
        found = self._machine.evaluator.value(asked.expression, self._where(asked.frame_id))
        if found.keeps is not None:
            raise PlantError(f"{asked.expression} is no variable", "name a variable, or a part of one")
        self._machine.change(found, asked.value)
        return self._shown(found, hexadecimal=False)

    def completions(self, asked: Completions, first_column: int) -> dict[str, Any]:
        """Return the names that fit what stands before a column."""
        before = asked.text[: max(asked.column - first_column, 0)]
        start = len(before)
        while start and (before[start - 1].isalnum() or before[start - 1] == "_"):
            start -= 1
        word, head = before[start:].casefold(), before[:start]
        where = self._where(asked.frame_id)
        names = self._members(head[:-1], where) if head.endswith(".") else self._names(where)
        found = sorted({each for each in names if each.casefold().startswith(word) and "$" not in each})
        return {"targets": [{"label": each, "start": start, "length": len(word)} for each in found[:200]]}

    def _names(self, where: Where) -> list[str]:
        instances = self._machine.program.stoppable.sites.layout.programs
        names = Names(self._machine.program.stoppable.declarations.project, where.pou).names()
        return [*names, *(each.name for each in instances)]

    def _members(self, head: str, where: Where) -> list[str]:
        start = len(head)
        while start and (head[start - 1].isalnum() or head[start - 1] in "_.[],^%"):
            start -= 1
        for instance in self._machine.program.stoppable.sites.layout.programs:
            if instance.name.casefold() == head[start:].casefold():
                return [each.name for each in instance.pou.variables.values()]
        try:
            type_ = self._machine.evaluator.compiled(head[start:], where).type
        except PlantError:
            return []
        if isinstance(type_, BlockType):
            return [each.name for each in type_.pou.variables.values()]
        return [each.name for each in type_.fields.values()] if isinstance(type_, Struct) else []
