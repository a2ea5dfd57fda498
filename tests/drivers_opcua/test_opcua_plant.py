"""A whole plant's alarms over OPC UA: by asyncua's client, and by a foreign one, node-opcua."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from drivers.opcua.chaos.process import free_port
from runtime.assembly import assemble
from runtime.contract import Actor, Role
from runtime.kernel import Kernel

PLANT = """plant: p
root: s/l
alarms: alarms.yaml
api: {port: null}
history: {flush: 20ms}
drivers:
  - {name: opcua, kind: opcua.server, port: NUMBER, anonymous: operator, security: [None, Basic256Sha256,
     Aes256_Sha256_RsaPss]}
"""
TAGS = "path,type,access,low,high,initial\ntank/level,REAL,rw,0,100,INITIAL\n"
TAGS += "".join(f"many/t{number},INT,rw,,,{number}\n" for number in range(1000))
ALARMS = """alarms:
  - {name: tank.high, tag: tank/level, kind: high, limit: 90, priority: critical, confirm: true,
     text: Level high}
  - {name: tank.low, tag: tank/level, kind: low, limit: 5, text: Level low}
"""
CONDITION = ua.NodeId("Alarms/tank.high", 3)
SCRIPT = Path(__file__).with_name("peer_alarms.js")
RUN_WITHIN_S = 180


@asynccontextmanager
async def living(folder: Path, initial: int = 10) -> AsyncIterator[tuple[Kernel, str]]:
    number = free_port()
    (folder / "plant.yaml").write_text(PLANT.replace("NUMBER", str(number)))
    (folder / "tags.csv").write_text(TAGS.replace("INITIAL", str(initial)))
    (folder / "alarms.yaml").write_text(ALARMS)
    kernel, stop = Kernel(assemble(folder / "plant.yaml")), asyncio.Event()
    life = asyncio.create_task(kernel.run(stop))
    url = f"opc.tcp://127.0.0.1:{number}"
    try:
        async with asyncio.timeout(60):
            await listening(url)
        yield kernel, url
    finally:
        stop.set()
        await life


async def listening(url: str) -> None:
    while True:
        try:
            await Client(url, timeout=60, watchdog_intervall=60).connect_and_get_server_endpoints()
        except OSError:
            await asyncio.sleep(0.05)
        else:
            return


class Seen:
    """What a subscription on alarms was told."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()

    def event_notification(self, event: Any) -> None:
        self.events.put_nowait(event)

    async def next(self) -> Any:
        async with asyncio.timeout(60):
            return await self.events.get()


async def watch(opc: Client) -> tuple[Seen, Any]:
    seen = Seen()
    subscription = await opc.create_subscription(50, seen)
    type_ = opc.get_node(ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType))
    await subscription.subscribe_alarms_and_conditions(opc.nodes.server, type_)
    return seen, subscription


async def call(opc: Client, method: int, *given: Any, on: Any = CONDITION) -> str:
    request = ua.CallMethodRequest(on, ua.NodeId(method), list(given))
    return (await opc.uaclient.call([request]))[0].StatusCode.name  # type: ignore[no-any-return]


