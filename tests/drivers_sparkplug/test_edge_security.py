"""TLS both ways, logins, MQTT 5, and brokers that do not let us in."""

import asyncio
import datetime
import ipaddress
import socket
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

pytestmark = pytest.mark.peer


class Authority:
    """Signs certificates of a day."""

    def __init__(self, name):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._signed(self.name, self.key, x509.BasicConstraints(True, None))

    def _signed(self, subject, key, *extensions):
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name)
        builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - datetime.timedelta(1)).not_valid_after(
            now + datetime.timedelta(1)
        )
        for each in extensions:
            builder = builder.add_extension(each, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def issue(self, folder, name):
        """Write `name.pem` and `name.key`; the certificate is for 127.0.0.1."""
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        pem = self._signed(subject, key, address).public_bytes(serialization.Encoding.PEM)
        (folder / f"{name}.pem").write_bytes(pem)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (folder / f"{name}.key").write_bytes(private)

    def write(self, file):
        file.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))


@pytest.mark.parametrize("mqtt", ["3.1.1", "5"])
def test_tls_both_ways(make_broker, listen, edge, tag, wait, free_port, tmp_path, mqtt):
    authority, other = Authority("ca"), Authority("other")
    authority.write(tmp_path / "ca.pem")
    other.write(tmp_path / "other.pem")
    authority.issue(tmp_path, "broker")
    authority.issue(tmp_path, "gateway")
    other.issue(tmp_path, "stranger")
    plain, secure = free_port(), free_port()
    lines = [
        f"listener {plain} 127.0.0.1",
        f"listener {secure} 127.0.0.1",
        f"cafile {tmp_path}/ca.pem",
        f"certfile {tmp_path}/broker.pem",
        f"keyfile {tmp_path}/broker.key",
        "require_certificate true",
    ]
    broker = make_broker(*lines, port=plain).start()
    url = f"mqtts://127.0.0.1:{secure}"
    good = {"ca": "ca.pem", "certificate": "gateway.pem", "key": "gateway.key", "mqtt": mqtt}

    async def refused(**config):
        node = edge([tag("a")], [url], **(good | config))
        async with node.running():
            await wait(lambda: node.fact("state") == "off" or not node.port.healthy)
        return node.port.health_text

    async def main():
        host = await listen(broker).ready()
        node = edge([tag("a")], [url], **good)
        async with node.running():
            await wait(lambda: node.fact("online"))
            node.port.set("a", 1.0)
            await wait(lambda: host.of("NDATA"))
        await wait(lambda: host.of("NDEATH"))
        if mqtt == "5":
            return host
        assert "not trusted" in await refused(ca="other.pem")
        assert "cannot be used" in await refused(key="broker.key")
        return host

    host = asyncio.run(main())
    assert [topic.split("/")[2] for topic, *_ in host.messages][:2] == ["NBIRTH", "NDATA"]


def test_a_login_is_asked_for_until_it_is_right(make_broker, edge, tag, wait, tmp_path):
    words = tmp_path / "words"
    subprocess.run(["mosquitto_passwd", "-c", "-b", words, "gateway", "right"], check=True)
    broker = make_broker(f"password_file {words}").start()
    secret = tmp_path / "secret"
    secret.write_text("wrong\n")
    node = edge([tag("a")], [broker.url], user="gateway", password_file="secret")

    async def main():
        async with node.running():
            await wait(lambda: node.fact("state") == "off")
            assert "not authorized" in node.port.health_text
            assert "driver.denied" in [event.kind for event in node.port.emitted]
            secret.write_text("right\n")
            recording = node.component.recorder.begin(10**11, 4_000)
            await wait(lambda: node.fact("online"))
            assert node.port.healthy
            async for piece in recording.pieces():
                data.append(piece)
                node.port.set("a", float(len(data)))
            recording.close()

    data = []
    asyncio.run(main())
    seen = b"".join(data)
    assert len(seen) <= 4_000
    assert b"MQTT\x04" in seen  # CONNECT, 3.1.1
    assert b"\x07gateway\x00\x05*****" in seen
    assert b"right" not in seen
    assert b"spBv1.0/group/NBIRTH/test" in seen
    assert seen.index(b"\x20\x02\x00\x00") > seen.index(b"gateway")  # CONNACK: both ways, in their order


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x20\x02\x00\x00\xff\xff\xff\xff\x7f",
        b"\x20\x02\x00\x00\x90\x01\x00",
        b"",
    ],
    ids=["http", "endless", "short", "closes"],
)
def test_what_is_no_broker_is_told_and_tried_again(edge, tag, wait, answer):
    async def main():
        met = 0

        async def serve(reader, writer):
            nonlocal met
            met += 1
            writer.write(answer)
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0, family=socket.AF_INET)
        port = server.sockets[0].getsockname()[1]
        node = edge([tag("a")], [f"mqtt://127.0.0.1:{port}"], timeout="200ms")
        async with node.running():
            await wait(lambda: met >= 3)
            assert not node.fact("online")
        server.close()

    asyncio.run(main())


def test_a_message_larger_than_any_is_hung_up_on(edge, tag, wait):
    sent = []

    async def main():
        async def flood(reader, writer):
            await reader.read(100)
            writer.write(b"\x20\x02\x00\x00\x30\xff\xff\xff\x7f")
            count = 0
            try:
                while count < 200:
                    writer.write(bytes(1 << 20))
                    await writer.drain()
                    count += 1
            except OSError:
                pass
            finally:
                sent.append(count)
                writer.close()

        server = await asyncio.start_server(flood, "127.0.0.1", 0, family=socket.AF_INET)
        port = server.sockets[0].getsockname()[1]
        node = edge([tag("a")], [f"mqtt://127.0.0.1:{port}"], timeout="20s")
        async with node.running():
            await wait(lambda: sent)
        server.close()

    asyncio.run(main())
    assert sent[0] < 40
