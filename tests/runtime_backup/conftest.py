"""A plant folder with stores, made without a kernel."""

import asyncio
from types import SimpleNamespace

import numpy as np
import pytest

from runtime.clock import ManualClock
from runtime.config import HistoryConfig
from runtime.contract import Batch, DataType, Tag
from runtime.historian import TAGS, Historian
from runtime.journal import AlarmRow, AuditEntry, Journal, OperatorValue
from runtime.testing import FakePort

S = 1_000_000_000
LEVEL = Tag("site/line/level", DataType.REAL, source="plc")
PLANT = "plant: brewery\nroot: site/line\napi: null\n"


@pytest.fixture
def kit():
    """What the tests make plants with."""
    return SimpleNamespace(lay_out=lay_out, fill=fill, recording=recording, batch=batch)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A plant folder; nothing that runs on this machine is found."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    return lay_out(tmp_path / "home")


def lay_out(folder, plant=PLANT):
    folder.mkdir()
    (folder / "plant.yaml").write_text(plant)
    (folder / "tags.csv").write_text("path,type,access,source\nsetpoint,REAL,rw,operator\n")
    (folder / "plc").mkdir()
    (folder / "plc" / "main.st").write_text("PROGRAM main END_PROGRAM\n")
    return folder


def fill(state, samples=2000):
    """Make stores with something in them: audit, alarm, operator value, hot and cold history."""
    asyncio.run(_fill(state, samples))


async def _fill(state, samples):
    state.mkdir(parents=True, exist_ok=True)
    clock = ManualClock()
    journal = Journal(state / "journal.sqlite", clock)
    await journal.open()
    for number in range(20):
        value = OperatorValue("site/line/setpoint", "REAL", number, None, 0, clock.now_ns())
        await journal.append(
            AuditEntry(clock.now_ns(), "ana", "operator", "t", "write", "site/line/setpoint", keep=value)
        )
    await journal.append(AlarmRow("tank.high", "acknowledged", acknowledged_by="ana"))
    await journal.close()
    async with recording(state, clock) as historian:
        for day in range(3):
            await historian.backfill(batch(clock.now_ns() - day * 86_400 * S, samples))
        async with historian._keeper.tidying:
            await historian._threads.write(historian._store.seal)
            await historian._keeper.compact()
        await historian.backfill(batch(clock.now_ns() + S, 100))
    (state / "cache").mkdir(exist_ok=True)
    (state / "cache" / "big.o").write_bytes(b"object code")
    (state / "ironworks.log").write_text("log")
    (state / "opcua" / "server").mkdir(parents=True, exist_ok=True)
    key = state / "opcua" / "server" / "key.pem"
    key.write_text("secret")
    key.chmod(0o600)


class recording:  # noqa: N801 - used as a function
    """Run a historian."""

    def __init__(self, state, clock):
        self.port = FakePort([LEVEL, *TAGS], name="historian", clock=clock)
        self.historian = Historian(
            state / "history.duckdb", HistoryConfig(flush="30min"), self.port.tags.tags, clock
        )

    async def __aenter__(self):
        self.task = asyncio.create_task(self.historian.run(self.port))
        await asyncio.wait_for(self.historian._opened.wait(), 60)
        return self.historian

    async def __aexit__(self, *_):
        self.task.cancel()
        await asyncio.wait([self.task])


def batch(start_ns, count):
    times = start_ns + np.arange(count, dtype=np.int64) * 10_000_000
    raw = np.arange(count, dtype=np.float64).view(np.uint64)
    return Batch(np.zeros(count, np.int32), raw, np.zeros(count, np.uint32), times)
