"""The migration plan: which variables of a program go on in another version of it, and how.

A variable goes on where the other version has one of the same path and type. One whose type has changed keeps
its value where every value of the old type is one of the new; else it begins anew, which somebody must want.
Constants are those of the new version. A chart whose active step is gone begins at its initial step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from softplc.application import CLASS, STEP, Application, Root, Shape, index_texts, is_hidden
from softplc.iectypes import ELEMENTARY
from softplc.online.moves import BYTES, CLEAR, REFERENCE, Move, Span, joined
from softplc.online.rule import fits, means_the_same, move_of

TOLD = ("new", "dropped", "widened", "retyped")
_MOST_MOVES = 200_000
_STARTED, _ACTIVE = "started$", "x"
_REGIONS = ("I", "Q", "M")


class Entry(NamedTuple):
    """One line of a plan: a variable, or a structure, block or array as a whole; `text` says what it is."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Migration:
    """How one program becomes another.

    Attributes:
        kept: how many elementary variables go on with their values.
        new: what begins with its initial value.
        dropped: what is not there any more.
        widened: what keeps its value in another type.
        retyped: what begins anew, since its value is none of its new type.
        refusals: why it cannot be done at all.
        moves, spans: what is carried; see `softplc.online.moves`.
    """

    kept: int
    new: tuple[Entry, ...] = ()
    dropped: tuple[Entry, ...] = ()
    widened: tuple[Entry, ...] = ()
    retyped: tuple[Entry, ...] = ()
    refusals: tuple[str, ...] = ()
    moves: tuple[Move, ...] = field(default=(), repr=False)
    spans: tuple[Span, ...] = field(default=(), repr=False)

    @property
    def summary(self) -> str:
        """Return the plan in one line."""
        counts = {what: len(getattr(self, what)) for what in TOLD}
        more = [f"{number} {what}" for what, number in counts.items() if number]
        return ", ".join([f"{self.kept} kept", *more])


def plan(old: Application, new: Application) -> Migration:
    """Return how the values of one program get into another."""
    return _Planner(old, new).plan()


def begun_anew(application: Application, programs: Collection[str], *, cold: bool) -> Migration:
    """Return how all values stay but those of some program instances; `cold`: also what they retain.

    Their located variables stay with the process image.
    """
    keys = {name.casefold() for name in programs}
    return _Planner(
        application, application, lambda root: root.program.casefold() in keys and (cold or not root.retain)
    ).plan()


class _Place(NamedTuple):
    """A variable in one of the two images."""

    shape: int
    offset: int
    bit: int = -1


_Named = tuple[Shape, Application, int]


