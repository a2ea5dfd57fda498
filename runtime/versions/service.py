"""The plant's configuration while it runs: apply, roll back, and return to the last good one by itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from msgspec import structs

from runtime.assembly import Assembly, assemble
from runtime.clock import SECOND_NS
from runtime.contract import Actor, Batch, Event, Port, Role
from runtime.errors import ConfigError, PlantError, ReturnedError, StoreError, WriteRejectedError
from runtime.gate.attempts import lacking
from runtime.journal import ConfigRecord, config_log
from runtime.online import Wish
from runtime.supervisor import State
from runtime.versions.difference import PLANT, Plan, Side, compare
from runtime.versions.folder import Content
from runtime.versions.start import Beginning, assemble_version, store_of
from runtime.versions.store import Failure, Standing, Version
from runtime.versions.tags import TAGS

if TYPE_CHECKING:
    from runtime.kernel import Kernel

log = logging.getLogger(__name__)
Done = TypeVar("Done", tuple[Version, Plan], tuple[Version, Version, Plan])
PERIOD_S = 0.5
SETTLE_NS = 10 * SECOND_NS  # so long must all that changed be up, until a configuration is good
FAULTS = 3  # so often may one of it fault meanwhile
PREVIOUS = "previous"
LOG_ROWS = 1000
PATIENCE_NS = 60 * SECOND_NS  # after so long without either, it is judged by what it does then


@dataclass(frozen=True, slots=True)
class Change:
    """How an apply is wished: `online` means that a program must change, and without a restart."""

    wish: Wish = field(default_factory=Wish)
    online: bool = False


_PLAIN = Change()
_RIGHTS = ("users", "login")  # of plant.yaml: who may do what
_NOTHING = Wish()
_DIGEST = 16  # hexadecimal digits


@dataclass(frozen=True)
class _Trial:
    """A configuration that must come up: what of it is new, since when (steady), and what it replaced."""

    units: tuple[str, ...]
    since_ns: int
    faults: dict[str, int]
    action: str


class Versions:
    """A component. One change at a time; each is audited and in the journal.

    Attributes:
        running: the version that runs; None until it is kept.
        failure: why it is not the plant folder's.
    """

    name = "config"

    def __init__(self, kernel: Kernel, assembly: Assembly, begin: Beginning | None) -> None:
        self._kernel = kernel
        self._file = assembly.plant.file
        self.store = begin.store if begin else store_of(self._file)
        self._begin = begin
        self._side = Side.of(begin.content, assembly) if begin else Side(Content({}), None, {})
        self.running: Version | None = None
        self.failure = begin.failure if begin else None
        self._trial: _Trial | None = None
        self._up_ns: int | None = None
        self._busy = ""

    # Life.

    async def started(self) -> None:
        """Take note of the start, now that the plant is ours."""
        if self._begin is None:
            return
        try:
            await asyncio.to_thread(self._keep_start, self._begin)
        except PlantError as exc:  # no reason not to run
            log.error("no version is kept: %s", exc)
        if self.running is None:
            return
        if self.failure:
            await self._note("return", self.running, "applied", self.failure.reason)
            log.error(
                "the configuration of the plant folder did not come up (%s): version %s runs",
                self.failure.reason,
                self.running,
            )
        else:
            await self._note("start", self.running, "applied")
        if self.store.standing().good != self.running.digest:
            self._watch(await asyncio.to_thread(self._news), "start")

    def _run_by(self, version: Version, side: Side) -> None:
        """Let what starts anew read its files as this version has them, whatever is edited meanwhile."""
        if side.assembly is not None:
            side.assembly.plant.applied.of = partial(self.store.applied, version)

    def _keep_start(self, begin: Beginning) -> None:
        now_ns = self._kernel.clock.now_ns()
        if begin.failure:
            self.store.keep(begin.folder, now_ns, begin.content.digest)
        self.running = self.store.keep(begin.content, now_ns)
        self._run_by(self.running, self._side)
        standing, digest = self.store.standing(), self.running.digest
        trying, starts = "", 0
        if standing.good != digest:
            trying, starts = digest, standing.starts + 1 if standing.trying == digest else 1
        after = structs.replace(standing, trying=trying, starts=starts, failure=begin.failure)
        if after != standing:
            self.store.stand(after)

    def _news(self) -> Collection[str]:
        """Return the units that are not as in the last good version: all where there is none."""
        good = self.store.standing().good
        try:
            if good:
                return compare(self._understand_version(self.store.find(good)), self._side).begun
        except PlantError as exc:
            log.warning("the last good version cannot be compared: %s", exc)
        return {part.unit for part in self._kernel.parts}

    async def stopped(self) -> None:
        """Take note of a stop in order: it is no crash."""
        if self.running and self.store.standing().starts:
            try:
                await asyncio.to_thread(self.store.restand, lambda now: structs.replace(now, starts=0))
            except PlantError as exc:
                log.error("the stop is not noted: %s", exc)

    async def run(self, port: Port) -> None:
        """Watch whether what was begun comes up; tell the configuration's tags."""
        ids = [port.tags[f"sys/config/{name}"].id for name, *_ in TAGS]
        told: tuple[int, ...] = ()
        port.health(True)
        while True:
            if self._trial and not self._busy:  # a change at work ends components, or takes their place
                await self._judge(self._trial)
            number = self.running.number if self.running else 0
            values = (number, int(self.failure is not None), int(self._trial is not None))
            if values != told:
                port.submit(Batch.of(ids, list(values), port.clock.now_ns()))
                told = values
            await port.clock.sleep(PERIOD_S)

    def _watch(self, units: Collection[str], action: str, before: _Trial | None = None) -> None:
        """Begin a trial; what an earlier one was still waiting for is waited for in this one."""
        faults_of, parts = self._kernel.supervisor.faults, self._kernel.parts
        faults = {part.component.name: faults_of(part.component.name) for part in parts if part.unit in units}
        if before is not None:
            there = {part.component.name for part in parts}
            faults = {name: count for name, count in before.faults.items() if name in there} | faults
        self._trial = _Trial(tuple(faults), self._kernel.clock.steady_ns(), faults, action)
        self._up_ns = None

    async def _judge(self, trial: _Trial) -> None:
        supervisor, now_ns = self._kernel.supervisor, self._kernel.clock.steady_ns()
        for name in trial.units:
            if supervisor.faults(name) - trial.faults[name] >= FAULTS:
                await self._give_up(f"{name} faulted {FAULTS} times: {self._last_word(name)}")
                return
        down = [name for name in trial.units if supervisor.state(name) in (State.FAULTED, State.STARTING)]
        if down:
            self._up_ns = None
            if now_ns - trial.since_ns > PATIENCE_NS:
                await self._give_up(f"{down[0]} did not come up: {self._last_word(down[0])}")
            return
        self._up_ns = self._up_ns or now_ns
        if now_ns - self._up_ns >= SETTLE_NS:
            self._trial = None
            await self._call_good(trial.action)

    def _last_word(self, name: str) -> str:
        return next((each["text"] for each in self._kernel.supervisor.views() if each["name"] == name), "")

    async def _call_good(self, action: str) -> None:
        running = self.running
        if running is None:
            return

        def called_good(now: Standing) -> Standing:
            if now.trying not in ("", running.digest):  # another one is on its way
                return structs.replace(now, good=running.digest)
            return structs.replace(now, good=running.digest, trying="", starts=0, failure=now.failure)

        await asyncio.to_thread(self.store.restand, called_good)
        await self._note(action, running, "good")

    async def _give_up(self, reason: str) -> None:
        """Return to the last good version if there is another one; else see whether it comes up later."""
        trial, failed, standing = self._trial, self.running, self.store.standing()
        if trial is None or failed is None or self._busy:
            return
        allowed = self._begin is not None and self._begin.fallback
        if not allowed or not standing.good or standing.good == failed.digest:
            self._watch({part.unit for part in self._kernel.parts}, trial.action)
            return
        with self._working("returning to the last good version"):
            self._trial = None
            now_ns = self._kernel.clock.now_ns()
            try:
                good = await asyncio.to_thread(self.store.find, standing.good)
                side = await asyncio.to_thread(self._understand_version, good)
                failure = Failure(failed.digest, reason, now_ns)
                await asyncio.to_thread(
                    self.store.restand,
                    lambda now: structs.replace(now, trying="", starts=0, failure=failure),
                )
                self.failure = failure
                await self._note(trial.action, failed, "failed", reason)
                log.error(
                    "version %s did not come up (%s): back to the last good one, %s", failed, reason, good
                )
                await self._switch(side, good, await self._plan(side, Wish(reset=True)))
                await self._note("return", good, "applied", reason)
            except PlantError as exc:
                log.error("the last good version cannot be had: %s", exc)
            finally:
                self._leave()

    # Commands.

    @property
    def settling(self) -> bool:
        """Tell whether a configuration was begun and has not come up yet."""
        return self._trial is not None

    async def plan(self, actor: Actor, wish: Wish = _NOTHING) -> Plan:
        """Return what an apply would do now, rehearsed where that is wished.

        Raises:
            ConfigError: the folder has errors.
            PlantError: the role does not allow it, or the folder cannot be read.
        """
        self._admit(actor)
        with self._working(f"plan for {actor.name}"):
            side = await asyncio.to_thread(self._understand_folder)
            return await self._plan(side, wish)

    async def _plan(self, side: Side, wish: Wish) -> Plan:
        """Return how the configuration that runs becomes another; what can change online is ready to."""
        plan = await asyncio.to_thread(compare, self._side, side)
        if side.assembly is not None and PLANT not in plan.needs:
            for view in await self._kernel.prepare(side.assembly, plan.renewed, wish):
                plan = plan.told(view)
        return plan

    async def apply(
        self, actor: Actor, comment: str = "", *, restart: bool = False, change: Change = _PLAIN
    ) -> tuple[Version, Plan]:
        """Make the plant folder as it is now the configuration that runs.

        Raises:
            ConfigError: the folder has errors; nothing was touched.
            PlantError: it is refused, or failed: says why, and what runs.
        """

        async def work() -> tuple[Version, Plan]:
            self._admit(actor)
            with self._working(f"apply by {actor.name}"):
                return await self._apply("apply", actor, comment, restart, change)

        return await self._audited("apply", "config", actor, comment, work)

    async def rollback(
        self, name: str, actor: Actor, comment: str = "", *, restart: bool = False, change: Change = _PLAIN
    ) -> tuple[Version, Version, Plan]:
        """Put the files of a version back and apply them; returns it, what the folder was, and the plan.

        `previous` is the version that ran before the one that runs.

        Raises:
            PlantError: it is refused, or failed: says why, and what runs.
        """

        async def work() -> tuple[Version, Version, Plan]:
            self._admit(actor)
            with self._working(f"rollback by {actor.name}"):
                version = await self._found(name)
                side = await asyncio.to_thread(self._understand_version, version)
                plan = await self._plan(side, change.wish)
                self._allow(plan, restart, change, actor)
                before = await asyncio.to_thread(self.store.put_back, version, self._kernel.clock.now_ns())
                again = Change(replace(change.wish, rehearse=0), change.online)
                _, done = await self._apply("rollback", actor, comment, restart, again, side.content)
                return version, before, replace(done, online=plan.online)

        return await self._audited("rollback", f"config {name}", actor, comment, work)

    async def _audited(
        self, action: str, target: str, actor: Actor, comment: str, work: Callable[[], Awaitable[Done]]
    ) -> Done:
        """Do it with a row in the audit that says from what to what: the digests bind the files to it."""
        before = _told(self.running) if self.running else None
        try:
            return await self._kernel.gate.audited(
                action, target, actor, comment, work, before, lambda done: _told(done[0])
            )
        finally:
            self._leave()

    def _leave(self) -> None:
        """Let the plant start anew where that is decided: what led to it is written down."""
        if self._kernel.again:
            self._kernel.leave()

    def _admit(self, actor: Actor) -> None:
        refusal = lacking(actor, Role.ENGINEER, "a change of the configuration")
        if refusal:
            raise refusal
        if self.running is None:
            raise WriteRejectedError("no versions are kept of this plant", "the log of its start says why")
        if self._busy:
            raise WriteRejectedError(f"busy: {self._busy}", "try again in a moment")
        if self._kernel.again:
            raise WriteRejectedError("busy: the plant starts anew", "try again in a moment")
        if self._kernel.journal.failing:
            raise WriteRejectedError("the journal cannot be written", "free space on the disk first")

    @contextmanager
    def _working(self, what: str) -> Iterator[None]:
        self._busy = what
        try:
            yield
        finally:
            self._busy = ""
            self._up_ns = None

    async def _found(self, name: str) -> Version:
        """Return a version by its name; `previous` is what ran before."""
        if name != PREVIOUS:
            return await asyncio.to_thread(self.store.find, name)
        running = self.running.digest if self.running else ""
        kept = {each.digest: each for each in await asyncio.to_thread(self.store.versions)}
        for row in await self._kernel.journal.read(config_log, LOG_ROWS):
            if row.result == "applied" and row.digest != running and row.digest in kept:
                return kept[row.digest]
        raise PlantError("no version ran before this one", "`ironworks config list` shows what is kept")

    @staticmethod
    def _allow(plan: Plan, restart: bool, change: Change, actor: Actor) -> None:
        settings = [each.name for each in plan.changes if each.kind == "setting"]
        rights = [name for name in settings if name.partition(".")[0] in _RIGHTS]
        if rights and (refusal := lacking(actor, Role.ADMIN, f"a change of {rights[0]} in plant.yaml")):
            raise refusal
        if change.online and not plan.needs and all(each.same for each in plan.online):
            raise WriteRejectedError("the program is the one that runs; nothing was changed", "edit it first")
        if plan.needs and not restart:
            names, why = ", ".join(plan.needs), next((each for each in plan.online if each.reason), None)
            text = f"this needs a restart of {names}; nothing was changed"
            remedy = "apply it with --restart" if change.online else "add --restart"
            if why:
                text = f"no online change of {why.unit}: {why.reason}; nothing was changed"
                remedy = f"{why.remedy}; or {remedy}" if why.remedy else remedy
            raise WriteRejectedError(text, remedy)

    async def _apply(
        self,
        action: str,
        actor: Actor,
        comment: str,
        restart: bool,
        change: Change,
        put_back: Content | None = None,
    ) -> tuple[Version, Plan]:
        side = await asyncio.to_thread(self._understand_folder, put_back)
        plan = await self._plan(side, change.wish)
        self._allow(plan, restart, change, actor)
        version = await asyncio.to_thread(self.store.keep, side.content, self._kernel.clock.now_ns())
        same = self.running is not None and version.digest == self.running.digest
        before = self.store.standing()

        def begun(now: Standing) -> Standing:
            trying = now.trying if same else "" if version.digest == now.good else version.digest
            return structs.replace(now, trying=trying, starts=0, failure=None)

        def as_before(now: Standing) -> Standing:
            return structs.replace(
                now, trying=before.trying, starts=before.starts, failure=before.failure
            )  # not the good one: that may have come up meanwhile

        trying = (await asyncio.to_thread(self.store.restand, begun)).trying
        if not same:
            try:
                await self._switch(side, version, plan)
            except PlantError as exc:
                await asyncio.to_thread(self.store.restand, as_before)
                await self._note(action, version, "failed", exc.text, actor.name, comment)
                raise
            if PLANT not in plan.needs:
                unsettled, self._trial = self._trial, None
                if trying:
                    self._watch({*plan.begun, *plan.renewed}, action, unsettled)
        self.failure = None
        online = [f"{each.unit} online: {each.summary}" for each in plan.online if not each.reason]
        await self._note(action, version, "applied", "; ".join(online), actor.name, comment)
        return version, plan

    async def _switch(self, side: Side, version: Version, plan: Plan) -> None:
        """Let another configuration run."""
        if PLANT in plan.needs:
            self._kernel.again = True
            return
        assert side.assembly is not None
        self._run_by(version, side)
        try:
            await self._kernel.become(side.assembly, plan.ended, plan.begun, plan.renewed)
        except ReturnedError:
            await self._go_back_from(side)
            raise
        self._side, self.running = side, version
        now_ns = self._kernel.clock.now_ns()
        text = f"version {version} of the configuration runs"
        self._kernel.emit(Event("config.applied", self.name, now_ns, text, {"version": version.number}))
        log.info("%s", text)

    async def _go_back_from(self, side: Side) -> None:
        """Let all else be what it was, too, where a component has returned by itself."""
        assert self.running is not None
        before = await asyncio.to_thread(self._understand_version, self.running)
        assert before.assembly is not None
        self._run_by(self.running, before)
        back = await asyncio.to_thread(compare, side, before)
        await self._kernel.prepare(before.assembly, back.renewed, Wish(reset=True))
        await self._kernel.become(before.assembly, back.ended, back.begun, back.renewed)
        self._side = before

    # In threads.

    def _understand_folder(self, put_back: Content | None = None) -> Side:
        """Return what the folder means; of one that was put back without what that left there."""

        def present() -> Content:
            found = self.store.present()
            return found.without_left(put_back) if put_back else found

        content = present()
        assembly = assemble(self._file)
        errors = [each for each in assembly.check() if each.severity == "error"]
        if errors:
            raise ConfigError(errors)
        if present().digest != content.digest:
            raise PlantError("the plant folder changed while it was checked", "apply it again")
        return Side.of(content, assembly)

    def _understand_version(self, version: Version) -> Side:
        return Side.of(self.store.content(version), assemble_version(self.store, version, self._file))

    async def _note(
        self,
        action: str,
        version: Version,
        result: str,
        detail: str = "",
        actor: str = "config",
        comment: str = "",
    ) -> None:
        now_ns = self._kernel.clock.now_ns()
        row = ConfigRecord(now_ns, actor, action, version.number, version.digest, comment, result, detail)
        try:
            await self._kernel.journal.append(row)
        except StoreError as exc:  # what happened has happened; the log has it too
            log.error("not in the journal: %s of version %s: %s: %s", action, version, result, exc)


def _told(version: Version) -> str:
    """Name a version in the audit: with so much of its digest that no other files have the same."""
    return f"{version.number} ({version.digest[:_DIGEST]})"
