"""A storm of logins with wrong passwords, over channels that cost the server its private key."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
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
    """Make the certificate that clients show.

    Not in a thread: one that outlives its folder would fail the campaign.
    """
    own_certificate(folder, URI, "abuse")


async def secured(url: str, folder: Path, user: str, password: str, timeout_s: float) -> Client:
    """Return a client that is not connected yet, with the certificate of a folder."""
    client = Client(url, timeout=timeout_s, watchdog_intervall=timeout_s)
    client.application_uri = URI
    await client.set_security(
        SecurityPolicyBasic256Sha256,
        folder / "certificate.der",
        folder / "key.pem",
        mode=ua.MessageSecurityMode.SignAndEncrypt,
    )
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


async def wrong_passwords(target: Target, random: Random) -> None:
    """Log in with wrong passwords, as somebody who is known and as nobody."""
    with tempfile.TemporaryDirectory(prefix="ironworks-abuse-") as folder:
        make_certificate(Path(folder))

        async def storm() -> None:
            while True:
                name = random.choice(("victor", "nobody", f"nobody{random.randrange(10_000)}"))
                client = await secured(
                    f"opc.tcp://127.0.0.1:{target.opcua}/", Path(folder), name, "wrong", 5.0
                )
                from_address(client, FOE)
                target.count("OPC UA logins with a wrong password")
                try:
                    with contextlib.suppress(*REFUSED):
                        await client.connect()
                finally:
                    client.disconnect_socket()
                await target.wait(0.01)

        async with asyncio.TaskGroup() as group:
            for _ in range(_AT_ONCE):
                group.create_task(storm())
