"""Messages spoilt a little: valid ones with wrong counts, cuts, copies and bits. Any `Random` chooses."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from drivers.abuse.corpus import parted
from drivers.abuse.raw import framed
from drivers.modbus.mbap import frame

LARGEST = 60_000
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFC, 0xFFFF_FFFF)


def mutated(random: Random, message: bytes, others: Sequence[bytes] = ()) -> bytes:
    """Return a message with one to four things wrong."""
    made = bytearray(message)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(made) + 1)
        match random.randrange(8):
            case 0 if at < len(made):
                made[at] ^= 1 << random.randrange(8)
            case 1:
                width = random.choice((1, 2, 4))
                edge = random.choice(EDGES) & (1 << 8 * width) - 1
                made[at : at + width] = edge.to_bytes(width, random.choice(("little", "big")))
            case 2:
                del made[at:]
            case 3:
                del made[at : at + random.randint(1, 16)]
            case 4:
                made[at:at] = random.randbytes(random.randint(1, 16))
            case 5:
                length = random.randint(1, 64)
                made[at:at] = made[at : at + length] * random.choice((1, 2, 300))
            case 6 if others:
                other = random.choice(others)
                made[at:] = other[random.randrange(len(other) + 1) :]
            case _:
                made += random.randbytes(random.randint(0, 8))
    return bytes(made[:LARGEST])


def spoilt_request(random: Random, request: bytes, others: Sequence[bytes]) -> bytes:
    """Return a request of OPC UA with something wrong, mostly behind its header."""
    head, rest = parted(request)
    if random.random() < 0.05:
        return mutated(random, request, others)
    return head + mutated(random, rest, [parted(each)[1] for each in others[:4]])


def spoilt_chunk(random: Random, kind: bytes, head: bytes, body: bytes) -> bytes:
    """Return a chunk of OPC UA whose size mostly is right, so that it is looked into."""
    if random.random() < 0.95:
        return framed(kind, head + body)
    return mutated(random, framed(kind, head + body, random.choice((b"F", b"C", b"A", b"?"))))


def spoilt_frame(random: Random, message: bytes) -> bytes:
    """Return a Modbus TCP frame whose header mostly is right."""
    unit = random.choice((0, 1, 1, 1, 2, 255))
    made = frame(random.randrange(65_536), unit, message[:253] or b"\0")
    return mutated(random, made) if random.random() < 0.2 else made
