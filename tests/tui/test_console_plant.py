"""The console on a real kernel: gate, alarms, history and connection as a user meets them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.client import PlantClient
from runtime.clock import WallClock
from runtime.endpoint import find
from runtime.errors import ConnectError
from runtime.gate.identity import hash_secret
from runtime.logins import keep_session, kept_session
from tests.tui.acting import appears, seen
from tui.console import ConsoleApp
from tui.locale import Words
from tui.seat import Seat

SECRET = "barley and yeast"
PLANT = """\
plant: kettle
title: {en: Kettle house, zh: 锅炉房}
root: site/area/line1
tags: tags.csv
alarms: alarms.yaml
api: null
gate: {two_person: [kettle/trip_bar]}
users: [{name: mei, role: operator, secret: "HASH"}]
"""
TAGS = """\
path,type,unit,unit_text,low,high,description,description_zh,access,source,initial
kettle/state,INT,,,0,5,Kettle: state,锅炉：状态,rw,operator,2
kettle/temperature_c,REAL,Cel,°C,0,120,Kettle: temperature,锅炉：温度,rw,operator,20
kettle/level_pct,REAL,%,%,0,100,Kettle: level,锅炉：液位,rw,operator,55
kettle/trip_bar,REAL,bar,bar,0,12,Kettle: trip pressure,锅炉：跳闸压力,rw,operator,7
line/rate_bpm,REAL,/min,bpm,0,60,Rate,速度,rw,operator,30
"""
ALARMS = """\
alarms:
  - name: kettle.hot
    tag: kettle/temperature_c
    kind: high
    limit: 95
    priority: high
    text: {en: Kettle too hot, zh: 锅炉过热}
    cause: {en: Heater stays on, zh: 加热器未关}
    action: {en: Cut the heater, zh: 切断加热器}
"""


class Kernel:
    """`ironworks run` as a child that ends with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", "run", str(self.folder), "--attached"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "log").open("ab"),
            env=dict(os.environ),
        )

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait(60)
            assert self.process.stdin
            self.process.stdin.close()
            self.process = None


