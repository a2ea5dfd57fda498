"""Apply while the plant runs: what a change does not concern goes on, and a bad one does no harm."""

import asyncio
import shutil
import socket
import subprocess
import sys
import tempfile
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from asyncua import Client, ua

from runtime import clock as clocks
from runtime import kernel as kernels
from runtime.assembly import assemble
from runtime.client import PlantClient
from runtime.clock import SECOND_NS, WallClock
from runtime.contract import Actor, Quality, Role
from runtime.endpoint import find
from runtime.errors import ConfigError, ForbiddenError, PlantError, StoreError, WriteRejectedError
from runtime.historian import hot
from runtime.journal import alarm_log, config_log
from runtime.kernel import Kernel
from runtime.supervisor import State
from runtime.versions import service, start, views
from runtime.versions.start import choose, store_of
from runtime.versions.store import Standing
from runtime.wire import ConfigChange, Values

PLANT = """plant: p  # a comment
root: s/l
alarms: alarms.yaml
api: {port: null}
drivers:
  - {name: steady, kind: simulated, period: 50ms}
  - {name: other, kind: simulated, period: 50ms}
"""
TAGS = """path,type,source,access,address,initial,low,high,description
tank/level,REAL,steady,r,ramp(20s),,0,100,
tank/temp,REAL,other,r,sine(20s),,0,100,
tank/sp,REAL,operator,rw,,7,0,100,Set point
tank/old,DINT,operator,rw,,1,,,
"""
ALARMS = """alarms:
  - {name: sp.high, tag: tank/sp, kind: high, limit: 50, text: high}
  - {name: sp.low, tag: tank/sp, kind: low, limit: 5, text: low}
"""
ENGINEER = Actor("erna", Role.ENGINEER, "test")
ADMIN = Actor("ada", Role.ADMIN, "test")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    home = tempfile.mkdtemp(prefix="iw")  # short: a socket's path is limited
    monkeypatch.setenv("XDG_RUNTIME_DIR", home)
    monkeypatch.delenv("IRONWORKS_PLANT", raising=False)
    monkeypatch.setattr(service, "SETTLE_NS", SECOND_NS // 2)
    plant = tmp_path / "plant"
    plant.mkdir()
    (plant / "plant.yaml").write_text(PLANT)
    (plant / "tags.csv").write_text(TAGS)
    (plant / "alarms.yaml").write_text(ALARMS)
    yield plant
    shutil.rmtree(home)


def edit(file: Path, *pairs: tuple[str, str]) -> None:
    """Replace texts that are there."""
    text = file.read_text()
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new)
    file.write_text(text)


async def until(holds, seconds=60):
    async with asyncio.timeout(seconds):
        while not holds():
            await WallClock().sleep(0.02)


@asynccontextmanager
async def running(folder):
    """Run the plant; it has come up, and its configuration is good, unless the last good one runs instead."""
    assembly, begin = await asyncio.to_thread(choose, folder, WallClock().now_ns())
    kernel = Kernel(assembly, begin=begin)
    stop = asyncio.Event()
    life = asyncio.create_task(kernel.run(stop))
    try:
        await asyncio.wait({life, asyncio.create_task(kernel.ready.wait())}, return_when="FIRST_COMPLETED")
        await until(lambda: life.done() or good(kernel) == kernel.versions.running or kernel.versions.failure)
        yield kernel
    finally:
        stop.set()
        await asyncio.wait_for(life, 60)


def good(kernel):
    store = kernel.versions.store
    digest = store.standing().good
    return store.find(digest) if digest else None


def value(kernel, path):
    return kernel.table.value(kernel.table[path])


def view(kernel, name):
    return next((each for each in kernel.supervisor.views() if each["name"] == name), None)


def alarm(kernel, name):
    return next((each for each in kernel.alarms.views() if each["name"] == name), None)


async def history(kernel, tag):
    return await kernel.historian.query(np.array([tag.id], np.int32), 0, 2**62)


async def steps(kernel):
    return [(each.action, each.version, each.result) for each in await kernel.journal.read(config_log, 50)]


