"""What goes on on one secure channel: one session after the other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asyncua import Client, ua

ROOT = "nb/bottling/line1"
LEVEL, SPEED = ua.NodeId(f"{ROOT}/tank/level_pct", 2), ua.NodeId(f"{ROOT}/line/speed", 2)


def plain(served: Any) -> Client:
    return Client(served.url, timeout=20, watchdog_intervall=60)


async def alone(served: Any) -> Client:
    """A client with a channel but no session."""
    client = plain(served)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    return client


def addresses(served: Any) -> list[str]:
    return list(served.component._service._face.addresses)


async def take_over(new: Client, old: Client) -> None:
    """Have the session of one client on the channel of another."""
    new.uaclient.protocol.authentication_token = old.uaclient.protocol.authentication_token
    token = ua.AnonymousIdentityToken()
    await new.uaclient.activate_session(ua.ActivateSessionParameters(UserIdentityToken=token))


# Sessions of a channel.


def test_a_channel_outlives_a_session_that_was_silent_and_has_the_next(
    serve: Any, asking: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr("drivers.opcua.requests.LOGIN_WITHIN_S", 2.0)
        async with serve() as served, plain(served) as other:
            inner = served.component._service._server
            inner.min_session_timeout_ms = 500
            client = await alone(served)
            ask, client.session_timeout = asking(client), 500
            await client.create_session()
            await client.activate_session()
            await ask.subscribe()
            await wait(lambda: len(inner.sessions) == 1)
            await asyncio.sleep(2)  # the time to log in is over, too
            assert await ask.code("Read") == "BadSessionClosed"
            client.session_timeout = 60_000
            await client.create_session()
            await client.activate_session()
            assert (await ask.read(ua.NodeId(2255))).StatusCode.is_good()
            assert await ask.code("CloseSession") == "Good"
            await take_over(client, other)
            assert (await ask.read(ua.NodeId(2255))).StatusCode.is_good()
            assert await asking(other).code("Read") == "BadSecureChannelIdInvalid"
            client.disconnect_socket()

    asyncio.run(main())


@pytest.mark.parametrize("end", ["never there", "not activated", "closed", "gone"])
def test_a_channel_without_a_session_is_ended_after_a_while(
    serve: Any, asking: Any, wait: Any, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    async def main() -> None:
        monkeypatch.setattr("drivers.opcua.requests.LOGIN_WITHIN_S", 2.0)
        monkeypatch.setattr("drivers.opcua.requests.SESSIONLESS_S", 0.5)
        async with serve() as served, plain(served) as other:
            client = await alone(served)
            if end != "never there":
                await client.create_session()
            if end == "not activated":
                assert await asking(client).code("CloseSession") == "Good"
                await client.create_session()
            elif end != "never there":
                await client.activate_session()
            if end == "closed":
                await asyncio.sleep(2.2)
                assert len(addresses(served)) == 2, "a session keeps it"
                assert await asking(client).code("CloseSession") == "Good"
            elif end == "gone":
                third = await alone(served)
                await take_over(third, client)
            await wait(lambda: len(addresses(served)) == (2 if end == "gone" else 1))
            kept = asking(third if end == "gone" else other)
            assert (await kept.read(ua.NodeId(2255))).StatusCode.is_good()
            for each in (client, *([third] if end == "gone" else [])):
                each.disconnect_socket()

    asyncio.run(main())


def test_a_second_session_on_a_channel_is_refused_and_the_first_goes_on(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served, plain(served) as client, plain(served) as other:
            ask = asking(client)
            served.port.set("tank/level_pct", 1.0)
            await ask.watch(await ask.subscribe(60), LEVEL)
            mine = client.uaclient.protocol.authentication_token
            assert await ask.code("CreateSession") == "BadTooManySessions"
            client.uaclient.protocol.authentication_token = other.uaclient.protocol.authentication_token
            assert await ask.code("ActivateSession") == "BadSessionIdInvalid"
            client.uaclient.protocol.authentication_token = mine
            assert [each.Value.Value for each in asking.values(await ask.published())] == [1.0]
            assert (await ask.read(LEVEL)).Value.Value == 1.0
            assert (await asking(other).read(LEVEL)).Value.Value == 1.0

    asyncio.run(main())
