"""Masters write tags of others through the gate of a whole kernel: each row of the README's table."""

import asyncio
import struct
from pathlib import Path

import pytest
from pymodbus.client import AsyncModbusTcpClient

from drivers.modbus import rtu
from runtime.assembly import assemble
from runtime.clock import WallClock
from runtime.contract import Actor, Batch, Quality, Role
from runtime.errors import ConfigError
from runtime.gate import policy
from runtime.journal import audit_log
from runtime.kernel import Kernel
from runtime.versions.start import choose

ENGINEER = Actor("egon", Role.ENGINEER, "test")
COMMANDS = "{actor: hall, role: operator, areas: {locked/**: viewer}}"
PLANT = """plant: p
root: s/l
history: null
api: {{port: null}}
gate:
  rates: [{{tags: [rated/*], writes: 2, per: 1h}}]
  two_person: [lot]
  signatures: [{{tags: [signed], meanings: [approval]}}]
drivers:
  - kind: modbus.server
    name: scada
    port: 0
    connections: 100
    {more}
    {commands}
"""
TAGS = """path,type,access,role,source,device,address,interlock,low,high,initial
sp,REAL,rw,,operator,scada,40001,,0,100,5
count,INT,rw,,operator,scada,40003,,-10,1000,1
edge,REAL,rw,,operator,scada,40005,,,0.3,0
small,SINT,rw,,operator,scada,40007,,,,1
recipe,STRING,rw,,operator,scada,40010:string[6],,,,
far,INT,rw,engineer,operator,scada,40020,,,,1
valve,INT,rw,,operator,scada,40021,count < 10,,,1
lot,INT,rw,,operator,scada,40022,,,,1
signed,INT,rw,,operator,scada,40023,,,,1
rated/a,INT,rw,,operator,scada,40024,,,,1
rated/b,INT,rw,,operator,scada,40025,,,,1
rated/c,INT,rw,,operator,scada,40026,,,,1
own/a,INT,rw,,owner,scada,40027,,0,100,
own/b,INT,rw,,owner,scada,40028,,0,100,
own/c,INT,rw,,owner,scada,40029,,0,100,
locked/x,INT,rw,,operator,scada,40030,,,,1
shown,INT,r,,operator,scada,40031,,,,7
bits/a,BOOL,rw,,operator,scada,40040.0,,,,FALSE
bits/b,BOOL,rw,,operator,scada,40040.1,,,,FALSE
bits/far,BOOL,rw,engineer,operator,scada,40040.2,,,,TRUE
bits/shown,BOOL,r,,operator,scada,40040.3,,,,TRUE
in/level,REAL,r,,scada,scada,40050,,0,10,
in/mode,INT,r,,scada,scada,40052,,0,5,
mix,INT,rw,,operator,scada,40053,,0,5,1
lamp/a,BOOL,rw,,operator,scada,00001,,,,FALSE
lamp/b,BOOL,rw,,operator,scada,00002,,,,FALSE
lamp/in,BOOL,r,,scada,scada,00003,,,,
lamp/shown,BOOL,r,,operator,scada,00004,,,,TRUE
"""
UNWRITABLE = TAGS.replace(",scada,4", ",scada,3").replace(",scada,0", ",scada,1")


class Owner:
    """Takes writes to its tags, or refuses them, or says nothing."""

    name = "owner"

    def __init__(self):
        self.refuses, self.keeps, self.silent, self.held = set(), {}, set(), asyncio.Event()
        self.held.set()
        self.taken = []

    async def run(self, port):
        async for command in port.commands():
            name = command.tag.path.rpartition("/")[2]
            await self.held.wait()
            if name in self.silent:
                continue
            if name in self.refuses:
                command.failed("the valve is stuck")
                continue
            raw = self.keeps.get(name, command.raw)
            self.taken.append(name)
            port.submit(Batch.of([command.tag.id], [raw], port.clock.now_ns()))
            command.done()


