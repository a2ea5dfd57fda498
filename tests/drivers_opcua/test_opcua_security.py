"""Security policies of the server, and users with certificates."""

from __future__ import annotations

import asyncio
import copy
import logging
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.opcua.alarms import ACKNOWLEDGE
from drivers.opcua.conditions.nodes import FOLDER
from drivers.opcua.few import MOST, Few
from drivers.opcua.server import SECURE, OpcuaServerConfig, plugin
from runtime.clock import SECOND_NS, ManualClock
from runtime.config import Document, Plant, PlantFile, TagList

SPEED = "ns=2;s=nb/bottling/line1/line/speed"
LEVEL = "ns=2;s=nb/bottling/line1/tank/level_pct"
FLOAT = ua.VariantType.Float
BY_CERTIFICATE = "certificate_Basic256Sha256"  # the policy that the server offers


async def code_of(work: Any) -> str:
    with pytest.raises(UaStatusCodeError) as caught:
        await work
    return str(ua.StatusCode(caught.value.code).name)


def told(served: Any) -> list[str]:
    return [each.text for each in served.port.emitted if each.kind == "driver.client_refused"]


async def as_person(client: Client, certificate: Path, key: Path) -> Client:
    await client.load_client_certificate(str(certificate))
    await client.load_private_key(str(key))
    return client


