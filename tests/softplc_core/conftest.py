"""Programs in Structured Text, loaded into the scan core."""

import asyncio
import time
from contextlib import contextmanager

import pytest
from msgspec.structs import replace

import softplc
from runtime.clock import SECOND_NS
from runtime.config import TagList
from runtime.contract import Access, DataType, Tag
from softplc import controls, facts, launch
from softplc.build import Build
from softplc.core import remote
from softplc.core.loop import emit_core
from softplc.core.thread import ScanThread
from softplc.wiring import FaultPolicy, OnFault, make_core, wire

ROOT = "site/area/line"
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Wait long for a core that is only held up: how long a plant waits is not what is tested here."""
    monkeypatch.setattr(remote, "_START_S", PATIENCE_S)
    monkeypatch.setattr(remote, "_STOP_S", PATIENCE_S)
    for module in (controls, launch):
        monkeypatch.setattr(module, "_ANSWER_NS", round(PATIENCE_S * SECOND_NS))


@pytest.fixture(scope="session")
def core_object():
    return emit_core()


@pytest.fixture
def compiled(core_object):
    """A function that compiles a program, if wanted with another interval of its tasks."""

    def compiled(source, name="plc/main.st", interval_ns=None):
        application = softplc.compile(sources={name: source})
        if interval_ns:
            tasks = tuple(replace(task, interval_ns=interval_ns) for task in application.tasks)
            application = replace(application, tasks=tasks)
        return Build(application, core_object)

    return compiled


@pytest.fixture
def plant_tags():
    """A function that makes the tags of a plant: `name=(type, variable, direction)` and the PLC's own."""

    def plant_tags(**signals):
        tags = []
        for name, (kind, variable, direction) in signals.items():
            tags.append(
                Tag(
                    f"{ROOT}/{name}",
                    DataType[kind],
                    variable=variable,
                    source="operator" if direction == "in" else "plc",
                    access=Access.READ_WRITE if direction == "rw" else Access.READ,
                    device="remote_io" if direction == "device" else "",
                )
            )
        return TagList([*tags, *facts.declare().tags], ROOT)

    return plant_tags


@pytest.fixture
def scanning():
    """A context in which a program scans: yields the core and its thread, and always stops both."""

    @contextmanager
    def scanning(build, tags, hold=False, watchdog_limit_ns=0):
        wiring = wire(tags, build.application, FaultPolicy(OnFault.HOLD if hold else OnFault.SAFE))
        assert not wiring.problems
        core = make_core(build, wiring, watchdog_limit_ns)
        core.set_clock(time.time_ns() - time.monotonic_ns())
        thread = ScanThread(core.native, core.address, core.control, core.records)
        thread.start()
        try:
            yield core, thread
        finally:
            assert thread.stop(PATIENCE_S)

    return scanning


@pytest.fixture
def until():
    """Wait until a condition holds, for a bounded time."""

    def until(condition, timeout_s=60.0):
        end = time.monotonic() + timeout_s
        while not (result := condition()):
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.002)
        return result

    return until


@pytest.fixture
def eventually():
    """Wait in a coroutine until a condition holds, for a bounded time."""

    async def eventually(condition, timeout_s=60.0):
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, "it never happened"
            await asyncio.sleep(0.005)

    return eventually
