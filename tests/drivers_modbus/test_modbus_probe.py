"""`ironworks drivers probe`: units, ranges and identity of a device that a test makes up."""

import asyncio
import json

import pytest
from typer.testing import CliRunner

from drivers.cli import app
from drivers.frame.connection import Traffic
from drivers.modbus.address import Table
from drivers.modbus.identity import identify
from drivers.modbus.listener import Listener, RtuFraming, TcpFraming
from drivers.modbus.probe import Probe
from drivers.modbus.transport import Manner
from drivers.modbus.ways import to_socket
from runtime.clock import WallClock
from runtime.config import TagList, read_tags
from runtime.errors import PlantError

HOLDING = {*range(10), *range(100, 260), 300}
COILS = {*range(5, 9)}
IDENTITY = {0: b"ACME", 1: b"T-1000", 2: b"3.2"}


class Made:
    """Units 1 and 5: gaps in the holding registers, four coils, no inputs; at most 60 registers at once."""

    def __init__(self):
        self.functions = set()
        self.at = []

    def __call__(self, unit, message):
        self.at.append(asyncio.get_running_loop().time())
        function = message[0]
        self.functions.add(function)
        if unit not in (1, 5):
            return bytes([function | 0x80, 11])
        if function == 43:
            return b"\x2b" + identify(IDENTITY, message[1:])
        if function not in (1, 3):
            return bytes([function | 0x80, 1])
        start, count = int.from_bytes(message[1:3], "big"), int.from_bytes(message[3:5], "big")
        there = HOLDING if function == 3 else COILS
        if function == 3 and count > 60:
            return b"\x83\3"
        if not set(range(start, start + count)) <= there:
            return bytes([function | 0x80, 2])
        if function == 1:
            return bytes([1, (count + 7) // 8]) + b"\xff" * ((count + 7) // 8)
        return bytes([3, 2 * count]) + b"".join(
            each.to_bytes(2, "big") for each in range(start, start + count)
        )


def with_made(body, framing=TcpFraming, made=None):
    made = made or Made()

    async def main():
        listener = Listener(made, 4, 10**12, framing)
        port = await listener.open("127.0.0.1", 0)
        await body(port, made)
        listener.close()

    asyncio.run(main())


def test_a_unit_that_refuses_without_saying_why_is_there_all_the_same():
    async def main():
        listener = Listener(lambda unit, message: bytes([message[0] | 0x80]), 4, 10**12, TcpFraming)
        port = await listener.open("127.0.0.1", 0)
        connect = to_socket(None, "127.0.0.1", port, Manner(timeout_s=30.0), rtu=False)
        transport = await connect(Traffic(), lambda: None)
        found = await Probe(transport, WallClock(), rate=100_000).unit(1, [Table.COIL], 0, 1)
        assert found is not None
        assert found.ranges(Table.COIL) == []
        listener.close()

    asyncio.run(main())


@pytest.mark.parametrize("framing", [TcpFraming, RtuFraming])
def test_ranges_units_and_identity_are_found_with_reads_alone(framing):
    async def body(port, made):
        connect = to_socket(None, "127.0.0.1", port, Manner(timeout_s=30.0), rtu=framing is RtuFraming)
        transport = await connect(Traffic(), lambda: None)
        probe = Probe(transport, WallClock(), rate=100_000, grain=1)
        one = await probe.unit(1, list(Table), 0, 999)
        assert one.ranges(Table.HOLDING_REGISTER) == [(0, 9), (100, 259), (300, 300)]
        assert one.ranges(Table.COIL) == [(5, 8)]
        assert one.ranges(Table.INPUT_REGISTER) == []
        assert one.values[Table.HOLDING_REGISTER][123] == 123
        assert one.identity == {0: "ACME", 1: "T-1000", 2: "3.2"}
        assert await probe.unit(2, list(Table), 0, 999) is None
        assert made.functions <= {1, 2, 3, 4, 8, 43}
        quick = Probe(transport, WallClock(), rate=100_000)
        found = await quick.unit(5, [Table.HOLDING_REGISTER], 0, 999)
        assert found.ranges(Table.HOLDING_REGISTER)[:2] == [(0, 9), (100, 259)]
        assert quick.requests < probe.requests / 2
        few = Probe(transport, WallClock(), rate=100_000, limit=20)
        assert (await few.unit(1, list(Table), 0, 999)).note == "stopped after 20 requests"
        transport.close()

    with_made(body, framing)


def test_a_refusal_without_its_code_is_a_refusal():
    async def body(port, _):
        transport = await to_socket(None, "127.0.0.1", port, Manner(timeout_s=30.0))(Traffic(), lambda: None)
        found = await Probe(transport, WallClock(), rate=100_000).unit(1, [Table.COIL], 0, 0)
        assert (found.unit, found.ranges(Table.COIL)) == (1, [])
        transport.close()

    with_made(body, made=lambda unit, message: bytes([message[0] | 0x80]))


def test_the_rate_is_kept():
    async def body(port, made):
        transport = await to_socket(None, "127.0.0.1", port, Manner(timeout_s=30.0))(Traffic(), lambda: None)
        begun = asyncio.get_running_loop().time()  # the device may have the first one late
        await Probe(transport, WallClock(), rate=200).unit(1, [Table.COIL], 0, 40)
        gaps = len(made.at) - 1
        assert gaps >= 5
        assert (made.at[-1] - begun) / gaps > 0.0045
        transport.close()

    with_made(body)


def invoke(*arguments):
    return asyncio.to_thread(CliRunner().invoke, app, ["probe", *arguments])


def test_the_command_writes_a_tag_list_that_can_be_read(tmp_path):
    async def body(port, made):
        file, fast = tmp_path / "found.csv", ["--rate", "1000", "--last", "20", "--timeout", "30"]
        done = await invoke(
            f"127.0.0.1:{port}", "--units", "1-2,5", "--csv", str(file), "--name", "press", *fast
        )
        assert done.exit_code == 0, done.output
        assert "unit 1: vendor ACME, product code T-1000, revision 3.2" in done.output
        assert "40001 to 40010" in done.output
        assert "28 tags of press" in done.output
        tags = TagList((tag for tag, _ in read_tags(file, "site")), "site")
        tag = tags["site/press/unit5/holding40010"]
        assert (tag.device, tag.source, tag.address, tag.access.value) == ("press", "press", "5!40010", "r")
        plant = tmp_path / "plant.yaml"
        plant.write_text(
            "plant: t\nroot: a/b/c\ndrivers:\n"
            f"  - {{name: press, kind: modbus.client, host: 127.0.0.1, port: {port}}}\n"
        )
        done = await invoke("press", "--plant", str(plant), "--json", "--tables", "0", *fast)
        told = json.loads(done.output)
        assert told["units"][0]["ranges"] == [["00006", "00009"]]
        for arguments, says in (
            (("pres", "--plant", str(plant)), "did you mean 'press'"),
            (("127.0.0.1:x",), "port"),
            ((f"127.0.0.1:{port}", "--units", "1-300"), "unit ids are 0 to 255"),
            ((f"127.0.0.1:{port}", "--units", "a"), "like 1-10,20"),
            ((f"127.0.0.1:{port}", "--tables", "5"), "0, 1, 3 and 4"),
            (("/dev/no-such-line",), "there is no /dev/no-such-line"),
            ((f"127.0.0.1:{port}", "--csv", str(tmp_path / "no" / "tags.csv")), "there is no folder"),
            ((f"127.0.0.1:{port}", "--csv", str(tmp_path)), "is a folder"),
        ):
            done = await invoke(*arguments)
            assert isinstance(done.exception, PlantError)
            assert says in str(done.exception), (arguments, str(done.exception))

    with_made(body)


@pytest.mark.parametrize(
    ("unit", "start", "note"),
    [(5, 0, "ended early, at unit 5: the device closed"), (1, 125, "ended early: the device closed")],
)
def test_what_was_found_before_the_device_hangs_up_is_told(unit, start, note):
    async def main():
        made = Made()

        def answer(of_unit, message):
            if of_unit == unit and (unit == 5 or message[:3] == bytes([3, 0, start])):
                for each in list(listener.connections):
                    each.close()
                return b""
            return made(of_unit, message)

        listener = Listener(answer, 4, 10**12, TcpFraming)
        port = await listener.open("127.0.0.1", 0)
        arguments = [
            f"127.0.0.1:{port}",
            "--units",
            "1,5",
            "--tables",
            "4",
            "--rate",
            "1000",
            "--last",
            "200",
            "--timeout",
            "30",
        ]
        done = await invoke(*arguments)
        assert done.exit_code == 0, done.output
        assert "40001 to 40010" in done.output
        assert note in done.output
        listener.close()

    asyncio.run(main())