class Works:
    """A kernel that runs, and who looks at it."""

    def __init__(self, folder: Path):
        self.owner = Owner()
        assembly, begin = choose(folder, WallClock().now_ns())
        self.kernel = Kernel(assembly, WallClock(), [self.owner], begin)
        (self.server,) = [part.component for part in self.kernel.parts if part.component.name == "scada"]

    def value(self, path):
        return self.kernel.table.value(self.kernel.table[path])

    def quality(self, path):
        return int(self.kernel.table.quality[self.kernel.table[path].id])

    def server_connections(self):
        return list(self.server.listener.connections)

    async def audit(self):
        """Return the rows of what masters did, oldest first."""
        rows = await self.kernel.journal.read(lambda connection: audit_log(connection, 1000, None))
        return [row for row in reversed(rows) if row.via == "modbus"]

    async def told(self):
        return [
            (row.target.removeprefix("s/l/"), row.new, row.outcome)
            for row in await self.audit()
        ]  # fmt: skip

    async def until(self, condition):
        async with asyncio.timeout(60):
            while not condition():  # noqa: ASYNC110  a component decides, no event tells
                await asyncio.sleep(0.01)


class Master:
    """A master that speaks bytes."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.count, self.rtu = 0, False

    @classmethod
    async def to(cls, works):
        return cls(*await asyncio.open_connection("127.0.0.1", works.server.port))

    @property
    def name(self):
        return "{}:{}".format(*self.writer.get_extra_info("sockname"))

    def send(self, *requests):
        for text in requests:
            self.count += 1
            message = bytes.fromhex(text)
            if self.rtu:
                self.writer.write(rtu.frame(1, message))
                continue
            self.writer.write(struct.pack(">HHHB", self.count, 0, len(message) + 1, 1) + message)

    async def hear(self):
        if self.rtu:  # it reads one register
            return self.count, (await self.reader.readexactly(7))[1:-2].hex(" ")
        header = await self.reader.readexactly(7)
        number, _, length, _ = struct.unpack(">HHHB", header)
        return number, (await self.reader.readexactly(length - 1)).hex(" ")

    async def ask(self, text):
        self.send(text)
        number, answer = await self.hear()
        assert number == self.count
        return answer


def lay_out(folder, commands=COMMANDS, tags=TAGS, more=""):
    commands = f"commands: {commands}" if commands else ""
    (folder / "plant.yaml").write_text(PLANT.format(commands=commands, more=more))
    (folder / "tags.csv").write_text(tags)
    return folder


@pytest.fixture
def works(tmp_path, runtime_folder, monkeypatch):
    """A function that runs `body(works)` on a kernel that serves."""
    monkeypatch.setattr(policy, "COMMAND_TIMEOUT_S", 60)  # however long a test holds the owner up

    def run(body, commands=COMMANDS, more="", tags=TAGS):
        async def main():
            made = await asyncio.to_thread(Works, lay_out(tmp_path, commands, tags, more))
            stop = asyncio.Event()
            life = asyncio.create_task(made.kernel.run(stop))
            try:
                async with asyncio.timeout(180):
                    await made.server.listening.wait()
                    await made.until(lambda: made.value("sp") == 5)
                    master = await Master.to(made)
                    master.rtu = "rtu" in more
                    while await master.ask("03 0000 0001") != "03 02 40 a0":  # noqa: ASYNC110  first values
                        await asyncio.sleep(0.01)
                    await body(made, master)
                    master.writer.close()
            finally:
                stop.set()
                await life

        asyncio.run(main())

    return run


def f32(value):
    return struct.pack(">f", value).hex()


def test_each_function_writes_through_the_gate_and_the_next_read_sees_it(works):
    async def body(works, master):
        steps = [
            ("05 0000 ff00", "05 00 00 ff 00", {"lamp/a": True}),
            ("0f 0000 0002 01 02", "0f 00 00 00 02", {"lamp/a": False, "lamp/b": True}),
            ("06 0002 fffb", "06 00 02 ff fb", {"count": -5}),
            (f"10 0000 0003 06 {f32(12.5)} 0007", "10 00 00 00 03", {"sp": 12.5, "count": 7}),
            ("16 0002 fff0 0005", "16 00 02 ff f0 00 05", {"count": 5}),
            (f"17 0000 0003 0000 0002 04 {f32(1.5)}", "17 06 3f c0 00 00 00 05", {"sp": 1.5}),
            (f"10 0004 0002 04 {f32(0.3)}", "10 00 04 00 02", {"edge": pytest.approx(0.3)}),  # just its limit
            ("10 0009 0003 06 4164 6100 0000", "10 00 09 00 03", {"recipe": "Ada"}),
        ]
        for request, answer, values in steps:
            assert await master.ask(request) == answer
            assert {path: works.value(path) for path in values} == values
        assert await master.ask("01 0000 0004") == "01 01 0a"
        assert await master.ask("03 0000 0003") == "03 06 3f c0 00 00 00 05"
        rows = await works.audit()
        assert await works.told() == [
            ("lamp/a", True, "done"), ("lamp/a", False, "done"), ("lamp/b", True, "done"),
            ("count", -5, "done"), ("sp", 12.5, "done"), ("count", 7, "done"), ("count", 5, "done"),
            ("sp", 1.5, "done"), ("edge", 0.3, "done"), ("recipe", "Ada", "done"),
        ]  # fmt: skip
        assert {(row.action, row.actor, row.role, row.via) for row in rows} == {
            ("write", "hall", "operator", "modbus")
        }
        assert rows[0].reason == f"scada: function 5 at 0 of unit 1 from {master.name}"
        assert (rows[4].old, rows[4].new) == (5.0, 12.5)

    works(body)


REFUSED = [
    # what, request, code, the tag that the audit tells of (nothing where it never was the gate's)
    ("out of range", "06 0002 03e9", 3, "count"),
    ("not a number", "10 0000 0002 04 7fc0 0000", 3, "sp"),
    ("does not fit the tag's type", "06 0006 012c", 3, ""),
    ("no text", "10 0009 0003 06 ffff ff00 0000", 3, ""),
    ("value judged before address", "05 0100 1234", 3, ""),
    ("nothing there", "06 0063 0001", 2, ""),
    ("read only", "06 001e 0001", 2, ""),
    ("read only coil among others", "0f 0000 0004 01 0f", 2, ""),
    ("a place between that no tag has", "06 0007 0001", 2, ""),
    ("part of a value, function 6", "06 0000 4248", 2, ""),
    ("part of a value, function 16", "10 0001 0002 04 0000 0007", 2, ""),
    ("part of a value, function 22", "16 0001 00f2 0025", 2, ""),
    ("part of a value, function 23", "17 0000 0001 0001 0001 02 0007", 2, ""),
    ("part of a text", "06 0009 4141", 2, ""),
    ("the role is too little", "06 0013 0002", 4, "far"),
    ("the role in its area is", "06 001d 0002", 4, "locked/x"),
    ("takes two persons", "06 0015 0002", 4, "lot"),
    ("takes a signature", "06 0016 0002", 4, "signed"),
    ("its owner refuses", "06 001a 0002", 4, "own/a"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_hex", "code", "tag"), [row[1:] for row in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_each_refusal_has_its_code_and_changes_nothing(works, request_hex, code, tag):
    async def body(works, master):
        works.owner.refuses.add("a")
        await works.until(lambda: works.server.listening.is_set())
        before = {each.path: works.value(each.path) for each in works.kernel.table if "sys/" not in each.path}
        function = int(request_hex[:2], 16)
        assert await master.ask(request_hex) == f"{function | 0x80:02x} {code:02x}"
        assert {path: works.value(path) for path in before} == before
        assert [(row[0], row[2]) for row in await works.told()] == ([(tag, "refused")] if tag else [])
        await works.until(lambda: works.value("sys/drivers/scada/writes_refused") == 1)
        assert works.value("sys/drivers/scada/writes") == 1
        assert works.value("sys/drivers/scada/exception_codes") == f"{code}: 1"

    works(body)


def test_an_interlock_a_mode_and_the_read_only_switch_are_exception_4(works):
    async def body(works, master):
        mode = works.kernel.gate.mode
        assert await master.ask("06 0002 0064") == "06 00 02 00 64"
        assert await master.ask("06 0014 0002") == "86 04"  # its interlock: count < 10
        assert await master.ask("06 0002 0003") == "06 00 02 00 03"
        assert await master.ask("06 0014 0002") == "06 00 14 00 02"
        await mode.set_mode("maintenance", ENGINEER, "service")
        assert await master.ask("06 0002 0004") == "86 04"
        await mode.set_mode("auto", ENGINEER, "done")
        await mode.set_read_only(True, ENGINEER, "smoke")
        assert await master.ask("06 0002 0004") == "86 04"
        await mode.set_read_only(False, ENGINEER, "done")
        assert await master.ask("06 0002 0004") == "06 00 02 00 04"
        details = [row.detail for row in await works.audit() if row.outcome == "refused"]
        words = ("interlock", "maintenance", "read only")
        assert [word for word, each in zip(words, details, strict=True) if word in each] == list(words)

    works(body)


def test_an_engineer_and_an_area_may_what_an_operator_may_not(works):
    async def body(works, master):
        assert await master.ask("06 0013 0002") == "06 00 13 00 02"
        assert await master.ask("06 001d 0002") == "06 00 1d 00 02"
        assert await master.ask("06 0002 0002") == "86 04"
        assert [(row.target, row.role, row.outcome) for row in await works.audit()] == [
            ("s/l/far", "engineer", "done"), ("s/l/locked/x", "operator", "done"),
            ("s/l/count", "viewer", "refused"),
        ]  # fmt: skip

    works(body, "{actor: hall, role: engineer, areas: {locked/**: operator, s/l/count: viewer}}")


def test_too_many_writes_are_exception_6_and_several_are_counted_together(works):
    async def body(works, master):
        assert await master.ask("10 0017 0003 06 0002 0002 0002") == "90 06"  # three, where two may be
        assert (works.value("rated/a"), works.value("rated/b")) == (1, 1)
        assert await master.ask("06 0017 0002") == "06 00 17 00 02"
        assert await master.ask("06 0018 0002") == "06 00 18 00 02"
        assert await master.ask("06 0019 0002") == "86 06"
        assert await works.told() == [
            ("rated/c", 2, "refused"), ("rated/a", 2, "done"), ("rated/b", 2, "done"),
            ("rated/c", 2, "refused"),
        ]  # fmt: skip

    works(body)


def test_an_owner_that_does_not_answer_in_time_is_exception_4(works, monkeypatch):
    async def body(works, master):
        monkeypatch.setattr(policy, "COMMAND_TIMEOUT_S", 0.2)
        works.owner.silent.add("a")
        assert await master.ask("06 001a 0002") == "86 04"
        (row,) = await works.audit()
        assert (row.outcome, "did not answer" in row.detail) == ("refused", True)
        monkeypatch.setattr(policy, "COMMAND_TIMEOUT_S", 60)
        assert await master.ask("06 001b 0002") == "06 00 1b 00 02"

    works(body)


def test_several_tags_are_all_judged_before_the_first_is_written(works):
    async def body(works, master):
        assert await master.ask(f"10 0000 0003 06 {f32(50)} 03e9") == "90 03"
        assert (works.value("sp"), works.value("count")) == (5, 1)
        assert await works.told() == [("count", 1001, "refused")]
        assert await master.ask("0f 0000 0002 01 03") == "0f 00 00 00 02"

    works(body)


def test_what_only_the_owner_refuses_ends_a_request_in_order_of_address(works):
    async def body(works, master):
        events = works.kernel.bus.events("driver.command_refused")
        works.owner.refuses.add("b")
        assert await master.ask("10 001a 0003 06 0001 0002 0003") == "90 04"
        assert works.owner.taken == ["a"]
        assert (works.value("own/a"), works.value("own/c")) == (1, None)
        assert await master.ask("03 001a 0003") == "03 06 00 01 00 00 00 00"
        assert await works.told() == [("own/a", 1, "done"), ("own/b", 2, "refused")]
        (event,) = events.drain()
        assert (
            f"function 16 at 26 of unit 1 from {master.name}: 1 of 3 tags were written before" in event.text
        )
        assert "the valve is stuck" in event.text

    works(body)


def test_a_read_shows_what_the_owner_has_kept_of_a_write(works):
    async def body(works, master):
        works.owner.keeps["a"] = 42
        assert await master.ask("17 001a 0001 001a 0001 02 0032") == "17 02 00 2a"
        assert await master.ask("03 001a 0001") == "03 02 00 2a"

    works(body)


def test_bits_of_a_register_are_written_where_they_differ_and_others_must_stay(works):
    async def body(works, master):
        assert await master.ask("03 0027 0001") == "03 02 00 0c"
        assert await master.ask("06 0027 000d") == "06 00 27 00 0d"  # far stays: it is not written
        assert await works.told() == [("bits/a", True, "done")]
        assert await master.ask("06 0027 0005") == "86 02"  # bits/shown would change
        assert await master.ask("06 0027 0009") == "86 04"  # far would
        assert await master.ask("16 0027 fffd 0002") == "16 00 27 ff fd 00 02"
        assert await master.ask("03 0027 0001") == "03 02 00 0f"
        assert await master.ask("16 0027 fffd 0002") == "16 00 27 ff fd 00 02"  # a mask names what is written
        assert await works.told() == [
            ("bits/a", True, "done"), ("bits/far", False, "refused"), ("bits/b", True, "done"),
            ("bits/b", True, "done"),
        ]  # fmt: skip

    works(body)


def test_what_masters_own_is_taken_last_or_not_at_all(works):
    async def body(works, master):
        assert await master.ask("10 0033 0002 04 0002 0009") == "90 03"  # mix is out of range
        assert (works.value("in/mode"), works.value("mix")) == (None, 1)
        assert await master.ask("10 0033 0002 04 0009 0002") == "90 03"  # in/mode is
        assert (works.value("in/mode"), works.value("mix")) == (None, 1)
        assert await master.ask("10 0033 0002 04 0002 0003") == "10 00 33 00 02"
        assert (works.value("in/mode"), works.value("mix")) == (2, 3)
        assert await master.ask("03 0033 0002") == "03 04 00 02 00 03"
        assert await works.told() == [("mix", 9, "refused"), ("mix", 3, "done")]

    works(body)


def test_inputs_hold_their_range_and_the_read_only_switch_and_are_doubted_then(works):
    async def body(works, master):
        assert await master.ask(f"10 0031 0003 06 {f32(10)} 0005") == "10 00 31 00 03"
        assert (works.value("in/level"), works.value("in/mode")) == (10, 5)
        for request, code in [
            (f"10 0031 0003 06 {f32(10.5)} 0004", 3),  # nothing of it is taken
            (f"10 0031 0003 06 {f32(9)} ffff", 3),
            ("10 0031 0002 04 7fc0 0000", 3),
            ("06 0031 0000", 2),  # a part of a value
            ("05 0003 ff00", 2),
        ]:
            assert await master.ask(request) == f"{int(request[:2], 16) | 0x80:02x} 0{code}"
        assert (works.value("in/level"), works.value("in/mode")) == (10, 5)
        await works.kernel.gate.mode.set_read_only(True, ENGINEER, "smoke")
        await works.until(lambda: works.value("sys/gate/read_only"))
        assert await master.ask("06 0033 0001") == "86 04"
        assert works.value("in/mode") == 5
        assert works.quality("in/mode") == Quality.UNCERTAIN_LAST_USABLE_VALUE
        assert works.quality("in/level") == Quality.GOOD
        await works.kernel.gate.mode.set_read_only(False, ENGINEER, "done")
        await works.until(lambda: not works.value("sys/gate/read_only"))
        assert await master.ask("06 0033 0005") == "06 00 33 00 05"
        assert works.quality("in/mode") == Quality.GOOD
        assert await works.audit() == []

    works(body)


def test_the_read_only_switch_holds_for_inputs_beside_bits_that_stay_as_they_are(works):
    async def body(works, master):
        assert await master.ask("10 0027 0002 04 000c 0003") == "10 00 27 00 02"
        assert works.value("in/beside") == 3
        await works.kernel.gate.mode.set_read_only(True, ENGINEER, "smoke")
        await works.until(lambda: works.value("sys/gate/read_only"))
        assert await master.ask("10 0027 0002 04 000c 0005") == "90 04"
        assert works.value("in/beside") == 3
        assert works.quality("in/beside") == Quality.UNCERTAIN_LAST_USABLE_VALUE
        assert await master.ask("03 0028 0001") == "03 02 00 03"

    works(body, tags=f"{TAGS}in/beside,INT,r,,scada,scada,40041,,,,\n")


def test_without_commands_tags_of_others_are_exception_2(works):
    async def body(works, master):
        for request in ("05 0000 ff00", "06 0002 0002", "0f 0000 0002 01 03", "16 0002 fff0 0005"):
            assert await master.ask(request) == f"{int(request[:2], 16) | 0x80:02x} 02"
        assert await master.ask("05 0002 ff00") == "05 00 02 ff 00"  # its own
        assert works.value("count") == 1
        assert await works.audit() == []
        await works.until(lambda: works.value("sys/drivers/scada/writes") == 5)
        assert works.value("sys/drivers/scada/writes_refused") == 4

    works(body, commands="")


def test_pipelined_requests_are_answered_in_order_and_other_masters_meanwhile(works):
    async def body(works, master):
        other = await Master.to(works)
        works.owner.held.clear()
        steps = [
            "03 0002 0001",
            "06 001a 0009",
            "03 001a 0001",
            "06 0002 0008",
            "06 0002 03e9",
            "03 0002 0001",
        ]
        first = master.count
        master.send(*steps)
        assert await master.hear() == (first + 1, "03 02 00 01")
        assert await other.ask("06 0002 0005") == "06 00 02 00 05"  # while the owner has the first one
        assert await other.ask("03 0002 0001") == "03 02 00 05"
        assert works.value("own/a") is None
        works.owner.held.set()
        heard = [await master.hear() for _ in steps[1:]]
        assert [number - first for number, _ in heard] == [2, 3, 4, 5, 6]
        assert [answer for _, answer in heard] == [
            "06 00 1a 00 09", "03 02 00 09", "06 00 02 00 08", "86 03", "03 02 00 08",
        ]  # fmt: skip
        other.writer.close()

    works(body)


def test_what_waits_of_one_connection_is_bounded_and_nothing_is_lost(works):
    async def body(works, master):
        works.owner.held.clear()
        count = 60_000  # more than a socket holds
        master.send("06 001a 0009", *["03 0002 0001"] * count)
        (theirs,) = works.server_connections()
        await works.until(lambda: theirs.waits)
        for _ in range(20):
            other = await Master.to(works)
            assert await other.ask("03 0002 0001") == "03 02 00 01"
            other.writer.close()
        assert len(theirs._requests) * 12 <= 2**18 + 12
        works.owner.held.set()
        first, answer = await master.hear()
        assert answer == "06 00 1a 00 09"
        for number in range(count):
            assert await master.hear() == ((first + 1 + number) & 0xFFFF, "03 02 00 01")

    works(body)


def test_what_a_master_asked_for_before_it_went_ends_and_keeps_its_place_until_then(works):
    async def body(works, master):
        works.owner.held.clear()
        gone = await Master.to(works)
        name = gone.name
        gone.send("06 001a 0009", "06 0002 0009")
        await works.until(lambda: any(each.waits for each in works.server_connections()))
        gone.writer.transport.abort()
        assert await master.ask("06 0002 0008") == "06 00 02 00 08"
        assert len(works.server_connections()) == 2
        works.owner.held.set()
        await works.until(lambda: len(works.server_connections()) == 1)
        await works.until(lambda: works.value("count") == 9)
        rows = [row for row in await works.audit() if name in row.reason]
        assert [(row.target, row.new, row.outcome) for row in rows] == [
            ("s/l/own/a", 9, "done"), ("s/l/count", 9, "done"),
        ]  # fmt: skip

    works(body)


def test_a_master_of_rtu_that_asks_anew_gets_no_late_answer(works):
    async def body(works, master):
        works.owner.held.clear()
        reader, writer = await asyncio.open_connection("127.0.0.1", works.server.port)
        writer.write(rtu.frame(1, bytes.fromhex("06001a0009")))
        await works.until(lambda: any(each.waits for each in works.server_connections()))
        asked = works.server.listener.served.bytes_received
        writer.write(rtu.frame(1, bytes.fromhex("0300020001")))
        await works.until(lambda: works.server.listener.served.bytes_received > asked)
        works.owner.held.set()
        answer = rtu.frame(1, bytes.fromhex("03020001"))
        assert await reader.readexactly(len(answer)) == answer
        assert works.value("own/a") == 9
        writer.close()

    works(body, more="framing: rtu")


def test_many_masters_write_at_once_and_each_sees_its_own_answer(works):
    async def body(works, master):
        async def write(number):
            mine = await Master.to(works)
            for step in range(5):
                value = f"{number * 5 + step:04x}"
                assert await mine.ask(f"06 0002 {value}") == f"06 00 02 {value[:2]} {value[2:]}"
            mine.writer.close()

        async with asyncio.TaskGroup() as group:
            for number in range(40):
                group.create_task(write(number))
        rows = await works.audit()
        assert sorted(row.new for row in rows) == list(range(200))
        assert {row.outcome for row in rows} == {"done"}
        assert len({row.reason for row in rows}) == 40

    works(body)


def test_a_range_that_changes_while_the_plant_runs_holds_at_once(works, tmp_path):
    tags = "".join(line for line in TAGS.splitlines(True) if not line.startswith("own/"))

    async def body(works, master):
        versions = works.kernel.versions
        (tmp_path / "tags.csv").write_text(tags.replace("-10,1000,1", "-10,50,1"))
        _, plan = await versions.apply(ENGINEER, "less")
        assert (plan.ended, plan.begun) == ((), ())
        assert await master.ask("06 0002 0033") == "86 03"
        assert await master.ask("06 0002 0032") == "06 00 02 00 32"
        (tmp_path / "tags.csv").write_text(tags.replace("40052,,0,5", "40052,,0,9"))
        _, plan = await versions.apply(ENGINEER, "more of what masters own")
        assert (plan.ended, plan.begun) == (("scada",), ("scada",))

    works(body, tags=tags)


def test_pymodbus_writes_with_each_function_and_sees_the_codes(works):
    async def body(works, _):
        async with AsyncModbusTcpClient("127.0.0.1", port=works.server.port, timeout=60) as master:
            await master.write_coil(0, True)
            await master.write_coils(0, [True, True])
            await master.write_register(2, 9)
            await master.write_registers(0, [0x41C8, 0])
            await master.mask_write_register(address=2, and_mask=0xFFF0, or_mask=6)
            read = await master.readwrite_registers(
                read_address=0, read_count=3, write_address=5 + 1, values=[12]
            )
            assert read.registers == [0x41C8, 0, 6]
            assert (works.value("lamp/a"), works.value("lamp/b")) == (True, True)
            assert (works.value("sp"), works.value("count"), works.value("small")) == (25, 6, 12)
            refused = [
                await master.write_register(2, 1001),
                await master.write_register(0, 1),
                await master.write_register(19, 1),
                await master.write_register(100, 1),
            ]
            assert [each.exception_code for each in refused] == [3, 2, 4, 2]
        assert len(await works.audit()) == 9

    works(body)


@pytest.mark.parametrize(
    ("commands", "says", "remedy"),
    [
        ("{actor: hall, role: viewer}", "masters cannot be viewer: that is what they are without", ""),
        ("{actor: hall, role: operator, areas: {'**': admin}}", "masters cannot be admin", ""),
        ("{actor: hall, role: admin}", "masters cannot be admin: Modbus knows no login", ""),
        ("{actor: hall, role: king}", "not a role", ""),
        ("{role: operator}", "actor", ""),
        ("{actor: hall, role: operator, whatever: 1}", "whatever", ""),
    ],
)
def test_a_wrong_section_is_told_with_its_place(tmp_path, commands, says, remedy):
    with pytest.raises(ConfigError) as caught:
        assemble(lay_out(tmp_path, commands))
    (found,) = caught.value.findings
    assert says in found.text + found.remedy
    assert found.place.file.name == "plant.yaml"
    assert found.place.line == 15


@pytest.mark.parametrize(
    ("commands", "tags", "says"),
    [
        (COMMANDS, UNWRITABLE, "no tag that is served in a coil or holding register"),
        ("{actor: hall, role: operator}", TAGS.replace(",rw,,", ",rw,engineer,"), "hall may write no tag"),
        ("{actor: hall, role: operator, areas: {nowhere/**: viewer}}", TAGS, "'nowhere/**' matches no tag"),
        ("{actor: vera, role: operator}", TAGS, "'vera' is a user of the plant"),
    ],
)
def test_commands_that_cannot_be_meant_are_warned_of(tmp_path, commands, tags, says):
    folder = lay_out(tmp_path, commands, tags)
    with (folder / "plant.yaml").open("a") as file:
        file.write("users: [{name: vera, role: viewer}]\n")
    found = [each for each in assemble(folder).check() if each.place.file == folder / "plant.yaml"]
    assert [(each.severity, says in each.text) for each in found] == [("warning", True)]
    assert found[0].place.line == 15
    assert found[0].remedy
