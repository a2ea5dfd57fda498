"""The campaign: one attack after the other on a plant, while good clients are served."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import resource
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from random import Random
from typing import Any

from drivers.abuse import on_all, on_modbus, on_opcua, on_web
from drivers.abuse.judge import Ask, Judge
from drivers.abuse.machine import Machine
from drivers.abuse.plant import KEPT, KEPT_VALUE, ROOT, SECRET, USER, Abused, abused
from drivers.abuse.report import Report
from drivers.abuse.target import Attack, Target
from runtime.errors import PlantError

ATTACKS: dict[str, Attack] = {**on_all.ATTACKS, **on_opcua.ATTACKS, **on_modbus.ATTACKS, **on_web.ATTACKS}
ATTACK_S = 10.0
_READY_S = 90.0
_SAID = ".good"


async def campaign(
    folder: Path,
    times: int,
    seed: int,
    tell: Callable[[Report], None],
    attacks: dict[str, Attack] = ATTACKS,
    pace: float = 1.0,
) -> Report:
    """Play so many attacks, taking turns; the seed chooses what they send. `pace` shortens each.

    What fails in the campaign itself is a finding too.

    Raises:
        PlantError: the plant does not start, or does not serve before anything is attacked.
    """
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)  # the attackers' library complains of refusals
    report = Report(seed)
    names = list(attacks)
    async with abused(folder / "plant", pace) as plant, _good(folder, plant) as ask:
        _make_room(len(plant.target.ports) * on_all.HELD + 100)
        judge = Judge(report, plant, ask, Machine(plant.pid), pace >= 1)
        await judge.begin(pace)
        for number in range(times):
            report.rounds += 1
            name = names[number % len(names)]
            report.done[name] += 1
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(judge.watch())
                failed = await play(attacks[name], plant.target, Random(f"{seed} {number}"), ATTACK_S * pace)
                watching.cancel()
            if failed:
                report.found(f"{name}: the attack itself failed: {failed}")
            try:
                await judge.look(name)
            except PlantError as exc:
                report.found(f"{name}: {exc}")
                break
            report.tried = dict(plant.target.tried)
            tell(report)
            if not plant.alive:
                break
        await judge.end(pace)
    return report


def _make_room(files: int) -> None:
    """Let this process have so many connections, where the system allows it; the plant's own limit stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(files, hard) if hard >= 0 else files, hard))


async def play(attack: Attack, target: Target, random: Random, seconds: float) -> str:
    """Play an attack for so long; return how it failed by itself, empty where it did not."""
    try:
        async with asyncio.timeout(seconds):
            await attack(target, random)
    except TimeoutError:
        return ""
    except Exception as exc:  # noqa: BLE001 - what an attacker trips over is told, and the others still come
        return _in_words(exc)
    finally:
        target.end()
    return "it ended before its time"


def _in_words(exc: BaseException) -> str:
    while isinstance(exc, BaseExceptionGroup):
        exc = exc.exceptions[0]
    *_, last = traceback.extract_tb(exc.__traceback__)
    return f"{type(exc).__name__}: {exc} ({Path(last.filename).name}, line {last.lineno})"


@contextlib.asynccontextmanager
async def _good(folder: Path, plant: Abused) -> AsyncIterator[Ask]:
    """Run the good clients; gives what asks them what they saw.

    Raises:
        PlantError: they were not let in, before anything is attacked.
    """
    target = plant.target
    settings = {
        "opcua": target.opcua, "modbus": target.modbus, "http": target.http,
        "client": str(target.client),
        "root": ROOT, "seen": target.seen, "kept": KEPT, "value": KEPT_VALUE, "user": USER, "secret": SECRET,
    }  # fmt: skip
    pipe, said = asyncio.subprocess.PIPE, folder / _SAID
    command = (sys.executable, "-m", "drivers.abuse.good", json.dumps(settings))
    with said.open("wb") as stream:
        process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=stream)
    assert process.stdin is not None
    assert process.stdout is not None
    lines, orders = process.stdout, process.stdin

    async def line() -> bytes:
        try:
            async with asyncio.timeout(_READY_S):
                found = await lines.readline()
        except TimeoutError as exc:
            raise PlantError(f"the good clients say nothing for {_READY_S:.0f} s") from exc
        if not found:
            text = said.read_text(encoding="utf-8", errors="replace")[-2000:]
            raise PlantError(f"the good clients have ended; they said: {text}")
        return found

    async def ask() -> tuple[float, dict[str, dict[str, Any]]]:
        with contextlib.suppress(OSError):  # they have ended: their line tells why
            orders.write(b"\n")
            await orders.drain()
        told = json.loads(await line())
        return told["late_s"], told["seen"]

    try:
        if await line() != b"ready\n":
            raise PlantError("the good clients were not let in")
        yield ask
    finally:
        orders.close()
        try:
            async with asyncio.timeout(_READY_S):
                await process.wait()
        except TimeoutError:
            process.kill()
