"""What is fed to each decoder of ours, and what it may do with it: shared by fast tests and long runs.

`python -m drivers.abuse.fuzz modbus --seconds 60 --folder corpus` runs one with atheris, which learns from
the code's branches, or with mutations by chance where atheris cannot be had.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random
from types import FunctionType, ModuleType
from typing import Annotated

import typer
from asyncua import ua
from asyncua.common.utils import Buffer, NotEnoughData
from asyncua.ua import ua_binary
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary

from drivers.abuse import evil
from drivers.abuse.corpus import modbus, requests
from drivers.abuse.mutate import mutated
from drivers.modbus import device as device_module
from drivers.modbus import mbap
from drivers.modbus.address import Point, parse
from drivers.modbus.device import Device, Wish
from drivers.modbus.mbap import FrameError, frame, split_frames
from drivers.opcua import decoding
from drivers.opcua.decoding import Measured
from drivers.opcua.rules import SERVICES
from runtime.clock import monotonic_ns
from runtime.config import TagList
from runtime.contract import DataType, Tag

READS = 20_000
_REFUSED = (ua.UaError, NotEnoughData, ValueError, TypeError, LookupError, OverflowError, RecursionError)
_CODES = {1, 2, 3, 4, 6, 10, 11}
_PARAMETERS = {
    getattr(ua.ObjectIds, f"{name}Request_Encoding_DefaultBinary"): getattr(ua, f"{name}Request")
    for name in SERVICES
}


def opcua_request(data: bytes) -> None:
    """Decode a request as the server does, whatever it is.

    Raises:
        AssertionError: it cost more than its bytes.
    """
    body = Measured.of(Buffer(data), READS)
    try:
        service = nodeid_from_binary(body.copy())
        kind = _PARAMETERS.get(service.Identifier)
        if kind is not None:
            struct_from_binary(kind, body)
    except _REFUSED:
        return
    assert body._left[0] >= 0


@cache
def _device() -> Device:
    kinds = [
        ("00001", DataType.BOOL), ("10001", DataType.BOOL), ("30001", DataType.UDINT),
        ("40001", DataType.REAL),
        ("40003", DataType.INT), ("40010:string[8]", DataType.STRING), ("2!40001.3", DataType.BOOL),
        ("40005", DataType.DINT), ("00002", DataType.BOOL), ("40004.9", DataType.BOOL),
    ]  # fmt: skip
    rows = enumerate(kinds)
    tags = TagList(
        [Tag(f"a/b/c/t{row}", kind, source="io" if row < 7 else "plc") for row, (_, kind) in rows], "a/b/c"
    )
    points = [Point(tag, parse(address, kind)) for tag, (address, kind) in zip(tags, kinds, strict=True)]

    def is_input(point: Point) -> bool:
        return point.tag.source == "io"

    return Device(points, 1, len(points), is_input, is_commanded=lambda point: not is_input(point))


def modbus_request(data: bytes) -> None:
    """Let the device answer a request, whatever it is.

    Raises:
        AssertionError: the answer is not one that the standard has.
    """
    if not data:
        return
    message = data[:253]
    answered = _device().answer(1, message, 0)
    if isinstance(answered, Wish):
        assert answered.wanted
        answer, batch = answered.response(), answered.take(0)
    else:
        answer, batch = answered
    if answer[0] & 0x80:
        assert len(answer) == 2
        assert answer[0] == message[0] | 0x80
        assert answer[1] in _CODES
        assert batch is None
    else:
        assert answer[0] == message[0]
        assert len(answer) <= 253


def modbus_stream(data: bytes) -> None:
    """Split a stream into frames, whole and byte by byte: both must find the same.

    Raises:
        AssertionError: they do not.
    """
    assert _frames([data]) == _frames([data[at : at + 1] for at in range(len(data))])


def _frames(parts: Sequence[bytes]) -> tuple[list[tuple[int, int, bytes]], bool]:
    found: list[tuple[int, int, bytes]] = []
    rest = b""
    for part in parts:
        try:
            frames, rest = split_frames(rest + part)
        except FrameError:
            return [], True
        found += frames
    return found, False


def _opcua_corpus() -> list[bytes]:
    nobody = ua.NodeId()
    hurtful = [body for _, body in evil.before_login(nobody)]
    return [*requests(nobody, "a/b").values(), *hurtful]


def _stream_corpus() -> list[bytes]:
    return [frame(number, 1, message) for number, message in enumerate(modbus())]


TARGETS: dict[str, tuple[Callable[[bytes], None], Callable[[], list[bytes]]]] = {
    "opcua": (opcua_request, _opcua_corpus),
    "modbus": (modbus_request, modbus),
    "stream": (modbus_stream, _stream_corpus),
}
"""For each name a decoder, and valid and hurtful messages to begin with."""


def by_chance(name: str, seconds: float, seed: int) -> int:
    """Feed a decoder with mutations by chance; return how many."""
    feed, corpus = TARGETS[name]
    random, messages, count = Random(seed), corpus(), 0
    end_ns = monotonic_ns() + round(seconds * 1e9)
    while monotonic_ns() < end_ns:
        feed(mutated(random, random.choice(messages), messages))
        count += 1
    return count


def _functions(*modules: ModuleType) -> Iterator[FunctionType]:
    """Yield the functions and methods that modules define."""
    for module in modules:
        own = [each for each in vars(module).values() if getattr(each, "__module__", "") == module.__name__]
        for each in own:
            parts = vars(each).values() if isinstance(each, type) else [each]
            yield from (part for part in parts if isinstance(part, FunctionType))


def by_atheris(name: str, seconds: float, folder: Path) -> None:
    """Feed a decoder by what its branches teach; ends the process. What it finds is kept in the folder."""
    import atheris

    feed, corpus = TARGETS[name]
    folder.mkdir(parents=True, exist_ok=True)
    for number, message in enumerate(corpus()):
        (folder / f"seed{number}").write_bytes(message)
    for function in _functions(device_module, mbap, decoding, ua_binary):
        atheris.instrument_func(function)  # not all: fifteen thousand take minutes
    options = [f"-max_total_time={seconds:.0f}", "-max_len=4096", "-rss_limit_mb=2048", "-timeout=5"]
    atheris.Setup([sys.argv[0], *options, f"-artifact_prefix={folder}/found-", str(folder)], feed)
    atheris.Fuzz()


def main(
    name: Annotated[str, typer.Argument(help="opcua, modbus or stream.")],
    folder: Annotated[Path, typer.Option(help="Where the corpus grows and what is found is kept.")],
    seconds: Annotated[float, typer.Option(min=1)] = 60.0,
    seed: Annotated[int, typer.Option(help="For mutations by chance.")] = 1,
) -> None:
    """Fuzz one decoder."""
    if name not in TARGETS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(TARGETS)}")
    if importlib.util.find_spec("atheris") is None:
        print("atheris is not installed (pip install atheris): mutations by chance instead")
        print(f"{name}: {by_chance(name, seconds, seed)} messages")
        return
    by_atheris(name, seconds, folder)


if __name__ == "__main__":
    typer.run(main)
