"""Forces and restarts of the program through the gate: who may, audited like writes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from runtime.config.models import format_duration
from runtime.contract import Actor, Role, Tags, Value
from runtime.errors import PlantError, UnfitValueError, UnknownVariableError, WriteRejectedError
from runtime.gate.attempts import Attempts, lacking
from runtime.journal.audit import Signature
from runtime.plcview import Controller, ForceOrder, ForceView

if TYPE_CHECKING:
    from runtime.gate.policy import Gate

PLACE = "sys/plc"  # where somebody's role counts who asks for what no tag is bound to
PLC = Actor("plc", Role.ADMIN, "kernel")
NO_PLC = UnknownVariableError("this plant runs no PLC", "add plc: to the plant file")


class Allowed(NamedTuple):
    """A force that may be, by the variable's declared path."""

    controller: Controller
    path: str


class Forcing:
    """Judges, audits and carries out what people do to the program; `controller` finds what runs it."""

    def __init__(self, gate: Gate, tags: Tags, attempts: Attempts) -> None:
        self._gate = gate
        self._tags = tags
        self._attempts = attempts
        self._told: set[int] = set()
        self.find: Callable[[], Controller | None] = lambda: None

    def controller(self) -> Controller:
        """Return what runs the program.

        Raises:
            UnknownVariableError: nothing does.
        """
        found = self.find()
        if found is None:
            raise NO_PLC
        return found

    async def force(
        self,
        path: str,
        value: Value,
        actor: Actor,
        reason: str = "",
        for_ns: int = 0,
        signature: Signature | None = None,
    ) -> ForceView:
        """Force a variable, for a time or until it is released. An engineer does, where its tags are.

        A force passes what a write of the bound tags would: role, mode, interlock, rate, signature; not
        their range, as a force may try what lies beyond. What takes two persons is not forced.

        Raises:
            PlantError: says why not.
        """
        told = f"for {format_duration(for_ns)}: {reason}" if for_ns else reason
        at, type_ = self._at(path, actor)
        attempt = replace(
            self._attempts.entry("force", path, at, told, None, value),
            type=type_,
            signatures=(signature,) if signature else (),
        )

        async def work() -> ForceView:
            controller, declared = self._judge(path, actor, signature)
            if not reason.strip():
                raise UnfitValueError("a force needs a reason", "say why; it is kept in the audit")
            return await controller.force(ForceOrder(declared, value, for_ns, actor.name, reason))

        return await self._attempts.noted(attempt, work)

    async def release(self, paths: Sequence[str] | None, actor: Actor, reason: str = "") -> None:
        """End forces, or all (None); an engineer does.

        Raises:
            PlantError: says why not.
        """
        controller = self.find()
        there = {each.path.casefold(): each for each in (controller.forces() if controller else ())}
        wanted = list(there) if paths is None else [_key(path) for path in paths]
        views = [there[key] for key in dict.fromkeys(wanted) if key in there]
        at = actor.at(*(views[0].tags or (PLACE,))) if views else actor.at(PLACE)
        target = ", ".join(each.path for each in views) if views else " ".join(paths or ("all",))

        async def work() -> None:
            if not views and (refusal := lacking(at, Role.ENGINEER, "the end of a force")):
                raise refusal
            if controller is None:
                raise NO_PLC
            if missing := [path for path in paths or () if _key(path) not in there]:
                known = ", ".join(each.path for each in there.values()) or "nothing"
                raise UnknownVariableError(f"{missing[0]} is not forced", f"forced now: {known}")
            for view in views:
                for place in view.tags or (PLACE,):
                    who = actor.at(place)
                    if refusal := lacking(who, Role.ENGINEER, f"the end of the force on {view.path}"):
                        raise refusal
                    self._gate.mode.check(view.path, who)
            paths_of = [each.path for each in views]
            await controller.release(paths_of, actor=actor.name, reason=reason)

        await self._attempts.noted(self._attempts.entry("unforce", target, at, reason), work)

    async def restart(self, *, cold: bool, actor: Actor, reason: str = "", task: str = "") -> None:
        """Begin the program, or the programs of a task, anew (engineer).

        Not cold while the plant is read only, nor a task: that changes values.

        Raises:
            PlantError: says why not.
        """
        at = actor.at(PLACE)
        target = f"plc task {task}" if task else "plc"
        attempt = self._attempts.entry("restart", target, at, reason, None, "cold" if cold else "warm")

        async def work() -> None:
            if refusal := lacking(at, Role.ENGINEER, "a restart of the PLC"):
                raise refusal
            if cold or task:
                self._gate.mode.check("a restart of a task" if task else "a cold restart", at)
            await self.controller().restart(cold=cold, task=task, actor=actor.name, reason=reason)

        await self._attempts.noted(attempt, work)

    async def settle(self) -> None:
        """Audit the forces that have ended by themselves.

        Raises:
            PlantError: they cannot be audited now.
        """
        controller = self.find()
        ended = controller.ended() if controller else ()
        if controller is None or not ended:
            return
        for each in ended:
            if each.number not in self._told:
                reason = f"the force of {each.actor} has ended: {each.why}"
                entry = self._attempts.entry("unforce", each.path, PLC, reason, each.value)
                await self._attempts.record(replace(entry, type=each.type))
                self._told.add(each.number)
        await controller.forget([each.number for each in ended])
        self._told.clear()

    def _at(self, path: str, actor: Actor) -> tuple[Actor, str]:
        """Return the actor with the role where the first tag is that is bound to a variable, and its type."""
        try:
            target = self.controller().target(path)
        except PlantError:
            return actor.at(PLACE), ""
        return actor.at(next((self._tags[id_].path for id_ in target.tags), PLACE)), target.type

    def _judge(self, path: str, actor: Actor, signature: Signature | None) -> Allowed:
        try:
            controller = self.controller()
            target = controller.target(path)
        except PlantError:
            if refusal := lacking(actor.at(PLACE), Role.ENGINEER, "a force"):
                raise refusal from None
            raise
        tags = [self._tags[id_] for id_ in target.tags]
        for place in [tag.path for tag in tags] or [PLACE]:
            who = actor.at(place)
            if refusal := lacking(who, Role.ENGINEER, f"a force on {target.path}"):
                raise refusal
            self._gate.mode.check(target.path, who)
        for tag in tags:
            if tag.id in self._gate.two_person:
                text = f"{target.path} is bound to {tag.path}, which takes two persons: it cannot be forced"
                raise WriteRejectedError(text, "request a write of the tag, or change gate: two_person:")
            self._gate.check_around(tag, actor.at(tag.path))
            if meanings := self._gate.signed.get(tag.id, ()):
                if signature is None:
                    text = f"{target.path} is bound to {tag.path}, which takes an electronic signature"
                    remedy = f"give --sign-as and --meaning, one of: {', '.join(meanings)}"
                    raise WriteRejectedError(text, remedy)
                self._gate.check_signature(tag, signature)
        if signature and not any(tag.id in self._gate.signed for tag in tags):
            raise WriteRejectedError(f"{target.path} takes no signature", "force it without one")
        return Allowed(controller, target.path)


def _key(path: str) -> str:
    """Return a path as paths are compared: without blanks, such as those of `a[1, 2]`."""
    return "".join(path.split()).casefold()
