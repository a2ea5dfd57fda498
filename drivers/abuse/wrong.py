"""Attackers on secured channels, which cost the server its private key; a storm of wrong passwords."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

from asyncua import Client, ua
from asyncua.client.ua_client import UaClientState
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from drivers.abuse.target import FOE, Target
from drivers.opcua.certificate import own_certificate

URI = "urn:abuse"
REFUSED = (OSError, TimeoutError, EOFError, ua.UaError, AssertionError)
"""What asyncua's client raises where a server does not let it in; it asserts that a channel was opened."""
_AT_ONCE = 6


def make_certificate(folder: Path) -> None:
    """Make the certificate that clients show."""
    own_certificate(folder, URI, "abuse")


async def secured(url: str, folder: Path, user: str, password: str, timeout_s: float) -> Client:
    """Return a client that is not connected yet, with the certificate of a folder; nobody without a user."""
    client = Client(url, timeout=timeout_s, watchdog_intervall=timeout_s)
    client.application_uri = URI
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        folder / "certificate.der",
        folder / "key.pem",
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )
    if user:
        client.set_user(user)
        client.set_password(password)
    return client


def from_address(client: Client, source: str) -> None:
    """Let a client connect from an address of loopback: the library leaves that to the system."""
    uaclient = client.uaclient

    async def connect(host: str, port: int) -> None:
        uaclient._set_state(UaClientState.CONNECTING)
        loop = asyncio.get_running_loop()
        await loop.create_connection(uaclient._make_protocol, host, port, local_addr=(source, 0))
        uaclient._set_state(UaClientState.SOCKET_OPEN)

    uaclient.connect_socket = connect


@contextlib.asynccontextmanager
async def secured_foe(target: Target, user: str = "", password: str = "") -> AsyncIterator[Client]:
    """Give a client at the attacker's address that is not connected yet, and end it with the block."""
    url = f"opc.tcp://127.0.0.1:{target.opcua}/"
    client = await secured(url, target.client, user, password, 5.0)
    from_address(client, FOE)
    try:
        yield client
    finally:
        client.disconnect_socket()


async def wrong_passwords(target: Target, random: Random) -> None:
    """Log in with wrong passwords, as somebody who is known and as nobody."""

    async def storm() -> None:
        while True:
            name = random.choice(("victor", "nobody", f"nobody{random.randrange(10_000)}"))
            async with secured_foe(target, name, "wrong") as client:
                target.count("OPC UA logins with a wrong password")
                with contextlib.suppress(*REFUSED):
                    await client.connect()
            await target.wait(0.01)

    async with asyncio.TaskGroup() as group:
        for _ in range(_AT_ONCE):
            group.create_task(storm())
