"""Which tag carries which signal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from runtime.config import Document, Plant, TagList
from runtime.contract import Tag
from runtime.errors import Finding
from twin.faults import PREFIX
from twin.model import Signal, TwinModel, did_you_mean


@dataclass(frozen=True, slots=True)
class Side:
    """How tags belong to the twin.

    Attributes:
        producer: source of the tags that the twin gives.
        device: driver that stands between, None where the twin plays in the plant's own process.
    """

    producer: str
    device: str | None

    def gives(self, tag: Tag) -> bool:
        """Tell whether the twin is where the tag's value comes from."""
        return tag.source == self.producer and not tag.path.startswith(PREFIX)

    def takes(self, tag: Tag) -> bool:
        """Tell whether the twin may be commanded by the tag."""
        return tag.source != self.producer and (self.device is None or tag.device == self.device)


@dataclass(frozen=True, slots=True)
class Binding:
    """A signal of equipment and its tag."""

    equipment: str
    signal: str
    command: bool
    tag: Tag


def bind(model: TwinModel, tags: TagList, side: Side) -> list[Binding]:
    """Bind each signal to the tag that the model names, else to the tag `EQUIPMENT/SIGNAL` if it is there."""
    bindings = []
    for equipment, entry in model.equipment.items():
        for signal, terminal in entry.all_signals().items():
            path = entry.signals.get(signal, f"{equipment}/{signal}")
            if path in tags and _fits(tags[path], terminal, side):
                bindings.append(Binding(equipment, signal, terminal.command, tags[path]))
    return bindings


def _fits(tag: Tag, terminal: Signal, side: Side) -> bool:
    right_way = side.takes(tag) if terminal.command else side.gives(tag)
    return right_way and terminal.carries.fits(tag.data_type)


def check_bindings(plant: Plant, model: TwinModel, document: Document, side: Side) -> Iterator[Finding]:
    """Yield every signal without a fitting tag, and every tag of the twin without a signal."""
    bindings = bind(model, plant.tags, side)
    bound = {binding.tag.path for binding in bindings}
    fitting = {(binding.equipment, binding.signal) for binding in bindings}
    givers: dict[str, str] = {}
    blamed: set[str] = set()
    for equipment, entry in model.equipment.items():
        for signal, terminal in entry.all_signals().items():
            explicit = signal in entry.signals
            path = entry.signals.get(signal, f"{equipment}/{signal}")
            if path not in plant.tags:
                if explicit:
                    place = document.place("equipment", equipment, "signals", signal)
                    yield Finding(f"there is no tag {path!r}", place, plant.tags.close_to(path))
                continue
            tag = plant.tags[path]
            place = (
                document.place("equipment", equipment, "signals", signal) if explicit else plant.place_of(tag)
            )
            if (equipment, signal) in fitting:
                name = f"{equipment}.{signal}"
                if not terminal.command and givers.setdefault(tag.path, name) != name:
                    text = f"{tag.path} is given by {givers[tag.path]} and by {name}"
                    yield Finding(text, place, "give each reading a tag of its own")
                continue
            if tag.path in bound and not explicit:
                continue
            right_way = side.takes(tag) if terminal.command else side.gives(tag)
            if right_way:
                blamed.add(tag.path)
                text = (
                    f"{tag.path} is {tag.data_type.iec}, but {equipment}.{signal} ({terminal.about}) is not"
                )
                yield Finding(text, place, f"make the tag {terminal.carries.value}")
            elif explicit:
                yield _wrong_way(tag, f"{equipment}.{signal}", terminal, side, place)
    yield from _unbound(plant, model, side, bound | blamed)


def _wrong_way(tag: Tag, name: str, terminal: Signal, side: Side, place: object) -> Finding:
    if terminal.command:
        text = f"{name} is a command, but its tag {tag.path} does not reach the twin"
        device = f"device {side.device} and " if side.device else ""
        remedy = f"give the tag {device}a source other than {side.producer}"
    else:
        text = f"{name} is a reading, but its tag {tag.path} comes from {tag.source!r}"
        remedy = f"give the tag the source {side.producer}"
    return Finding(text, place, remedy)  # type: ignore[arg-type]


def _unbound(plant: Plant, model: TwinModel, side: Side, bound: set[str]) -> Iterator[Finding]:
    readings: list[str] = []
    commands: list[str] = []
    for equipment, entry in model.equipment.items():
        for signal, terminal in entry.all_signals().items():
            (commands if terminal.command else readings).append(f"{equipment}/{signal}")
    for tag in plant.tags:
        if tag.path in bound or tag.path.startswith("sys/"):
            continue
        relative = tag.path.removeprefix(f"{plant.root}/")
        if side.gives(tag):
            remedy = did_you_mean(relative, readings, "name a reading of twin.yaml; there are")
            yield Finding(f"nothing in the twin gives {relative}", plant.place_of(tag), remedy)
        elif side.device is not None and tag.device == side.device:
            remedy = did_you_mean(relative, commands, "bind it to a command of twin.yaml; there are")
            text = f"nothing in the twin takes {relative}"
            yield Finding(text, plant.place_of(tag), remedy, severity="warning")