def test_tags_and_alarms_change_while_everything_else_goes_on(folder):
    async def main():
        async with running(folder) as kernel:
            sp, temp, old = (kernel.table[f"tank/{each}"] for each in ("sp", "temp", "old"))
            await kernel.gate.write(sp, 60.0, ENGINEER)
            await until(lambda: alarm(kernel, "sp.high")["state"] == "unacknowledged")
            await kernel.acknowledge("sp.high", ENGINEER, "seen")
            since_ns = view(kernel, "steady")["since_ns"]
            watching = kernel.bus.mailbox(np.array([old.id], np.int32))
            watching.take()

            edit(
                folder / "tags.csv",
                ("tank/old,DINT,operator,rw,,1,,,\n", "tank/fresh,DINT,operator,rw,,3,,,\n"),
                ("rw,,7,0,100,Set point", "rw,,7,0,65,Wanted level"),
            )
            edit(folder / "alarms.yaml", ("limit: 50", "limit: 55"), ("name: sp.low", "name: sp.lowest"))
            version, plan = await kernel.versions.apply(ENGINEER, "for the new tank")

            assert {(each.kind, each.name, each.what, each.effect) for each in plan.changes} == {
                ("tag", "s/l/tank/old", "removed", "live"),
                ("tag", "s/l/tank/fresh", "added", "live"),
                ("tag", "s/l/tank/sp", "changed", "live"),
                ("alarm", "sp.high", "changed", "live"),
                ("alarm", "sp.low", "removed", "live"),
                ("alarm", "sp.lowest", "added", "live"),
            }
            assert (plan.ended, plan.begun, plan.needs) == ((), (), ())
            # ids keep their meaning, values stay, a removed tag is told as bad
            assert (kernel.table["tank/sp"].id, kernel.table["tank/temp"].id) == (sp.id, temp.id)
            assert kernel.table["tank/sp"].description == "Wanted level"
            assert value(kernel, "tank/sp") == 60
            assert value(kernel, "tank/fresh") == 3
            assert "tank/old" not in kernel.table
            assert watching.take().quality.tolist() == [Quality.BAD_OUT_OF_SERVICE]
            # nothing restarted
            assert view(kernel, "steady")["since_ns"] == since_ns
            assert view(kernel, "historian")["restarts"] == view(kernel, "alarms")["restarts"] == 0
            # alarms stand as they stood, new definitions judge
            assert alarm(kernel, "sp.high")["acknowledged_by"] == "erna"
            assert alarm(kernel, "sp.low") is None
            await kernel.gate.write(kernel.table["tank/sp"], 4.0, ENGINEER)
            await until(lambda: alarm(kernel, "sp.lowest")["state"] == "unacknowledged")
            assert alarm(kernel, "sp.high")["state"] == "normal"
            # the gate has the new range, new tags are written and recorded
            with pytest.raises(WriteRejectedError, match="out of range"):
                await kernel.gate.write(kernel.table["tank/sp"], 66.0, ENGINEER)
            fresh = kernel.table["tank/fresh"]
            await kernel.gate.write(fresh, 8, ENGINEER)
            async with asyncio.timeout(60):
                while len(found := await history(kernel, fresh)) < 2:
                    await kernel.clock.sleep(0.02)
            assert found.raw.tolist() == [3, 8]
            assert found.quality.tolist() == [0, 0]
            assert ((await history(kernel, temp)).quality == 0).all()
            await until(lambda: good(kernel) == version)
            async with asyncio.timeout(60):
                while (await steps(kernel))[:2] != [("apply", 2, "good"), ("apply", 2, "applied")]:
                    await kernel.clock.sleep(0.02)
            rows = {each.action: each for each in await kernel.journal.audit(20)}
            assert (rows["apply"].actor, rows["apply"].reason) == ("erna", "for the new tank")
            assert rows["apply"].old.startswith("1 (")
            assert rows["apply"].new == f"2 ({version.digest[:16]})", (
                "the audit says which files came into force"
            )

    asyncio.run(main())


def test_only_the_drivers_that_a_change_concerns_restart(folder):
    async def main():
        async with running(folder) as kernel:
            since_ns = view(kernel, "steady")["since_ns"]
            edit(
                folder / "plant.yaml",
                ("other, kind: simulated, period: 50ms}", "third, kind: simulated, period: 20ms}"),
            )
            edit(folder / "tags.csv", ("tank/temp,REAL,other", "tank/temp,REAL,third"))
            _, plan = await kernel.versions.apply(ENGINEER)
            assert (plan.ended, plan.begun) == (("other",), ("third",))
            assert view(kernel, "other") is None
            assert view(kernel, "steady")["since_ns"] == since_ns
            await until(lambda: value(kernel, "tank/temp") is not None)

            edit(folder / "plant.yaml", ("period: 20ms", "period: 30ms"))
            _, plan = await kernel.versions.apply(ENGINEER)
            assert plan.restarts == ("third",)
            assert view(kernel, "steady")["since_ns"] == since_ns

            edit(folder / "tags.csv", ("tank/temp,REAL,", "tank/temp,LREAL,"))
            before = kernel.table["tank/temp"].id
            await kernel.versions.apply(ENGINEER)
            await until(lambda: value(kernel, "tank/temp") is not None)
            assert kernel.table["tank/temp"].id > before  # another type is another tag

    asyncio.run(main())