@pytest.fixture
def kernel(tmp_path: Path, runtime_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    monkeypatch.delenv("IRONWORKS_PLANT", raising=False)
    folder = tmp_path / "plant"
    folder.mkdir()
    plant = PLANT.replace("HASH", hash_secret(SECRET))
    for name, text in (("plant.yaml", plant), ("tags.csv", TAGS), ("alarms.yaml", ALARMS)):
        (folder / name).write_text(text, encoding="utf-8")
    kernel = Kernel(folder)
    kernel.start()
    yield kernel
    kernel.kill()


async def found(kernel: Kernel):
    clock = WallClock()
    end_ns = clock.now_ns() + 120 * 10**9
    while True:
        try:
            return find(kernel.folder)
        except ConnectError:
            assert clock.now_ns() < end_ns, (kernel.folder / "log").read_text()
            await clock.sleep(0.1)


def test_an_operators_day(kernel):
    async def main() -> None:
        endpoint = await found(kernel)
        app = ConsoleApp(lambda: PlantClient(endpoint), Words("en"))
        async with app.run_test(size=(110, 32), notifications=True) as pilot:
            # the line, named by its descriptions
            await appears(pilot, "▶ running")
            assert "Kettle house" in seen(app)
            await appears(pilot, r"55\.0 %")

            # a write that the gate refuses, then one that it takes
            await pilot.press("f4", "slash", *"temperature", "enter")
            await appears(pilot, "1 of ")
            await pilot.press("w")
            await appears(pilot, "0 … 120 °C")
            await pilot.press(*"500", "enter", *"boil", "enter")
            await appears(pilot, "Write this value")
            await pilot.press("y")
            await appears(pilot, "Refused: .*500 is out of")
            await pilot.press(*["backspace"] * 3, *"99", "enter", "enter")
            await appears(pilot, r"-> +99\.0 °C")
            await pilot.press("y")
            await appears(pilot, r"temperature_c +99\.0")

            # the alarm that this raises
            await pilot.press("f2")
            await appears(pilot, "high +unacknowledged .*Kettle too hot")
            await pilot.press("enter")
            await appears(pilot, "Cut the heater")
            await pilot.press("a")
            await appears(pilot, "Comment")
            await pilot.press(*"seen", "enter")
            await appears(pilot, "high +acknowledged .*Kettle too hot")
            await pilot.press("j")
            await appears(pilot, "kettle.hot")

            # history, and the plant's own parts
            await pilot.press("f3", "t", "slash", *"temperature", "enter", "enter", "escape")
            await appears(pilot, r"━ 1 +kettle/temperature_c +99\.0")
            assert "History:" not in seen(app)
            await pilot.press("f5")
            await appears(pilot, "historian +▶ running")
            await appears(pilot, "healthy")

            # killed and started again: stale, then back by itself, and nothing is forgotten
            kernel.kill()
            await appears(pilot, "CONNECTION LOST")
            await pilot.press("f4", "escape", "escape")
            await appears(pilot, r"\? stale")
            kernel.start()
            await found(kernel)
            await appears(pilot, r"temperature_c +99\.0 .*good")
            await pilot.press("f2", "j")
            await appears(pilot, "high +acknowledged .*Kettle too hot")

    asyncio.run(main())


async def end_sessions(endpoint) -> None:
    async with PlantClient(endpoint, "mei", SECRET) as client:
        for each in await client.sessions():
            await client.end_session(each.id)


@pytest.mark.parametrize("kept", [False, True])
def test_who_signs_in_again_goes_on_and_leaves_no_session_of_the_console_behind(kernel, monkeypatch, kept):
    monkeypatch.setenv("XDG_STATE_HOME", str(kernel.folder / "state"))
    asked = []

    def ask(name: str) -> str:
        asked.append(name)
        return SECRET

    async def main() -> None:
        endpoint = await found(kernel)
        if kept:  # by `ironworks login`
            async with PlantClient(endpoint) as client:
                keep_session(endpoint, (await client.log_in("mei", SECRET)).session)
        before = kept_session(endpoint)
        seat = Seat(endpoint, None if kept else "mei", ask)
        await seat.take()
        assert asked == ([] if kept else ["mei"])
        app = ConsoleApp(seat.connect, Words("en"), seat=seat)
        async with app.run_test(size=(110, 32), notifications=True) as pilot:
            await appears(pilot, r"55\.0 %")
            await appears(pilot, r"mei \(operator\)")
            assert app.view.info.user.via == "session"
            await end_sessions(endpoint)
            await appears(pilot, "Sign in again")
            await pilot.press(*"wrong", "enter")
            await appears(pilot, "Refused: the name or the secret is wrong")
            await pilot.press(*SECRET, "enter")
            await appears(pilot, "Signed in as mei")
            await appears(pilot, "● online")
            await appears(pilot, r"55\.0 %")
        await seat.leave()
        async with PlantClient(endpoint, "mei", SECRET) as client:
            assert len(await client.sessions()) == kept
        assert (kept_session(endpoint) != before) == kept

    asyncio.run(main())


def test_two_persons_at_two_consoles(kernel):
    async def main() -> None:
        endpoint = await found(kernel)
        first = ConsoleApp(lambda: PlantClient(endpoint), Words("en"))
        second = ConsoleApp(lambda: PlantClient(endpoint, "mei", SECRET), Words("zh"))
        # side by side in one process would share Textual's active app: one after the other
        async with first.run_test(size=(80, 24), notifications=True) as pilot:
            await appears(pilot, r"55\.0 %")
            await pilot.press("f4", "slash", *"trip", "enter")
            await appears(pilot, r"trip_bar +7\.00")
            await pilot.press("w")
            await appears(pilot, "Takes two persons")
            await pilot.press(*"8", "enter", *"season", "enter")
            await appears(pilot, "waits for a second person")
            await pilot.press("y")
            await appears(pilot, "✎ 1")
            await pilot.press("f6")
            await appears(pilot, r"trip_bar +7\.00 -> 8\.00 bar")
            await pilot.press("a")
            await appears(pilot, "You asked for it yourself")
            await pilot.press(*"me", "enter", "y")
            await appears(pilot, "someone else must approve it")
        async with second.run_test(size=(120, 40), notifications=True) as pilot:
            await appears(pilot, "1 待批准")
            await pilot.press("f6")
            await appears(pilot, r"trip_bar +7\.00 -> 8\.00 bar")
            await pilot.press("a")
            await appears(pilot, "操作员（|管理员）")
            await pilot.press(*"agreed", "enter")
            await appears(pilot, "将立即写入工厂")
            await pilot.press("y")
            await appears(pilot, "没有等待批准的写入")
        async with PlantClient(endpoint) as client:
            assert (await client.tag("kettle/trip_bar")).value == 8
            rows = [(each.action, each.actor, each.outcome) for each in await client.audit(20)]
            assert ("approve", "mei", "done") in rows

    asyncio.run(main())
