"""How a device wants to be asked: one by one, slowly, with other functions, elsewhere; and within TLS."""

import asyncio
import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from drivers.frame.connection import Traffic
from drivers.modbus.address import Table
from drivers.modbus.client import ClientConfig
from drivers.modbus.listener import Listener
from drivers.modbus.messages import Request
from drivers.modbus.server import ServerConfig
from drivers.modbus.transport import Manner
from drivers.modbus.ways import TlsConfig, to_socket
from runtime.contract import Access, DataType, Quality
from runtime.errors import ConnectError


class Device:
    """Answers reads with 7 everywhere, takes every write, and notes what it was asked and when."""

    def __init__(self, silent=()):
        self.asked = []
        self.at = []
        self.silent = set(silent)

    def __call__(self, unit, message):
        self.asked.append((unit, message))
        self.at.append(asyncio.get_running_loop().time())
        if unit in self.silent:
            return b""
        if message[0] in (3, 4):
            count = int.from_bytes(message[3:5], "big")
            return bytes([message[0], 2 * count]) + b"\0\7" * count
        return message[:5]

    @property
    def functions(self):
        return {message[0] for _, message in self.asked}


def with_device(side, tags, body, device=None, **config):
    device = device or Device()

    async def main():
        listener = Listener(device, 4, 10**12)
        port = await listener.open("127.0.0.1", 0)
        client = side(tags, "client", **({"port": port} | config))
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            polling = client.start(group)
            await body(client, device)
            polling.cancel()
        listener.close()

    asyncio.run(main())


def test_single_reads_ask_for_each_tag_by_itself_and_pause_waits_in_between(side, tag, wait):
    tags = [tag(f"a{number}", DataType.INT, f"3000{number}") for number in range(1, 6)]
    tags += [tag("bit1", DataType.BOOL, "30009.1"), tag("bit2", DataType.BOOL, "30009.2")]

    async def body(client, device):
        await wait(lambda: len(device.asked) >= 12)
        asked = {(message[2], message[4]) for _, message in device.asked}
        assert asked == {(row, 1) for row in (0, 1, 2, 3, 4, 8)}
        gaps = [after - before for before, after in zip(device.at, device.at[1:], strict=False)]
        assert min(gaps) > 0.014
        assert client.port.value("bit1") is True

    with_device(side, tags, body, single_reads=True, pause="15ms")


@pytest.mark.parametrize(
    ("writes", "functions"), [("auto", {5, 16}), ("multiple", {15, 16}), ("single", {5, 6})]
)
def test_writes_use_the_functions_that_the_device_knows(side, tag, wait, writes, functions):
    tags = [
        tag("coil", DataType.BOOL, "00001", source="plc"),
        tag("a", DataType.INT, "40001", source="plc"),
        tag("b", DataType.INT, "40002", source="plc"),
    ]

    async def body(client, device):
        for name, value in (("coil", True), ("a", 1), ("b", 2)):
            client.port.set(name, value)
        await wait(lambda: device.functions == functions)

    with_device(side, tags, body, writes=writes, verify=False)


def test_a_silent_unit_is_asked_for_one_place_and_all_comes_back_when_it_answers(side, tag, wait):
    tags = [tag(f"a{row}", DataType.INT, f"2!3{row * 200 + 1:04d}") for row in range(5)]
    tags += [tag("wide", DataType.LREAL, "2!40001"), tag("other", DataType.INT, "1!30001")]
    names = [each.path.rpartition("/")[2] for each in tags[:6]]
    device = Device(silent={2})

    async def body(client, device):
        await wait(lambda: all(client.port.quality(name) == Quality.BAD_NO_COMMUNICATION for name in names))
        device.asked.clear()

        def asked(which):
            return sum(unit == which for unit, _ in device.asked)

        await wait(lambda: 2 <= asked(2) < asked(1))
        assert {message[3:5] for unit, message in device.asked if unit == 2} == {b"\0\1"}
        await wait(lambda: client.port.quality("other") == Quality.GOOD)
        device.silent.clear()
        await wait(lambda: all(client.port.quality(name) == Quality.GOOD for name in names))

    with_device(side, tags, body, device, timeout="500ms")