def test_alarms_are_acted_on_audited_and_right_after_a_restart_of_the_server_alone(
    tmp_path: Path, secure: Callable[..., Client]
) -> None:
    async def main() -> Any:
        async with living(tmp_path) as (kernel, url):
            async with secure(url) as opc:
                seen, _ = await watch(opc)
                level = opc.get_node("ns=2;s=s/l/tank/level")
                await level.write_value(95.0, ua.VariantType.Float)
                raised = await seen.next()
                assert (raised.ConditionName, raised.Severity, raised.Message.Text) == (
                    "tank.high",
                    900,
                    "Level high",
                )
                id_ = ua.Variant(raised.EventId, ua.VariantType.ByteString)
                words = [
                    ua.Variant(ua.LocalizedText(each, "en"), ua.VariantType.LocalizedText)
                    for each in ("seen", "pump 3")
                ]
                assert (
                    await call(opc, ua.ObjectIds.AcknowledgeableConditionType_Acknowledge, id_, words[0])
                    == "Good"
                )
                assert getattr(await seen.next(), "AckedState/Id") is True
                assert await call(opc, ua.ObjectIds.ConditionType_AddComment, id_, words[1]) == "Good"
                commented = await seen.next()
                assert (getattr(commented, "ConfirmedState/Id"), commented.Retain) == (False, True)
                assert (commented.Comment.Text, commented.ClientUserId) == ("pump 3", "anonymous")
                shelve = ua.ObjectIds.ShelvedStateMachineType_TimedShelve
                hour = ua.Variant(3_600_000.0, ua.VariantType.Double)
                assert await call(opc, shelve, hour) == "Good"
                assert getattr(await seen.next(), "ShelvingState/CurrentState").Text == "Timed Shelved"
                remove = ua.ObjectIds.AlarmConditionType_RemoveFromService
                assert await call(opc, remove) == "BadUserAccessDenied"  # that takes an engineer
            rows = [(row.action, row.actor, row.reason) for row in await kernel.journal.audit(4)]
            assert rows == [
                ("out-of-service", "anonymous", "OPC UA client"),
                ("shelve", "anonymous", "for 1h: OPC UA client"),
                ("comment", "anonymous", "pump 3"),
                ("acknowledge", "anonymous", "seen"),
            ]
            life = kernel.supervisor.find("opcua")
            began_ns = life.begun_ns
            await kernel.restart("opcua", Actor("erik", Role.ENGINEER, "local"))
            async with asyncio.timeout(60):
                while life.begun_ns == began_ns or life.state.value != "running":  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
                await listening(url)
            async with secure(url) as opc:
                seen, subscription = await watch(opc)
                given = ua.Variant(subscription.subscription_id, ua.VariantType.UInt32)
                refresh = ua.ObjectIds.ConditionType_ConditionRefresh
                assert await call(opc, refresh, given, on=ua.NodeId(ua.ObjectIds.ConditionType)) == "Good"
                start, stood, end = [await seen.next() for _ in range(3)]
                assert (start.EventType.Identifier, end.EventType.Identifier) == (2787, 2788)
                assert (stood.ConditionName, stood.Comment.Text) == ("tank.high", "pump 3")
                assert (getattr(stood, "AckedState/Id"), getattr(stood, "ActiveState/Id")) == (True, True)
                assert stood.SuppressedOrShelved
                await confirm_and_shelve_once(opc, seen, stood)
                return await kernel.journal.audit(4)

    rows = [(row.action, row.actor, row.reason) for row in asyncio.run(main())]
    assert rows == [
        ("write", "anonymous", "OPC UA write"),
        ("shelve-once", "anonymous", "for 1d: pump test"),
        ("unshelve", "anonymous", ""),
        ("confirm", "anonymous", "valve replaced"),
    ]


async def confirm_and_shelve_once(opc: Client, seen: Seen, stood: Any) -> None:
    """Confirm the alarm that stands shelved; shelve it for its episode, and end that by a write."""
    confirm = ua.ObjectIds.AcknowledgeableConditionType_Confirm
    id_ = ua.Variant(stood.EventId, ua.VariantType.ByteString)
    done, why = [
        ua.Variant(ua.LocalizedText(each, "en"), ua.VariantType.LocalizedText)
        for each in ("valve replaced", "pump test")
    ]
    assert getattr(stood, "ConfirmedState/Id") is False
    assert await call(opc, confirm, id_, done) == "Good"
    confirmed = await seen.next()
    assert (getattr(confirmed, "ConfirmedState/Id"), confirmed.Comment.Text) == (True, "valve replaced")
    assert await call(opc, confirm, id_, done) == "BadConditionBranchAlreadyConfirmed"
    assert await call(opc, ua.ObjectIds.ShelvedStateMachineType_Unshelve) == "Good"
    assert getattr(await seen.next(), "AckedState/Id") is False  # new to the operator, to be confirmed anew
    once = ua.ObjectIds.ShelvedStateMachineType_OneShotShelve2
    assert await call(opc, once, why) == "Good"
    assert getattr(await seen.next(), "ShelvingState/CurrentState").Text == "One Shot Shelved"
    assert await call(opc, once, why) == "BadConditionAlreadyShelved"
    await opc.get_node("ns=2;s=s/l/tank/level").write_value(10.0, ua.VariantType.Float)
    assert getattr(await seen.next(), "ActiveState/Id") is False
    over = await seen.next()
    assert (getattr(over, "ShelvingState/CurrentState").Text, over.Retain) == ("Unshelved", False)


