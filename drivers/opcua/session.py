"""What a client does in a session: reads from the image, writes and calls through the port."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError

from drivers.opcua.alarms import ACKNOWLEDGE, Alarms
from drivers.opcua.harden import Authenticate, HardenedServer, HardenedSession
from drivers.opcua.model import PlantNodes
from drivers.opcua.values import TagValues, from_variant
from drivers.opcua.watch import Subscriptions, Watch
from runtime.contract import Access, Actor, Port, Tag, Value
from runtime.errors import ForbiddenError, WriteRejectedError

MAX_READ = 10_000
MAX_WRITE = 1_000
MAX_CALL = 100
_CODES = ua.StatusCodes
_A = ua.AttributeIds


@dataclass(slots=True)
class Context:
    """What the sessions of one server share. `reads` and `writes` count values."""

    port: Port
    nodes: PlantNodes
    values: TagValues
    watch: Watch
    alarms: Alarms
    group: asyncio.TaskGroup
    reads: int = 0
    writes: int = 0


class TagServer(HardenedServer):
    """The inner server whose sessions know the plant, once `context` is set."""

    context: Context

    def __init__(self, authenticate: Authenticate, anonymous: Actor | None, plain_allowed: bool) -> None:
        super().__init__(authenticate, anonymous, plain_allowed)

    def make_session(self, name: str) -> TagSession:
        return TagSession(self, Subscriptions(self, self.context.watch), name)


class TagSession(HardenedSession):
    """A client's session."""

    async def read(self, params: Any) -> list[Any]:
        wanted = params.NodesToRead or []
        if not wanted:
            raise ServiceError(_CODES.BadNothingToDo)
        if len(wanted) > MAX_READ:
            raise ServiceError(_CODES.BadTooManyOperations)
        context = self.iserver.context
        context.reads = (context.reads + len(wanted)) & 0xFFFF_FFFF
        stamps = int(params.TimestampsToReturn)
        tag_id, read = context.nodes.tag_id, context.values.read
        results = []
        for each in wanted:
            id_ = tag_id(each.NodeId)
            if id_ >= 0 and each.AttributeId == _A.Value and not each.IndexRange:
                results.append(read(id_, stamps))
            else:
                results.append(self._read_cold(each, id_))
        return results

    def _read_cold(self, wanted: Any, id_: int) -> Any:
        if wanted.IndexRange and id_ >= 0:
            return ua.DataValue(StatusCode=ua.StatusCode(_CODES.BadIndexRangeInvalid))
        if wanted.AttributeId == _A.UserAccessLevel and id_ >= 0:
            tag = self.iserver.context.values.tags[id_]
            return ua.DataValue(ua.Variant(3 if self._may_write(tag) else 1, ua.VariantType.Byte))
        return self.aspace.read_attribute_value(wanted.NodeId, wanted.AttributeId)

    def _may_write(self, tag: Tag) -> bool:
        return (
            tag.access is Access.READ_WRITE
            and self.actor is not None
            and self.actor.at(tag.path).role >= tag.role
        )

    async def write(self, params: Any) -> list[Any]:
        wanted = params.NodesToWrite or []
        if not wanted:
            raise ServiceError(_CODES.BadNothingToDo)
        if len(wanted) > MAX_WRITE:
            raise ServiceError(_CODES.BadTooManyOperations)
        context = self.iserver.context
        context.writes = (context.writes + len(wanted)) & 0xFFFF_FFFF
        tasks = [self._outlive(self._write(each)) for each in wanted]
        return [ua.StatusCode(await asyncio.shield(task)) for task in tasks]

    def _outlive(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start what must end even if the client goes away in the middle: it is in the audit trail."""
        task: asyncio.Task[Any] = self.iserver.context.group.create_task(work)
        return task

    async def _write(self, wanted: Any) -> int:
        context = self.iserver.context
        id_ = context.nodes.tag_id(wanted.NodeId)
        if id_ < 0:
            known = wanted.NodeId in self.aspace
            return int(_CODES.BadNotWritable if known else _CODES.BadNodeIdUnknown)
        if wanted.AttributeId != _A.Value:
            return int(_CODES.BadNotWritable)
        status = wanted.Value.StatusCode
        if wanted.IndexRange or (status is not None and status.value):
            return int(_CODES.BadWriteNotSupported)
        tag, actor = context.values.tags[id_], self.actor
        if actor is None:
            return int(_CODES.BadUserAccessDenied)
        try:
            value = from_variant(tag.data_type, wanted.Value.Value)
        except TypeError:
            return int(_CODES.BadTypeMismatch)
        try:
            await context.port.write(tag, value, actor, "OPC UA write")
        except WriteRejectedError as exc:
            return refusal(tag, value, exc)
        return int(_CODES.Good)

    async def call(self, params: Any) -> list[Any]:
        if len(params) > MAX_CALL:
            raise ServiceError(_CODES.BadTooManyOperations)
        results = []
        for each in params:
            if each.MethodId == ACKNOWLEDGE and self.actor is not None:
                context = self.iserver.context
                work = context.alarms.acknowledge(each, self.actor, context.port)
                results.append(await asyncio.shield(self._outlive(work)))
            else:
                results += await super().call([each])
        return results


def refusal(tag: Tag, value: Value, error: WriteRejectedError) -> int:
    """Return the status code that says why the gate refused; its words are in the audit trail."""
    if tag.access is not Access.READ_WRITE:
        return int(_CODES.BadNotWritable)
    if isinstance(error, ForbiddenError):
        return int(_CODES.BadUserAccessDenied)
    if isinstance(value, int | float):
        low = float("-inf") if tag.low is None else tag.low
        high = float("inf") if tag.high is None else tag.high
        if not low <= value <= high:
            return int(_CODES.BadOutOfRange)
    return int(_CODES.BadInvalidState)