def test_the_backup_address_is_gone_over_to_and_the_first_is_tried_again_later(side, tag, wait, free_port):
    async def main():
        first, second = Listener(Device(), 4, 10**12), Listener(Device(), 4, 10**12)
        one, two = await first.open("127.0.0.1", free_port()), await second.open("127.0.0.1", 0)
        backup = {"host": "127.0.0.1", "port": two}
        client = side([tag("a", DataType.INT, "30001")], "client", port=one, backup=backup)
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            polling = client.start(group)
            await wait(lambda: client.port.value("a") == 7)
            first.close()
            await wait(lambda: second.connections and client.port.quality("a") == Quality.GOOD)
            assert "driver.backup" in [event.kind for event in client.port.emitted]
            first = Listener(Device(), 4, 10**12)
            await first.open("127.0.0.1", one)
            second.close()
            await wait(lambda: first.connections and client.port.quality("a") == Quality.GOOD)
            polling.cancel()
        first.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({}, "either `host` or `serial`"),
        ({"host": "plc", "serial": {"device": "/dev/ttyS0"}}, "either `host` or `serial`"),
        ({"serial": {"device": "/dev/ttyS0"}, "backup": {"host": "b"}}, "go with `host`"),
        ({"serial": {"device": "ttyS0"}}, "device"),
        ({"serial": {"device": "/dev/ttyS0", "baud": 9601}}, "baud"),
        ({"host": "plc", "framing": "rtu", "pipeline": 4}, "one request at a time"),
        ({"host": "plc", "pause": "20ms", "pipeline": 4}, "exclude each other"),
    ],
    ids=["none", "both", "backup", "name", "baud", "pipeline", "pause"],
)
def test_what_does_not_go_together_is_refused(config, says):
    with pytest.raises(ValidationError, match=says):
        ClientConfig(name="io", kind="modbus.client", **config)


def test_a_server_on_a_line_has_no_host():
    with pytest.raises(ValidationError, match="do not go with `serial`"):
        ServerConfig(name="io", kind="modbus.server", host="127.0.0.1", serial={"device": "/dev/ttyS0"})


def test_two_drivers_on_one_line_and_files_that_are_not_there_are_told(side, tag, plant):
    serial = {"device": "/dev/ttyS0"}
    second = side([tag("a", DataType.INT, "30001")], "client", serial=serial)
    head = second.plant.head
    first = {"name": "one", "kind": "modbus.client", "serial": serial}
    object.__setattr__(head, "drivers", [first, {"name": "io", "kind": "modbus.client", "serial": serial}])
    (found,) = second.plugin.check(second.plant, second.config, ("drivers", 1))
    assert "one has /dev/ttyS0" in found.text
    assert "3!40001" in found.remedy
    files = {"authority": "ca.pem", "certificate": "c.pem", "key": "k.pem"}
    secure = side([tag("a", DataType.INT, "30001")], "client", port=802, tls=files)
    assert [
        each.text.partition("no file")[1] for each in secure.plugin.check(secure.plant, secure.config, ())
    ] == ["no file"] * 3


# TLS.


