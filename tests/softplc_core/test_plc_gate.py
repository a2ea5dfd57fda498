"""Forces and restarts through the gate of a plant: role, mode, interlock, rate, signature, audit, alarm."""

import asyncio
import base64
import json
import re
import shutil
import tempfile
import time

import httpx
import pytest

from runtime.api.app import create_app
from runtime.assembly import assemble
from runtime.gate.identity import hash_secret
from runtime.journal import audit_log
from runtime.kernel import open_kernel
from runtime.wire import PREFIX

SECRET = "correct horse battery"
HASH = hash_secret(SECRET)
PLANT = f"""\
plant: m
root: s/l
history: null
api: null
plc: {{sources: [main.st]}}
gate:
  two_person: [two]
  signatures: [{{tags: [signed], meanings: [approval]}}]
  rates: [{{tags: [rated], writes: 1, per: 1h}}]
users:
  - {{name: eve, role: engineer, secret: "{HASH}", areas: {{blocked: viewer}}}}
  - {{name: ada, role: admin, secret: "{HASH}"}}
  - {{name: olga, role: operator, secret: "{HASH}", areas: {{lamp: engineer}}}}
"""
TAGS = """\
path,type,access,source,variable,role,interlock,initial
lamp,BOOL,r,plc,Main.lamp,,,
two,BOOL,rw,plc,Main.two,,,
signed,BOOL,rw,plc,Main.signed,,,
rated,INT,rw,plc,Main.rated,,,
high,INT,r,plc,Main.high,admin,,
locked,INT,rw,plc,Main.locked,,permit,
blocked,INT,r,plc,Main.blocked,,,
permit,BOOL,rw,operator,Main.permit,,,false
"""
PROGRAM = """
PROGRAM Main
VAR lamp, two, signed, permit : BOOL; rated, high, locked, blocked, free : INT; END_VAR
VAR grid : ARRAY[1..2, 0..1] OF INT; END_VAR
VAR RETAIN kept : LINT; END_VAR
lamp := FALSE; kept := kept + 1; free := 0;
END_PROGRAM
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plant")
    for name, text in (("plant.yaml", PLANT), ("tags.csv", TAGS), ("main.st", PROGRAM)):
        (folder / name).write_text(text)
    return folder


class Desk:
    def __init__(self, kernel, http):
        self.kernel, self.http = kernel, http

    async def ask(self, who, method, path, /, **body):
        login = {"Authorization": "Basic " + base64.b64encode(f"{who}:{SECRET}".encode()).decode()}
        answer = await self.http.request(
            method, f"/plc{path}", headers=login, json=None if method == "GET" else body
        )
        return answer.status_code, answer.json()

    async def force(self, who, path, value, **more):
        return await self.ask(who, "POST", "/force", path=path, value=value, reason="test", **more)

    async def until(self, condition):
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, "it never happened"
            await self.kernel.clock.sleep(0.01)

    def value(self, path):
        return self.kernel.table.value(self.kernel.table[path])

    def alarm(self, name):
        return next(each for each in self.kernel.alarms.views() if each["name"] == name)

    def rows(self, action):
        rows = self.kernel.journal.read_now(audit_log, 200)
        return [(row.actor, row.target, row.new, row.outcome) for row in rows if row.action == action]


def using(folder, work):
    """Run `work(desk)` beside a running plant."""

    async def main():
        kernel = open_kernel(assemble(folder))
        stop = asyncio.Event()
        task = asyncio.create_task(kernel.run(stop))
        try:
            transport = httpx.ASGITransport(create_app(kernel))
            async with httpx.AsyncClient(transport=transport, base_url=f"http://localhost{PREFIX}") as http:
                desk = Desk(kernel, http)
                await desk.until(lambda: task.done() or desk.value("sys/plc/running"))
                await work(desk)
        finally:
            stop.set()
            await task

    asyncio.run(main())


def test_a_force_passes_what_a_write_would_and_is_audited_and_alarmed(folder):
    async def work(desk):
        for who, path, status, says in (
            ("olga", "Main.free", 403, "olga is operator; a force on Main.free needs engineer"),
            ("olga", "Main.nope", 403, "needs engineer"),
            ("eve", "Main.nope", 404, "no variable"),
            ("eve", "Main.blocked", 403, "eve is viewer"),
            ("eve", "Main.high", 403, "needs admin"),
            ("eve", "Main.two", 409, "takes two persons"),
            ("eve", "Main.locked", 409, "interlock does not hold"),
            ("eve", "Main.signed", 409, "takes an electronic signature"),
            ("eve", "Main.free", 422, "is no value"),
        ):
            value = "x" if says == "is no value" else 1
            found, told = await desk.force(who, path, value)
            assert (found, says in told["error"]) == (status, True), (who, path, found, told)
        assert {outcome for *_, outcome in desk.rows("force")} == {"refused"}
        assert desk.value("sys/plc/forces") == 0
        signature = {"name": "eve", "secret": SECRET, "meaning": "approval"}
        told = await desk.force("eve", "Main.free", 1, signature=signature)
        assert told[0] == 409
        assert "takes no signature" in told[1]["error"]
        for who, path, value, more in (
            ("olga", "Main.lamp", True, {}),
            ("eve", "Main.free", 3, {"for_ns": 3_600_000_000_000}),
            ("eve", "Main.signed", True, {"signature": signature}),
            ("ada", "Main.high", 4, {}),
            ("eve", "Main.rated", 1, {}),
        ):
            status, told = await desk.force(who, path, value, **more)
            assert status == 200, told
        assert (await desk.force("eve", "Main.rated", 2))[0] == 429
        await desk.until(lambda: desk.value("lamp") and desk.value("high") == 4)
        assert len(told["forces"]) == 5
        assert told["forces"][0]["tags"] == ["s/l/lamp"]
        await desk.until(lambda: desk.alarm("plc.forced")["active"])
        await desk.until(lambda: desk.value("sys/alarms/active"))
        assert desk.alarm("plc.forced")["priority"] == "medium"
        assert desk.rows("force")[1:2] == [("eve", "Main.rated", 1, "done")]

        await desk.kernel.gate.mode.set_read_only(True, desk.kernel.identity.peer(0), "test")
        refusals = [
            await desk.force("eve", "Main.free", 1),
            await desk.ask("eve", "POST", "/unforce"),
            await desk.ask("eve", "POST", "/restart", mode="cold"),
        ]
        assert [(status, "read only" in told["error"]) for status, told in refusals] == [(409, True)] * 3
        await desk.kernel.gate.mode.set_read_only(False, desk.kernel.identity.peer(0), "test")

        for who, paths, status, says in (
            ("olga", ["Main.free"], 403, "needs engineer"),
            ("olga", None, 403, "needs engineer"),
            ("eve", ["Main.locked"], 404, "is not forced"),
        ):
            body = {"reason": "done"} | ({"paths": paths} if paths else {})
            found, told = await desk.ask(who, "POST", "/unforce", **body)
            assert (found, says in told["error"]) == (status, True), told
        assert (await desk.ask("olga", "POST", "/unforce", paths=["Main.lamp"]))[0] == 200
        status, told = await desk.ask("ada", "POST", "/unforce", reason="all done")
        assert (status, told) == (200, {"forces": []})
        await desk.until(lambda: desk.value("sys/plc/forces") == 0 and not desk.value("lamp"))
        await desk.until(lambda: desk.alarm("plc.forced")["active"] is False)

    using(folder, work)


def test_a_force_that_ends_by_itself_has_a_row_and_restarts_are_audited(folder):
    async def work(desk):
        status, _ = await desk.force("eve", "Main.free", 7, for_ns=200_000_000)
        assert status == 200
        await desk.until(lambda: ("plc", "Main.free", None, "done") in desk.rows("unforce"))
        assert (await desk.ask("eve", "GET", "/forces"))[1] == {"forces": []}
        await desk.until(lambda: not desk.kernel.gate.forcing.controller().ended())
        assert desk.rows("unforce").count(("plc", "Main.free", None, "done")) == 1

        status, told = await desk.ask("olga", "POST", "/restart")
        assert status == 403
        status, told = await desk.ask("eve", "POST", "/restart", mode="cold", reason="test")
        assert (status, told["tasks"][0]["name"]) == (200, "default")
        assert desk.rows("restart")[0] == ("eve", "plc", "cold", "done")
        status, told = await desk.ask("eve", "POST", "/restart", task="default")
        assert status == 200, told
        assert desk.rows("restart")[0] == ("eve", "plc task default", "warm", "done")
        status, told = await desk.ask("eve", "POST", "/restart", task="defalt")
        assert (status, told["remedy"]) == (404, "there are: default")
        status, told = await desk.ask("olga", "POST", "/read", paths=["Main", "main.KEPT"])
        assert status == 200
        assert told["variables"][0]["value"]["kept"] == told["variables"][1]["value"]
        assert told["variables"][1]["path"] == "Main.kept"
        for body, status in (({}, 422), ({"paths": []}, 422), ({"paths": ["Main.x"]}, 404)):
            assert (await desk.ask("olga", "POST", "/read", **body))[0] == status
        status, told = await desk.ask("olga", "GET", "")
        assert status == 200
        metrics = (await desk.http.get("http://localhost/metrics", auth=("olga", SECRET))).text
        assert 'ironworks_plc_task_execution_seconds{quantile="0.99",task="default"}' in metrics
        assert "# TYPE ironworks_plc_task_execution_seconds summary" in metrics
        assert 'ironworks_plc_task_scans_total{task="default"}' in metrics
        assert told["tasks"][0]["execution"]["max_us"] >= told["tasks"][0]["execution"]["min_us"] > 0

    using(folder, work)


def test_the_commands_show_what_there_is(folder, monkeypatch, tmp_path):
    from typer.testing import CliRunner

    from runtime.cli import build

    home = tempfile.mkdtemp(prefix="iw")  # short: a socket's path is limited
    monkeypatch.setenv("XDG_RUNTIME_DIR", home)

    async def work(desk):
        async def plc(*arguments):
            done = await asyncio.to_thread(
                CliRunner().invoke, build("plc"), ["plc", *arguments, "--plant", str(folder)]
            )
            told = "" if done.exception is None else f"{type(done.exception).__name__} {done.exception}"
            return done.output + told

        assert await plc("forces") == "nothing is forced\n"
        told = await asyncio.to_thread(
            CliRunner().invoke,
            build("drivers"),
            ["drivers", "record", "plc", "--out", "x.pcap", "--plant", str(folder)],
        )
        assert "plc has no traffic to record" in str(told.exception)
        assert "a force needs a reason" in await plc("force", "main.free", "-5", "--reason", "")
        told = await plc("force", "main.free", "-5", "--reason", "try", "--for", "1h")
        assert re.search(r"Main\.free +-5 +\d{4}-.* try\n", told), told
        (told,) = json.loads(await plc("force", "Main.lamp", "TRUE", "-r", "see", "--json"))[1:]
        assert (told["path"], told["value"], told["until_ns"]) == ("Main.lamp", True, 0)
        told = await plc("watch", "Main.free", "Main.two", "Main", "--once")
        lines = [line.split("  ", 1)[1] for line in told.splitlines()]
        assert lines[:2] == ["Main.free  -5  FORCED", "Main.two  FALSE"]
        assert lines[2].startswith("Main  (")
        assert lines[2].endswith(")  FORCED")
        told = json.loads(await plc("watch", "Main.lamp", "--once", "--json"))
        assert told["variables"] == [
            {"path": "Main.lamp", "type": "BOOL", "value": True, "forced": True, "tags": ["s/l/lamp"]}
        ]
        told = await plc("top", "--once")
        assert "2 forced" in told
        assert re.search(
            r"default +10ms +execution( +[\d.]+){6}( +\d+){3} +100ms +longest: scan \d+", told
        ), told
        assert json.loads(await plc("top", "--once", "--json"))["tasks"][0]["watchdog_ns"] == 100_000_000
        assert "Main.free" not in await plc("unforce", "MAIN.free", "--reason", "done")
        assert "Main.grid[2,1]" in await plc("force", "main.grid[ 2, 1 ]", "7", "-r", "x", "--yes")
        assert "Main.grid" not in await plc("unforce", "Main.grid[2, 1]")
        assert "warm restart: the PLC scans" in await plc("restart")
        assert "Main.lamp" in await plc("forces")
        assert await plc("unforce", "--all") == "nothing is forced\n"
        for arguments, says in (
            (("unforce",), "give PATH..., or --all"),
            (("unforce", "Main.free", "--all"), "give PATH..., or --all"),
            (("unforce", "Main.free"), "is not forced"),
            (("watch", "Main.fre", "--once"), "did you mean Main.free?"),
            (("watch", "Main.free", "", "--once"), "a path is empty"),
            (("force", "", "1", "-r", "x"), "a path is empty"),
            (("unforce", ""), "a path is empty"),
            (("watch", "Main.free", "--once", "--every", "1ms"), "from 50ms to 1h"),
            (("watch", "Main.free", "--once", "--every", "soon"), "--every"),
            (("force", "Main.free", "1", "-r", "x", "--for", "0s"), "0 is no time"),
            (("force", "Main.free", "1.5", "-r", "x"), "is no value for Main.free"),
        ):
            told = await plc(*arguments)
            assert says in told, (arguments, told)

    try:
        using(folder, work)
    finally:
        shutil.rmtree(home)