def test_errors_are_told_with_their_places_and_nothing_is_touched(folder):
    async def main():
        async with running(folder) as kernel:
            running_version = kernel.versions.running
            edit(folder / "tags.csv", ("tank/temp,REAL,other", "tank/temp,REAL,nobody"))
            edit(folder / "alarms.yaml", ("limit: 50", "limit: 500"))
            with pytest.raises(ConfigError) as caught:
                await kernel.versions.apply(ENGINEER)
            assert "alarms.yaml:2" in str(caught.value)
            assert kernel.versions.running == running_version
            assert kernel.table["tank/temp"].source == "other"
            assert (await kernel.journal.audit(1))[0].outcome == "refused"
            with pytest.raises(WriteRejectedError, match="needs engineer"):
                await kernel.versions.apply(Actor("olga", Role.OPERATOR, "test"))

    asyncio.run(main())


def test_who_may_do_what_is_changed_by_admins_only_also_by_going_back(folder):
    async def main():
        async with running(folder) as kernel:
            plain = (folder / "plant.yaml").read_text()
            edited = plain + "users:\n  - {name: erna, role: admin}\n"
            (folder / "plant.yaml").write_text(edited)
            with pytest.raises(
                ForbiddenError, match=r"erna is engineer; a change of users\.erna\S* in plant"
            ):
                await kernel.versions.apply(ENGINEER)
            assert kernel.versions.running.number == 1
            await kernel.versions.apply(ADMIN)
            (folder / "plant.yaml").write_text(plain)
            await kernel.versions.apply(ADMIN)
            with pytest.raises(ForbiddenError, match="needs admin"):
                await kernel.versions.rollback("2", ENGINEER)
            assert kernel.identity.user("erna") is None
            assert (folder / "plant.yaml").read_text() == plain

    asyncio.run(main())


def test_what_needs_a_restart_of_the_plant_says_so_and_waits_for_the_word(folder, monkeypatch):
    monkeypatch.setattr(kernels, "LEAVE_S", 60)  # it is still there for the last question

    async def main():
        async with running(folder) as kernel:
            edit(folder / "plant.yaml", ("plant: p  # a comment", "plant: q"))
            with pytest.raises(WriteRejectedError, match="restart of plant; nothing was changed"):
                await kernel.versions.apply(ENGINEER)
            assert not kernel.again
            _, plan = await kernel.versions.apply(ENGINEER, restart=True)
            assert plan.needs == ("plant",)
            await until(lambda: kernel.again)
            with pytest.raises(WriteRejectedError, match="busy: the plant starts anew"):
                await kernel.versions.apply(ENGINEER)
        async with running(folder) as kernel:
            assert (kernel.plant.name, kernel.versions.running.number) == ("q", 2)

    asyncio.run(main())


def test_a_plant_that_starts_anew_for_a_change_has_written_it_down_however_slow_its_disk(folder, monkeypatch):
    monkeypatch.setattr(kernels, "LEAVE_S", 0)

    async def main():
        async with running(folder) as kernel:
            note, ended = kernel.versions._note, kernel.journal.close

            async def slowly(*given):
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await closed.wait()
                await note(*given)

            async def close():
                closed.set()
                await ended()

            closed = asyncio.Event()
            monkeypatch.setattr(kernel.versions, "_note", slowly)
            monkeypatch.setattr(kernel.journal, "close", close)
            edit(folder / "plant.yaml", ("plant: p  # a comment", "plant: q"))
            version, _ = await kernel.versions.apply(ENGINEER, restart=True)
            await until(closed.is_set)
        async with running(folder) as kernel:
            assert ("apply", version.number, "applied") in await steps(kernel)

    asyncio.run(main())


