"""Online change: what is told of it before and after, and what a component that can do it offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from msgspec import Struct

from runtime.config.taglist import TagList
from runtime.contract import Component, Value

MOST_SCANS = 100_000  # that a rehearsal takes


class VariableLine(Struct, frozen=True):
    """A variable of a program, or a structure, block or array as a whole; `text` says what it becomes."""

    path: str
    text: str


class DifferenceLine(Struct, frozen=True):
    """An output that the changed program sets otherwise; `scan` counts from 1.

    A value is null where it has none: the output is of one of the two only.
    """

    scan: int
    tag: str
    before: Value | None
    after: Value | None


class RehearsalView(Struct, frozen=True):
    """How the changed program did beside the one that runs, on the same inputs.

    Attributes:
        scans: of all tasks together.
        differences: the first outputs that differ, each once; `differing` is how many do.
        longest_us: its longest scan, by task.
        fault: why it stopped; empty where it did not.
    """

    scans: int
    differing: int
    differences: tuple[DifferenceLine, ...]
    longest_us: dict[str, float]
    fault: str = ""


class OnlineView(Struct, frozen=True):
    """What an online change of one component would do, or did.

    Attributes:
        unit: the component.
        kept: variables that go on with their values.
        new, dropped: what begins with its initial value, what is not there any more.
        widened, retyped: of another type: what keeps its value, what begins anew.
        same: nothing differs from what runs.
        reason, remedy: why it needs a restart instead, and what helps; empty where it does not.
    """

    unit: str
    kept: int = 0
    new: tuple[VariableLine, ...] = ()
    dropped: tuple[VariableLine, ...] = ()
    widened: tuple[VariableLine, ...] = ()
    retyped: tuple[VariableLine, ...] = ()
    same: bool = False
    reason: str = ""
    remedy: str = ""
    rehearsal: RehearsalView | None = None

    @property
    def summary(self) -> str:
        """Return it in one line."""
        counts = {name: len(getattr(self, name)) for name in ("new", "dropped", "widened", "retyped")}
        return ", ".join([f"{self.kept} kept", *(f"{n} {name}" for name, n in counts.items() if n)])


@dataclass(frozen=True, slots=True)
class Wish:
    """How an online change is to be made.

    Attributes:
        rehearse: scans that the changed program runs beside the old one before.
        reset: variables whose value is none of their new type may begin anew.
    """

    rehearse: int = 0
    reset: bool = False


@runtime_checkable
class Changeable(Protocol):
    """A component that goes on as another build of itself while it runs; see `runtime.config.Basis`."""

    name: str

    async def prepare(self, successor: Component, tags: TagList, wish: Wish) -> OnlineView:
        """Get ready to become another build of itself, for other tags; nothing has changed yet.

        Raises:
            PlantError: the rehearsal failed, or it cannot be told whether it can be done.
        """
        ...

    async def renew(self) -> None:
        """Become what was prepared.

        Raises:
            PlantError: it is what it was before; says why.
        """
        ...
