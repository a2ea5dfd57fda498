"""The operator console: wires plant, model, screens and commands together."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from textual import on
from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import Event, Key, MouseDown, MouseScrollDown, MouseScrollUp, Paste
from textual.screen import Screen

from runtime.clock import WallClock
from runtime.contract import Clock
from runtime.errors import ConnectError, PlantError
from runtime.language import language_of
from runtime.wire import Written
from tui.approval import told
from tui.client import Connect, Seat
from tui.link import PlantLink
from tui.locale import LANGUAGES, Words
from tui.model import Link, PlantModel, View
from tui.picture import mend
from tui.screens.acknowledge import AcknowledgeWanted
from tui.screens.alarm_command import AlarmCommandDialog, AlarmCommandWanted
from tui.screens.alarms import AlarmsScreen, JournalWanted
from tui.screens.base import PlantScreen
from tui.screens.decide import DecisionWanted
from tui.screens.dialog import Dialog
from tui.screens.gate import GateScreen
from tui.screens.help import HelpDialog
from tui.screens.mode import ModeWanted
from tui.screens.overview import OverviewScreen, ShowTags
from tui.screens.pick import PenToggled
from tui.screens.reason import ReasonDialog
from tui.screens.restart import RestartWanted
from tui.screens.signin import SignInDialog, SignInWanted
from tui.screens.system import SystemScreen
from tui.screens.tags import TagsScreen, ToTrend
from tui.screens.trend import HistoryWanted, TrendScreen
from tui.screens.write import WriteDialog, WriteWanted
from tui.shown import format_since, format_value
from tui.widgets.keybar import SCREENS

TICK_S = 0.2
KEY_S = 5.0  # no key takes so long, but a widget that went meanwhile would never answer
MOST_KEYS = 1000  # that wait: a key that is held down before a console that hangs fills no memory
JOURNAL_LIMIT = 500
ANSWER_S = 15.0  # a plant that answers at all has answered by then
TERMINAL_S = 0.2  # soon: what cannot be written any more would hold the console in the end
_SECOND_NS = 1_000_000_000
_TOUCHES = (Key, Paste, MouseDown, MouseScrollDown, MouseScrollUp)  # a mouse moves when the desk is knocked
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)


class ConsoleApp(App[None]):
    """A client of the plant's API, like any other."""

    CSS_PATH = "console.tcss"
    ENABLE_COMMAND_PALETTE = False
    MODES: ClassVar[dict[str, str | Callable[[], Screen[Any]]]] = {
        "overview": OverviewScreen,
        "alarms": AlarmsScreen,
        "trend": TrendScreen,
        "tags": TagsScreen,
        "system": SystemScreen,
        "gate": GateScreen,
    }
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(f"{n},f{n}", f"goto('{name}')", show=False) for n, name in enumerate(SCREENS, 1)),
        Binding("question_mark", "help", show=False),
        Binding("l", "speak", show=False),
        Binding("i", "sign_in", show=False),
        Binding("q,ctrl+c", "quit", show=False),
    ]

    def __init__(
        self, connect: Connect, words: Words, clock: Clock | None = None, seat: Seat | None = None
    ) -> None:
        """`seat` is for who signs in; without one nobody can here."""
        super().__init__()
        self._seat = seat
        self._over = False
        self.clock: Clock = clock or WallClock()
        self.model = PlantModel(words)
        self.link = PlantLink(self.model, connect, self.clock)
        self._told: tuple[int, int, tuple[Screen[Any], ...]] = (-1, -1, ())
        self._speaking = words
        self._typed: deque[Event] = deque()
        self._key_on_its_way = False

    async def on_mount(self) -> None:
        await self.switch_mode("overview")
        self._connect()
        self.set_interval(TICK_S, self.tick)

    def _connect(self) -> None:
        """Connect now; a try that was waiting for its time is none any more."""
        self.run_worker(self.link.run(), name="link", group="link", exclusive=True)

    @property
    def view(self) -> View:
        return self.model.view(self.clock.now_ns())

    def tick(self) -> None:
        """Show what changed since the last tick; at most five times a second."""
        now_ns = self.clock.now_ns()
        screens = tuple(self.screen_stack)
        told = (self.model.version, now_ns // _SECOND_NS, screens)
        if told == self._told:
            return
        self._told = told
        view = self.model.view(now_ns)
        watched: set[int] = set()
        for screen in screens:
            if isinstance(screen, PlantScreen | Dialog):
                screen.show(view)
                watched.update(screen.watched())
        self.link.watch(watched)
        if view.over and not self._over:
            self.action_sign_in()
        self._over = view.over

    # keys

    async def on_event(self, event: Event) -> None:
        """Hand keys on one after the other.

        Over a slow link several come at once: `w45` opens a dialog, whose field the digits are for.
        """
        if self._seat and isinstance(event, _TOUCHES):
            self._seat.touch()
        if not isinstance(event, Key | Paste) or event.is_forwarded:
            await super().on_event(event)
        elif self._key_on_its_way:
            if len(self._typed) < MOST_KEYS:
                self._typed.append(event)
        else:
            self._key_on_its_way = True
            await super().on_event(event)
            self.run_worker(self._hand_on(), group="keys")

    async def _hand_on(self) -> None:
        try:
            await self._arrived()
            while self._typed:
                await super().on_event(self._typed.popleft())
                await self._arrived()
        finally:
            self._key_on_its_way = False

    async def _arrived(self) -> None:
        """Wait until a key has had its effect: from the focus up to the app, then in what it opened."""
        for _ in range(2):
            for each in (self.focused or self.screen).ancestors_with_self:
                done = asyncio.Event()
                if each.call_later(done.set):
                    with suppress(TimeoutError):
                        await asyncio.wait_for(done.wait(), KEY_S)

    # navigation

    async def action_goto(self, name: str) -> None:
        """Show one of the screens."""
        if any(isinstance(screen, Dialog) for screen in self.screen_stack):
            return
        await self.switch_mode(name)
        self.call_after_refresh(self.tick)

    def action_speak(self) -> None:
        """Speak the next language."""
        self._speaking = self._speaking.other()
        self.model.speak(self._speaking)
        self.tick()

    def action_help(self) -> None:
        if isinstance(self.screen, PlantScreen):
            self.push_screen(HelpDialog(self.view, self.screen.HINTS))

    def action_sign_in(self) -> None:
        """Ask who is here, where the session is over."""
        asked = any(isinstance(screen, SignInDialog) for screen in self.screen_stack)
        if self._seat and self.model.over and not asked:
            self.push_screen(SignInDialog(self.view))

    @on(ShowTags)
    async def show_tags(self, event: ShowTags) -> None:
        await self.action_goto("tags")
        if isinstance(self.screen, TagsScreen):
            self.screen.set_filter(event.path)

    @on(ToTrend)
    async def to_trend(self, event: ToTrend) -> None:
        await self.action_goto("trend")
        if isinstance(self.screen, TrendScreen):
            self.screen.show(self.view)
            if event.path not in self.screen.paths:
                self.screen.toggle(event.path)

    @on(PenToggled)
    def toggle_pen(self, event: PenToggled) -> None:
        for screen in self.screen_stack:
            if isinstance(screen, TrendScreen):
                screen.toggle(event.path)

    # questions and commands

    def _ask(self, work: Coroutine[Any, Any, None], group: str) -> None:
        self.run_worker(work, group=group)

    def _ask_newest(self, work: Callable[[], Coroutine[None, None, None]], group: str) -> None:
        """Ask, and drop the question before; made as it begins, so that a dropped one leaves nothing."""
        self.run_worker(work, group=group, exclusive=True)  # type: ignore[arg-type]

    @on(HistoryWanted)
    def fetch_history(self, event: HistoryWanted) -> None:
        screen = next((each for each in self.screen_stack if isinstance(each, TrendScreen)), None)
        if screen:
            self._ask_newest(partial(self._history, screen, event), "history")

    async def _history(self, screen: TrendScreen, event: HistoryWanted) -> None:
        try:
            client = self.link.client
            screen.take_history(await client.trend(event.paths, event.start_ns, event.end_ns, event.buckets))
        except PlantError as exc:
            screen.no_history(exc.text)

    @on(JournalWanted)
    def fetch_journal(self) -> None:
        screen = next((each for each in self.screen_stack if isinstance(each, AlarmsScreen)), None)
        if screen:
            self._ask_newest(partial(self._journal, screen), "journal")

    async def _journal(self, screen: AlarmsScreen) -> None:
        try:
            screen.take_journal(await self.link.client.alarm_journal(limit=JOURNAL_LIMIT))
        except PlantError as exc:
            self._refused(exc)

    @on(AcknowledgeWanted)
    def acknowledge(self, event: AcknowledgeWanted) -> None:
        self._ask(self._acknowledge(event), "acknowledge")

    async def _acknowledge(self, event: AcknowledgeWanted) -> None:
        """Acknowledge one after the other; one that is refused keeps none of the others back."""
        done = 0
        refused: PlantError | None = None
        for name in event.names:
            try:
                self.model.take_alarm(await self.link.client.acknowledge(name, event.comment))
                done += 1
            except PlantError as exc:
                refused = refused or exc
                if isinstance(exc, ConnectError):
                    break
        if refused:
            self._refused(refused)
        if done:
            self.notify(self._speaking("acknowledge.done", count=done))

    @on(AlarmCommandWanted)
    def command_alarm(self, event: AlarmCommandWanted) -> None:
        self._ask(self._command_alarm(event), "alarm")

    async def _command_alarm(self, event: AlarmCommandWanted) -> None:
        name, reason = event.name, event.reason
        try:
            client = self.link.client
            match event.verb:
                case "confirm":
                    alarm = await client.confirm(name, reason)
                case "shelve":
                    alarm = await client.shelve(name, event.for_ns, reason)
                case "unshelve":
                    alarm = await client.unshelve(name, reason)
                case "out-of-service":
                    alarm = await client.out_of_service(name, reason)
                case "in-service":
                    alarm = await client.in_service(name, reason)
                case _:
                    alarm = await client.reset_alarm(name, reason)
        except PlantError as exc:
            self._not_done(event.dialog, exc)
            return
        self.model.take_alarm(alarm)
        event.dialog.finish()
        words = self._speaking
        self.notify(words("command.done", name=name, what=words(f"alarm.verb.{event.verb}")), markup=False)

    @on(WriteWanted)
    def write(self, event: WriteWanted) -> None:
        self._ask(self._write(event), "write")

    async def _write(self, event: WriteWanted) -> None:
        tag = event.tag
        try:
            client = self.link.client
            if tag.two_person:
                made = await client.request_write(
                    tag.path, event.value, event.reason, signature=event.signature
                )
            else:
                written = await client.write(tag.path, event.value, event.reason, signature=event.signature)
        except PlantError as exc:
            self._not_done(event.dialog, exc)
            return
        event.dialog.finish()
        if tag.two_person:
            time = format_since(made.until_ns, self.view.now_ns)
            self._say("request.done", tag=self._short(tag.path), number=made.id, time=time)
        else:
            self._say("write.done", tag=self._short(tag.path), **self._change(tag.path, written))

    @on(DecisionWanted)
    def decide(self, event: DecisionWanted) -> None:
        self._ask(self._decide(event), "decide")

    async def _decide(self, event: DecisionWanted) -> None:
        request = event.request
        try:
            client = self.link.client
            if event.approve:
                written = await client.approve(request.id, event.reason, event.signature)
            else:
                self.model.take_gate(await client.reject(request.id, event.reason))
        except PlantError as exc:
            self._not_done(event.dialog, exc)
            return
        event.dialog.finish()
        tag = self._short(request.path)
        if event.approve:
            self._say("request.approved", tag=tag, name=request.actor, **self._change(request.path, written))
        else:
            self._say("request.rejected", tag=tag, number=request.id)

    @on(ModeWanted)
    def change_mode(self, event: ModeWanted) -> None:
        self._ask(self._change_mode(event), "mode")

    async def _change_mode(self, event: ModeWanted) -> None:
        change = event.change
        try:
            client = self.link.client
            if change in ("read_only", "writable"):
                gate = await client.set_read_only(change == "read_only", event.reason)
            else:
                gate = await client.set_mode(change, event.reason)
        except PlantError as exc:
            self._not_done(event.dialog, exc)
            return
        self.model.take_gate(gate)
        event.dialog.finish()
        self._say("mode.done", what=self._speaking(f"mode.to.{change}"))

    def _say(self, key: str, **values: object) -> None:
        self.notify(self._speaking(key, **values), markup=False)

    def _short(self, path: str) -> str:
        tag = self.model.tags.get(path)
        return self.model.tags.short[tag.id] if tag else path

    def _change(self, path: str, written: Written) -> dict[str, str]:
        tag, words = self.model.tags.get(path), self._speaking
        previous = format_value(written.previous, tag, words) if tag else str(written.previous)
        return {"previous": previous, "value": told(written.value, tag, words)}

    @on(SignInWanted)
    def sign_in(self, event: SignInWanted) -> None:
        self._ask(self._sign_in(event), "sign-in")

    async def _sign_in(self, event: SignInWanted) -> None:
        assert self._seat
        try:
            await self._seat.sign_in(event.name, event.secret)
        except PlantError as exc:
            self._not_done(event.dialog, exc)
            return
        event.dialog.finish()
        self._say("signin.hello", name=event.name)
        self._connect()

    @on(RestartWanted)
    def restart(self, event: RestartWanted) -> None:
        self._ask(self._restart(event.name), "restart")

    async def _restart(self, name: str) -> None:
        try:
            self.model.take_component(await self.link.client.restart(name))
        except PlantError as exc:
            self._refused(exc)
            return
        self.notify(self._speaking("restart.done", name=name), markup=False)

    def _not_done(
        self, dialog: AlarmCommandDialog | ReasonDialog | SignInDialog | WriteDialog, exc: PlantError
    ) -> None:
        """Tell a refusal in the dialog that asked; beside it where the operator has left that."""
        if dialog.is_current:
            dialog.refused(exc.text, exc.remedy)
        else:
            self._refused(exc)

    def _refused(self, exc: PlantError) -> None:
        text = exc.text + (f"\n{exc.remedy}" if exc.remedy else "")
        self.notify(text, title=self._speaking("note.error"), severity="error", markup=False)


def words_for(lang: str | None) -> Words:
    """Return the words of a language; of the environment's without one.

    Raises:
        PlantError: the console does not speak it.
    """
    language = lang or language_of(os.environ)
    if language not in LANGUAGES:
        raise PlantError(f"the console does not speak {language!r}", f"use {' or '.join(LANGUAGES)}")
    return Words(language)


def run(connect: Connect, lang: str | None = None, seat: Seat | None = None) -> None:
    """Show the console until the operator quits, or the terminal or the system ends it."""
    before = {number: signal.getsignal(number) for number in _ENDINGS}
    try:
        asyncio.run(_until_quit(ConsoleApp(connect, words_for(lang), seat=seat)))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


async def _until_quit(app: ConsoleApp) -> None:
    loop = asyncio.get_running_loop()
    for number in _ENDINGS:  # an exception out of a signal handler can be swallowed wherever it comes up
        loop.add_signal_handler(number, app.exit)

    def look() -> None:  # su and a container's exec keep the signal of a terminal that went to themselves
        if sys.stdin.isatty():
            loop.call_later(TERMINAL_S, look)
        else:
            app.exit()

    loop.call_later(TERMINAL_S, look)
    await app.run_async()


async def take_screenshots(
    connect: Connect, size: tuple[int, int] = (120, 36), settle_s: float = 2.5
) -> dict[str, str]:
    """Return each screen in each language as SVG, as it looks with the plant that answers now.

    Raises:
        PlantError: the plant does not answer.
    """
    clock = WallClock()
    pictures = {}
    for language in LANGUAGES:
        app = ConsoleApp(connect, Words(language))
        async with app.run_test(size=size) as pilot:
            end_ns = clock.steady_ns() + round(ANSWER_S * _SECOND_NS)
            while app.view.link is Link.CONNECTING and not app.view.trouble and clock.steady_ns() < end_ns:
                await clock.sleep(TICK_S)
            for name in SCREENS:
                await pilot.press(f"f{SCREENS.index(name) + 1}")
                if name == "alarms":
                    await pilot.press("enter")  # cause and action are what is worth seeing
                await clock.sleep(settle_s)
                await pilot.pause()  # what came at the end of it is drawn
                if app.view.link is not Link.ONLINE:
                    trouble = app.view.trouble.splitlines() or ["the plant does not answer"]
                    raise PlantError(trouble[0], "start it first")
                pictures[f"{name}.{language}.svg"] = mend(app.export_screenshot(title="Ironworks"))
    return pictures