class _Planner:
    def __init__(
        self, old: Application, new: Application, anew: Callable[[Root], bool] = lambda root: False
    ) -> None:
        self._old, self._new, self._anew = old, new, anew
        self._kept = 0
        self._quiet = False
        self._entries: dict[str, list[Entry]] = {what: [] for what in TOLD}
        self._refusals: dict[str, None] = {}
        self._moves: list[Move] = []
        self._clears: list[Move] = []
        self._references: list[tuple[str, Move]] = []
        self._met: dict[str, dict[int, int]] = {}
        self._wanted = {each.type for each in old.shapes if each.kind == "reference"}
        self._same: dict[tuple[int, int], bool] = {}
        self._counts: dict[int, int] = {}
        self._unmoved = (old.roots, old.hidden, old.shapes) == (new.roots, new.hidden, new.shapes)

    def plan(self) -> Migration:
        regions = [*self._process_image()]
        before = _by_key(self._old)
        for root in (*self._new.roots, *self._new.hidden):
            if root.constant:
                continue
            source = before.pop(root.path.casefold(), None)
            target = _Place(root.shape, root.offset, root.bit)
            if source is None:
                self._say("new", root.path, self._new.shapes[root.shape])
            else:
                carried, linked = len(self._moves), len(self._references)
                self._variable(root.path, _Place(source.shape, source.offset, source.bit), target)
                if self._anew(root):  # it was met all the same: others may refer to it
                    del self._moves[carried:], self._references[linked:]
        for root in before.values():
            self._say("dropped", root.path, self._old.shapes[root.shape])
        for program in {root.program for root in self._new.roots} - {""}:
            sides = (_of_program(each, program) for each in (self._old, self._new))
            self._chart(*sides)
        spans: list[Span] = []
        moves = [*self._moves, *self._linked(spans), *self._clears]
        if len(moves) > _MOST_MOVES:
            self._refuse(f"it has {len(moves):,} values to carry one by one; {_MOST_MOVES:,} can be")
        told = {what: tuple(entries) for what, entries in self._entries.items()}
        return Migration(
            self._kept, **told, refusals=tuple(self._refusals),
            moves=(*regions, *joined(moves)), spans=tuple(spans),
        )  # fmt: skip

    def _process_image(self) -> Iterator[Move]:
        """Carry %I, %Q and %M as they are, for what the program names by address alone."""
        for name in _REGIONS:
            old, new = self._old.regions[name], self._new.regions[name]
            if size := min(old.size, new.size):
                yield Move(BYTES, old.offset, new.offset, size)

    def _say(self, what: str, path: str, shape: Shape, text: str = "") -> None:
        if not self._quiet and not any(map(is_hidden, path.split("."))):
            self._entries[what].append(Entry(path, text or shape.name))

    def _refuse(self, reason: str) -> None:
        self._refusals[reason] = None

    # What goes on.

    def _variable(self, path: str, source: _Place, target: _Place) -> None:
        old, new = self._old.shapes[source.shape], self._new.shapes[target.shape]
        self._meet(old, new, source.offset, target.offset)
        if old.kind != new.kind or (old.kind == "struct" and old.name.casefold() != new.name.casefold()):
            self._retyped(path, old, new)
        elif self._alike(source.shape, target.shape) and max(source.bit, target.bit) < 0:
            self._kept += self._count(target.shape)
            self._moves.append(Move(BYTES, source.offset, target.offset, new.size))
            self._meet_inside(source, target)
        elif new.kind == "struct":
            self._members(path, source, target)
        elif new.kind == "array":
            self._elements(path, source, target)
        elif new.kind == "reference":
            self._reference(path, old, new, source, target)
        elif new.kind == "pointer":
            self._pointer(path, source, target, new)
        else:
            self._elementary(path, old, new, source, target)

    def _retyped(self, path: str, old: Shape, new: Shape) -> None:
        other = f"{old.name} -> {new.name}"
        self._say("retyped", path, new, f"{new.name} has other values" if old.name == new.name else other)

    def _elementary(self, path: str, old: Shape, new: Shape, source: _Place, target: _Place) -> None:
        if not fits(old.type, old.size, new.type, new.size) or not _keeps_meaning(old, new):
            self._retyped(path, old, new)
            return
        self._kept += 1
        if old.type != new.type:
            self._say("widened", path, new, f"{old.name} -> {new.name}")
        elif new.kind == "string" and old.size > new.size:
            self._say("widened", path, new, f"{old.name} -> {new.name}: cut where it is longer")
        bits = [each.bit if each.bit >= 0 else shape.bit for each, shape in ((source, old), (target, new))]
        sides = (old.type, source.offset, bits[0]), (new.type, target.offset, bits[1])
        self._moves.append(move_of(*sides, new.size))

    def _reference(self, path: str, old: Shape, new: Shape, source: _Place, target: _Place) -> None:
        if old.name.casefold() != new.name.casefold():
            self._retyped(path, old, new)
            return
        self._kept += 1
        self._references.append((old.type, Move(REFERENCE, source.offset, target.offset)))

    def _pointer(self, path: str, source: _Place, target: _Place, shape: Shape) -> None:
        """Pointers hold places: they go on only where everything stays in its place."""
        if not self._unmoved:
            self._refuse(f"{path} is a pointer, and variables move: pointers would lead elsewhere")
        self._kept += 1
        self._moves.append(Move(BYTES, source.offset, target.offset, shape.size))

    def _members(self, path: str, source: _Place, target: _Place) -> None:
        old, new = self._old.shapes[source.shape], self._new.shapes[target.shape]
        before = {each[0].casefold(): each for each in (*old.members, *old.hidden)}
        for name, offset, index, section in (*new.members, *new.hidden):
            key = name.casefold()
            if section == CLASS or key in new.constants:
                before.pop(key, None)
                continue
            inner = before.pop(key, None)
            if inner is None or key in old.constants:
                self._say("new", f"{path}.{name}", self._new.shapes[index])
                continue
            self._variable(
                f"{path}.{name}",
                _Place(inner[2], source.offset + inner[1]),
                _Place(index, target.offset + offset),
            )
        for name, _, index, section in before.values():
            if section != CLASS and name.casefold() not in old.constants:
                self._say("dropped", f"{path}.{name}", self._old.shapes[index])
        self._chart(
            {each[0].casefold(): (self._old.shapes[each[2]], self._old, source.offset + each[1])
             for each in (*old.members, *old.hidden)},
            {each[0].casefold(): (self._new.shapes[each[2]], self._new, target.offset + each[1])
             for each in (*new.members, *new.hidden)},
        )  # fmt: skip

    def _elements(self, path: str, source: _Place, target: _Place) -> None:
        old, new = self._old.shapes[source.shape], self._new.shapes[target.shape]
        if len(old.ranges) != len(new.ranges):
            self._retyped(path, old, new)
            return
        before = dict(zip(index_texts(old.ranges), range(old.size), strict=False))
        fresh = gone = 0
        inner = self._old.shapes[old.element], self._new.shapes[new.element]
        if inner[0].kind != inner[1].kind:
            self._retyped(path, old, new)
            return
        quiet = self._quiet
        for number, text in enumerate(index_texts(new.ranges)):
            position = before.pop(text, None)
            if position is None:
                fresh += 1
                continue
            self._variable(
                f"{path}[*]",
                _Place(old.element, source.offset + position * old.stride),
                _Place(new.element, target.offset + number * new.stride),
            )
            self._quiet = True  # the other elements are alike
        self._quiet = quiet
        gone = len(before)
        if fresh:
            self._say("new", path, new, f"{fresh} elements of {new.name}")
        if gone:
            self._say("dropped", path, old, f"{gone} elements of {old.name}")

    def _chart(self, old: Mapping[str, _Named], new: Mapping[str, _Named]) -> None:
        """Where an active step is not there any more, let its chart begin at its initial step.

        A step that is only in the new program is not active: in an image that had been left it may seem so.
        """
        if _STARTED not in old or _STARTED not in new:
            return
        gone = [_flag(*old[key]) for key in old if old[key][0].name == STEP and key not in new]
        there = {key: _flag(*new[key]) for key in new if new[key][0].name == STEP}
        self._clears += [Move(CLEAR, 0, flag, 1) for key, flag in there.items() if key not in old]
        started = (each[2] for key, each in new.items() if key.endswith(_STARTED))  # charts in actions too
        ended = (*there.values(), *started)
        self._clears += [Move(CLEAR, active, cleared) for active in gone for cleared in ended]

    # What references may mean.

    def _meet(self, old: Shape, new: Shape, source: int, target: int) -> None:
        """Note where a variable lies in both, under each type by which a reference may mean it."""
        names = {old.name, old.type} & {new.name, new.type} if old.kind != "struct" else {old.name}
        if any(section == CLASS for *_, section in old.hidden):
            names = {""} | names
        for name in names & self._wanted:
            self._met.setdefault(name, {})[source] = target

    def _meet_inside(self, source: _Place, target: _Place) -> None:
        """Note the parts of what is copied as a whole."""
        if not self._wanted:
            return
        shape = self._old.shapes[source.shape]
        if shape.kind == "struct":
            for each in shape.members:
                self._meet_part(each[2], source.offset + each[1], target.offset + each[1])
        elif shape.kind == "array":
            for at in range(0, shape.size if shape.stride else 0, max(shape.stride, 1)):
                self._meet_part(shape.element, source.offset + at, target.offset + at)

    def _meet_part(self, index: int, source: int, target: int) -> None:
        shape = self._old.shapes[index]
        self._meet(shape, shape, source, target)
        self._meet_inside(_Place(index, source), _Place(index, target))

    def _linked(self, spans: list[Span]) -> Iterator[Move]:
        """Yield the moves of references, and add what they may mean."""
        first: dict[str, int] = {}
        for name, met in self._met.items():
            first[name] = len(spans)
            spans += sorted(Span(*each) for each in met.items())
        for name, move in self._references:
            yield move._replace(size=len(self._met.get(name, ())), source_kind=first.get(name, 0))

    # Shapes.

    def _alike(self, source: int, target: int) -> bool:
        """Tell whether values of two shapes may be copied byte by byte."""
        known = self._same.get((source, target))
        if known is None:
            known = self._same[source, target] = self._compare(source, target)
        return known

    def _compare(self, source: int, target: int) -> bool:
        old, new = self._old.shapes[source], self._new.shapes[target]
        if (old.kind, old.type, old.size, old.bit) != (new.kind, new.type, new.size, new.bit):
            return False
        if new.kind in ("reference", "pointer") or not _keeps_meaning(old, new):
            return False
        if new.kind == "array":
            shaped = (old.ranges, old.stride) == (new.ranges, new.stride)
            return shaped and self._alike(old.element, new.element)
        if new.kind == "struct":
            return self._compare_members(old, new)
        return new.bit < 0

    def _compare_members(self, old: Shape, new: Shape) -> bool:
        if old.constants or new.constants or old.name.casefold() != new.name.casefold():
            return False
        sides = [(*shape.members, *shape.hidden) for shape in (old, new)]
        if len(sides[0]) != len(sides[1]):
            return False
        for before, after in zip(*sides, strict=True):
            if (before[0].casefold(), before[1]) != (after[0].casefold(), after[1]) or CLASS in after:
                return False
            if self._old.shapes[before[2]].bit != self._new.shapes[after[2]].bit:
                return False
            packed = self._old.shapes[before[2]].bit >= 0
            if not packed and not self._alike(before[2], after[2]):
                return False
        return True

    def _count(self, index: int) -> int:
        """Return how many elementary variables a shape of the new program has."""
        known = self._counts.get(index)
        if known is None:
            shape = self._new.shapes[index]
            if shape.kind == "struct":
                known = sum(self._count(each[2]) for each in shape.members)
            elif shape.kind == "array":
                known = (shape.size // shape.stride if shape.stride else 0) * self._count(shape.element)
            else:
                known = 1
            self._counts[index] = known
        return known


def _by_key(application: Application) -> dict[str, Root]:
    roots: Iterable[Root] = (*application.roots, *application.hidden)
    return {root.path.casefold(): root for root in roots if not root.constant}


def _of_program(application: Application, program: str) -> dict[str, _Named]:
    """Return the variables of a program instance by name."""
    found = {}
    for root in (*application.roots, *application.hidden):
        if root.program.casefold() == program.casefold():
            key = root.path[len(program) + 1 :].casefold()
            found[key] = application.shapes[root.shape], application, root.offset
    return found


def _flag(shape: Shape, application: Application, offset: int) -> int:
    """Return where the flag of a step lies."""
    return offset + shape.by_key[_ACTIVE][1]


def _keeps_meaning(old: Shape, new: Shape) -> bool:
    """Tell whether a subrange has all old values, and an enumeration means the same ones by their numbers."""
    if new.limits is not None:
        low, high = old.limits or ELEMENTARY[old.type].limits
        if low < new.limits[0] or new.limits[1] < high:
            return False
    return means_the_same(old.values, new.values)