def test_a_rollback_brings_files_and_plant_back_and_keeps_the_edits(folder):
    async def main():
        async with running(folder) as kernel:
            texts = {file.name: file.read_text() for file in folder.iterdir() if file.is_file()}
            edit(folder / "alarms.yaml", ("alarms:", "alarms:  # better"), ("limit: 50", "limit: 55"))
            await kernel.versions.apply(ENGINEER)
            edit(folder / "tags.csv", ("Set point", "not applied"))
            edited = (folder / "tags.csv").read_text()
            (folder / "export.csv").write_text("path,value\n")
            texts["export.csv"] = "path,value\n"
            version, before, plan = await kernel.versions.rollback("1", ENGINEER, "no")
            assert (version.number, before.number) == (1, 3)
            assert {file.name: file.read_text() for file in folder.iterdir() if file.is_file()} == texts
            assert [each.name for each in plan.changes] == ["sp.high"]
            assert alarm(kernel, "sp.high")["limit"] == 50
            kept = kernel.versions.store.content(before)
            assert kept.files["tags.csv"].decode() == edited
            assert (await steps(kernel))[0][:2] == ("rollback", 1)
            assert kernel.versions.running == version
            audited = (await kernel.journal.audit(1))[0]
            assert [each[:3] for each in (audited.old, audited.new)] == ["2 (", "1 ("]
            with pytest.raises(PlantError, match="no version"):
                await kernel.versions.rollback("77", ENGINEER)

    asyncio.run(main())


def test_a_component_that_does_not_come_up_returns_the_plant_to_the_last_good_version(folder):
    async def main():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            async with running(folder) as kernel:
                port = taken.getsockname()[1]
                driver = f"  - {{name: mb, kind: modbus.server, port: {port}}}\n"
                (folder / "plant.yaml").write_text((folder / "plant.yaml").read_text() + driver)
                edit(folder / "tags.csv", ("Set point", "with mb"))
                bad, _ = await kernel.versions.apply(ENGINEER)
                await until(lambda: kernel.versions.failure and kernel.versions.running.number == 1)
                assert view(kernel, "mb") is None
                assert kernel.table["tank/sp"].description == "Set point"
                assert "mb faulted 3 times" in kernel.versions.failure.reason
                await until(lambda: value(kernel, "sys/config/returned") is True)
                await until(lambda: alarm(kernel, "config.returned")["active"])
                assert "mb" in (folder / "plant.yaml").read_text()  # the user's files are the user's
                await until(lambda: kernel.versions.settling is False)
                assert ("apply", bad.number, "failed") in await steps(kernel)
                assert (await steps(kernel))[0] == ("return", 1, "applied")
            async with running(folder) as kernel:  # and a restart does not try it again
                assert kernel.versions.running.number == 1
                assert kernel.versions.failure
                assert view(kernel, "mb") is None
        async with running(folder) as kernel:
            await kernel.versions.apply(ENGINEER, "the port is free now")
            await until(lambda: good(kernel) == bad)
            assert kernel.versions.failure is None
            await until(lambda: value(kernel, "sys/config/returned") is False)

    asyncio.run(main())


@pytest.mark.parametrize("jump_s", [3600, -3600])
def test_a_clock_that_is_set_neither_shortens_nor_lengthens_the_time_to_come_up(folder, monkeypatch, jump_s):
    monkeypatch.setattr(service, "FAULTS", 1000)
    offset_ns = clocks._offset_ns

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            async with running(folder) as kernel:
                driver = f"  - {{name: mb, kind: modbus.server, port: {taken.getsockname()[1]}}}\n"
                (folder / "plant.yaml").write_text((folder / "plant.yaml").read_text() + driver)
                monkeypatch.setattr(service, "SETTLE_NS", 3 * SECOND_NS)
                version, _ = await kernel.versions.apply(ENGINEER)
                if jump_s < 0:  # all is up, and only has to stay so
                    taken.close()
                    await until(lambda: kernel.supervisor.state("mb") is State.RUNNING)
                    await WallClock().sleep(2 * service.PERIOD_S)
                monkeypatch.setattr(clocks, "_offset_ns", lambda: offset_ns() + jump_s * SECOND_NS)
                await until(lambda: value(kernel, "sys/clock/jumps") == 1)
                await WallClock().sleep(2 * service.PERIOD_S)
                taken.close()
                await until(lambda: good(kernel) == version or kernel.versions.failure)
                assert kernel.versions.failure is None

    asyncio.run(main())


def test_a_second_change_does_not_make_good_what_has_not_come_up(folder, monkeypatch):
    faults = service.FAULTS
    monkeypatch.setattr(service, "FAULTS", 1000)  # the first change is not given up before the second

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            async with running(folder) as kernel:
                port = taken.getsockname()[1]
                driver = f"  - {{name: mb, kind: modbus.server, port: {port}}}\n"
                (folder / "plant.yaml").write_text((folder / "plant.yaml").read_text() + driver)
                await kernel.versions.apply(ENGINEER)
                edit(folder / "tags.csv", ("Set point", "with mb"))
                second, _ = await kernel.versions.apply(ENGINEER)
                monkeypatch.setattr(service, "FAULTS", faults)
                await until(lambda: kernel.versions.failure and kernel.versions.running.number == 1)
                assert "mb faulted" in kernel.versions.failure.reason
                assert ("apply", second.number, "failed") in await steps(kernel)
                assert "good" not in {result for _, number, result in await steps(kernel) if number > 1}

    asyncio.run(main())


