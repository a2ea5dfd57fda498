"""The services of a kernel in this process, as the methods of `PlantClient` that the load uses."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from runtime.contract import Actor, Role, Value
from runtime.gate.accounts import Accounts
from runtime.journal import AlarmLogEntry, AuditRow, ChainReport, verify_audit
from runtime.kernel import Kernel


class DirectClient:
    """What is under the API, asked directly; see `runtime.client.PlantClient`."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self._kernel = kernel
        self._actor = Actor(name, Role.ADMIN, "local")
        self._accounts = Accounts(kernel.identity, kernel.journal, kernel.clock)

    async def write(self, path: str, value: Value, reason: str = "", for_ns: int = 0) -> None:
        gate = self._kernel.gate
        await gate.write(self._kernel.table[path], value, self._actor, reason, for_ns)

    async def request_write(self, path: str, value: Value, reason: str = "") -> Any:
        return await self._kernel.gate.request(self._kernel.table[path], value, self._actor, reason)

    async def approve(self, id_: int, reason: str = "") -> None:
        await self._kernel.gate.requests.approve(id_, self._actor, reason)

    async def gate(self) -> Any:
        return SimpleNamespace(holds=tuple(self._kernel.gate.holds.values()))

    async def alarms(self, all: bool = False) -> list[Any]:  # noqa: A002 - the API's word
        views = [SimpleNamespace(**view) for view in self._kernel.alarms.views()]
        return [view for view in views if all or view.state != "normal" or not view.confirmed]

    async def acknowledge(self, name: str, comment: str = "") -> None:
        await self._kernel.acknowledge(name, self._actor, comment)

    async def shelve(self, name: str, for_ns: int, reason: str) -> None:
        await self._kernel.command_alarm("shelve", name, self._actor, reason, for_ns)

    async def alarm_journal(self, limit: int, before: int | None = None) -> list[AlarmLogEntry]:
        return await self._kernel.journal.alarm_log(limit, before)

    async def audit(self, limit: int, before: int | None = None) -> list[AuditRow]:
        return await self._kernel.journal.audit(limit, before)

    async def verify_audit(self) -> ChainReport:
        return await self._kernel.journal.read(verify_audit)

    async def users(self) -> list[Any]:
        users = self._kernel.identity.users()
        return [SimpleNamespace(name=each.name, role=each.role.name.lower()) for each in users]

    async def tokens(self) -> list[Any]:
        return self._kernel.identity.tokens()

    async def add_user(self, name: str, role: str, secret: str) -> None:
        await self._accounts.add_user(name, Role[role.upper()], secret, self._actor)

    async def remove_user(self, name: str) -> None:
        await self._accounts.remove_user(name, self._actor)

    async def issue_token(self, user: str, read: list[str]) -> Any:
        made, _ = await self._accounts.issue_token(user, tuple(read), (), 0, self._actor)
        return SimpleNamespace(view=made)

    async def tags(self, *match: str) -> list[Any]:
        table = self._kernel.table
        tags = (table[id_] for id_ in table.select(*match).tolist())
        return [SimpleNamespace(path=tag.path, value=table.value(tag)) for tag in tags]

    async def history(
        self, paths: list[str], start_ns: int, end_ns: int, limit: int | None = None
    ) -> list[Any]:
        historian, table = self._kernel.historian, self._kernel.table
        if historian is None:
            return []
        ids = np.array([table[path].id for path in paths], np.int32)
        points: dict[int, list[tuple[int, Value, int]]] = {id_: [] for id_ in ids.tolist()}
        for sample in await historian.query(ids, start_ns, end_ns, limit):
            value = table[sample.id].data_type.decode(sample.raw, sample.text)
            points[sample.id].append((sample.source_ns, value, sample.quality))
        return [SimpleNamespace(path=table[id_].path, points=rows) for id_, rows in points.items()]