@pytest.mark.peer
@pytest.mark.parametrize("mode", ["None", "SignAndEncrypt"])
def test_node_opcua_follows_alarms_reads_history_and_subscribes_to_a_thousand(
    node_package: Callable[[str], Path], mode: str, tmp_path: Path
) -> None:
    modules = node_package("node-opcua-client")

    async def main() -> dict[str, Any]:
        async with living(tmp_path, 95 if mode == "None" else 10) as (_, url):
            pki = tmp_path / "pki"
            pki.mkdir()
            process = await asyncio.create_subprocess_exec(
                "node",
                str(SCRIPT),
                url,
                mode,
                str(pki),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=os.environ | {"NODE_PATH": str(modules)},
                cwd=pki,
            )
            try:
                async with asyncio.timeout(RUN_WITHIN_S):
                    out, err = await process.communicate()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
            assert process.returncode == 0, err.decode()
            (line,) = (each for each in out.decode().splitlines() if each.startswith("{"))
            found: dict[str, Any] = json.loads(line)
            return found

    found = asyncio.run(main())
    assert found["raised"] == {"name": "tank.high", "severity": 900, "message": "Level high", "active": True}
    assert found["refresh"] == "Good"
    assert found["thousand"] == 1000
    assert found["wrongFilter"] == "BadEventFilterInvalid"
    if mode == "None":
        assert found["write"] == found["acknowledge"] == "BadSecurityModeInsufficient"
        assert found["history"] == [95]
        return
    assert found["acknowledge"] == found["comment"] == found["shelve"] == found["unshelve"] == "Good"
    assert found["again"] == "BadConditionBranchAlreadyAcked"
    assert found["confirm"] == found["once"] == "Good"
    assert found["unasked"] == "BadMethodInvalid"
    assert found["confirmedAgain"] == "BadConditionBranchAlreadyConfirmed"
    assert found["shelvedAgain"] == "BadConditionAlreadyShelved"
    assert found["states"] == [[True, False, True], [True, True, True]]
    assert found["refreshed"] == ["RefreshStart", "tank.high", "RefreshEnd"]
    assert found["comments"] == ["seen by peer", "valve replaced", "pump 3"]
    assert found["over"] == [False, "Unshelved", False]
    assert found["history"] == [10, 95, 10]


def test_a_write_without_security_is_in_the_audit_as_any_other_that_was_refused(tmp_path: Path) -> None:
    async def main() -> None:
        async with living(tmp_path) as (kernel, url):
            async with Client(url, timeout=60, watchdog_intervall=60) as client:
                for name in ("tank/level", "many/t7"):
                    node = client.get_node(ua.NodeId(f"s/l/{name}", 2))
                    kind = await node.read_data_type_as_variant_type()
                    with pytest.raises(ua.UaStatusCodeError) as caught:
                        await node.write_value(55, kind)
                    assert caught.value.code == ua.StatusCodes.BadSecurityModeInsufficient
            rows = await kernel.journal.audit(10)
            ours = [each for each in rows if each.via == "opcua"]
            assert [(each.actor, each.role, each.action, each.target) for each in ours] == [
                ("anonymous", "operator", "write", "s/l/many/t7"),
                ("anonymous", "operator", "write", "s/l/tank/level"),
            ]
            assert [(each.old, each.new, each.outcome) for each in ours] == [
                (7, 55, "refused"),
                (10.0, 55.0, "refused"),
            ]
            assert all("without security" in each.detail for each in ours)
            assert kernel.table.value(kernel.table["s/l/tank/level"]) == 10.0

    asyncio.run(main())