def test_what_a_slow_apply_ends_does_not_count_as_come_up(folder, monkeypatch):
    monkeypatch.setattr(service, "FAULTS", 1000)  # nor is it given up before

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as taken:
            async with running(folder) as kernel:
                before = (folder / "plant.yaml").read_text()
                port = taken.getsockname()[1]
                driver = f"  - {{name: mb, kind: modbus.server, port: {port}}}\n"
                (folder / "plant.yaml").write_text(before + driver)
                bad, _ = await kernel.versions.apply(ENGINEER)
                await until(lambda: view(kernel, "mb")["state"] == "faulted")
                (folder / "plant.yaml").write_text(before + "# without it\n")
                renew = kernel.alarms.renew

                async def slowly(*given):
                    assert view(kernel, "mb") is None
                    await WallClock().sleep(4 * service.PERIOD_S)  # longer than it takes to call one good
                    await renew(*given)

                monkeypatch.setattr(kernel.alarms, "renew", slowly)
                better, _ = await kernel.versions.apply(ENGINEER)
                await until(lambda: good(kernel) == better)
                assert (bad.number, "good") not in {step[1:] for step in await steps(kernel)}

    asyncio.run(main())


def test_a_stream_goes_on_over_an_apply_and_learns_of_new_tags(folder):
    async def main():
        async with running(folder) as kernel, PlantClient(find(folder)) as client:
            async with asyncio.timeout(60), aclosing(client.stream(["tank/*"], interval_ms=50)) as stream:
                assert isinstance(await anext(stream), Values)
                edit(
                    folder / "tags.csv",
                    ("tank/old,DINT,operator,rw,,1,,,\n", "tank/new,DINT,operator,rw,,9,,,\n"),
                )
                plan = (await client.config_apply(dry_run=True)).plan
                assert [each.name for each in plan.changes] == ["s/l/tank/old", "s/l/tank/new"]
                done = await client.config_apply("by the client")
                assert done.version == 2
                while not isinstance(message := await anext(stream), ConfigChange):
                    assert isinstance(message, Values)
                id_ = next(each.id for each in await client.tags("tank/new"))
                assert id_ == kernel.table["tank/new"].id
                first = await anext(stream)
                assert {row[0]: row[1] for row in first.rows}[id_] == 9
            assert {each.path for each in await client.tags()} >= {"s/l/tank/new", "sys/config/version"}
            assert not any(each.path in ("", "s/l/tank/old") for each in await client.tags())
            status = await client.config()
            assert (status.running, status.folder) == (2, "same")
            shown = await client.config_versions()
            assert [(each.number, each.comment) for each in shown.versions] == [(2, "by the client"), (1, "")]
            assert "tank/new" in (await client.config_files("2", "tags.csv")).text
            back = await client.config_diff("2", "1")
            assert {(each.name, each.what) for each in back.changes} == {
                ("s/l/tank/old", "added"),
                ("s/l/tank/new", "removed"),
            }

    asyncio.run(main())