def certificate(folder, name, signer=None):
    """Write a certificate for loopback, and its key; return both and the file names."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(signer[0].subject if signer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signer[1] if signer else key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return made, key


def test_tls_takes_a_certificate_from_both_sides(side, tag, wait, tmp_path):
    authority = certificate(tmp_path, "authority")
    certificate(tmp_path, "device", authority)
    certificate(tmp_path, "master", authority)
    certificate(tmp_path, "stranger")

    def files(own, authority="authority", **more):
        names = {"authority": authority, "certificate": own}
        return (
            {key: str(tmp_path / f"{name}.pem") for key, name in names.items()}
            | {"key": str(tmp_path / f"{own}.key")}
            | more
        )

    def way(port, tls):
        config = None if tls is None else TlsConfig(**tls)
        return to_socket(tmp_path, "127.0.0.1", port, Manner(timeout_s=60.0), tls=config)

    async def main():
        server = side([tag("a", DataType.INT, "30001", source="twin")], "server", tls=files("device"))
        async with asyncio.TaskGroup() as group, asyncio.timeout(60):
            tasks = [server.start(group)]
            await server.component.listening.wait()
            server.port.set("a", 5)
            tags, port = [tag("a", DataType.INT, "30001")], server.component.port
            good = side(tags, "client", port=port, tls=files("master", name="device"))
            tasks.append(good.start(group))
            await wait(lambda: good.port.value("a") == 5)
            for tls in (files("master", name="another"), files("master", "stranger", name="device")):
                with pytest.raises(ConnectError, match="is not believed"):
                    await way(port, tls)(Traffic(), lambda: None)
            for tls in (None, files("stranger", name="device")):
                transport = await way(port, tls)(Traffic(), lambda: None)
                with pytest.raises(ConnectError):
                    await transport.exchange([Request(1, Table.INPUT_REGISTER, 0, 1)])
            for task in tasks:
                task.cancel()

    asyncio.run(main())


class Registers(Device):
    """One holding register that others change too; it may know function 22."""

    def __init__(self, has_masks):
        super().__init__()
        self.has_masks, self.word = has_masks, 0x0F00

    def __call__(self, unit, message):
        self.asked.append((unit, message))
        if message[0] == 3:
            return b"\x03\x02" + self.word.to_bytes(2, "big")
        if message[0] == 6:
            self.word = int.from_bytes(message[3:5], "big")
            return message
        if not self.has_masks:
            return bytes([message[0] | 0x80, 1])
        keep, put = int.from_bytes(message[3:5], "big"), int.from_bytes(message[5:7], "big")
        self.word = (self.word & keep) | (put & ~keep & 0xFFFF)
        return message


@pytest.mark.parametrize("has_masks", [True, False], ids=["knows-22", "does-not"])
def test_bits_are_changed_by_the_device_itself_where_it_can(side, tag, wait, has_masks):
    tags = [
        tag("run", DataType.BOOL, "40001.0", source="plc"),
        tag("fast", DataType.BOOL, "40001.9#BADC", source="plc"),
        tag("lamp", DataType.BOOL, "40001.15", access=Access.READ_WRITE),
    ]

    async def body(client, device):
        await wait(lambda: client.port.value("lamp") is False)
        client.port.set("run", True)
        client.port.set("fast", True)
        await wait(lambda: device.word == 0x0F03)  # bytes swapped: bit 9 is bit 1 of the wire's register
        assert await client.port.command("lamp", True) is None
        assert device.word == 0x8F03
        client.port.set("run", False)
        await wait(lambda: device.word == 0x8F02)
        assert device.functions == ({3, 22} if has_masks else {3, 6, 22})
        told = [event.kind for event in client.port.emitted].count("driver.mask_refused")
        assert told == (0 if has_masks else 1)
        assert sum(message[0] == 22 for _, message in device.asked) >= 3 or not has_masks

    with_device(side, tags, body, Registers(has_masks), mask_writes=True)


def test_of_neighbours_that_are_refused_together_the_good_ones_are_written(side, tag, wait):
    class Picky(Device):
        def __call__(self, unit, message):
            answer = super().__call__(unit, message)
            start, last = int.from_bytes(message[1:3], "big"), message[0] == 16 and message[4]
            return bytes([message[0] | 0x80, 2]) if start <= 1 < start + (last or 1) else answer

    tags = [tag(f"out{number}", DataType.INT, f"4000{number + 1}", source="plc") for number in range(3)]

    async def body(client, device):
        for number in range(3):
            client.port.set(f"out{number}", number + 5)
        await wait(lambda: {b"\x06\0\0\0\5", b"\x06\0\2\0\7"} <= {message for _, message in device.asked})
        await wait(lambda: "driver.write_refused" in [event.kind for event in client.port.emitted])
        (told,) = [event for event in client.port.emitted if event.kind == "driver.write_refused"]
        assert "out1" in told.text

    with_device(side, tags, body, Picky())


@pytest.mark.parametrize("deadband", [5, "5%"])
def test_small_changes_stay_untold_where_a_deadband_says_so(side, tag, wait, deadband):
    class Drifting(Device):
        level, beat = 100, 0

        def __call__(self, unit, message):
            super().__call__(unit, message)
            return b"\x04\x04" + self.level.to_bytes(2, "big") + self.beat.to_bytes(2, "big")

    tags = [tag("level", DataType.INT, "30001", low=50.0, high=150.0), tag("beat", DataType.INT, "30002")]

    async def body(client, device):
        for beat, level in zip(range(10, 50, 10), (100, 104, 96, 106), strict=True):
            device.level, device.beat = level, beat
            await wait(lambda beat=beat: client.port.value("beat") == beat)
        await wait(lambda: client.port.value("level") == 106)
        id_ = client.port.tags["level"].id
        told = [row.raw for batch in client.port.submitted for row in batch if row.id == id_]
        assert told == [100, 106]

    with_device(side, tags, body, Drifting(), deadband=deadband)


def test_a_write_to_a_silent_unit_is_answered_at_once(side, tag, wait):
    tags = [
        tag("there", DataType.INT, "1!40001", access=Access.READ_WRITE),
        tag("gone", DataType.INT, "2!40001", access=Access.READ_WRITE),
    ]

    async def body(client, device):
        await wait(lambda: "no answer from unit 2" in client.port.health_text)
        device.asked.clear()
        assert await client.port.command("gone", 5) == "unit 2 does not answer"
        assert not [message for unit, message in device.asked if unit == 2 and message[0] == 6]
        assert await client.port.command("there", 7) is None
        device.silent.clear()
        await wait(lambda: client.port.quality("gone") == Quality.GOOD)
        assert await client.port.command("gone", 7) is None

    with_device(side, tags, body, Device(silent={2}), timeout="500ms")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"", "the device does not answer: whether the value arrived is not known"),
        (
            b"\x86\5",
            "the device answers with exception 5 (acknowledge): whether the value arrived is not known",
        ),
        (b"\x86\x0b", "whether the value arrived is not known"),
        (b"\x86\4", "the device refuses: exception 4 (server device failure)"),
    ],
)
def test_only_a_refusal_of_a_write_says_that_the_value_did_not_arrive(side, tag, wait, answer, told):
    class Undecided(Device):
        def __call__(self, unit, message):
            return answer if message[0] == 6 else super().__call__(unit, message)

    async def body(client, device):
        await wait(lambda: client.port.quality("sp") == Quality.GOOD)
        assert (await client.port.command("sp", 5)).endswith(told)

    tags = [tag("sp", DataType.INT, "40001", access=Access.READ_WRITE)]
    with_device(side, tags, body, Undecided(), timeout="30s" if answer else "500ms")


def test_what_a_program_produces_beyond_the_range_is_written_as_the_limit_and_told_once(side, tag, wait):
    tags = [tag("valve", DataType.INT, "40001", source="plc", low=0.0, high=100.0)]

    async def body(client, device):
        for value, written in ((50, 50), (120, 100), (130, 100), (-5, 0), (60, 60)):
            device.asked.clear()
            client.port.set("valve", value)
            meant = b"\x06\0\0" + written.to_bytes(2, "big")
            await wait(lambda meant=meant: meant in [message for _, message in device.asked])
        told = [event.text for event in client.port.emitted if event.kind == "driver.write_held"]
        assert told == [
            f"io is given {client.port.tags['valve'].path} beyond its range: the limit is written"
        ]

    with_device(side, tags, body)


class Store(Device):
    """Keeps what function 6 writes, but for one register that is stuck, and one that cannot be read."""

    def __init__(self):
        super().__init__()
        self.words = {}

    def __call__(self, unit, message):
        super().__call__(unit, message)
        start = int.from_bytes(message[1:3], "big")
        if message[0] == 6:
            self.words[start] = 5 if start == 2 else int.from_bytes(message[3:5], "big")
            return message
        return b"\x83\x02" if start == 4 else b"\x03\x02" + self.words.get(start, 0).to_bytes(2, "big")


def test_what_programs_write_is_read_back_and_what_the_device_does_not_keep_is_told_once(side, tag, wait):
    tags = [
        tag("good", DataType.INT, "40001", source="plc"),
        tag("stuck", DataType.INT, "40003", source="plc"),
        tag("blind", DataType.INT, "40005", source="plc"),
        tag("bit", DataType.BOOL, "40007.3", source="plc"),
        tag("scaled", DataType.REAL, "40009:int16*0.1", source="plc"),
    ]

    def told(client):
        return [event.text for event in client.port.emitted if event.kind == "driver.write_differs"]

    async def body(client, device):
        for name, value in (("good", 1), ("stuck", 2), ("blind", 3), ("bit", True), ("scaled", 1.27)):
            client.port.set(name, value)
        await wait(lambda: told(client))
        await wait(lambda: "1 outputs are not as written" in client.port.health_text)
        path = client.port.tags["stuck"].path
        for value in (3, 4):
            client.port.set("stuck", value)
            client.port.set("blind", value)
            await wait(lambda value=value: device.asked[-1] == (1, b"\x03\0\2\0\1"))
        assert told(client) == [f"io does not keep what is written: {path}"]
        blind = (1, b"\x03\0\4\0\1")
        await wait(lambda: blind in device.asked)
        assert device.asked.count(blind) == 1
        client.port.set("stuck", 5)
        await wait(lambda: not client.port.health_text)

    with_device(side, tags, body, Store())
