"""An online change as the bridge makes it: what would happen, and then that."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from msgspec.structs import replace

from runtime.contract import Event, Port
from runtime.errors import PlantError
from runtime.online import OnlineView, VariableLine, Wish
from softplc.facts import OWNER
from softplc.forcebook import ForceBook
from softplc.launch import Launcher
from softplc.lookup import Lookup
from softplc.online.live import Live, Program
from softplc.online.offer import Offer, State
from softplc.online.plan import TOLD, Entry, Migration, plan
from softplc.online.rehearsal import rehearsed

log = logging.getLogger(__name__)
_STEP_S = 0.005
_PATIENCE_NS = 15_000_000_000
_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class Prepared:
    """A change that can be made.

    Attributes:
        before: what runs until then.
        ways: there, and back again.
        adopt: what the bridge does once it is made for good.
    """

    before: Program
    program: Program
    ways: tuple[Migration, Migration] = field(repr=False)
    view: OnlineView
    adopt: Callable[[], None]


def examined(
    old: Program, new: Program, book: ForceBook, wish: Wish
) -> tuple[tuple[Migration, Migration], OnlineView]:
    """Return how one program becomes another, and what is to be told of that. Takes a while: for a thread."""
    before, after = old.build.application, new.build.application
    ways = plan(before, after), plan(after, before)
    there = ways[0]
    fresh, gone, widened, retyped = (tuple(_lines(getattr(there, what))) for what in TOLD)
    reason, remedy = next(_obstacles(old, new, there, book, wish), ("", ""))
    same = new.is_like(old)
    return ways, OnlineView(OWNER, there.kept, fresh, gone, widened, retyped, same, reason, remedy)


def _lines(entries: tuple[Entry, ...]) -> Iterator[VariableLine]:
    for each in entries[:_LISTED]:
        yield VariableLine(*each)
    if len(entries) > _LISTED:
        yield VariableLine("...", f"{len(entries) - _LISTED} more")


def _obstacles(
    old: Program, new: Program, there: Migration, book: ForceBook, wish: Wish
) -> Iterator[tuple[str, str]]:
    """Yield why it cannot be done online, and what helps."""
    if old.build.core_object != new.build.core_object:
        yield "the PLC core is of another version of Ironworks", ""
    for refusal in there.refusals:
        yield refusal, ""
    for path, why in book.lost_in(Lookup(new.build.application)):
        yield f"{path} is forced: {why}", f"release it: ironworks plc unforce {path}"
    if there.retyped and not wish.reset:
        first = there.retyped[0]
        more = f" and {len(there.retyped) - 1} more" if len(there.retyped) > 1 else ""
        yield f"{first.path} ({first.text}){more} would begin anew", "let it with --reset"


async def on_stage(
    port: Port, live: Live, launcher: Launcher, new: Program, ways: tuple[Migration, Migration],
    view: OnlineView, scans: int,
) -> OnlineView:  # fmt: skip
    """Return what is told of a change with its rehearsal; one that fails there is not to be made."""
    told = await rehearsed(port, live, launcher, new, ways, scans)
    intervals_us = {task.name: task.interval_ns / 1000 for task in live.core.tasks}
    slow = [
        name for name, took_us in told.longest_us.items() if took_us >= intervals_us.get(name, float("inf"))
    ]
    reason = ""
    if told.fault:
        reason = f"in its rehearsal, at scan {told.scans}, {told.fault}"
    elif slow:
        took_ms, interval_ms = told.longest_us[slow[0]] / 1000, intervals_us[slow[0]] / 1000
        reason = (
            f"in its rehearsal task {slow[0]} took {took_ms:.3g} ms, its interval is {interval_ms:.3g} ms"
        )
    remedy = "correct the program" if reason else ""
    return replace(view, rehearsal=told, reason=reason, remedy=remedy)


async def carry_out(port: Port, live: Live, launcher: Launcher, offer: Offer, prepared: Prepared) -> None:
    """Let a running core take another program over, and see its trial through.

    Raises:
        PlantError: the program before runs on, or again; says why.
    """
    old, new = live.program, prepared.program
    keys = [np.array([bound.key for bound in each.wiring.inputs], np.int32) for each in (old, new)]
    live.beside = offer.new
    try:
        live.changes.follow(np.unique(np.concatenate(keys)))
        present = port.tags.snapshot(keys[1])
        offer.new.write_inputs(present.ids, present.raw, present.quality, present.text)
        offer.make()
        await _while(port, live, offer, State.WAITING)
        if offer.state is State.REFUSED:
            raise PlantError(launcher.last_word() or "the PLC core does not take the changed program")
        log.info("the changed program scans, on trial")
        launcher.resolve(new.build)
        live.go_over(new, offer.new, back_to=old)
        live.beside = offer.old
        await _while(port, live, offer, State.ON_TRIAL)
        if offer.state is State.RETURNED:
            launcher.resolve(old.build)
            live.go_over(old, offer.old, back_to=None)
            text = f"the program before runs again: {offer.reason}"
            port.emit(Event("plc.returned", OWNER, port.clock.now_ns(), text))
            raise PlantError(text, "correct the program, then change it again")
        live.go_over(new, offer.new, back_to=None)
        launcher.has_begun()
        text = f"the program was changed online: {prepared.view.summary}"
        log.info("%s", text)
        port.emit(Event("plc.changed", OWNER, port.clock.now_ns(), text))
    finally:
        live.beside = None
        live.changes.follow(keys[0] if live.program is old else keys[1])
        offer.close()


async def _while(port: Port, live: Live, offer: Offer, state: State) -> None:
    patience_ns = _PATIENCE_NS
    if state is State.ON_TRIAL:  # the first scan after its time ends it
        patience_ns += offer.trial_ns + min(task.interval_ns for task in offer.new.tasks)
    end_ns = port.clock.steady_ns() + patience_ns
    while offer.state is state:
        if not live.alive:
            raise PlantError("the PLC core died meanwhile", "the program before goes on; try again")
        if port.clock.steady_ns() > end_ns:
            raise PlantError("the PLC core does not answer", "see `ironworks plc top`")
        await port.clock.sleep(_STEP_S)
