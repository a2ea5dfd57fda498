"""The alarm service on a bus, with a journal on disk and time moved by hand."""

import asyncio
import resource
import subprocess
import sys
import tracemalloc
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from runtime.alarms import TAGS, AlarmService
from runtime.config import AlarmConfig
from runtime.contract import Actor, DataType, Role, Tag
from runtime.errors import StoreError, WriteRejectedError
from runtime.journal import AlarmLogEntry, Journal, alarm_rows
from runtime.testing import FakePort

LEVEL = Tag("site/area/line/tank/level", DataType.REAL, source="plc")
ANN = Actor("ann", Role.OPERATOR, "console")
CONFIGS = [
    AlarmConfig(name="tank.high", tag="tank/level", kind="high", limit=80, text="Too full", priority="high"),
    AlarmConfig(name="tank.low", tag="tank/level", kind="low", limit=5, on_delay="2s", text="Nearly empty"),
]


@asynccontextmanager
async def running(path, configs=CONFIGS):
    """Run the service on a port of its own and the journal at a path."""
    port = FakePort([LEVEL, *TAGS], name="alarms")
    journal = Journal(path, port.clock)
    await journal.open()
    service = AlarmService(configs, port.tags.tags, journal)
    task = asyncio.create_task(service.run(port))
    try:
        await until(lambda: port.value("sys/alarms/active") is not None)
        yield port, service, journal
    finally:
        task.cancel()
        await asyncio.wait([task])
        await journal.close()


