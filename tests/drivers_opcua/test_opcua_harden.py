"""What a hostile client tries, on our server and, to show that the test can fail, on the stock one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncua import Client, Server, ua
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.opcua.harden import SUBSCRIPTIONS_PER_SESSION
from drivers.opcua.server import SECURE, OpcuaServerConfig

ALLOWED = (AssertionError, pytest.fail.Exception, TimeoutError)
STOCK = pytest.mark.xfail(strict=True, raises=ALLOWED, reason="the stock server allows it")
BOTH = pytest.mark.parametrize("kind", ["ours", pytest.param("stock", marks=STOCK)])


ALARMS, ACKNOWLEDGE = ua.NodeId("Alarms", 3), ua.NodeId("Acknowledge", 3)


async def take_anything(parent: Any, *arguments: Any) -> list[Any]:
    """What a method does that leaves its checks to the server."""
    return []


class Serving:
    def __init__(self, serve: Any, kind: str) -> None:
        self.serve, self.kind = serve, kind
        self.patience_s = 60 if kind == "ours" else 3  # the stock server is known to let it run out

    @asynccontextmanager
    async def __call__(self, **config: Any) -> AsyncIterator[str]:
        if self.kind == "ours":
            async with self.serve(**config) as served:
                served.port.set("line/speed", 1.0)
                yield served.url
            return
        server = Server()
        await server.init()
        server.set_endpoint("opc.tcp://127.0.0.1:0/")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        await server.register_namespace("urn:stock:tags")
        await server.register_namespace("urn:stock:alarms")
        speed = await server.nodes.objects.add_variable(
            ua.NodeId("nb/bottling/line1/line/speed", 2), "speed", 1.0
        )
        await speed.set_writable()
        alarms = await server.nodes.objects.add_object(ALARMS, "3:Alarms")
        types = [ua.VariantType.String, ua.VariantType.LocalizedText]
        await alarms.add_method(ACKNOWLEDGE, "3:Acknowledge", take_anything, types, [])
        async with server:
            yield f"opc.tcp://127.0.0.1:{server.bserver.port}/"


@pytest.fixture
def serving(serve: Any, kind: str) -> Serving:
    return Serving(serve, kind)


MOST_CONNECTIONS = OpcuaServerConfig(name="opcua").max_connections
SPEED = "ns=2;s=nb/bottling/line1/line/speed"


def port_of(url: str) -> int:
    return int(url.rstrip("/").rpartition(":")[2])


async def opened(url: str) -> Client:
    """A client with a channel but no session."""
    client = Client(url, timeout=60, watchdog_intervall=60)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    return client


async def dropped(client: Client) -> None:
    client.disconnect_socket()


@BOTH
def test_a_password_of_admin_must_be_right(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url:
            client = Client(url, timeout=60, watchdog_intervall=60)
            client.set_user("admin")
            client.set_password("wrong")
            with pytest.raises(UaStatusCodeError) as caught:
                await client.connect()
            assert ua.StatusCode(caught.value.code).name == "BadUserAccessDenied"

    asyncio.run(main())


@BOTH
def test_session_tokens_cannot_be_guessed(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url:
            tokens = []
            for _ in range(2):
                client = await opened(url)
                await client.create_session()
                tokens.append(client.uaclient.protocol.authentication_token.Identifier)
                await dropped(client)
            assert all(isinstance(each, bytes) and len(each) == 32 for each in tokens)
            assert tokens[0] != tokens[1]

    asyncio.run(main())


@BOTH
def test_a_failed_activation_does_not_attach_to_a_live_session(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url, Client(url, timeout=60, watchdog_intervall=60) as victim:
            thief = await opened(url)
            thief.uaclient.protocol.authentication_token = victim.uaclient.protocol.authentication_token
            params = ua.ActivateSessionParameters()
            params.UserIdentityToken = ua.X509IdentityToken(CertificateData=b"junk")
            with pytest.raises(UaStatusCodeError):
                await thief.uaclient.activate_session(params)
            with pytest.raises(UaStatusCodeError):
                await thief.get_node(SPEED).read_value()
            assert await victim.get_node(SPEED).read_value() == 1.0
            await dropped(thief)

    asyncio.run(main())


@BOTH
def test_a_session_is_not_handed_to_another_user(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url:
            victim = Client(url, timeout=60, watchdog_intervall=60)
            if serving.kind == "ours":
                victim.set_user("olga")
                victim.set_password("pump")
            async with victim:
                thief = await opened(url)
                thief.uaclient.protocol.authentication_token = victim.uaclient.protocol.authentication_token
                params = ua.ActivateSessionParameters(UserIdentityToken=ua.AnonymousIdentityToken())
                with pytest.raises(UaStatusCodeError):
                    await thief.uaclient.activate_session(params)
                assert await victim.get_node(SPEED).read_value() == 1.0
                await dropped(thief)

    asyncio.run(main())


@BOTH
def test_each_request_needs_the_token_of_its_session(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url, Client(url, timeout=60, watchdog_intervall=60) as client:
            right = client.uaclient.protocol.authentication_token
            client.uaclient.protocol.authentication_token = ua.NodeId(b"x" * 32, 0, ua.NodeIdType.ByteString)
            with pytest.raises(UaStatusCodeError):
                await client.get_node(SPEED).read_value()
            client.uaclient.protocol.authentication_token = right
            assert await client.get_node(SPEED).read_value() == 1.0

    asyncio.run(main())


@BOTH
def test_a_subscription_belongs_to_its_session(serving: Serving) -> None:
    async def main() -> None:
        async with (
            serving() as url,
            Client(url, timeout=60, watchdog_intervall=60) as one,
            Client(url, timeout=60, watchdog_intervall=60) as other,
        ):
            mine = await one.create_subscription(500, None)
            results = await other.uaclient.delete_subscriptions([mine.subscription_id])
            assert results[0].name == "BadSubscriptionIdInvalid"

    asyncio.run(main())


@BOTH
def test_a_size_claim_ends_the_connection_instead_of_taking_memory(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url:
            reader, writer = await asyncio.open_connection("127.0.0.1", port_of(url))
            writer.write(b"HELF" + (1 << 31).to_bytes(4, "little") + b"\0" * 100)
            async with asyncio.timeout(serving.patience_s):
                with pytest.raises((ConnectionError, EOFError)):
                    await reader.readexactly(1)
            writer.close()

    asyncio.run(main())


@BOTH
def test_many_chunks_before_login_end_the_connection(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url:
            client = await opened(url)
            protocol = client.uaclient.protocol
            channel = protocol._connection.security_token
            sequence = protocol._connection._sequence_number
            transport = protocol.transport

            def send(chunks: int) -> None:
                nonlocal sequence
                for _ in range(chunks):
                    sequence += 1
                    numbers = (channel.ChannelId, channel.TokenId, sequence, 77)
                    body = b"".join(each.to_bytes(4, "little") for each in numbers) + b"\0" * 20_000
                    transport.write(b"MSGC" + (8 + len(body)).to_bytes(4, "little") + body)

            send(2)
            await asyncio.sleep(0.1)
            assert not transport.is_closing()
            send(3)
            async with asyncio.timeout(serving.patience_s):
                while not transport.is_closing():  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

    asyncio.run(main())


@BOTH
def test_a_server_cannot_be_registered_by_a_stranger(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url:
            client = await opened(url)
            registered = ua.RegisteredServer(ServerUri="urn:evil", ServerNames=[ua.LocalizedText("evil")])
            with pytest.raises(UaStatusCodeError):
                await client.uaclient.register_server(registered)
            await dropped(client)

    asyncio.run(main())


@BOTH
def test_a_publishing_interval_of_nothing_is_revised(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url, Client(url, timeout=60, watchdog_intervall=60) as client:
            wanted = ua.CreateSubscriptionParameters(0.001, 1000, 10, 0, True, 0)
            result = await client.uaclient.create_subscription(wanted, callback=lambda _: None)
            assert result.RevisedPublishingInterval >= 50

    asyncio.run(main())


async def code_of(work: Any) -> str:
    with pytest.raises(UaStatusCodeError) as caught:
        await work
    return str(ua.StatusCode(caught.value.code).name)


@BOTH
def test_more_connections_than_there_may_be_are_closed_and_the_others_served(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url, Client(url, timeout=60, watchdog_intervall=60) as client:
            port = port_of(url)
            parked = [await asyncio.open_connection("127.0.0.1", port) for _ in range(MOST_CONNECTIONS - 1)]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                async with asyncio.timeout(serving.patience_s):
                    with pytest.raises((ConnectionError, EOFError)):
                        await reader.readexactly(1)
                assert await client.get_node(SPEED).read_value() == 1.0
            finally:
                for _, each in (*parked, (reader, writer)):
                    each.close()

    asyncio.run(main())


@BOTH
def test_more_sessions_than_there_may_be_are_refused(
    serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr("drivers.opcua.harden.SESSIONS_PER_SERVER", 2)
        async with (
            serving() as url,
            Client(url, timeout=60, watchdog_intervall=60) as one,
            Client(url, timeout=60, watchdog_intervall=60),
        ):
            third = await opened(url)
            assert await code_of(third.create_session()) == "BadTooManySessions"
            assert await one.get_node(SPEED).read_value() == 1.0
            await dropped(third)

    asyncio.run(main())


@BOTH
def test_more_subscriptions_than_a_session_may_have_are_refused(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url, Client(url, timeout=60, watchdog_intervall=60) as client:
            wanted = ua.CreateSubscriptionParameters(3_600_000, 1000, 10, 0, True, 0)
            for _ in range(SUBSCRIPTIONS_PER_SESSION):
                await client.uaclient.create_subscription(wanted, callback=lambda _: None)
            more = client.uaclient.create_subscription(wanted, callback=lambda _: None)
            assert await code_of(more) == "BadTooManySubscriptions"

    asyncio.run(main())


@pytest.mark.parametrize(
    ("wanted_ms", "revised_ms"),
    [(float("nan"), 5_000), (-1.0, 5_000), (0.0, 5_000), (10_000.0, 10_000), (float("inf"), 600_000)],
)
def test_a_session_has_a_time_out_whatever_its_client_asks_for(
    serve: Any, wanted_ms: float, revised_ms: float
) -> None:
    """NaN became a timer of the event loop, before anybody logged in, and put all others out of order."""

    async def main() -> None:
        async with serve() as served:
            client = await opened(served.url)
            client.session_timeout = wanted_ms
            result = await client.create_session()
            assert result.RevisedSessionTimeout == revised_ms
            assert result.MaxRequestMessageSize == 4 * 1024 * 1024
            await dropped(client)

    asyncio.run(main())


def test_a_session_is_used_once_it_is_activated_and_until_it_is_closed(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served:
            client = await opened(served.url)
            ask = asking(client)
            assert await ask.code("CloseSession") == "BadSessionIdInvalid", "there was none"
            assert await ask.code("Read") == "BadSessionIdInvalid"
            await client.create_session()
            assert await ask.code("Read") == "BadSessionNotActivated"
            assert await ask.code("CloseSession") == "Good"
            assert await ask.code("CloseSession") == "BadSessionIdInvalid"
            await client.create_session()
            await client.activate_session()
            assert await ask.code("Read") == "BadNothingToDo"
            assert await ask.code("CloseSession") == "Good"
            assert await ask.code("Read") == "BadSessionClosed"
            await dropped(client)

    asyncio.run(main())


def test_a_nonce_that_is_too_short_begins_no_session(
    serve: Any, secure: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async with serve() as served:
            client = secure(served.url)
            opening = client.open_secure_channel

            async def then_short(*args: Any, **more: Any) -> None:
                await opening(*args, **more)
                monkeypatch.setattr("asyncua.client.client.create_nonce", lambda _: bytes(31))

            monkeypatch.setattr(client, "open_secure_channel", then_short)
            assert await code_of(client.connect()) == "BadNonceInvalid"

    asyncio.run(main())


def test_a_user_names_a_policy_that_is_offered(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served:
            client = await opened(served.url)
            endpoints = await client.connect_and_get_server_endpoints()
            offered = {}
            for each in (token for endpoint in endpoints for token in endpoint.UserIdentityTokens):
                what = each.TokenType, each.SecurityPolicyUri
                assert offered.setdefault(each.PolicyId, what) == what, "an id is of one policy"
            client = await opened(served.url)
            await client.create_session()
            for policy, name, code in (
                ("anonymous", "olga", "BadIdentityTokenInvalid"),
                (None, "olga", "BadIdentityTokenInvalid"),
                ("username_Basic256Sha256", "", "BadIdentityTokenInvalid"),
                ("username_Basic256Sha256", "olga", "BadIdentityTokenRejected"),  # it is in the clear
            ):
                token = ua.UserNameIdentityToken(policy, name, b"pump", None)
                params = ua.ActivateSessionParameters(UserIdentityToken=token)
                assert await code_of(client.uaclient.activate_session(params)) == code
            strange = ua.ExtensionObject(ua.NodeId(4711, 2), b"of another kind")
            params = ua.ActivateSessionParameters(UserIdentityToken=strange)
            assert await code_of(client.uaclient.activate_session(params)) == "BadIdentityTokenInvalid"
            await dropped(client)

    asyncio.run(main())


@BOTH
def test_a_password_in_the_clear_is_refused(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url:
            client = await opened(url)
            await client.create_session()
            token = ua.UserNameIdentityToken("username", "olga", b"pump", "")
            params = ua.ActivateSessionParameters(UserIdentityToken=token)
            assert await code_of(client.uaclient.activate_session(params)) == "BadIdentityTokenRejected"
            await dropped(client)

    asyncio.run(main())


@BOTH
def test_who_comes_without_security_writes_nothing(serving: Serving) -> None:
    async def main() -> None:
        async with serving() as url:
            client = Client(url, timeout=60, watchdog_intervall=60)
            client.set_user("olga")
            client.set_password("pump")
            async with client:
                speed = client.get_node(SPEED)
                kind = ua.VariantType.Float if serving.kind == "ours" else ua.VariantType.Double
                assert await code_of(speed.write_value(2.0, kind)) == "BadSecurityModeInsufficient"
                assert await speed.read_value() == 1.0

    asyncio.run(main())


@BOTH
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["tank.high"], "BadArgumentsMissing"),
        (["tank.high", ua.LocalizedText("seen"), 1], "BadTooManyArguments"),
        ([7, ua.LocalizedText("seen")], "BadInvalidArgument"),
        ([["tank.high"], ua.LocalizedText("seen")], "BadInvalidArgument"),
    ],
    ids=["missing", "too many", "type", "array"],
)
def test_a_method_gets_the_arguments_that_it_declares(
    serving: Serving, secure: Any, arguments: list[Any], code: str
) -> None:
    async def main() -> None:
        async with serving() as url:
            client = (
                secure(url, "olga", "pump")
                if serving.kind == "ours"
                else Client(url, timeout=60, watchdog_intervall=60)
            )
            async with client:
                call = client.get_node(ALARMS).call_method(ACKNOWLEDGE, *arguments)
                assert await code_of(call) == code

    asyncio.run(main())


def test_sessions_of_clients_that_are_gone_make_room(
    serve: Any, wait: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        monkeypatch.setattr("drivers.opcua.harden.SESSIONS_PER_SERVER", 2)
        async with serve() as served:
            for _ in range(4):
                flaky = Client(served.url, timeout=60, watchdog_intervall=60)
                await flaky.connect()
                await flaky.create_subscription(500, None)
                flaky.disconnect_socket()
                await wait(lambda: not served.component._service._face.addresses)
            async with (
                Client(served.url, timeout=60, watchdog_intervall=60),
                Client(served.url, timeout=60, watchdog_intervall=60),
            ):
                with pytest.raises(UaStatusCodeError) as caught:
                    await Client(served.url, timeout=60, watchdog_intervall=60).connect()
                assert ua.StatusCode(caught.value.code).name == "BadTooManySessions"

    asyncio.run(main())


def test_a_lost_connection_gets_its_session_and_subscriptions_back(serve: Any, wait: Any) -> None:
    async def main() -> None:
        async with serve() as served:
            served.port.set("line/speed", 1.0)
            old = Client(served.url, timeout=60, watchdog_intervall=60)
            await old.connect()
            subscription = await old.create_subscription(200, None)
            await subscription.subscribe_data_change(old.get_node(SPEED))
            token = old.uaclient.protocol.authentication_token
            old.disconnect_socket()
            await wait(lambda: not served.component._service._face.addresses)
            new = await opened(served.url)
            new.uaclient.protocol.authentication_token = token
            params = ua.ActivateSessionParameters(UserIdentityToken=ua.AnonymousIdentityToken())
            await new.uaclient.activate_session(params)
            assert await new.get_node(SPEED).read_value() == 1.0
            results = await new.uaclient.delete_subscriptions([subscription.subscription_id])
            assert results[0].is_good()
            await dropped(new)

    asyncio.run(main())


def test_a_session_that_went_to_another_channel_is_used_there_only(serve: Any, asking: Any) -> None:
    async def main() -> None:
        async with serve() as served:
            old, new = await opened(served.url), await opened(served.url)
            await old.create_session()
            await old.activate_session()
            new.uaclient.protocol.authentication_token = old.uaclient.protocol.authentication_token
            assert await asking(new).code("Read") == "BadSecureChannelIdInvalid", "not yet"
            params = ua.ActivateSessionParameters(UserIdentityToken=ua.AnonymousIdentityToken())
            await new.uaclient.activate_session(params)
            assert await asking(new).code("Read") == "BadNothingToDo"
            assert await asking(old).code("Read") == "BadSecureChannelIdInvalid"
            assert await asking(new).code("CloseSession") == "Good"
            assert await asking(old).code("Read") == "BadSessionIdInvalid"
            for each in (old, new):
                await dropped(each)

    asyncio.run(main())


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
def test_every_policy_serves_reads_and_writes(serve: Any, mode: str, tmp_path: Any) -> None:
    async def main() -> None:
        from drivers.opcua.certificate import own_certificate

        certificate, key = own_certificate(tmp_path, "urn:client", "client")
        assert certificate.public_key() == key.public_key()
        async with serve() as served:
            served.port.set("line/speed", 1.0)
            for number, policy in enumerate(
                ("Basic256Sha256", "Aes128Sha256RsaOaep", "Aes256Sha256RsaPss"), start=2
            ):
                client = Client(served.url, timeout=60, watchdog_intervall=60)
                client.application_uri = "urn:client"
                files = f"{tmp_path}/certificate.der,{tmp_path}/key.pem"
                await client.set_security_string(f"{policy},{mode},{files}")
                client.set_user("olga")
                client.set_password("pump")
                async with client:
                    node = client.get_node(SPEED)
                    assert await node.read_value() == number - 1
                    await node.write_value(float(number), ua.VariantType.Float)
                    assert served.port.value("line/speed") == number

    asyncio.run(main())


def test_from_the_network_there_is_no_session_without_security(serve: Any) -> None:
    async def main() -> None:
        async with serve(host="0.0.0.0", security=list(SECURE)) as served:
            url = f"opc.tcp://127.0.0.1:{port_of(served.url)}/"
            endpoints = await Client(
                url, timeout=60, watchdog_intervall=60
            ).connect_and_get_server_endpoints()
            assert {each.SecurityMode.name for each in endpoints} == {"Sign", "SignAndEncrypt"}
            client = await opened(url)
            with pytest.raises(UaStatusCodeError) as caught:
                await client.create_session()
            assert ua.StatusCode(caught.value.code).name == "BadSecurityPolicyRejected"
            await dropped(client)

    asyncio.run(main())


def test_the_certificate_is_kept_and_its_key_is_private(tmp_path: Any) -> None:
    from drivers.opcua.certificate import own_certificate
    from runtime.errors import StoreError

    folder = tmp_path / "opcua" / "x"
    first, _ = own_certificate(folder, "urn:a", "Ironworks")
    again, _ = own_certificate(folder, "urn:a", "Ironworks")
    other, _ = own_certificate(folder, "urn:b", "Ironworks")
    assert first == again != other
    assert (folder / "key.pem").stat().st_mode & 0o777 == 0o600
    (folder / "key.pem").write_text("junk")
    with pytest.raises(StoreError, match="delete the folder"):
        own_certificate(folder, "urn:a", "Ironworks")
