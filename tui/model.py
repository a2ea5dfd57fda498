"""What the console knows of the plant: one owner, immutable views of it for the widgets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

from runtime.contract import Value
from runtime.wire import (
    AlarmChange,
    AlarmView,
    ComponentChange,
    ComponentView,
    GateView,
    Health,
    Info,
    Message,
    RequestView,
    TagView,
    Values,
)
from tui.locale import Words

SECOND_NS = 1_000_000_000
APART_NS = SECOND_NS  # less is the way of the answer
PRIORITIES = ("critical", "high", "medium", "low")
_RANK = {name: rank for rank, name in enumerate(PRIORITIES)}


ENGLISH = Words("en")


class Link(Enum):
    """Whether the plant answers."""

    CONNECTING = "connecting"
    ONLINE = "online"
    SILENT = "silent"
    LOST = "lost"


class Point(NamedTuple):
    """A tag's value as the plant told it."""

    value: Value | None
    quality: int
    source_ns: int


class TagIndex:
    """The plant's tags as loaded at connection, by id and by path (whole, or relative to the root)."""

    def __init__(self, tags: Sequence[TagView] = (), root: str = "") -> None:
        self.root = root
        self._by_id = {tag.id: tag for tag in tags}
        self._by_path = {tag.path: tag for tag in tags}
        self.short = {tag.id: tag.path.removeprefix(f"{root}/") for tag in tags}
        self.text = {tag.id: f"{tag.path} {tag.description} {tag.description_zh}".casefold() for tag in tags}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[TagView]:
        return iter(self._by_id.values())

    def __getitem__(self, id_: int) -> TagView:
        return self._by_id[id_]

    def get(self, path: str) -> TagView | None:
        return self._by_path.get(path) or self._by_path.get(f"{self.root}/{path}")

    def matching(self, words: str) -> tuple[int, ...]:
        """Return the ids of the tags whose path or description has every word."""
        wanted = words.casefold().split()
        if not wanted:
            return tuple(self._by_id)
        return tuple(id_ for id_, text in self.text.items() if all(word in text for word in wanted))


@dataclass(frozen=True, slots=True)
class View:
    """All that a widget may know, at one instant.

    Attributes:
        now_ns: the plant's time, as this machine reckons it.
        changed_ns: when `link` became what it is.
        retry_ns: when the next try to connect is due; 0 while one runs.
        trouble: why the plant does not answer, and what to do about it.
        over: it answers, but the session is over.
        values: newest point of each watched tag; a tag that is missing has not been told yet.
        alarms: those that are not at rest, by priority and then newest first.
        hidden_alarms: those that are shelved, suppressed by design or out of service.
        gate: who may write, what waits for a second person, and what goes back by itself.
        updates_per_s: rate of the plant's bus between the last two health reports.
    """

    words: Words = ENGLISH
    now_ns: int = 0
    link: Link = Link.CONNECTING
    changed_ns: int = 0
    retry_ns: int = 0
    trouble: str = ""
    over: bool = False
    info: Info | None = None
    tags: TagIndex = field(default_factory=TagIndex)
    values: Mapping[int, Point] = field(default_factory=dict)
    alarms: tuple[AlarmView, ...] = ()
    hidden_alarms: tuple[AlarmView, ...] = ()
    components: tuple[ComponentView, ...] = ()
    gate: GateView | None = None
    health: Health | None = None
    updates_per_s: float | None = None

    @property
    def stale(self) -> bool:
        return self.link is not Link.ONLINE

    @property
    def requests(self) -> tuple[RequestView, ...]:
        """The writes that wait for a second person, oldest first, and are not too late."""
        waiting = self.gate.requests if self.gate else ()
        return tuple(each for each in waiting if each.until_ns > self.now_ns)

    def new_alarms(self) -> dict[str, int]:
        """Return how many unacknowledged alarms there are of each priority."""
        counts = dict.fromkeys(PRIORITIES, 0)
        for alarm in self.alarms:
            if needs_acknowledgement(alarm):
                counts[alarm.priority] += 1
        return counts


def needs_acknowledgement(alarm: AlarmView) -> bool:
    return alarm.state in ("unacknowledged", "returned") and not alarm.hidden


def _order(alarm: AlarmView) -> tuple[int, int]:
    return _RANK[alarm.priority], -(alarm.raised_ns or 0)


def _seen(alarms: Sequence[AlarmView]) -> tuple[AlarmView, ...]:
    chosen = (alarm for alarm in alarms if not alarm.rests and not alarm.hidden)
    return tuple(sorted(chosen, key=_order))