def test_opcua_clients_stay_over_an_apply_and_see_the_new_tags(folder):
    async def main():
        driver = "  - {name: opc, kind: opcua.server, port: 0, security: [None]}\n"
        (folder / "plant.yaml").write_text((folder / "plant.yaml").read_text() + driver)
        async with running(folder) as kernel:
            server = next(part.component for part in kernel.parts if part.unit == "opc")
            await until(lambda: server.url)
            async with asyncio.timeout(120), Client(server.url, timeout=60, watchdog_intervall=60) as client:
                told = {}

                class Handler:
                    def datachange_notification(self, node, value, data):
                        told[node.nodeid.Identifier] = data.monitored_item.Value

                nodes = {
                    name: client.get_node(ua.NodeId(f"s/l/tank/{name}", 2)) for name in ("sp", "old", "fresh")
                }
                subscription = await client.create_subscription(50, Handler())
                await subscription.subscribe_data_change([nodes["sp"], nodes["old"]])
                await until(lambda: told.keys() >= {"s/l/tank/sp", "s/l/tank/old"})
                await nodes["old"].read_browse_name()  # known from here on
                with pytest.raises(ua.UaStatusCodeError):
                    await nodes["fresh"].read_value()

                edit(
                    folder / "tags.csv",
                    ("tank/old,DINT,operator,rw,,1,,,\n", "tank/fresh,DINT,operator,rw,,3,,,\n"),
                    ("Set point", "Wanted level"),
                )
                _, plan = await kernel.versions.apply(ENGINEER)
                assert (plan.ended, plan.needs, plan.renewed) == ((), (), ("opc",))
                assert view(kernel, "opc")["restarts"] == 0

                assert await nodes["fresh"].read_value() == 3
                assert (await nodes["sp"].read_description()).Text == "Wanted level"
                below = await client.get_node(ua.NodeId("s/l/tank/", 2)).get_children()
                assert {each.nodeid.Identifier.rpartition("/")[2] for each in below} >= {"fresh", "sp"}
                assert nodes["old"].nodeid not in {each.nodeid for each in below}
                await subscription.subscribe_data_change(nodes["fresh"])
                await kernel.gate.write(kernel.table["tank/sp"], 33.0, ENGINEER)
                await until(lambda: told["s/l/tank/sp"].Value.Value == 33)
                await until(lambda: not told["s/l/tank/old"].StatusCode.is_good())
                await until(lambda: "s/l/tank/fresh" in told)
                with pytest.raises(ua.UaStatusCodeError):
                    await nodes["old"].read_value()

    asyncio.run(main())


def test_a_start_that_fails_its_check_runs_the_last_good_version(folder):
    async def main():
        async with running(folder) as kernel:
            assert kernel.versions.running.number == 1
        edit(folder / "tags.csv", ("tank/temp,REAL,other", "tank/temp,REAL,nobody"))
        broken = (folder / "tags.csv").read_text()
        async with running(folder) as kernel:
            assert kernel.versions.running.number == 1
            assert kernel.table["tank/temp"].source == "other"
            assert "no component is named 'nobody'" in kernel.versions.failure.reason
            assert kernel.plant.file == folder / "plant.yaml"
            assert (await steps(kernel))[0] == ("return", 1, "applied")
            assert len(kernel.versions.store.versions()) == 2  # the bad one is kept for a look
        assert (folder / "tags.csv").read_text() == broken
        assembly, begin = choose(folder, 0, fallback=False)  # a developer wants to see it
        assert begin.failure is None
        assert assembly.check()
        edit(folder / "tags.csv", ("tank/temp,REAL,nobody", "tank/temp,REAL,steady"))
        async with running(folder) as kernel:
            assert (kernel.versions.running.number, kernel.versions.failure) == (3, None)
        (folder / "plant.yaml").write_text("plant: [\nstate: .ironworks\n")  # no YAML at all
        async with running(folder) as kernel:
            assert kernel.versions.running.number == 3

    asyncio.run(main())


def test_the_command_runs_the_last_good_version_and_says_why(folder):
    command = [sys.executable, "-m", "runtime.cli", "run", str(folder), "--for", "1"]

    def run(*more):
        return subprocess.run([*command, *more], capture_output=True, text=True, check=False, timeout=250)

    assert run().returncode == 0
    store = store_of(folder / "plant.yaml")
    store.stand(Standing(good=store.find("1").digest))
    edit(folder / "tags.csv", ("tank/temp,REAL,other", "tank/temp,REAL,nobody"))
    ended = run()
    assert ended.returncode == 0, ended.stderr
    assert "tags.csv:3:1: error: s/l/tank/temp: no component is named 'nobody'" in ended.stderr
    assert "the last good one runs instead" in ended.stderr
    assert "p runs" in ended.stderr
    assert store.standing().failure
    ended = run("--no-fallback")
    assert ended.returncode == 1
    assert "nobody" in ended.stderr
    assert "p runs" not in ended.stderr


def test_a_configuration_that_kills_the_kernel_again_and_again_is_left(folder):
    async def main():
        async with running(folder):
            pass
        edit(folder / "alarms.yaml", ("limit: 50", "limit: 55"))
        for starts in range(1, 4):
            assembly, begin = choose(folder, 0)
            assert begin.failure is None
            crashed = Kernel(assembly, begin=begin)
            await crashed.journal.open()
            await crashed.versions.started()  # and here it is killed
            await crashed.journal.close()
            assert crashed.versions.store.standing().starts == starts
        async with running(folder) as kernel:
            assert kernel.versions.running.number == 1
            assert "ended 3 times" in kernel.versions.failure.reason
            await kernel.versions.apply(ENGINEER, "once more")
            assert kernel.versions.running.number == 2

    asyncio.run(main())


