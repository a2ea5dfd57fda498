"""Certificates of clients that hurt: keys too small or too large, and floods of them."""

from __future__ import annotations

import asyncio
import secrets
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from drivers.abuse.raw import Raw, framed
from drivers.opcua.admission import UNTRUSTED, Admission
from drivers.opcua.few import MOST
from drivers.opcua.keys import UnfitKeyError, check_key
from drivers.opcua.trust import MAX_REJECTED, MAX_REJECTED_OF, TrustList, fingerprint
from runtime.clock import SECOND_NS, ManualClock, monotonic_ns

POLICY = b"http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
BAD_SECURITY_CHECKS_FAILED = 0x8013_0000
SIGNER = ec.generate_private_key(ec.SECP256R1())
FOE, FRIEND = "10.0.0.66", "10.0.0.2"


def rsa_of(bits: int, exponent: int = 65_537) -> Any:
    """A public key of that size; nobody has its private one."""
    return rsa.RSAPublicNumbers(exponent, secrets.randbits(bits) | 1 << bits - 1 | 1).public_key()


def certificate(key: Any, name: str = "client") -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key)
    begins = datetime(2026, 1, 1, tzinfo=UTC)
    made = made.not_valid_before(begins).not_valid_after(begins + timedelta(days=9_999)).serial_number(1)
    return made.sign(SIGNER, hashes.SHA256())


@pytest.mark.parametrize(
    ("key", "why"),
    [
        pytest.param(rsa_of(2_047), "2047 bits", id="small"),
        pytest.param(rsa_of(4_104), "4104 bits", id="large"),
        pytest.param(rsa_of(2_048, 2**33 + 1), "exponent", id="exponent"),
        pytest.param(SIGNER.public_key(), "not RSA", id="ec"),
    ],
)
def test_a_key_that_no_policy_allows_is_refused(key: Any, why: str) -> None:
    with pytest.raises(UnfitKeyError, match=why):
        check_key(certificate(key))


def test_keys_that_policies_allow_are_taken() -> None:
    for bits in (2_048, 3_072, 4_096):
        check_key(certificate(rsa_of(bits)))


def test_a_huge_key_ends_the_connection_before_it_costs_anything(serve: Any) -> None:
    """The stock server computes with it."""
    shown = certificate(rsa_of(16_384)).public_bytes(Encoding.DER)

    async def opened(port: int) -> tuple[bytes, int]:
        raw = await Raw.connect(port)
        await raw.hello()
        head = struct.pack("<Ii", 0, len(POLICY)) + POLICY + struct.pack("<i", len(shown)) + shown
        raw.send(framed(b"OPN", head + struct.pack("<i", 20) + bytes(20) + bytes(256)))
        said = await raw.receive()
        assert said is not None
        assert await raw.receive() is None
        raw.close()
        return said[0], struct.unpack_from("<I", said[1])[0]

    async def main() -> None:
        async with serve() as served:
            port = int(served.url.rstrip("/").rpartition(":")[2])
            for _ in range(2):
                assert await opened(port) == (b"ERRF", BAD_SECURITY_CHECKS_FAILED)
            told = [each.text for each in served.port.emitted if each.kind == "driver.client_refused"]
            assert told == ["opcua refused CN=client: its key has 16384 bits, allowed are 2048 to 4096"]

    asyncio.run(main())


def test_a_stranger_pushes_no_certificate_of_others_out_of_the_list(tmp_path: Path) -> None:
    trust = TrustList(tmp_path)
    friends = [f"friend {number}".encode() for number in range(MAX_REJECTED - MAX_REJECTED_OF)]

    def listed() -> set[str]:
        return {file.stem for file in (tmp_path / "rejected").iterdir()}

    for number, each in enumerate(friends):
        trust.reject(each, f"10.0.1.{number}")
    for number in range(50):
        trust.reject(f"foe {number}".encode(), FOE)
    assert len(listed()) == MAX_REJECTED
    assert {fingerprint(each) for each in friends} <= listed()
    assert fingerprint(b"foe 49") in listed()  # who is being set up sees the newest
    trust.reject(b"late", FRIEND)
    assert fingerprint(b"late") in listed()
    assert {fingerprint(each) for each in friends} <= listed()
    for number in range(50):
        TrustList(tmp_path).reject(f"after a restart {number}".encode(), f"10.0.2.{number}")
    assert len(listed()) == MAX_REJECTED


def test_a_flood_of_certificates_does_not_drown_the_log(tmp_path: Path) -> None:
    clock, told = ManualClock(), []
    admission = Admission(tmp_path, True, clock, lambda subject, _print, why: told.append((subject, why)))
    key = rsa_of(2_048)
    for number in range(MOST + 5):
        shown = certificate(key, f"foe {number}").public_bytes(Encoding.DER)
        assert not admission.admits(shown, FOE)
        assert not admission.admits(shown, FOE)
    assert told == [(f"CN=foe {number}", UNTRUSTED) for number in range(MOST)]
    clock.set_ns(clock.now_ns() + 61 * SECOND_NS)
    admission.admits(certificate(key, "friend").public_bytes(Encoding.DER), FRIEND)
    ((subject, why),) = told[MOST:]
    assert subject == "CN=friend"
    assert why == f"{UNTRUSTED} (5 more were refused before, and not told)"


@pytest.mark.parametrize(
    ("wanted_ms", "granted_ms"),
    [(0, 3_600_000), (1, 10_000), (60_000, 60_000), (2**32 - 1, 3_600_000)],
)
def test_keys_of_a_channel_last_neither_too_short_nor_for_ever(
    serve: Any, wanted_ms: int, granted_ms: int
) -> None:
    async def main() -> None:
        async with serve() as served:
            client = Client(served.url, timeout=60, watchdog_intervall=60)
            client.secure_channel_timeout = wanted_ms
            async with client:
                assert client.secure_channel_timeout == granted_ms

    asyncio.run(main())


def test_a_client_that_does_not_renew_its_keys_is_hung_up_on(
    serve: Any, secure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    minutes = 0

    async def main() -> None:
        nonlocal minutes
        async with (
            serve() as served,
            secure(served.url) as renews,
            Client(served.url, timeout=60, watchdog_intervall=60) as plain,
        ):
            forgets = secure(served.url)
            await forgets.connect()
            minutes = 70  # a quarter of an hour of grace
            for each in (renews, plain, forgets):
                await each.get_node("i=2259").read_value()
            await renews.open_secure_channel(renew=True)
            minutes = 80
            for each in (renews, plain):
                await each.get_node("i=2259").read_value()
            with pytest.raises(ConnectionError):
                await forgets.get_node("i=2259").read_value()

    now_ns = monotonic_ns
    monkeypatch.setattr("drivers.opcua.keys.monotonic_ns", lambda: now_ns() + minutes * 60 * SECOND_NS)
    asyncio.run(main())
