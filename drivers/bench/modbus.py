"""`ironworks bench modbus`: a plant's Modbus client beside pymodbus's own, both against the same device."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from drivers.modbus.address import Point
    from drivers.modbus.plan import Block
    from drivers.modbus.ways import Connect
    from runtime.bench.report import Figure

_TAGS = 1000
_REQUESTS = 10
_RATIO = 2.0
_BLOCKS_PER_CORE = 10_000.0
_DEPTH = 16
_TURNS = 10


def bench(
    seconds: Annotated[float, typer.Option(min=0.5, help="How long each measurement takes.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Tags that a Modbus client reads, beside stock pymodbus: one request at a time, and the same ones.

    The device has a process of its own and answers at once. All values are new in every poll. Ours is the
    driver's own poll: it ends with them in a tag table, with quality and time; pymodbus's client ends with
    them in a dictionary by tag, by its own conversion of whole runs of registers. Beside it stands how many
    polls it makes when nobody converts its words. Rates a core are by the processor time of this process, the
    client's.
    """
    from runtime.bench.report import report

    with _device() as port:
        report("modbus", asyncio.run(_measure(port, seconds)), as_json)


@dataclass(slots=True)
class _Rates:
    """How many blocks were read in which time, and in which time of the processor."""

    blocks: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0

    @property
    def per_s(self) -> float:
        return self.blocks / self.seconds

    @property
    def per_cpu_s(self) -> float:
        return self.blocks / max(self.cpu_s, 1e-3)

    def add(self, other: _Rates) -> None:
        self.blocks += other.blocks
        self.seconds += other.seconds
        self.cpu_s += other.cpu_s


async def _measure(port: int, seconds: float) -> list[Figure]:
    from drivers.modbus.plan import blocks_of
    from runtime.bench.report import Figure

    ints = list(blocks_of(list(_points()), 16))
    mixed = list(blocks_of(list(_points(mixed=True)), 16))
    rates = {name: _Rates() for name in ("ints", "stock", "words", "mixed", "stock mixed", "many")}
    turn_s = seconds / _TURNS
    for _ in range(_TURNS):  # in turn, so that what else the machine does falls on all of them
        rates["ints"].add(await _ours(port, ints, turn_s))
        rates["stock"].add(await _stock(port, ints, turn_s))
        rates["words"].add(await _stock(port, ints, turn_s, decoded=False))
        rates["mixed"].add(await _ours(port, mixed, turn_s))
        rates["stock mixed"].add(await _stock(port, mixed, turn_s))
        rates["many"].add(await _pipelined(port, ints, _DEPTH, turn_s))

    def polls(name: str) -> float:
        return rates[name].per_s / len(mixed if "mixed" in name else ints)

    def ratios(what: str, ours: str, stock: str) -> Iterator[Figure]:
        yield Figure(f"polls of 1,000 {what} tags", polls(ours), "polls/s")
        yield Figure(f"polls of 1,000 {what} tags, stock", polls(stock), "polls/s")
        yield Figure(f"polls, {what} tags, ratio", polls(ours) / polls(stock), "", _RATIO)
        by_cpu = rates[ours].per_cpu_s / rates[stock].per_cpu_s
        yield Figure(f"polls, {what} tags, ratio a CPU second", by_cpu, "")

    words, many = rates["words"], rates["many"]
    bare = "nobody converts its words"
    by_cpu = rates["ints"].per_cpu_s / words.per_cpu_s
    return [
        Figure("requests for 1,000 INT tags", len(ints), "", _REQUESTS, at_least=False),
        Figure(
            "requests for 1,000 mixed tags",
            len(mixed),
            "",
            _REQUESTS,
            at_least=False,
            compared_with="400 INT, 100 REAL, 250 bits, 250 coils",
        ),
        *ratios("INT", "ints", "stock"),
        *ratios("mixed", "mixed", "stock mixed"),
        Figure("polls, stock's words", polls("words"), "polls/s", compared_with=bare),
        Figure("polls, ratio to those", polls("ints") / polls("words"), "", compared_with=bare),
        Figure("polls, ratio to those a CPU second", by_cpu, "", compared_with=bare),
        Figure("polls, pipelined", polls("many"), "polls/s", compared_with=f"{_DEPTH} under way"),
        Figure("block reads, pipelined", many.per_s, "blocks/s", compared_with=f"{_DEPTH} under way"),
        Figure("block reads, pipelined, a core", many.per_cpu_s, "blocks/s", _BLOCKS_PER_CORE),
    ]


