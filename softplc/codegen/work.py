"""Work: how much a routine does, counted in operations, before anything of it is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from softplc import ir
from softplc.codegen.writes import changes

UNBOUNDED = 1 << 60
_TEXT, _CHUNK = 64, 16  # operations that a change of a text counts as; bytes that one operation moves
_LEAVES = (str, bytes, int, float, type(None))


class Work:
    """What the routines of a module are, and do when they run once.

    Attributes:
        size: operations that are written for a routine.
        calls: how often each routine is called from statements that are written once.
    """

    def __init__(self, module: ir.Module) -> None:
        self.routines = {each.name: each for each in module.routines}
        self.size: dict[str, int] = {}
        self.calls: dict[str, Counter[str]] = {}
        self._done: dict[str, int] = {}
        self._loops: dict[ir.Count, int] = {}
        for name in self.routines:
            self._of_routine(name)

    def of_loop(self, node: ir.Count) -> int:
        """Return how many operations a FOR does at most, all rounds together."""
        return self._loops.get(node, UNBOUNDED)

    def _of_routine(self, name: str) -> int:
        if name not in self._done:
            routine = self.routines[name]
            counted = _Counted(self)
            done = counted.walk(routine.body)
            self._done[name] = min(done + len(routine.local) // _CHUNK, UNBOUNDED)
            self.size[name] = counted.size
            self.calls[name] = counted.calls
        return self._done[name]

    def of_call(self, name: str) -> int:
        return self._of_routine(name) if name in self.routines else UNBOUNDED

    def keep(self, node: ir.Count, done: int) -> None:
        self._loops[node] = done


class _Counted:
    """Counts one routine."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self.size = 0
        self.calls: Counter[str] = Counter()

    def walk(self, node: object) -> int:
        """Return how many operations a part of the tree does at most."""
        if isinstance(node, _LEAVES):
            return 0
        if isinstance(node, list | tuple):
            return self._all(node)
        self.size += 1
        if isinstance(node, ir.Count):
            return self._for(node)
        inner = self._all(getattr(node, name) for name in _parts(type(node)))
        if isinstance(node, ir.Loop):
            return UNBOUNDED
        if isinstance(node, ir.Call):
            self.calls[node.routine] += 1
            return inner + 1 + self._work.of_call(node.routine)
        return inner + _own(node)

    def _all(self, nodes: Iterable[object]) -> int:
        return min(sum(map(self.walk, nodes)), UNBOUNDED)

    def _for(self, node: ir.Count) -> int:
        once = self._all((node.place, node.first, node.last, node.step))
        called = self.calls.total()
        body = 3 + self.walk(node.body)
        reached = not node.private and self.calls.total() > called  # by what is called: it may begin again
        altered = reached or changes(node.body, node.place, node.type.size)
        done = UNBOUNDED if altered else min(once + _rounds(node) * body, UNBOUNDED)
        self._work.keep(node, done)
        return done


def _own(node: object) -> int:
    """Return what a node does itself."""
    if isinstance(node, ir.Append | ir.AppendNumber | ir.SetText | ir.Splice | ir.Query):
        return _TEXT
    if isinstance(node, ir.Copy):
        return 1 + node.size // _CHUNK
    return 1 + len(node.data) // _CHUNK if isinstance(node, ir.Fill) else 1


def _rounds(node: ir.Count) -> int:
    """Return how often the body of a FOR runs at most."""
    first, last, step = node.first, node.last, node.step
    if (
        not isinstance(first, ir.Const)
        or not isinstance(last, ir.Const)
        or not isinstance(step, int)
        or not step
    ):
        return UNBOUNDED
    return max((int(last.value) - int(first.value)) // step + 1, 0)


_PARTS: dict[type, tuple[str, ...]] = {}


def _parts(kind: type) -> tuple[str, ...]:
    """Return the fields of a node in which other nodes can be."""
    if kind not in _PARTS:
        _PARTS[kind] = tuple(
            name for name in getattr(kind, "__slots__", ()) if name not in ("type", "line", "tag")
        )
    return _PARTS[kind]
