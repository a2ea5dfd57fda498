"""Who comes in on TCP: so many in all, from an address and within a handshake; others are closed at once."""

import asyncio
import contextlib
import socket
import ssl

import pytest

from runtime.api import door as door_module
from runtime.api.door import CONNECTIONS, HANDSHAKES_PER_ADDRESS, PER_ADDRESS, Door, counted
from runtime.clock import WallClock

FOE, FRIEND = "127.0.0.66", "127.0.0.2"


class Greeting(asyncio.Protocol):
    """A server that says hello, and stays."""

    def __init__(self, inside):
        self.inside = inside

    def connection_made(self, transport):
        self.inside.append(transport)
        transport.write(b"hello")


class Entrance:
    """A door on a port of loopback; `there` are addresses of connections that were let in before."""

    def __init__(self, context=None):
        self.there = []
        self.inside = []
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=300)
        self.listening.setblocking(False)
        self.door = Door(lambda: Greeting(self.inside), self.present, context, WallClock())

    def present(self):
        return [*self.there, *(each.get_extra_info("peername")[0] for each in self.inside)]

    async def knock(self, source):
        """Connect from an address; give what is said, empty where the door is closed."""
        port = self.listening.getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
        said = b""
        with contextlib.suppress(ConnectionResetError):
            said = await reader.read(5)
        if not said:
            writer.close()
        return said


@contextlib.asynccontextmanager
async def entrance(context=None):
    made = Entrance(context)
    serving = asyncio.create_task(made.door.serve(made.listening))
    async with asyncio.timeout(60):
        try:
            yield made
        finally:
            serving.cancel()
            await asyncio.wait([serving])
            for each in made.inside:
                each.abort()
            made.listening.close()


@pytest.fixture
def outside(monkeypatch):
    """Addresses of loopback are taken for a network's."""
    monkeypatch.setattr(door_module, "is_loopback", lambda _: False)


def test_an_address_of_the_network_has_so_many_connections(outside, monkeypatch):
    monkeypatch.setattr(door_module, "PER_ADDRESS", 3)

    async def main():
        async with entrance() as there:
            assert [await there.knock(FOE) for _ in range(5)] == [b"hello"] * 3 + [b""] * 2
            assert await there.knock(FRIEND) == b"hello"
            assert there.door.turned_away == 2
            there.inside.pop(0).abort()  # one goes, one comes
            assert await there.knock(FOE) == b"hello"

    asyncio.run(main())


def test_accounts_of_this_machine_leave_room_for_the_network():
    async def main():
        async with entrance() as there:
            there.there = [FOE] * (CONNECTIONS - PER_ADDRESS - 1)
            assert [await there.knock(FOE) for _ in range(2)] == [b"hello", b""]
            assert await there.knock(FRIEND) == b"hello"
            there.there += ["10.0.0.7"] * (CONNECTIONS - len(there.present()))
            assert await there.knock(FRIEND) == b""

    asyncio.run(main())


def test_who_does_not_shake_hands_is_let_go_and_keeps_nobody_out(outside, monkeypatch):
    monkeypatch.setattr(door_module, "HANDSHAKE_S", 0.5)

    async def main():
        async with entrance(lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)) as there:
            async with asyncio.TaskGroup() as group:
                foes = [group.create_task(there.knock(FOE)) for _ in range(HANDSHAKES_PER_ADDRESS + 2)]
            assert {each.result() for each in foes} == {b""}
            assert there.door.turned_away == HANDSHAKES_PER_ADDRESS + 2
            assert there.door._opening == []
            assert there.inside == []

    asyncio.run(main())


def test_without_a_certificate_nobody_comes_in():
    async def main():
        async with entrance(lambda: None) as there:
            assert await there.knock(FRIEND) == b""
            assert there.door.turned_away == 1

    asyncio.run(main())


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("::ffff:10.0.0.7", "10.0.0.7"),
        ("::1", "::1"),
        ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::"),
        ("fe80::1%eth0", "fe80::"),
    ],
)
def test_a_network_of_ipv6_counts_as_one_address(host, address):
    assert counted(host) == address
