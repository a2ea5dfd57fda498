"""Equipment that items flow through: push, with a call back when there is room again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twin.engine.calendar import Calendar
from twin.equipment.base import Equipment
from twin.model.equipment import EquipmentModel


@dataclass(slots=True)
class Item:
    """One piece on its way."""

    serial: int
    born_ns: int


class Flow(Equipment):
    """A place in the flow.

    Blocking convention: after service. An item stays where it is until the next place takes it; of
    several places that wait for the same room, the first in the model goes first.
    """

    __slots__ = ("next", "upstream")

    def __init__(self, name: str, model: EquipmentModel, calendar: Calendar, seed: int) -> None:
        super().__init__(name, model, calendar, seed)
        self.next: Flow | None = None
        self.upstream: list[Flow] = []

    def connect(self, others: dict[str, Any]) -> None:
        target = others[self.model.next]
        self.next = target
        target.upstream.append(self)

    def take(self, item: Item) -> bool:
        """Take an item from upstream; False if there is no room now."""
        raise NotImplementedError

    def on_room(self) -> None:
        """Downstream has room again."""

    def tell_room(self) -> None:
        """Tell upstream that there is room."""
        for each in self.upstream:
            each.on_room()

    def hand_on(self, item: Item) -> bool:
        """Give an item to the next place."""
        return self.next is not None and self.next.take(item)

    def held(self) -> int:
        """Return how many items are in it."""
        raise NotImplementedError
