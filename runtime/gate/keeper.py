"""The component that keeps the gate's times: reverts, requests that expire, and the gate's own tags."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from runtime.clock import SECOND_NS
from runtime.config.models import AlarmConfig, Text
from runtime.config.plant import Declared
from runtime.contract import Actor, Batch, DataType, Port, Role, Tag
from runtime.errors import StoreError, WriteRejectedError
from runtime.gate.accounts import Accounts
from runtime.gate.certificates import Certificates
from runtime.gate.identity import Identity
from runtime.gate.lockout import EVERYWHERE, Lock
from runtime.gate.mode import MODES
from runtime.gate.policy import Gate
from runtime.journal.accounts import LockEnd, LockRecord
from runtime.journal.audit import AuditEntry

PERIOD_S = 0.25
_TAGS = (
    ("mode", DataType.INT, "0 auto, 1 maintenance, 2 read only", "模式：0 自动，1 维护，2 只读"),
    ("read_only", DataType.BOOL, "Nobody may write", "禁止一切写入"),
    ("maintenance", DataType.BOOL, "Only engineers may write", "仅工程师可写入"),
    ("requests", DataType.UDINT, "Writes that wait for a second person", "等待第二人批准的写入数"),
    ("holds", DataType.UDINT, "Values that go back by themselves", "到时自动恢复的值的数量"),
    ("holds_late", DataType.UDINT, "Of those, the ones that could not go back yet", "到时未能恢复的值的数量"),
    ("locked", DataType.UDINT, "Names locked after wrong secrets", "因口令错误而锁定的用户数"),
)


def declare() -> Declared:
    """Return the gate's tags and the alarms on them."""
    tags = [
        Tag(f"sys/gate/{name}", kind, description=en, description_zh=zh, source="gate", retention="short")
        for name, kind, en, zh in _TAGS
    ]
    alarms = [
        AlarmConfig(
            name="gate.read_only",
            tag="sys/gate/read_only",
            kind="discrete",
            priority="high",
            text=Text(en="The plant is read only", zh="工厂处于只读状态"),
            cause=Text(en="An engineer threw the emergency switch", zh="工程师启用了紧急只读开关"),
            consequence=Text(
                en="Every write is refused, and values for a time do not go back",
                zh="一切写入被拒绝，限时值也不会恢复",
            ),
            action=Text(
                en="F6 in the console or `ironworks gate` tells who and why",
                zh="控制台 F6 或 ironworks gate 显示是谁以及原因",
            ),
        ),
        AlarmConfig(
            name="gate.maintenance",
            tag="sys/gate/maintenance",
            kind="discrete",
            priority="low",
            text=Text(en="The plant is in maintenance", zh="工厂处于维护模式"),
            consequence=Text(en="Only engineers may write; apps may not", zh="仅工程师可写入，应用不可写入"),
            action=Text(
                en="F6 in the console or `ironworks gate` tells who and why",
                zh="控制台 F6 或 ironworks gate 显示是谁以及原因",
            ),
        ),
        AlarmConfig(
            name="gate.request_waits",
            tag="sys/gate/requests",
            kind="high",
            limit=0.5,
            priority="low",
            text=Text(en="A write waits for a second person", zh="有写入等待第二人批准"),
            action=Text(
                en="Approve or reject it: F6 in the console, or `ironworks gate`",
                zh="批准或拒绝：控制台 F6，或 ironworks gate",
            ),
        ),
        AlarmConfig(
            name="gate.not_reverted",
            tag="sys/gate/holds_late",
            kind="high",
            limit=0.5,
            priority="high",
            text=Text(en="A value for a time could not go back", zh="限时值到期未能恢复"),
            cause=Text(
                en="Its owner does not answer, its interlock does not hold, or the plant is read only",
                zh="所属组件无应答、联锁不满足或工厂处于只读状态",
            ),
            consequence=Text(en="The value holds longer than was meant", zh="该值保持的时间超过预期"),
            action=Text(
                en="See F6 in the console or `ironworks gate`; set the value by hand",
                zh="查看控制台 F6 或 ironworks gate，并手动设定",
            ),
        ),
        AlarmConfig(
            name="gate.locked",
            tag="sys/gate/locked",
            kind="high",
            limit=0.5,
            priority="medium",
            text=Text(en="A user is locked after wrong secrets", zh="用户因口令错误被锁定"),
            action=Text(
                en="See `ironworks audit list`; it ends by itself",
                zh="运行 ironworks audit list 查看；将自动解除",
            ),
        ),
    ]
    return Declared(tags, alarms)


class Keeper:
    """Looks after the gate four times a second."""

    name = "gate"

    def __init__(
        self, gate: Gate, identity: Identity, accounts: Accounts, certificates: Certificates
    ) -> None:
        self._gate = gate
        self._identity = identity
        self._accounts = accounts
        self._certificates = certificates
        self._untold: deque[AuditEntry | LockEnd] = deque()

    async def run(self, port: Port) -> None:
        ids = [port.tags[f"sys/gate/{name}"].id for name, *_ in _TAGS]
        types = [kind for _, kind, *_ in _TAGS]
        told: tuple[int, ...] = ()
        while True:
            try:
                await self._look_after(port)
                port.health(True)
            except (WriteRejectedError, StoreError) as exc:
                port.health(False, exc.text)
            figures = self._figures()
            if figures != told:
                raws = [kind.encode(value) for kind, value in zip(types, figures, strict=True)]
                port.submit(Batch.of(ids, raws, port.clock.now_ns()))
                told = figures
            await port.clock.sleep(PERIOD_S)

    async def _look_after(self, port: Port) -> None:
        await self._gate.attempts.settle()
        await self._tell_locks(port)
        await self._gate.revert()
        await self._gate.requests.withdraw(self._identity.demoted)
        await self._gate.requests.expire()
        await self._gate.forcing.settle()
        # Last: values for a time go back whether users can be read or not.
        if self._identity.accounts_read.behind:
            await self._accounts.load(patience_s=0)
        if self._identity.certificates_read.behind:
            await self._certificates.load(patience_s=0)

    async def _tell_locks(self, port: Port) -> None:
        """Have the journal keep who was locked and who is no more; what it does not take now comes next."""
        if not self._untold:
            self._untold.extend(self._row(lock, port) for lock in self._identity.lockout.take_locks())
            self._untold.extend(LockEnd(*each) for each in self._identity.lockout.take_unlocked())
        while self._untold:
            first = self._untold[0]
            if isinstance(first, LockEnd):
                await self._gate.attempts.keep(first)
            else:
                await self._gate.attempts.record(first)
            self._untold.popleft()

    def _row(self, lock: Lock, port: Port) -> AuditEntry:
        entry = self._gate.attempts.entry("login", "identity", Actor(lock.name, Role.VIEWER, lock.via))
        where = "all addresses" if lock.address == EVERYWHERE else lock.address
        source = f" from {where}" if where else ""
        detail = f"{lock.failures} wrong secrets{source}: locked there for {lock.for_ns // SECOND_NS} s"
        until_ns = port.clock.now_ns() + lock.for_ns
        kept = LockRecord(lock.name, lock.address, lock.failures, until_ns)
        return replace(entry, outcome="refused", detail=detail, also=(kept,))

    def _figures(self) -> tuple[int, ...]:
        gate = self._gate
        mode = gate.mode.name
        counts = (gate.requests.count, len(gate.holds), len(gate.late), self._identity.lockout.names())
        return MODES.index(mode), mode == "read_only", mode == "maintenance", *counts
