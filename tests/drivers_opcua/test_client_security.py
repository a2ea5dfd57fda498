"""Whom the client believes, and how it logs in: nobody is trusted at first use, refusals say what to do."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager
from typer.testing import CliRunner

from drivers.cli import app
from drivers.opcua.certificate import VALID_DAYS, own_certificate
from drivers.opcua.chaos.process import free_port
from drivers.opcua.expiry import Expiry, declare_expiry
from drivers.opcua.trust import TrustList, fingerprint
from runtime.clock import WallClock
from runtime.contract import Access, DataType, Quality
from runtime.errors import PlantError
from runtime.testing import FakePort

GOOD = int(Quality.GOOD)
POLICIES = ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
OFFERED = [
    ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
    ua.SecurityPolicyType.Basic256Sha256_Sign,
    ua.SecurityPolicyType.Aes128Sha256RsaOaep_SignAndEncrypt,
    ua.SecurityPolicyType.Aes256Sha256RsaPss_SignAndEncrypt,
]


class Users(UserManager):
    def get_user(self, iserver, username=None, password=None, certificate=None):
        known = username is None or (username, password) == ("anna", "geheim")
        if b"user:" in (certificate or b""):  # of the connection, where no user shows one
            known = b"user:anna" in certificate
        return User(UserRole.Admin) if known else None


@pytest.fixture(scope="session")
def server_identity(tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    certificate, _ = own_certificate(folder, "urn:peer", "peer")
    return folder, certificate


def secured(identity, number):
    """Return a stock server that speaks nothing in the clear."""

    async def make():
        folder, _ = identity
        server = Server(user_manager=Users())
        await server.init()
        await server.set_application_uri("urn:peer")
        server.set_endpoint(f"opc.tcp://127.0.0.1:{number}")
        server.set_security_policy(OFFERED)
        await server.load_certificate(folder / "certificate.der")
        await server.load_private_key(folder / "key.pem")
        space = await server.register_namespace("urn:plc")
        node = await server.nodes.objects.add_variable(ua.NodeId("a", space), "a", 7, ua.VariantType.Int32)
        await node.set_writable()
        return server

    return make()


def write_plant(folder, url):
    lines = ["plant: chaos", "root: site/area/line", "tags: tags.csv", "drivers:"]
    lines.append(
        f"  - {{name: io, kind: opcua.client, urls: ['{url}'], security: Basic256Sha256, timeout: 60s}}"
    )
    (folder / "plant.yaml").write_text("\n".join(lines) + "\n")


def ironworks(*arguments):
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_an_unknown_certificate_is_refused_until_somebody_trusts_it(
    side, tag, run, wait, server_identity, tmp_path
):
    number = free_port()
    url = f"opc.tcp://127.0.0.1:{number}"
    write_plant(tmp_path, url)
    plant = side([tag("a", DataType.DINT, "ns=2;s=a")], url, security="Basic256Sha256")
    port = plant.port

    async def main():
        async with await secured(server_identity, number), run(plant):
            await wait(lambda: port.value("sys/drivers/io/state") == "off")
            assert port.quality("a") == Quality.BAD_NO_COMMUNICATION
            await wait(lambda: "is not trusted" in port.health_text)
            (start,) = re.findall(r"ironworks drivers trust io (\w{16})", port.health_text)
            listed = json.loads(ironworks("trust", "io", "--plant", str(tmp_path), "--json"))
            (shown,) = listed["certificates"]
            assert shown["fingerprint"].startswith(start)
            assert (shown["trusted"], shown["uris"]) == (False, ["urn:peer"])
            said = ironworks("trust", "io", start, "--plant", str(tmp_path))
            assert "is trusted" in said
            await wait(lambda: port.value("a") == 7 and port.quality("a") == GOOD)
            asked = ("browse", "io", "--plant", str(tmp_path), "--json")
            browsed = json.loads(await asyncio.to_thread(ironworks, *asked))
            wanted = {"path": "io/a", "type": "DINT", "access": "rw", "address": "nsu=urn:plc;s=a"}
            assert browsed["tags"] == [wanted]

    asyncio.run(main())


def test_every_policy_and_login_works_and_a_wrong_password_is_told(
    side, tag, run, wait, server_identity, tmp_path, monkeypatch
):
    monkeypatch.setenv("RIGHT", "geheim")
    monkeypatch.setenv("WRONG", "falsch")
    number = free_port()
    url = f"opc.tcp://127.0.0.1:{number}"
    TrustList(tmp_path / ".ironworks" / "opcua" / "io").add(server_identity[0] / "certificate.der")

    def make(**config):
        tags = [tag("a", DataType.DINT, "ns=2;s=a", access=Access.READ_WRITE)]
        return side(tags, url, **({"keep_alive": "20s", "security": "Basic256Sha256"} | config))

    good = [make(security=each, user="anna", password_env="RIGHT") for each in POLICIES]
    good.append(make(sign_only=True))
    wrong = make(user="anna", password_env="WRONG")
    unoffered = make(security="Aes256_Sha256_RsaPss", sign_only=True)
    missing = make(user="anna", password_env="NEVER_SET")
    for name in ("anna", "otto"):
        own_certificate(tmp_path / name, f"user:{name}", name)
    shown = make(user_certificate="anna/certificate.der", user_key="anna/key.pem")
    good.append(shown)
    stranger = make(user_certificate="otto/certificate.der", user_key="otto/key.pem")
    mixed = make(user_certificate="anna/certificate.der", user_key="otto/key.pem")

    async def main():
        async with (
            await secured(server_identity, number),
            run(*good, wrong, missing, unoffered, stranger, mixed),
        ):
            for number_, plant in enumerate(good):
                await wait(lambda plant=plant: plant.port.value("a") is not None)
                assert await plant.port.command("a", number_) is None
            await wait(lambda: "does not take user 'anna'" in wrong.port.health_text)
            assert wrong.port.value("sys/drivers/io/state") == "off"
            assert "driver.denied" in {each.kind for each in wrong.port.emitted}
            await wait(lambda: "NEVER_SET is not set" in missing.port.health_text)
            await wait(lambda: "offer Aes256_Sha256_RsaPss with Sign; it" in unoffered.port.health_text)
            assert "Basic256Sha256 (Sign)" in unoffered.port.health_text
            await wait(lambda: "does not take the certificate of" in stranger.port.health_text)
            await wait(lambda: "is not the key of anna/certificate.der" in mixed.port.health_text)
            for kind in ("certificate", "peer_certificate", "user_certificate"):
                assert shown.port.value(f"sys/drivers/io/{kind}_days") == VALID_DAYS - 1

    asyncio.run(main())


def test_days_until_a_certificate_ends_are_told_and_alarmed():
    declared = declare_expiry("io", ("certificate",), {"certificate": "renew it"})
    (alarm,) = declared.alarms
    assert (alarm.name, alarm.kind, alarm.limit) == ("io.certificate", "low", 30)
    port = FakePort(declared.tags, "io", "a/b/c", WallClock())
    expiry = Expiry("io", ("certificate",), port)
    for days, told in ((31.5, 31), (29.5, 29), (0.5, 0), (-0.5, -1)):
        expiry.take({"certificate": datetime.now(UTC) + timedelta(days=days)})
        assert port.value("sys/drivers/io/certificate_days") == told
    count = len(port.submitted)
    expiry.tell()
    assert len(port.submitted) == count


def test_a_renewed_certificate_has_the_same_key_and_is_used_from_then_on(tmp_path):
    write_plant(tmp_path, "opc.tcp://127.0.0.1:4840")
    folder, uri = tmp_path / ".ironworks" / "opcua" / "io", "urn:ironworks:chaos:io"
    old, key = own_certificate(folder, uri, "Ironworks io")
    said = json.loads(ironworks("renew", "io", "--plant", str(tmp_path), "--json"))
    new, kept = own_certificate(folder, uri, "Ironworks io")
    assert kept.public_key() == key.public_key() == new.public_key()
    assert old != new
    assert fingerprint((folder / "certificate.der").read_bytes()) == said["fingerprint"]


def test_an_authority_covers_what_it_issued_and_the_list_is_bounded(tmp_path):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    now = datetime(2026, 6, 1, tzinfo=UTC)

    def issue(name, key, issuer, issuer_key, is_ca):
        def named(text):
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=10))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
        )
        return builder.sign(issuer_key, hashes.SHA256())

    ca_key, key, other_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    authority = issue("ca", ca_key, "ca", ca_key, True)
    leaf = issue("leaf", key, "ca", ca_key, False).public_bytes(Encoding.DER)
    forged = issue("leaf", key, "ca", other_key, False).public_bytes(Encoding.DER)
    below = issue("below", other_key, "leaf", key, False).public_bytes(Encoding.DER)
    trust = TrustList(tmp_path)
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.public_bytes(Encoding.PEM))
    assert not trust.trusts(leaf, now)
    trust.add(file)
    assert trust.trusts(leaf, now)
    assert not trust.trusts(leaf, now + timedelta(days=11))  # expired
    assert not trust.trusts(forged, now)
    assert not trust.trusts(below, now)
    for _ in range(30):
        trust.reject(issue("x", key, "x", key, False).public_bytes(Encoding.DER))
    rejected = [each for each in trust.list() if not each.trusted]
    assert len(rejected) == 20
    with pytest.raises(PlantError, match="no rejected certificate begins with 'zz'"):
        trust.accept("zz")
    accepted = trust.accept(rejected[0].fingerprint[:20].upper())
    assert accepted.fingerprint in {each.fingerprint for each in trust.list() if each.trusted}
    trust.withdraw(accepted.fingerprint)
    assert len([each for each in trust.list() if not each.trusted]) == 20
    (tmp_path / "trusted" / "broken.der").write_bytes(b"nonsense")
    with pytest.raises(PlantError, match=r"broken\.der is no certificate"):
        trust.list()