def test_what_was_applied_last_runs_in_place_of_a_folder_with_errors_until_it_kills_too(folder):
    async def main():
        async with running(folder):
            pass
        edit(folder / "alarms.yaml", ("limit: 50", "limit: 55"))
        await started_and_killed(folder, "limit: 55")
        edit(folder / "tags.csv", ("tank/temp,REAL,other", "tank/temp,REAL,nobody"))
        await started_and_killed(folder, "limit: 55")
        async with running(folder) as kernel:
            assert alarm(kernel, "sp.high")["limit"] == 55
            assert "nobody" in kernel.versions.failure.reason
            assert good(kernel).number == 1
            await until(lambda: good(kernel).number == 2)  # it comes up, and the folder is as wrong as before
            assert kernel.versions.failure
            status = await asyncio.to_thread(
                views.status, kernel.versions.store, kernel.versions.running, False
            )
            assert (status.running, status.good, status.failure.version) == (2, 2, 3)

        edit(folder / "tags.csv", ("tank/temp,REAL,nobody", "tank/temp,REAL,other"))
        edit(folder / "alarms.yaml", ("limit: 55", "limit: 60"))
        await started_and_killed(folder, "limit: 60")
        edit(folder / "tags.csv", ("tank/temp,REAL,other", "tank/temp,REAL,nobody"))
        for _ in range(2):
            await started_and_killed(folder, "limit: 60")
        async with running(folder) as kernel:
            assert kernel.versions.running.number == 2

    asyncio.run(main())


async def started_and_killed(folder, text):
    """Start a kernel whose alarms have the text, and kill it."""
    assembly, begin = choose(folder, 0)
    assert text in begin.content.files["alarms.yaml"].decode()
    crashed = Kernel(assembly, begin=begin)
    await crashed.journal.open()
    await crashed.versions.started()
    await crashed.journal.close()


@pytest.mark.parametrize("text", ["alarms: [\n", ALARMS])
def test_a_start_runs_what_it_keeps_though_the_folder_changes_meanwhile(folder, monkeypatch, text):
    file = folder / "alarms.yaml"
    file.write_text(text)
    edits = iter([ALARMS.replace("limit: 50", "limit: 55")])

    def assembled(plant):
        try:
            return assemble(plant)
        finally:
            file.write_text(next(edits, file.read_text()))

    monkeypatch.setattr(start, "assemble", assembled)
    assembly, begin = choose(folder, 0)
    (limit,) = [each.limit for each in assembly.plant.alarms if each.name == "sp.high"]
    assert limit == 55
    assert begin.content.files["alarms.yaml"] == file.read_bytes()


def test_a_tag_that_was_taken_out_comes_back_with_its_value_and_history_has_it_once(folder):
    async def main():
        async with running(folder) as kernel:
            await kernel.gate.write(kernel.table["tank/old"], 8, ENGINEER)
            text = (folder / "tags.csv").read_text()
            edit(folder / "tags.csv", ("tank/old,DINT,operator,rw,,1,,,\n", ""))
            await kernel.versions.apply(ENGINEER)
            (folder / "tags.csv").write_text(text)
            await kernel.versions.apply(ENGINEER)
            assert value(kernel, "tank/old") == 8
            async with asyncio.timeout(60):
                while len(found := await history(kernel, kernel.table["tank/old"])) < 4:
                    await kernel.clock.sleep(0.02)
            assert found.raw.tolist() == [1, 8, 8, 8]
            assert found.quality.tolist() == [0, 0, Quality.BAD_OUT_OF_SERVICE, 0]
            assert sorted(set(found.source_ns.tolist())) == found.source_ns.tolist()

    asyncio.run(main())


def test_an_apply_while_the_history_is_down_changes_all_the_rest(folder, monkeypatch):
    def refuse():
        raise StoreError("the disk is gone")

    async def main():
        async with running(folder) as kernel:
            monkeypatch.setattr(hot, "OPEN_S", 0.01)
            monkeypatch.setattr(kernel.historian, "_open", refuse)
            kernel.supervisor.restart("historian")
            await until(lambda: view(kernel, "historian")["state"] == "faulted")
            edit(
                folder / "plant.yaml",
                ("name: other, kind: simulated, period: 50ms", "name: other, kind: simulated, period: 60ms"),
            )
            edit(
                folder / "tags.csv",
                ("tank/old,DINT,operator,rw,,1,,,\n", "tank/new,DINT,operator,rw,,9,,,\n"),
            )
            await kernel.versions.apply(ENGINEER)
            assert value(kernel, "tank/new") == 9
            await until(lambda: view(kernel, "other")["state"] == "running")

    asyncio.run(main())