async def until(condition):
    """Let everything run until a condition holds; the journal's thread takes real time."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - a thread and a disk are waited for
            await asyncio.sleep(0.001)


def kinds(port):
    return [(event.kind, event.data["alarm"]["name"]) for event in port.emitted]


def test_an_alarm_is_on_disk_before_it_is_told(tmp_path):
    async def main():
        async with running(tmp_path / "j.sqlite") as (port, service, journal):
            port.set("tank/level", 90.0)
            await until(lambda: port.emitted)
            (entry,) = await journal.alarm_log(10)
            assert (entry.alarm, entry.transition, entry.value) == ("tank.high", "raised", 90.0)
            alarm = port.emitted[0].data["alarm"]
            assert (alarm["tag"], alarm["state"], alarm["active"]) == (LEVEL.path, "unacknowledged", True)
            assert alarm["text"] == {"en": "Too full", "zh": ""}
            assert alarm == service.views()[0]
            assert (port.value("sys/alarms/active"), port.value("sys/alarms/unacknowledged")) == (1, 1)

    asyncio.run(main())


def test_delay_runs_on_the_ports_clock(tmp_path):
    async def main():
        async with running(tmp_path / "j.sqlite") as (port, _, _):
            port.set("tank/level", 1.0)
            await port.clock.advance(1.9)
            port.set("tank/level", 10.0)
            await port.clock.advance(5)
            assert port.emitted == []
            port.set("tank/level", 1.0)
            await port.clock.advance(2.1)
            await until(lambda: port.emitted)
            assert kinds(port) == [("alarm.raised", "tank.low")]

    asyncio.run(main())


def test_delays_leave_no_timers_behind_while_a_shelf_lasts(tmp_path):
    async def main():
        async with running(tmp_path / "j.sqlite") as (port, service, _):
            await service.command("shelve", "tank.high", ANN, "sensor is cleaned", 3600 * 1_000_000_000)
            tasks = []
            for _ in range(8):
                port.set("tank/level", 1.0)
                await port.clock.advance(2.1)
                await until(lambda: service.view("tank.low")["active"])
                port.set("tank/level", 10.0)
                await until(lambda: not service.view("tank.low")["active"])
                await port.clock.settle()
                tasks.append(len(asyncio.all_tasks()))
            assert tasks[-1] <= tasks[0]
            assert service.view("tank.low")["count"] == 8
            await port.clock.advance(3600)
            await until(lambda: not service.view("tank.high")["shelved"])

    asyncio.run(main())


def test_acknowledge_is_on_disk_when_it_returns(tmp_path):
    async def main():
        async with running(tmp_path / "j.sqlite") as (port, service, journal):
            with pytest.raises(WriteRejectedError):
                await service.acknowledge("tank.high", ANN)
            port.set("tank/level", 90.0)
            await until(lambda: port.emitted)
            answer = await service.acknowledge("tank.high", ANN, "draining")
            assert (answer["state"], answer["acknowledged_by"]) == ("acknowledged", "ann")
            newest = (await journal.alarm_log(1))[0]
            assert (newest.transition, newest.actor, newest.comment) == ("acknowledged", "ann", "draining")
            assert kinds(port)[-1] == ("alarm.acknowledged", "tank.high")
            assert (port.value("sys/alarms/active"), port.value("sys/alarms/unacknowledged")) == (1, 0)

    asyncio.run(main())


def test_a_command_between_two_runs_is_carried_out_and_its_shelf_ends(tmp_path):
    async def main():
        port = FakePort([LEVEL, *TAGS], name="alarms")
        journal = Journal(tmp_path / "j.sqlite", port.clock)
        await journal.open()
        service = AlarmService(CONFIGS, port.tags.tags, journal)
        for shelved in (False, True):
            life = asyncio.create_task(service.run(port))
            await until(lambda: service._group)
            if shelved:
                await port.clock.advance(61)
                await until(lambda: not service.view("tank.high")["shelved"])
            life.cancel()
            await asyncio.wait([life])
            await service.command("shelve", "tank.high", ANN, "sensor is cleaned", 60 * 1_000_000_000)
            assert service.view("tank.high")["shelved"]
            service.clock_set(0)
        await journal.close()

    asyncio.run(main())


def test_standing_alarms_outlive_a_restart_and_clear_by_live_values(tmp_path):
    path = tmp_path / "j.sqlite"

    async def main():
        async with running(path) as (port, _, _):
            port.set("tank/level", 90.0)
            await until(lambda: port.emitted)
        async with running(path) as (port, service, _):
            assert kinds(port) == [("alarm.restored", "tank.high")]
            assert service.views()[0]["raised_ns"] == 1_700_000_000_000_000_000
            assert port.value("sys/alarms/active") == 1
            port.set("tank/level", 50.0)
            await until(lambda: len(port.emitted) == 2)
            assert port.emitted[1].data["alarm"]["state"] == "returned"

    asyncio.run(main())


def _full_disk(path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def main():
        async with running(path) as (port, service, journal):
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
            port.set("tank/level", 90.0)
            await until(lambda: port.emitted)
            assert not port.healthy
            with pytest.raises(WriteRejectedError, match="not done"):
                await service.acknowledge("tank.high", ANN)
            assert service.views()[0]["state"] == "unacknowledged"
            port.set("tank/level", 10.0)
            await until(lambda: len(port.emitted) == 2)
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            while not port.healthy:
                await port.clock.advance(1)
                await asyncio.sleep(0.001)
            log = await journal.alarm_log(10)
            assert [each.transition for each in log] == ["cleared", "raised"]
            assert (await service.acknowledge("tank.high", ANN))["state"] == "normal"

    asyncio.run(main())


def test_a_full_disk_hides_no_alarm_and_is_caught_up(tmp_path):
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r})\nimport pathlib, test_alarm_service\n"
    code += f"test_alarm_service._full_disk(pathlib.Path({str(tmp_path / 'j.sqlite')!r}))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr


def test_a_shelf_that_moves_with_the_clock_while_the_disk_is_full_is_on_disk_later(tmp_path, monkeypatch):
    async def main():
        async with running(tmp_path / "j.sqlite") as (port, service, journal):
            append = journal.append_all

            async def full(_):
                raise StoreError("no room", "free it")

            await service.command("shelve", "tank.high", ANN, "sensor is cleaned", 3600 * 1_000_000_000)
            await service.command("shelve", "tank.low", ANN, "sensor is cleaned", 3600 * 1_000_000_000)
            monkeypatch.setattr(journal, "append_all", full)
            port.set("tank/level", 90.0)
            await until(lambda: port.emitted[-1].kind == "alarm.raised")
            port.clock.jump(-1800)
            service.clock_set(port.clock.follow())
            await service.renew(CONFIGS[:1], port.tags.tags)
            until_ns = port.clock.now_ns() + 3600 * 1_000_000_000
            await until(lambda: service.view("tank.high")["shelved"]["until_ns"] == until_ns)
            monkeypatch.setattr(journal, "append_all", append)
            await port.clock.advance(1.1)
            await until(lambda: port.healthy)
            rows = {row.name: row for row in await journal.read(alarm_rows)}
            assert (rows["tank.high"].state, rows["tank.high"].shelved_until_ns) == (
                "unacknowledged",
                until_ns,
            )

    asyncio.run(main())


def test_figures_of_many_transitions_take_no_more_memory(tmp_path):
    async def main():
        async with running(tmp_path / "j.sqlite") as (port, service, journal):
            now_ns = port.clock.now_ns()
            many = [
                AlarmLogEntry(0, now_ns - n * 10_000_000_000, "tank.high", "raised", "x", announced=True)
                for n in range(10_000)
            ]
            await journal.append_all(many)
            tracemalloc.start()
            try:
                figures = await service.figures(100_000 * 1_000_000_000)
                peak_mib = tracemalloc.get_traced_memory()[1] / 2**20
            finally:
                tracemalloc.stop()
            assert (figures["announced"], figures["top"][0]["count"]) == (10_000, 10_000)
            assert peak_mib < 1

    asyncio.run(main())


def slowed(journal):
    """Let the journal's commits wait until the event that is returned is set."""
    go, commit = asyncio.Event(), journal.append_all

    async def wait(records):
        await go.wait()
        return await commit(records)

    journal.append_all = wait
    return go


