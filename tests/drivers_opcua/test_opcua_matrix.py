"""Every OPC UA service against every role, from the code: a service without a rule serves nobody."""

import asyncio
import inspect
import re
from contextlib import asynccontextmanager
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.server import uaprocessor
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.opcua import rules
from drivers.opcua.alarms import ACKNOWLEDGE
from drivers.opcua.conditions.calls import METHODS, NOT_SUPPORTED
from drivers.opcua.rules import SERVICES, Needs
from runtime.api.rules import RULES
from runtime.contract import Role

ROLES = {Role.VIEWER: ("vera", "look"), Role.OPERATOR: ("olga", "pump")}
ROLES |= {Role.ENGINEER: ("erik", "valve"), Role.ADMIN: ("admin", "s3cret")}
REQUEST = re.compile(r"^(\w+)Request_Encoding_DefaultBinary$")
ENCODED = [match[1] for name in dir(ua.ObjectIds) if (match := REQUEST.match(name))]
KNOWN = [name for name in ENCODED if "RequestHeader" in getattr(ua, f"{name}Request").__dataclass_fields__]
# These end the connection or wait on it; each has its own tests.
APART = {"OpenSecureChannel", "CloseSecureChannel", "CreateSession", "ActivateSession", "CloseSession"}


async def asked(client: Client, service: str) -> str:
    """Send an empty request; return the name of the status of the answer."""
    request = getattr(ua, f"{service}Request")()
    request.TypeId = ua.NodeId(getattr(ua.ObjectIds, f"{service}Request_Encoding_DefaultBinary"))
    protocol = client.uaclient.protocol
    try:
        async with asyncio.timeout(60):
            await protocol.send_request(request)
    except UaStatusCodeError as exc:
        return ua.StatusCode(exc.code).name
    return "Good"


@asynccontextmanager
async def channel(url: str) -> Any:
    client = Client(url, timeout=60, watchdog_intervall=60)
    await client.connect_socket()
    await client.send_hello()
    await client.open_secure_channel()
    try:
        yield client
    finally:
        client.disconnect_socket()


def test_every_service_that_the_library_answers_has_a_rule() -> None:
    answered = set(re.findall(r"ObjectIds\.(\w+)Request_Encoding", inspect.getsource(uaprocessor)))
    assert answered | {"BrowseNext", "SetTriggering", "Cancel"} == set(SERVICES)  # these are answered here


def test_a_service_without_a_rule_serves_nobody(serve: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    number = ua.ObjectIds.BrowseRequest_Encoding_DefaultBinary
    monkeypatch.delitem(rules._BY_ID, number)

    async def main() -> None:
        async with serve() as served:
            client = Client(served.url, timeout=60, watchdog_intervall=60)
            client.set_user("admin")
            client.set_password("s3cret")
            async with client:
                assert await asked(client, "Browse") == "BadServiceUnsupported"

    asyncio.run(main())


def test_every_service_answers_each_role_as_its_rule_says(serve: Any) -> None:
    async def main() -> None:
        async with serve() as served:
            served.port.users["vera"] = ("look", Role.VIEWER)
            async with channel(served.url) as client:
                for service in sorted(set(KNOWN) - APART):
                    status = await asked(client, service)
                    match SERVICES.get(service, Needs.NEVER):
                        case Needs.CHANNEL:
                            assert status == "Good", service
                        case Needs.NEVER:
                            assert status == "BadServiceUnsupported", service
                        case _:
                            assert status == "BadSessionIdInvalid", service
            for role, (name, secret) in ROLES.items():
                client = Client(served.url, timeout=60, watchdog_intervall=60)
                client.set_user(name)
                client.set_password(secret)
                async with client:
                    for service in sorted(set(KNOWN) - APART - {"Publish"}):
                        status = await asked(client, service)
                        refused = status in ("BadServiceUnsupported", "BadUserAccessDenied")
                        assert refused == (SERVICES.get(service) in (None, Needs.NEVER)), (
                            role,
                            service,
                            status,
                        )

    asyncio.run(main())


def test_no_method_is_the_librarys_own_and_each_command_of_a_condition_is_a_route(serve: Any) -> None:
    async def main() -> list[Any]:
        async with serve() as served:
            space = served.component._service._server.aspace
            return [node for node, data in space._nodes.items() if data.call is not None]

    assert asyncio.run(main()) == []
    verbs = {each.verb.removesuffix("-once") for each in METHODS.values()} - {NOT_SUPPORTED, "comment"}
    assert {("POST", f"/alarms/{{name}}/{each}") for each in verbs} <= RULES.keys()


@pytest.mark.parametrize("role", ROLES)
def test_what_the_gate_judges_is_judged_by_role(serve: Any, secure: Any, role: Role) -> None:
    async def main() -> None:
        async with serve() as served:
            served.port.users["vera"] = ("look", Role.VIEWER)
            async with secure(served.url, *ROLES[role]) as client:
                for path, value, need in (
                    ("line/speed", ua.Variant(5.0, ua.VariantType.Float), Role.OPERATOR),
                    ("line/recipe", ua.Variant(3, ua.VariantType.Int16), Role.ENGINEER),
                ):
                    node = client.get_node(served.node(path))
                    if role >= need:
                        await node.write_value(ua.DataValue(value))
                        assert served.port.value(path) == value.Value
                    else:
                        with pytest.raises(UaStatusCodeError, match="BadUserAccessDenied"):
                            await node.write_value(ua.DataValue(value))
                called = ua.CallMethodRequest(ObjectId=ua.NodeId(1, 0), MethodId=ACKNOWLEDGE)
                (result,) = await client.uaclient.call([called])
                assert result.StatusCode.value >> 31 == 1
                assert served.port.acknowledged == []

    asyncio.run(main())