def test_an_apply_ends_as_it_began_whoever_stops_waiting(folder, monkeypatch):
    async def main():
        async with running(folder) as kernel:
            renew = kernel.alarms.renew

            async def gone(*args):  # the driver has ended, and none has begun
                assert view(kernel, "other") is None
                change.cancel()
                await asyncio.sleep(0)
                await renew(*args)

            monkeypatch.setattr(kernel.alarms, "renew", gone)
            edit(
                folder / "plant.yaml",
                ("other, kind: simulated, period: 50ms", "other, kind: simulated, period: 60ms"),
            )
            change = asyncio.create_task(kernel.versions.apply(ENGINEER))
            await asyncio.wait([change])
            assert change.cancelled()
            assert kernel.versions.running.number == 2
            await until(lambda: view(kernel, "other")["state"] == "running")
            (row, *_) = await kernel.journal.audit(1)
            assert (row.action, row.outcome) == ("apply", "done")

    asyncio.run(main())


def test_an_alarm_that_was_taken_out_comes_back_as_it_stood(folder):
    async def main():
        async with running(folder) as kernel:
            await kernel.command_alarm("shelve", "sp.low", ENGINEER, "is repaired", 3600 * SECOND_NS)
            await kernel.gate.write(kernel.table["tank/sp"], 60.0, ENGINEER)
            await until(lambda: alarm(kernel, "sp.high")["state"] == "unacknowledged")
            await kernel.acknowledge("sp.high", ENGINEER, "seen")
            before = kernel.alarms.views()
            text = (folder / "alarms.yaml").read_text()
            (folder / "alarms.yaml").write_text("alarms: []\n")
            await kernel.versions.apply(ENGINEER)
            assert alarm(kernel, "sp.low") is None
            (folder / "alarms.yaml").write_text(text)
            await kernel.versions.apply(ENGINEER)
            for name in ("sp.low", "sp.high"):
                assert alarm(kernel, name) == next(each for each in before if each["name"] == name)
            await kernel.gate.write(kernel.table["tank/sp"], 61.0, ENGINEER)  # judged by now
            await until(lambda: value(kernel, "tank/sp") == 61)
            assert alarm(kernel, "sp.high")["state"] == "acknowledged"
            assert alarm(kernel, "sp.low")["shelved"]["by"] == "erna"

    asyncio.run(main())


def test_alarms_that_go_with_their_device_are_not_raised_by_its_end(folder):
    bad = "  - {{name: {0}.bad, tag: tank/{0}, kind: bad_quality, text: bad}}\n"

    async def main():
        async with running(folder) as kernel:
            await until(lambda: kernel.table.quality[kernel.table["tank/temp"].id] == 0)
            edit(folder / "plant.yaml", ("  - {name: other, kind: simulated, period: 50ms}\n", ""))
            edit(folder / "tags.csv", ("tank/temp,REAL,other,r,sine(20s),,0,100,\n", ""))
            edit(folder / "tags.csv", ("tank/old,DINT,operator,rw,,1,,,\n", ""))
            edit(folder / "alarms.yaml", (bad.format("temp"), ""), (bad.format("old"), ""))
            await kernel.versions.apply(ENGINEER)
            assert alarm(kernel, "temp.bad") is alarm(kernel, "old.bad") is None
            # one that stays is raised as ever
            edit(folder / "plant.yaml", ("name: steady, kind: simulated", "name: anew, kind: simulated"))
            edit(folder / "tags.csv", ("steady,r,ramp", "anew,r,ramp"))
            await kernel.versions.apply(ENGINEER)
            await until(lambda: alarm(kernel, "level.bad")["count"])
            raised = [each.alarm for each in await kernel.journal.read(alarm_log, 50)]
            assert "level.bad" in raised
            assert not {"temp.bad", "old.bad"} & set(raised)

    edit(
        folder / "alarms.yaml",
        ("text: low}\n", "text: low}\n" + "".join(map(bad.format, ("temp", "old", "level")))),
    )
    asyncio.run(main())


def test_stops_in_order_are_no_crashes(folder):
    async def main():
        async with running(folder):
            pass
        edit(folder / "alarms.yaml", ("limit: 50", "limit: 55"))
        for _ in range(4):
            assembly, begin = choose(folder, 0)
            assert begin.failure is None
            kernel = Kernel(assembly, begin=begin)
            stop = asyncio.Event()
            stop.set()
            await kernel.run(stop)
        assert kernel.versions.store.standing().starts == 0

    asyncio.run(main())