def test_what_is_shown_is_on_disk(tmp_path):
    async def main():
        async with running(tmp_path / "j.sqlite") as (port, service, journal):
            go = slowed(journal)
            port.set("tank/level", 90.0)
            await until(lambda: service.engine.alarm("tank.high").standing.active)
            assert service.views()[0]["state"] == service.view("tank.high")["state"] == "normal"
            go.set()
            await until(lambda: port.emitted)
            assert service.views()[0]["state"] == service.view("tank.high")["state"] == "unacknowledged"

    asyncio.run(main())


def test_a_stop_waits_for_what_is_under_way_to_the_disk(tmp_path):
    async def main():
        async with running(tmp_path / "j.sqlite") as (port, service, journal):
            go = slowed(journal)
            port.set("tank/level", 90.0)
            await until(lambda: service.engine.alarm("tank.high").standing.active)
            asyncio.get_running_loop().call_later(0.05, go.set)
        async with running(tmp_path / "j.sqlite") as (port, service, journal):
            assert kinds(port) == [("alarm.restored", "tank.high")]
            port.set("tank/level", 95.0)
            await port.clock.settle()
            assert [each.transition for each in await journal.alarm_log(10)] == ["raised"]

    asyncio.run(main())


@pytest.mark.parametrize("restarts", [False, True])
def test_an_alarm_that_nothing_suppresses_any_more_is_told_as_any_other(tmp_path, restarts):
    path = tmp_path / "j.sqlite"
    plain = AlarmConfig(name="x", tag="tank/level", kind="high", limit=50, text="x", priority="high")
    hidden = plain.model_copy(update={"suppressed_when": "tank/level > 60"})

    async def told(port, journal):
        await until(lambda: ("alarm.unsuppressed", "x") in kinds(port))
        (newest,) = await journal.alarm_log(1)
        assert (newest.transition, newest.state, newest.announced) == ("unsuppressed", "unacknowledged", True)
        assert port.value("sys/alarms/unacknowledged") == 1

    async def main():
        async with running(path, [hidden]) as (port, service, journal):
            port.set("tank/level", 90.0)
            await until(lambda: service.view("x")["suppressed"] and service.view("x")["active"])
            if not restarts:
                await service.renew([plain], port.tags.tags)
                await told(port, journal)
        async with running(path, [plain]) as (port, service, journal):
            if restarts:
                await told(port, journal)
            assert service.view("x")["state"] == "unacknowledged"

    asyncio.run(main())


def test_values_are_taken_in_their_order_while_the_definitions_change(tmp_path, monkeypatch):
    """One that the service has in hand, and that waits, comes before those that the change itself takes."""

    async def main():
        async with running(tmp_path / "j.sqlite") as (port, service, journal):
            reached, go, read = asyncio.Event(), asyncio.Event(), journal.read

            async def slowly(*given):
                reached.set()
                await go.wait()
                return await read(*given)

            monkeypatch.setattr(journal, "read", slowly)
            more = AlarmConfig(name="tank.more", tag="tank/level", kind="high", limit=85, text="More")
            renewing = asyncio.create_task(service.renew([*CONFIGS, more], port.tags.tags))
            await reached.wait()
            for value in (10.0, 90.0):
                port.set("tank/level", value)
                await until(lambda: service._in_hand is not None)
            go.set()
            await renewing
            await until(lambda: service.view("tank.more")["active"])
            assert kinds(port) == [("alarm.raised", "tank.high"), ("alarm.raised", "tank.more")]

    asyncio.run(main())
