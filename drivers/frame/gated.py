"""Writes from outside that pass the gate: in whose name, and how refusals are told."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from runtime.clock import SECOND_NS
from runtime.config import Name, Plant, RoleName, Section
from runtime.contract import Access, Actor, Event, Port, Tag
from runtime.errors import Finding

MOST_TOLD = 20  # events of refused writes in a second; all are counted


class CommandsConfig(Section):
    """Others may write, as this actor.

    Attributes:
        actor: name in the audit.
        role: what they may do.
        areas: by glob of tags, another role there.
    """

    actor: Name
    role: RoleName
    areas: dict[str, RoleName] = {}


def actor_of(config: CommandsConfig | None, via: str, root: str) -> Actor | None:
    """Return who writes; None where nobody may. Globs of areas may leave out the plant's root."""
    if config is None:
        return None
    areas = ((start + glob, role) for glob, role in config.areas.items() for start in ("", f"{root}/"))
    return Actor(config.actor, config.role, via, areas=tuple(areas))


def check_commands(
    plant: Plant,
    config: CommandsConfig | None,
    tags: Iterable[Tag],
    key: tuple[str | int, ...],
    *,
    who: str,
    which: str,
) -> Iterator[Finding]:
    """Yield what is wrong with a section `commands`: nothing to write, nothing that may be, a user's name.

    `who` writes tags, `which` are these: "masters", "is served".
    """
    if config is None:
        return
    writable = [tag for tag in tags if tag.access is Access.READ_WRITE]
    actor = actor_of(config, "", plant.root)
    assert actor is not None
    if not writable:
        text = f"{who} may write, but no tag that {which} can be written"
        yield Finding(text, plant.place(*key), "set access to rw in the tag table", "warning")
    elif not any(actor.at(tag.path).role >= tag.role for tag in writable):
        least = min(tag.role for tag in writable).name.lower()
        text = f"{who} may write, but {config.actor} may write no tag that {which}: the least role is {least}"
        yield Finding(text, plant.place(*key, "role"), f"use `role: {least}`", "warning")
    for glob in config.areas:
        if not len(plant.tags.select(glob)):
            place = plant.place(*key, "areas", glob)
            yield Finding(f"{glob!r} matches no tag", place, plant.tags.close_to(glob), "warning")
    if any(user.name == config.actor for user in plant.head.users):
        text = f"{config.actor!r} is a user of the plant: the audit would not tell the two apart"
        yield Finding(text, plant.place(*key, "actor"), "give the actor a name of its own", "warning")


class Refusals:
    """Tells of writes that were refused, so many a second at most."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._told_ns: deque[int] = deque()

    def tell(self, what: str, why: str) -> None:
        """Emit `driver.command_refused`."""
        port = self._port
        now_ns = port.clock.steady_ns()
        while self._told_ns and now_ns - self._told_ns[0] > SECOND_NS:
            self._told_ns.popleft()
        if len(self._told_ns) >= MOST_TOLD:
            return
        self._told_ns.append(now_ns)
        text = f"{port.name} does not take a write of {what}: {why}"
        port.emit(Event("driver.command_refused", port.name, port.clock.now_ns(), text))
