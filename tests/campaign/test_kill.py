"""`kill -9` at random instants under load: what was acknowledged is there afterwards.

Short form in CI; `make campaign ROUNDS=50` is the long one.
"""

import asyncio
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from runtime.client import PlantClient, find
from runtime.errors import ConnectError

TAGS = 40
WRITERS = 3
PLANT = """\
plant: victim
root: test/kill/line
alarms: alarms.yaml
api: {port: null}
history: {flush: 100ms}
"""


@pytest.fixture
def victim(tmp_path):
    """A plant whose load comes from writes: each write raises or clears an alarm."""
    (tmp_path / "plant.yaml").write_text(PLANT)
    rows = [f"unit{n}/value,DINT,rw\nunit{n}/trip,BOOL,rw" for n in range(TAGS)]
    (tmp_path / "tags.csv").write_text("\n".join(["path,type,access", *rows]) + "\n")
    alarms = [
        f"  - {{name: unit{n}.trip, tag: unit{n}/trip, kind: discrete, text: unit {n} tripped}}"
        for n in range(TAGS)
    ]
    (tmp_path / "alarms.yaml").write_text("\n".join(["alarms:", *alarms]) + "\n")
    return tmp_path


class Memory:
    """What the plant has confirmed to its clients, over all its lives."""

    def __init__(self):
        self.reasons = set()
        self.values = {}
        self.tried = {}
        self.acknowledged = {}
        self.samples = {}
        self.committed_ns = 0


async def load(client, memory, part, stop, random_):
    """Write, trip and acknowledge units of our own until the plant dies; remember only what it confirmed."""
    number = 0
    while not stop.is_set():
        unit = random_.randrange(part, TAGS, WRITERS)
        number += 1
        value = random_.randrange(2**31)
        reason = f"{part}-{number}-{value}"
        path = f"unit{unit}/value"
        memory.tried.setdefault(path, set()).add(value)
        await client.write(path, value, reason)
        memory.reasons.add(reason)
        memory.values[path] = value
        memory.tried[path] = set()
        if number % 5 == 0:
            trip = f"unit{unit}/trip"
            memory.tried.setdefault(trip, set()).update((True, False))
            memory.acknowledged.pop(f"unit{unit}.trip", None)
            await client.write(trip, False, "reset")
            await client.write(trip, True, "trip")
            memory.values[trip] = True
            memory.tried[trip] = set()
            for _ in range(50):
                alarm = {each.name: each for each in await client.alarms()}.get(f"unit{unit}.trip")
                if alarm is not None and alarm.state == "unacknowledged":
                    break
            comment = f"seen {reason}"
            await client.acknowledge(f"unit{unit}.trip", comment)
            memory.acknowledged[f"unit{unit}.trip"] = comment


async def remember_samples(client, memory, stop):
    """Ask what is in history; what was told once must be there for ever."""
    while not stop.is_set():
        series = await client.history([f"unit{n}/value" for n in range(TAGS)], 0, 2**62)
        for each in series:
            memory.samples.setdefault(each.path, set()).update((at, value) for at, value, _ in each.points)
        await asyncio.sleep(0.05)


async def verify(client, memory):
    """Everything that was confirmed is there."""
    audit, before = set(), None
    while True:
        page = await client.audit(limit=10_000, before=before)
        audit |= {row.reason for row in page if row.outcome == "done"}
        if len(page) < 10_000:
            break
        before = page[-1].seq
    assert not memory.reasons - audit
    tags = {tag.path.removeprefix("test/kill/line/"): tag.value for tag in await client.tags("**")}
    for path, value in memory.values.items():
        assert tags[path] in {value, *memory.tried[path]}, path
    alarms = {alarm.name: alarm for alarm in await client.alarms(all=True)}
    for name, comment in memory.acknowledged.items():
        assert alarms[name].acknowledged, name
        assert alarms[name].comment == comment
    for path, points in memory.samples.items():
        (series,) = await client.history([path], 0, 2**62)
        assert not points - {(at, value) for at, value, _ in series.points}, path


def start(folder):
    return subprocess.Popen(
        [sys.executable, "-m", "runtime.cli", "run", str(folder), "--attached"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


async def live(folder, memory, random_):
    """One life of the plant: start, verify what earlier lives confirmed, load, kill."""
    process = start(folder)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert process.poll() is None, process.stderr.read().decode()
            assert time.monotonic() < deadline, "the plant did not start"
            try:
                endpoint = find(folder)
                break
            except ConnectError:
                await asyncio.sleep(0.05)
        async with PlantClient(endpoint) as client:
            await verify(client, memory)
            stop = asyncio.Event()
            tasks = [
                asyncio.create_task(load(client, memory, part, stop, random.Random(random_.random())))
                for part in range(WRITERS)
            ]
            tasks.append(asyncio.create_task(remember_samples(client, memory, stop)))
            await asyncio.sleep(random_.uniform(0.1, 1.5))
            os.kill(process.pid, signal.SIGKILL)
            process.wait(10)
            done, _ = await asyncio.wait(tasks, timeout=20)
            for task in done:
                error = task.exception()
                assert error is None or isinstance(error, ConnectError), error
            assert len(done) == len(tasks)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(10)
        process.stdin.close()
        process.stderr.close()


@pytest.mark.campaign
@pytest.mark.timeout(1800)
def test_nothing_confirmed_is_missing_after_kills(victim, rounds):
    memory = Memory()
    random_ = random.Random(20261122)

    async def main():
        for _ in range(rounds + 1):
            await live(victim, memory, random_)

    asyncio.run(main())
    assert len(memory.reasons) > 10 * rounds
    assert memory.acknowledged
    assert memory.samples
    assert not list((victim / ".ironworks").glob("*corrupt*"))
    acknowledged, samples = len(memory.acknowledged), sum(map(len, memory.samples.values()))
    print(
        f"{rounds} kills: {len(memory.reasons)} writes, {acknowledged} standing acknowledgements, "
        f"{samples} samples confirmed, none missing"
    )