def _hidden(alarms: Sequence[AlarmView]) -> tuple[AlarmView, ...]:
    return tuple(sorted((alarm for alarm in alarms if alarm.hidden), key=_order))


class PlantModel:
    """The newest state, fed by the link; `version` moves with each change that can be seen."""

    def __init__(self, words: Words) -> None:
        self.version = 0
        self._view = View(words=words)
        self._values: dict[int, Point] = {}
        self._watched: frozenset[int] = frozenset()
        self._offset_ns = 0
        self._health_ns = 0

    def view(self, now_ns: int) -> View:
        """Return what is known; `now_ns` is this machine's time."""
        return replace(
            self._view, now_ns=now_ns + self._offset_ns, values=MappingProxyType(dict(self._values))
        )

    @property
    def tags(self) -> TagIndex:
        return self._view.tags

    @property
    def over(self) -> bool:
        return self._view.over

    def plant_ns(self, now_ns: int) -> int:
        """Return the plant's time for this machine's."""
        return now_ns + self._offset_ns

    def take_time(self, now_ns: int, plant_ns: int) -> None:
        """Follow the plant's clock where it was set, or ran apart from this machine's."""
        if abs(plant_ns - self.plant_ns(now_ns)) > APART_NS:
            self._offset_ns = plant_ns - now_ns
            self._set()

    def speak(self, words: Words) -> None:
        self._set(words=words)

    def connected(
        self,
        now_ns: int,
        info: Info,
        tags: Sequence[TagView],
        alarms: Sequence[AlarmView],
        components: Sequence[ComponentView],
        gate: GateView,
    ) -> None:
        """Take in a plant from the beginning."""
        self._offset_ns = info.now_ns - now_ns
        self._values.clear()
        self._health_ns = 0
        self._set(
            link=Link.ONLINE,
            changed_ns=info.now_ns,
            retry_ns=0,
            trouble="",
            over=False,
            info=info,
            tags=TagIndex(tags, info.root),
            alarms=_seen(alarms),
            hidden_alarms=_hidden(alarms),
            components=tuple(components),
            gate=gate,
            health=None,
            updates_per_s=None,
        )

    def trying(self) -> None:
        self._set(retry_ns=0)

    def lost(self, now_ns: int, retry_ns: int, trouble: str, *, over: bool = False) -> None:
        """Keep the last values, which are now stale. Times are this machine's."""
        was_online = self._view.link is Link.ONLINE
        at_ns = self.plant_ns(now_ns) if was_online or not self._view.changed_ns else self._view.changed_ns
        link = Link.LOST if self._view.info else Link.CONNECTING
        due_ns = self.plant_ns(retry_ns)
        self._set(link=link, changed_ns=at_ns, retry_ns=due_ns, trouble=trouble, over=over)

    def silent(self, now_ns: int, late: bool) -> None:
        """Take nothing for good while the plant owes an answer for too long."""
        if self._view.link is (Link.ONLINE if late else Link.SILENT):
            link = Link.SILENT if late else Link.ONLINE
            self._set(link=link, changed_ns=self.plant_ns(now_ns))

    def watch(self, ids: frozenset[int]) -> None:
        """Forget the values that no longer follow the plant."""
        self._watched = ids
        for id_ in self._values.keys() - ids:
            del self._values[id_]

    def apply(self, message: Message) -> None:
        """Take in what the plant streams."""
        match message:
            case Values(rows):
                for id_, value, quality, source_ns in rows:
                    if id_ in self._watched:
                        self._values[id_] = Point(value, quality, source_ns)
                self._set()
            case AlarmChange(alarm):
                self.take_alarm(alarm)
            case ComponentChange(component):
                self.take_component(component)

    def take_alarm(self, alarm: AlarmView) -> None:
        present = (*self._view.alarms, *self._view.hidden_alarms)
        alarms = [*(each for each in present if each.name != alarm.name), alarm]
        self._set(alarms=_seen(alarms), hidden_alarms=_hidden(alarms))

    def take_component(self, component: ComponentView) -> None:
        known = {each.name: each for each in self._view.components}
        known[component.name] = component
        self._set(components=tuple(known.values()))

    def take_gate(self, gate: GateView) -> None:
        if gate != self._view.gate:
            self._set(gate=gate)

    def take_health(self, now_ns: int, health: Health) -> None:
        rate = None
        if self._view.health and self._health_ns and now_ns > self._health_ns:
            done = health.bus.updates - self._view.health.bus.updates
            rate = done / ((now_ns - self._health_ns) / 1e9)
        self._health_ns = now_ns
        self._set(health=health, updates_per_s=rate)

    def _set(self, **changes: object) -> None:
        self._view = replace(self._view, **changes)  # type: ignore[arg-type]
        self.version += 1