def _points(mixed: bool = False) -> Iterator[Point]:
    """Yield a thousand tags; mixed ones are a third words and floats, and bits of both kinds."""
    from drivers.modbus.address import Point, parse
    from runtime.contract import DataType, Tag

    def address(number: int) -> tuple[DataType, str]:
        if not mixed or number < 400:
            return DataType.INT, f"4{number + 1:04d}"
        if number < 500:
            return DataType.REAL, f"4{401 + 2 * (number - 400):04d}"
        if number < 750:
            return DataType.BOOL, f"3{1 + (number - 500) // 16:04d}.{(number - 500) % 16}"
        return DataType.BOOL, f"0{number - 749:04d}"

    for number in range(_TAGS):
        data_type, text = address(number)
        yield Point(Tag(f"bench/t{number}", data_type, id=number), parse(text, data_type))


async def _ours(port: int, blocks: list[Block], seconds: float) -> _Rates:
    """Poll as the driver in a plant does, with tag table and bus, but without a pause between two scans."""
    from drivers.frame.connection import declare_link
    from drivers.modbus.polling import ModbusClient, Scan
    from runtime.clock import WallClock
    from runtime.contract import Batch
    from runtime.testing import FakePort

    class PlantPort(FakePort):
        def submit(self, batch: Batch) -> None:
            self.bus.publish(batch)

    tags = sorted((point.tag for block in blocks for point in block.points), key=lambda tag: tag.id)
    plant = PlantPort([*tags, *declare_link("bench").tags], "bench", "bench", WallClock())
    scan = Scan("all", 1, blocks)
    life = ModbusClient("bench", [_way(port, 1)], [scan], [], []).life(plant)
    transport = await life.ways[0](life.link.traffic, lambda: None)

    async def poll() -> int:
        await life.poll(transport, scan)
        return len(blocks)

    rates = await _rate(poll, seconds)
    transport.close()
    return rates


async def _pipelined(port: int, blocks: list[Block], depth: int, seconds: float) -> _Rates:
    from drivers.frame.connection import Traffic

    transport = await _way(port, depth)(Traffic(), lambda: None)
    turn = blocks * -(-depth // len(blocks))
    requests = [block.request for block in turn]

    async def poll() -> int:
        replies = await transport.exchange(requests)
        for block, reply in zip(turn, replies, strict=True):
            block.take(reply.data, 1)
        return len(turn)

    rates = await _rate(poll, seconds)
    transport.close()
    return rates


def _way(port: int, depth: int) -> Connect:
    from pathlib import Path

    from drivers.modbus.transport import Manner
    from drivers.modbus.ways import to_socket

    return to_socket(Path(), "127.0.0.1", port, Manner(depth, 5.0))


async def _stock(port: int, blocks: list[Block], seconds: float, *, decoded: bool = True) -> _Rates:
    from pymodbus.client import AsyncModbusTcpClient

    from drivers.bench.modbus_stock import Poller

    async with AsyncModbusTcpClient("127.0.0.1", port=port) as client:
        poller = Poller(client, blocks)

        async def poll() -> int:
            await poller.poll(decoded=decoded)
            return len(blocks)

        return await _rate(poll, seconds)


async def _rate(poll: Callable[[], Awaitable[int]], seconds: float) -> _Rates:
    """Poll again and again; the first polls do not count."""
    from resource import RUSAGE_SELF, getrusage

    from runtime.clock import monotonic_ns

    for _ in range(3):
        await poll()
    before, began_ns, blocks = getrusage(RUSAGE_SELF), monotonic_ns(), 0
    while (took_ns := monotonic_ns() - began_ns) < seconds * 1e9:
        blocks += await poll()
    after = getrusage(RUSAGE_SELF)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return _Rates(blocks, took_ns / 1e9, cpu_s)


@contextlib.contextmanager
def _device() -> Iterator[int]:
    """Run the device; give its port."""
    command = [sys.executable, "-m", "drivers.bench.modbus_device"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            yield int(child.stdout.readline())
        finally:
            child.kill()
