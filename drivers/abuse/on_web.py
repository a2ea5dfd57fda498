"""Attacks on the HTTP and WebSocket API."""

from __future__ import annotations

import asyncio
import base64
import struct
from random import Random

from drivers.abuse.corpus import http
from drivers.abuse.mutate import mutated
from drivers.abuse.target import Attack, Target, over_and_over

_ANSWER_S = 1.0


def shapes(host: str, path: str) -> list[bytes]:
    """Return requests that two servers could read differently (RFC 9112, 11.2), or that are too large."""
    get = f"GET /api/v1/info HTTP/1.1\r\nHost: {host}\r\n".encode()
    put = f"PUT /api/v1/tags/{path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n".encode()
    hidden = put + b"Content-Length: 26\r\n\r\n" + b'{"value": 1, "reason": ""}'
    return [
        put + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden,
        put + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + hidden,
        put + b"Content-Length: 0\r\nContent-Length: 300\r\n\r\n" + hidden,
        put + b"Content-Length: -1\r\n\r\n" + hidden,
        put + b"Content-Length: +26\r\n\r\n" + hidden,
        put + b"Content-Length: 99999999999999999999\r\n\r\n" + bytes(70_000),
        put + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n" + bytes(70_000),
        put + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n",
        put + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + hidden,
        get + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + hidden,
        get + b"X: a\r\n b\r\n\r\n",
        get + b"X: " + b"a" * 300_000 + b"\r\n\r\n",
        get + b"".join(b"X%d: a\r\n" % number for number in range(20_000)) + b"\r\n",
        b"GET /" + b"a" * 300_000 + b" HTTP/1.1\r\n\r\n",
        b"GET /api/v1/tags/%00%ff%2e%2e%2f HTTP/1.1\r\n" + get.partition(b"\r\n")[2] + b"\r\n",
        get.replace(b"HTTP/1.1", b"HTTP/9.9") + b"\r\n",
        get.replace(host.encode(), b"evil.example") + b"\r\n",
        get + b"Origin: http://evil.example\r\n\r\n",
        get + b"Authorization: Basic " + base64.b64encode(b"x" * 50_000) + b"\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(1_000),
        b"CONNECT localhost:22 HTTP/1.1\r\n\r\n",
        hidden,
        hidden.replace(b"PUT", b"DELETE"),
    ]


async def spoilt(target: Target, random: Random) -> None:
    """Send requests that are spoilt, too large, or two in one."""
    host = f"127.0.0.1:{target.http}"
    every = shapes(host, target.kept)
    valid = http(host, target.kept)

    async def one() -> None:
        reader, writer = await target.connect(target.http)
        said = random.choice(every) if random.random() < 0.5 else mutated(random, random.choice(valid), valid)
        target.count("HTTP requests spoilt")
        writer.write(said)
        async with asyncio.timeout(_ANSWER_S * target.pace):
            await reader.read(65_536)
        writer.transport.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(over_and_over(one, target, 0.02))


async def bodies(target: Target, random: Random) -> None:
    """Send bodies that never end: one byte now and then, or chunk after chunk."""
    head = (
        f"PUT /api/v1/tags/{target.kept} HTTP/1.1\r\nHost: 127.0.0.1:{target.http}\r\n"
        "Content-Type: application/json\r\n"
    ).encode()

    async def slow() -> None:
        _, writer = await target.connect(target.http)
        writer.write(head + b"Content-Length: 1000000\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b" ")
            await target.wait(0.5)

    async def endless() -> None:
        _, writer = await target.connect(target.http)
        writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b"ffff\r\n" + bytes(0xFFFF) + b"\r\n")
            target.count("HTTP bytes without an end", 0xFFFF)
            await writer.drain()

    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(over_and_over(slow, target, 0.5))
        group.create_task(over_and_over(endless, target, 0.1))


async def sockets(target: Target, random: Random) -> None:
    """Open WebSockets; send frames that are no frames, claim 2^62 bytes, and read nothing."""
    opening = http(f"127.0.0.1:{target.http}", target.seen)[3]
    wrong = (
        b"\x81\xfe\xff\xff" + bytes(100),
        b"\x81\xff" + struct.pack(">Q", 2**62) + bytes(4),
        b"\x89\xff" + struct.pack(">Q", 2**63) + bytes(4),
        b"\x01\x81\0\0\0\0x" * 500,
        b"\x80\x80\0\0\0\0" * 500,
        b"\x81\x82\0\0\0\0{}" * 200,
        b"\xff" * 500,
        b"\x81\x05hello",
    )

    async def one() -> None:
        reader, writer = await target.connect(target.http)
        writer.write(opening)
        target.count("WebSocket frames spoilt")
        if random.random() < 0.3:
            writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(random.choice(wrong))
        async with asyncio.timeout(_ANSWER_S * target.pace):
            await reader.read()
        writer.transport.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(over_and_over(one, target, 0.02))


async def wrong_passwords(target: Target, random: Random) -> None:
    """Log in with wrong passwords as somebody who is known, and as nobody."""

    async def one() -> None:
        reader, writer = await target.connect(target.http)
        name = random.choice(("victor", f"nobody{random.randrange(10_000)}"))
        login = base64.b64encode(f"{name}:wrong".encode())
        target.count("HTTP logins with a wrong password")
        head = f"GET /api/v1/info HTTP/1.1\r\nHost: 127.0.0.1:{target.http}\r\n".encode()
        writer.write(head + b"Authorization: Basic " + login + b"\r\n\r\n")
        await reader.read(65_536)
        writer.transport.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(over_and_over(one, target, 0.02))


ATTACKS: dict[str, Attack] = {
    "HTTP: spoilt requests": spoilt,
    "HTTP: bodies without an end": bodies,
    "HTTP: spoilt WebSockets": sockets,
    "HTTP: wrong passwords": wrong_passwords,
}