def test_without_a_word_in_the_plant_file_nobody_comes_in_without_security(
    serve: Any, secure: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    default = OpcuaServerConfig(name="x").security

    async def main() -> None:
        async with serve(security=default) as served:
            (offers,) = [each.message for each in caplog.records if "offers" in each.message]
            assert offers == (
                "opcua offers Basic256Sha256, Aes128_Sha256_RsaOaep, Aes256_Sha256_RsaPss; "
                "None is off, `security` can name it for clients that only read"
            )
            endpoints = await Client(
                served.url, timeout=60, watchdog_intervall=60
            ).connect_and_get_server_endpoints()
            assert len(endpoints) == 6
            assert {each.SecurityMode.name for each in endpoints} == {"Sign", "SignAndEncrypt"}
            for _ in range(3):
                assert (
                    await code_of(Client(served.url, timeout=60, watchdog_intervall=60).connect())
                    == "BadSecurityPolicyRejected"
                )
            (text,) = told(served)
            assert text.startswith("opcua refused a client at 127.0.0.1: it has no security, and `security`")
            assert text.endswith("let it use Basic256Sha256 or better")
            assert text in caplog.text
            async with secure(served.url) as client:
                assert await client.nodes.objects.get_children()

    asyncio.run(main())


def test_a_client_without_security_reads_and_subscribes_and_changes_nothing(serve: Any, secure: Any) -> None:
    async def main() -> None:
        async with serve() as served, secure(served.url, "admin", "s3cret") as safe:
            served.port.set("line/speed", 1.0)
            async with login(
                Client(served.url, timeout=60, watchdog_intervall=60), "admin", "s3cret"
            ) as client:
                speed = client.get_node(SPEED)
                assert await speed.read_value() == 1.0
                access = ua.AccessLevel.CurrentWrite
                assert access in await speed.get_access_level()
                assert access not in await speed.get_user_access_level()
                assert access in await safe.get_node(SPEED).get_user_access_level()
                assert await code_of(speed.write_value(2.0, FLOAT)) == "BadSecurityModeInsufficient"
                assert await code_of(client.get_node(LEVEL).write_value(2.0, FLOAT)) == "BadNotWritable"
                words = ua.Variant("tank.high"), ua.Variant(ua.LocalizedText("seen"))
                for wanted, code in (
                    (ua.CallMethodRequest(FOLDER, ACKNOWLEDGE, words), "BadSecurityModeInsufficient"),
                    (
                        ua.CallMethodRequest(ua.NodeId(2253), ua.NodeId(12886), [ua.Variant(1)]),
                        "BadSecurityModeInsufficient",
                    ),
                    # these change nothing: they tell a client again what it has
                    (ua.CallMethodRequest(ua.NodeId(2782), ua.NodeId(3875)), "BadArgumentsMissing"),
                    (ua.CallMethodRequest(ua.NodeId(2253), ua.NodeId(11492)), "BadArgumentsMissing"),
                    (ua.CallMethodRequest(ua.NodeId(2253), ua.NodeId(12873)), "BadArgumentsMissing"),
                ):
                    (result,) = await client.uaclient.call([wanted])
                    assert result.StatusCode.name == code
            assert (served.port.writes, served.port.acknowledged) == ([], [])
            assert [each.partition(": ")[2].partition(";")[0] for each in told(served)] == [
                "it wants to write, and has no security",
                "it wants to call a method, and has no security",
            ]

    asyncio.run(main())


def test_writes_without_security_have_rows_a_few_a_minute_and_the_rest_are_counted(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served:
            clock = ManualClock()
            served.component._service._server.context.insecure = Few(clock)
            async with login(Client(served.url, timeout=60, watchdog_intervall=60), "olga", "pump") as client:
                speed = client.get_node(SPEED)
                for value in range(MOST + 3):
                    assert await code_of(speed.write_value(value, FLOAT)) == "BadSecurityModeInsufficient"
                rows = served.port.refusals
                assert [value for _, value, *_ in rows] == list(range(MOST))
                (path, _, actor, why, reason) = rows[0]
                assert (path, actor.name, actor.via) == ("nb/bottling/line1/line/speed", "olga", "opcua")
                assert why.startswith(f"{path}: who comes without security may only look (let it use Basic")
                assert reason == "OPC UA write"
                clock.set_ns(clock.now_ns() + 61 * SECOND_NS)
                assert await code_of(speed.write_value(1.0, FLOAT)) == "BadSecurityModeInsufficient"
                assert rows[-1][-1] == (
                    "OPC UA write; 3 more without security were refused before, and have no row"
                )
            assert served.port.writes == []

    asyncio.run(main())


def login(client: Client, name: str, secret: str) -> Client:
    client.set_user(name)
    client.set_password(secret)
    return client


def test_where_only_none_is_offered_passwords_are_still_encrypted(serve: Any) -> None:
    async def main() -> None:
        async with serve(security=["None"], anonymous="none") as served:
            (endpoint,) = await Client(
                served.url, timeout=60, watchdog_intervall=60
            ).connect_and_get_server_endpoints()
            (policy,) = endpoint.UserIdentityTokens
            assert (policy.TokenType.name, policy.SecurityPolicyUri.rpartition("#")[2]) == (
                "UserName",
                "Basic256Sha256",
            )
            async with login(Client(served.url, timeout=60, watchdog_intervall=60), "olga", "pump") as client:
                assert await client.nodes.objects.get_children()

    asyncio.run(main())


def test_a_session_does_not_go_over_to_a_channel_without_security(serve: Any, secure: Any) -> None:
    async def main() -> None:
        async with serve(anonymous="operator") as served, secure(served.url) as victim:
            served.port.set("line/speed", 1.0)
            thief = Client(served.url, timeout=60, watchdog_intervall=60)
            await thief.connect_socket()
            await thief.send_hello()
            # a certificate is no secret, and on such a channel nothing shows whose it is
            connection = thief.uaclient.protocol._connection
            connection.security_policy = copy.copy(connection.security_policy)
            connection.security_policy.host_certificate = (victim.folder / "certificate.der").read_bytes()
            connection.security_policy.Mode = ua.MessageSecurityMode.Sign  # or else it is not sent
            await thief.open_secure_channel()
            (session,) = served.component._service._server.sessions
            theirs = {
                each.processor.peer_certificate for each in served.component._service._face.bserver.clients
            }
            assert theirs == {session.certificate}
            thief.uaclient.protocol.authentication_token = victim.uaclient.protocol.authentication_token
            params = ua.ActivateSessionParameters(UserIdentityToken=ua.AnonymousIdentityToken())
            assert await code_of(thief.uaclient.activate_session(params)) == "BadSecurityChecksFailed"
            assert await victim.get_node(SPEED).read_value() == 1.0
            thief.disconnect_socket()

    asyncio.run(main())


def test_a_user_logs_in_with_a_certificate(serve: Any, secure: Any, person: Any) -> None:
    async def main() -> None:
        olga = person("olga")
        async with serve(anonymous="none") as served:
            served.port.certificates[olga.print] = "olga"
            for number, policy in enumerate(SECURE):
                client = await as_person(secure(served.url, policy=policy), olga.certificate, olga.key)
                async with client:
                    await client.get_node(SPEED).write_value(float(number), FLOAT)
                _, value, actor, _ = served.port.writes[-1]
                assert (value, actor.name, actor.role.name, actor.via) == (
                    number,
                    "olga",
                    "OPERATOR",
                    "opcua",
                )

    asyncio.run(main())


def test_a_certificate_that_is_not_the_users_lets_nobody_in(serve: Any, secure: Any, person: Any) -> None:
    async def main() -> None:
        olga, erik = person("olga"), person("erik")
        async with serve() as served:
            served.port.certificates[olga.print] = "olga"

            async def refused(certificate: Path, key: Path, **how: Any) -> str:
                return await code_of((await as_person(secure(served.url, **how), certificate, key)).connect())

            assert await refused(erik.certificate, erik.key) == "BadIdentityTokenRejected"
            assert "its user certificate is nobody's, or has expired" in told(served)[-1]
            assert await refused(olga.certificate, erik.key) == "BadUserSignatureInvalid"
            async with secure(served.url) as client:
                for data, signature, code in (
                    (b"", b"", "BadIdentityTokenRejected"),
                    (b"0" * 1000, b"x", "BadIdentityTokenRejected"),
                    (olga.certificate.read_bytes(), None, "BadUserSignatureInvalid"),
                    (olga.certificate.read_bytes(), b"x" * 256, "BadUserSignatureInvalid"),
                ):
                    params = ua.ActivateSessionParameters(
                        ClientSignature=signed(client, served),
                        UserIdentityToken=ua.X509IdentityToken(BY_CERTIFICATE),
                    )
                    params.UserIdentityToken.CertificateData = data
                    params.UserTokenSignature.Signature = signature
                    assert await code_of(client.uaclient.activate_session(params)) == code
            plain = await opened_plain(served.url)
            params = ua.ActivateSessionParameters(UserIdentityToken=ua.X509IdentityToken(BY_CERTIFICATE))
            params.UserIdentityToken.CertificateData = olga.certificate.read_bytes()
            assert await code_of(plain.uaclient.activate_session(params)) == "BadIdentityTokenRejected"
            plain.disconnect_socket()

    asyncio.run(main())


def signed(client: Client, served: Any) -> ua.SignatureData:
    """Sign what an application has to sign to activate its session again."""
    (session,) = [each for each in served.component._service._server.sessions if each.is_activated()]
    policy = client.security_policy
    challenge = policy.peer_certificate + session.nonce
    signature = policy.asymmetric_cryptography.signature(challenge)
    return ua.SignatureData(policy.AsymmetricSignatureURI, signature)


async def opened_plain(url: str) -> Client:
    client = Client(url, timeout=60, watchdog_intervall=60)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    await client.create_session()
    return client


def test_none_beyond_loopback_is_warned_of_where_it_stands(tmp_path: Path) -> None:
    config = OpcuaServerConfig(name="x", host="0.0.0.0", security=["Basic256Sha256", "None"])
    file = tmp_path / "plant.yaml"
    document = Document(file, {}, {("drivers", 0, "security", 1): (4, 9)})
    plant = Plant(file, PlantFile(plant="demo", root="a/b"), document, TagList([], "a/b"), {}, ())
    found = [each for each in plugin.check(plant, config, ("drivers", 0)) if "None" in each.text]
    (finding,) = found
    assert (finding.severity, finding.place.line, finding.place.column) == ("warning", 4, 9)
    assert "remove None" in finding.remedy
