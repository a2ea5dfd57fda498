"""What a client does in a session: reads from the image, writes and calls through the port."""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.address_space import ViewService
from asyncua.server.internal_session import SessionState
from asyncua.server.uaprocessor import PublishRequestData
from asyncua.ua.ua_binary import struct_from_binary
from asyncua.ua.uaerrors import UaStatusCodeError

from drivers.opcua import methods, serverobject
from drivers.opcua.alarms import Alarms
from drivers.opcua.browsing import MAX_BROWSE, browse, browse_next
from drivers.opcua.conditions.facts import language_of
from drivers.opcua.few import Few
from drivers.opcua.harden import HardenedServer
from drivers.opcua.history import MAX_NODES, History
from drivers.opcua.items import Subscriptions, Watch
from drivers.opcua.login import HardenedSession
from drivers.opcua.model import WRITE, PlantNodes, access_level
from drivers.opcua.modelpart import ModelPart
from drivers.opcua.picking import is_whole, picked, stamps_of, unfit_range
from drivers.opcua.points import Points
from drivers.opcua.reads import MOST_BYTES, Reads
from drivers.opcua.refused import wrong_node
from drivers.opcua.requests import Processor
from drivers.opcua.security import BETTER, Refusals
from drivers.opcua.tokens import Users
from drivers.opcua.transfer import Departed, transfer
from drivers.opcua.values import TagValues, from_variant
from drivers.opcua.wire import response_header
from runtime.contract import Access, Actor, Port, Tag, Value
from runtime.errors import ForbiddenError, UnfitValueError, WriteRejectedError

log = logging.getLogger(__name__)
MAX_READ = 10_000
MAX_WRITE = 1_000
MAX_CALL = 100
MAX_REGISTER = 1_000
_REASON = "OPC UA write"
MAX_DEPTH = 64  # elements of a browse path
MOST_FAREWELLS = 50
MAX_BESIDE = 8  # of a connection; the next one waits, and what comes behind it
MAX_HISTORIES = 16  # likewise
HISTORIES_AT_ONCE = 2  # of these
_CODES = ua.StatusCodes
_A = ua.AttributeIds
_BROWSE_NEXT = ua.ObjectIds.BrowseNextRequest_Encoding_DefaultBinary
_REGISTRATIONS = {
    ua.ObjectIds.RegisterNodesRequest_Encoding_DefaultBinary,
    ua.ObjectIds.UnregisterNodesRequest_Encoding_DefaultBinary,
}
_COUNT = struct.Struct("<i")
_WRITE = ua.ObjectIds.WriteRequest_Encoding_DefaultBinary
_CALL = ua.ObjectIds.CallRequest_Encoding_DefaultBinary
_HISTORY_READ = ua.ObjectIds.HistoryReadRequest_Encoding_DefaultBinary
_PUBLISH = ua.ObjectIds.PublishRequest_Encoding_DefaultBinary
_SET_TRIGGERING = ua.ObjectIds.SetTriggeringRequest_Encoding_DefaultBinary
_READ = ua.ObjectIds.ReadRequest_Encoding_DefaultBinary
_READ_RESPONSE = ua.ObjectIds.ReadResponse_Encoding_DefaultBinary


class InsecureError(ForbiddenError):
    """Refused for the channel on which it came."""


@dataclass(slots=True)
class Context:
    """What the sessions of one server share. `reads` and `writes` count values.

    `quick` answers Read requests in bytes; None where asyncua does. `insecure` bounds the rows of writes that
    came without security.
    """

    port: Port
    nodes: PlantNodes
    values: TagValues
    watch: Watch
    alarms: Alarms
    group: asyncio.TaskGroup
    quick: Reads | None
    history: History
    model: ModelPart
    insecure: Few
    reads: int = 0
    writes: int = 0


class View(ViewService):  # type: ignore[misc]
    """asyncua's view of the address space, which goes each way of a browse path once.

    Where two references lead to the same node, asyncua goes on from there twice, and so on.
    """

    def _navigate(self, start: Any, elements: Any) -> list[Any]:
        there = [start]
        for element in elements:
            found = [each for node in there for each in self._find_elements_in_node(element, node)]
            there = list(dict.fromkeys(found))
        return there


class TagServer(HardenedServer):
    """The inner server whose sessions know the plant, once `context` is set."""

    context: Context

    def __init__(self, users: Users, anonymous: Actor | None, plain: bool, refusals: Refusals) -> None:
        super().__init__(users, anonymous, plain, refusals)
        self.view_service = View(self.aspace)
        self.departed = Departed()

    @property
    def holders(self) -> list[TagSession]:
        return [*self.sessions, *self.departed.sessions()]

    def owner_of(self, subscription: int) -> TagSession | None:
        """Return the session that has a subscription, or had it when it ended."""
        for each in self.holders:
            if subscription in each.subscription_service.subscriptions:
                return each
        return None

    def make_session(self, name: str) -> TagSession:
        subscriptions = Subscriptions(self, self.context.watch)
        session = TagSession(self, subscriptions, name)
        subscriptions.may_subscribe, subscriptions.taken = session.may_subscribe, session.items_taken
        subscriptions.give_way, subscriptions.tell = session.give_way, session.tell
        return session

    def make_processor(self, transport: Any, limits: Any) -> TagProcessor:
        return TagProcessor(self, transport, limits)


class TagProcessor(Processor):
    """A connection whose Reads go past asyncua's objects, and whose slow requests hold up no others."""

    def __init__(self, server: TagServer, transport: Any, limits: Any) -> None:
        super().__init__(server, transport, limits)
        self._beside = asyncio.Semaphore(MAX_BESIDE)
        self._room, self._turns = asyncio.Semaphore(MAX_HISTORIES), asyncio.Semaphore(HISTORIES_AT_ONCE)
        self._histories: dict[asyncio.Task[None], tuple[Any, Any]] = {}  # with its headers

    async def answer(self, service: int, requesthdr: Any, seqhdr: Any, body: Any) -> bool:
        context, session = self.iserver.context, self.session
        if not isinstance(session, TagSession):
            return False
        if service == _BROWSE_NEXT:
            params = struct_from_binary(ua.BrowseNextParameters, body)
            self._touch()
            response = ua.BrowseNextResponse()
            response.Parameters.Results = await session.browse_further(params)
            self.send_response(requesthdr.RequestHandle, seqhdr, response)
            return True
        if service in _REGISTRATIONS:
            (count,) = _COUNT.unpack(body.copy().read(_COUNT.size))  # both hold a list of nodes alone
            if count <= 0:
                raise ServiceError(_CODES.BadNothingToDo)
            if count > MAX_REGISTER:
                raise ServiceError(_CODES.BadTooManyOperations)
        if service in (_WRITE, _CALL):
            writes = service == _WRITE
            asked = struct_from_binary(ua.WriteParameters if writes else ua.CallParameters, body)
            await self._beside.acquire()
            work = (session.answer_write if writes else session.answer_call)(asked, session.actor)
            context.group.create_task(
                self._serve_beside(work, "Write" if writes else "Call", requesthdr, seqhdr)
            )
            self._touch()
            return True
        if service == _HISTORY_READ:
            history = struct_from_binary(ua.HistoryReadParameters, body)
            self._touch()
            await self._begin_history(session, history, requesthdr, seqhdr)
            return True
        if service == _SET_TRIGGERING:
            links = struct_from_binary(ua.SetTriggeringParameters, body)
            self._touch()
            linked = ua.SetTriggeringResponse(Parameters=session.subscription_service.set_triggering(links))
            self.send_response(requesthdr.RequestHandle, seqhdr, linked)
            return True
        if service == _PUBLISH and session.farewells:
            acks = struct_from_binary(ua.PublishParameters, body).SubscriptionAcknowledgements
            results = session.subscription_service.acknowledge(acks)
            self._touch()
            waiting = PublishRequestData(requesthdr=requesthdr, seqhdr=seqhdr, results=results)
            await self.forward_publish_response(session.farewells.popleft(), waiting)
            return True
        if service != _READ or context.quick is None:
            return False
        now_ns = context.port.clock.now_ns()
        others: list[Any] = []

        def read_cold(wanted: Any, stamps: int) -> Any:
            value = session.read_cold(wanted, stamps)
            if context.nodes.tag_id(wanted.NodeId) < 0:
                others.append(value)
            return value

        found = context.quick.answer(body, MAX_READ, now_ns, read_cold)
        if found is None:
            return False
        self.count_refusal("Read", wrong_node(others))
        data, count = found
        context.reads = (context.reads + count) & 0xFFFF_FFFF
        self._touch()
        head = response_header(_READ_RESPONSE, requesthdr.RequestHandle, now_ns)
        message = self._connection.message_to_binary(head + data, request_id=seqhdr.RequestId)
        self._transport.write(message)
        return True

    async def _serve_beside(
        self, work: Coroutine[Any, Any, Any], service: str, requesthdr: Any, seqhdr: Any
    ) -> None:
        """Answer a request that waits for the plant, while others of the connection are answered."""
        try:
            await self._respond(work, service, requesthdr, seqhdr)
        finally:
            self._beside.release()

    async def _respond(
        self, work: Coroutine[Any, Any, Any], service: str, requesthdr: Any, seqhdr: Any
    ) -> None:
        try:
            response = await work
            if not self._transport.is_closing():
                self.send_response(requesthdr.RequestHandle, seqhdr, response)
        except (ServiceError, UaStatusCodeError) as exc:
            self.count_refusal(service, exc.code)
            self.send_fault(requesthdr, seqhdr, exc.code)
        except Exception:
            log.exception("OPC UA: a request of %s failed", self._address)
            self.send_fault(requesthdr, seqhdr, _CODES.BadInternalError)

    async def _begin_history(self, session: TagSession, params: Any, requesthdr: Any, seqhdr: Any) -> None:
        """Have a HistoryRead answered beside, for as long as the session is on this connection."""
        await self._room.acquire()
        if session.processor is not self:  # it ended meanwhile, or went to another connection
            self._room.release()
            raise ServiceError(_CODES.BadSessionClosed)
        work = self._serve_history(session, params, requesthdr, seqhdr)
        task = self.iserver.context.group.create_task(work)
        self._histories[task] = requesthdr, seqhdr
        task.add_done_callback(self._end_history)

    async def _serve_history(self, session: TagSession, params: Any, requesthdr: Any, seqhdr: Any) -> None:
        async with self._turns:
            await self.taken.wait()
            await self._respond(session.answer_history(params), "HistoryRead", requesthdr, seqhdr)

    def _end_history(self, task: asyncio.Task[None]) -> None:
        self._histories.pop(task, None)
        self._room.release()

    def leave(self, code: int) -> None:
        for task, headers in self._histories.items():
            if task.cancel():  # else it is answered
                self.send_fault(*headers, code)
        self._histories.clear()
        super().leave(code)

    def _touch(self) -> None:
        self.session_last_activity = time.monotonic()
        if self.session is not None:
            self.session.touch()


class TagSession(HardenedSession):
    """A client's session.

    Attributes:
        farewells: the last results of subscriptions that ended or went, for the next Publish requests.
    """

    def __init__(self, server: TagServer, subscriptions: Subscriptions, name: str) -> None:
        super().__init__(server, subscriptions, name)
        self.farewells: deque[Any] = deque(maxlen=MOST_FAREWELLS)
        self._pages, self._readings = Points(), Points()  # of Browse, and of HistoryRead

    @property
    def nameless(self) -> bool:
        """Tell whether it is of a client without a name."""
        return self.actor is not None and self.actor is self.iserver.anonymous

    def _together(self) -> list[TagSession]:
        """Return the sessions of the client's address, and what is left of those that are over."""
        return [each for each in self.iserver.holders if each.address == self.address]

    def may_subscribe(self) -> bool:
        """Tell whether the client's address may have one more subscription."""
        there = self._together()
        taken = sum(len(each.subscription_service.subscriptions) for each in there)
        return bool(taken < self.iserver.per_address.subscriptions)

    def items_taken(self) -> tuple[int, int]:
        """Return how many monitored items the client's address has: on tags and alarms, on other nodes."""
        items = others = 0
        for session in self._together():
            for each in session.subscription_service.subscriptions.values():
                items += len(each.monitored_item_srv._monitored_items)
                others += len(each.monitored_item_srv._monitored_datachange)
        return items - others, others

    async def give_way(self, everywhere: bool) -> bool:
        """End the oldest subscriptions without a session, of the client's address or of any."""
        departed: Departed = self.iserver.departed
        return await departed.give_way(self.address) or (everywhere and await departed.give_way(None))

    def adopt(self, subscription: Any) -> None:
        """Have a subscription that was another session's."""
        assert self.processor is not None
        subscription.session_id = self.session_id
        subscription.pub_result_callback = self.processor.forward_publish_response
        subscription.pub_request_callback = self.processor.get_publish_request
        self.subscription_service.adopt(subscription)

    async def transfer_subscriptions(self, params: Any, callback: Any) -> list[Any]:
        return await transfer(self, params)

    async def tell(self, farewell: Any) -> None:
        """Send the last result of a subscription that is not here any more, once a request waits for it."""
        processor = self.processor
        if not self.is_activated():
            return
        waiting = None if processor is None else processor.get_publish_request(farewell.SubscriptionId)
        if processor is None or waiting is None:
            self.farewells.append(farewell)
            return
        await processor.forward_publish_response(farewell, waiting)
        if not self.subscription_service.subscriptions:
            processor.refuse_publishing()

    async def close_session(self, delete_subs: bool = True) -> None:
        """End; subscriptions that are not deleted live on for another session to have.

        What outlives a session whose client was silent for too long is theirs too, unless the server needs
        the room. A session that is over already lets go of what it has left.
        """
        if self.state == SessionState.Closed:
            if delete_subs:
                await self.delete_subscriptions(list(self.subscription_service.subscriptions))
            return
        silent = self._timeout_task is asyncio.current_task()
        await super().close_session(delete_subs and not silent)
        if self.processor is not None:
            self.processor.leave(_CODES.BadSessionClosed)
            self.processor = None
        if self.subscription_service.subscriptions:
            for each in self.subscription_service.subscriptions.values():
                each.pub_request_callback = _never
            await self.iserver.departed.add(self)

    def prefer(self, locales: tuple[str, ...]) -> None:
        self.subscription_service.language = language_of(locales)

    async def read(self, params: Any) -> list[Any]:
        wanted = params.NodesToRead or []
        if not wanted:
            raise ServiceError(_CODES.BadNothingToDo)
        if len(wanted) > MAX_READ:
            raise ServiceError(_CODES.BadTooManyOperations)
        if not params.MaxAge >= 0:
            raise ServiceError(_CODES.BadMaxAgeInvalid)
        context = self.iserver.context
        context.reads = (context.reads + len(wanted)) & 0xFFFF_FFFF
        stamps = stamps_of(params)
        tag_id, read = context.nodes.tag_id, context.values.read
        results, others, size = [], [], 0
        for each in wanted:
            id_ = tag_id(each.NodeId)
            if id_ >= 0 and is_whole(each):
                results.append(read(id_, stamps))
                continue
            results.append(self.read_cold(each, stamps))
            if id_ < 0:
                others.append(results[-1])
            size += _length(results[-1])
            if size > MOST_BYTES:
                raise ServiceError(_CODES.BadResponseTooLarge)
        if self.processor is not None:
            self.processor.count_refusal("Read", wrong_node(others))
        return results

    def read_cold(self, wanted: Any, stamps: int) -> Any:
        """Return the DataValue of a node to read that is no tag's whole value."""
        context = self.iserver.context
        id_ = context.nodes.tag_id(wanted.NodeId)
        if wanted.AttributeId == _A.UserAccessLevel and id_ >= 0:
            tag = context.values.tags[id_]
            level = access_level(tag) & ~(0 if self._may_write(tag) else WRITE)
            value = ua.DataValue(ua.Variant(level, ua.VariantType.Byte))
        elif wanted.AttributeId == _A.Value and id_ >= 0:
            value = context.values.read(id_, stamps)
        else:
            value = self.aspace.read_attribute_value(wanted.NodeId, wanted.AttributeId)
        return picked(value, wanted, stamps)

    def _may_write(self, tag: Tag) -> bool:
        return (
            tag.access is Access.READ_WRITE
            and self.secured
            and self.actor is not None
            and self.actor.at(tag.path).role >= tag.role
        )

    async def write(self, params: Any) -> list[Any]:
        return await self._write_as(params, self.actor)

    async def answer_write(self, params: Any, actor: Actor | None) -> Any:
        """Return the response to a Write that someone asked for; the session may be another's meanwhile."""
        return ua.WriteResponse(Results=await self._write_as(params, actor))

    async def answer_call(self, params: Any, actor: Actor | None) -> Any:
        """Return the response to a Call that someone asked for; the session may be another's meanwhile."""
        return ua.CallResponse(Results=await self._call_as(params.MethodsToCall, actor))

    async def _write_as(self, params: Any, actor: Actor | None) -> list[Any]:
        wanted = params.NodesToWrite or []
        if not wanted:
            raise ServiceError(_CODES.BadNothingToDo)
        if len(wanted) > MAX_WRITE:
            raise ServiceError(_CODES.BadTooManyOperations)
        context = self.iserver.context
        context.writes = (context.writes + len(wanted)) & 0xFFFF_FFFF
        tasks = [self._outlive(self._write(each, actor)) for each in wanted]
        return [ua.StatusCode(await asyncio.shield(task)) for task in tasks]

    def _outlive(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start what must end even if the client goes away in the middle: it is in the audit trail."""
        task: asyncio.Task[Any] = self.iserver.context.group.create_task(work)
        return task

    async def _write(self, wanted: Any, actor: Actor | None) -> int:
        context = self.iserver.context
        id_ = context.nodes.tag_id(wanted.NodeId)
        if id_ < 0 or wanted.AttributeId != _A.Value:
            status = self.aspace.read_attribute_value(wanted.NodeId, wanted.AttributeId).StatusCode
            missing = status is not None and status.value in (
                _CODES.BadNodeIdUnknown,
                _CODES.BadAttributeIdInvalid,
            )
            return int(status.value if missing else _CODES.BadNotWritable)
        if wanted.IndexRange and unfit_range(wanted.IndexRange) == _CODES.BadIndexRangeInvalid:
            return int(_CODES.BadIndexRangeInvalid)
        # OPC 10000-4, 5.11.4 has timestamps refused that are not kept: asyncua and Milo send them each time.
        status = wanted.Value.StatusCode
        if wanted.IndexRange or (status is not None and status.value):
            return int(_CODES.BadWriteNotSupported)
        tag = context.values.tags[id_]
        if actor is None:
            return int(_CODES.BadUserAccessDenied)
        try:
            value = from_variant(tag.data_type, wanted.Value.Value)
        except TypeError:
            return int(_CODES.BadTypeMismatch)
        try:
            if not self.secured:
                await self._refuse(tag, value, actor)
            await context.port.write(tag, value, actor, _REASON)
        except WriteRejectedError as exc:
            return refusal(tag, exc)
        return int(_CODES.Good)

    async def _refuse(self, tag: Tag, value: Value, actor: Actor) -> None:
        """Refuse a write that anybody on the network may have made up; a few a minute have a row each.

        Raises:
            InsecureError: always.
        """
        self.iserver.refusals.add(self.address, "it wants to write, and has no security")
        error = InsecureError(f"{tag.path}: who comes without security may only look", BETTER)
        held = self.iserver.context.insecure.take()
        if held is not None:
            more = f"; {held} more without security were refused before, and have no row" if held else ""
            await self.iserver.context.port.audit_refusal(tag, value, actor, str(error), _REASON + more)
        raise error

    async def browse(self, params: Any) -> list[Any]:
        self._check_browse(params.NodesToBrowse)
        server = self.iserver
        return await browse(server.view_service, params, server.context.port.clock, self._pages)

    async def browse_further(self, params: Any) -> list[Any]:
        """Do BrowseNext, which asyncua does not know."""
        self._check_browse(params.ContinuationPoints)
        server = self.iserver
        return await browse_next(server.view_service, params, server.context.port.clock, self._pages)

    @staticmethod
    def _check_browse(wanted: list[Any]) -> None:
        if not wanted:
            raise ServiceError(_CODES.BadNothingToDo)
        if len(wanted) > MAX_BROWSE:
            raise ServiceError(_CODES.BadTooManyOperations)

    async def translate_browsepaths_to_nodeids(self, params: Any) -> list[Any]:
        if not params:
            raise ServiceError(_CODES.BadNothingToDo)
        if len(params) > MAX_BROWSE or any(len(each.RelativePath.Elements) > MAX_DEPTH for each in params):
            raise ServiceError(_CODES.BadTooManyOperations)
        results = []
        for each in params:
            elements = each.RelativePath.Elements
            if code := _unfit_path(elements, known=each.StartingNode in self.iserver.context.nodes):
                results.append(ua.BrowsePathResult(StatusCode=ua.StatusCode(code)))
                continue
            results += await super().translate_browsepaths_to_nodeids([each])
            await self.iserver.context.port.clock.sleep(0)  # others have their turn
        return results

    async def answer_history(self, params: Any) -> Any:
        """Return the response to a HistoryRead."""
        wanted = params.NodesToRead or []
        if not wanted:
            raise ServiceError(_CODES.BadNothingToDo)
        if len(wanted) > MAX_NODES:
            raise ServiceError(_CODES.BadTooManyOperations)
        results = await self.iserver.context.history.read(params, self._readings)
        return ua.HistoryReadResponse(Results=results)

    async def delete_subscriptions(self, ids: Any) -> list[Any]:
        asked = self.is_activated()  # else the session ends, with as many as it has
        if asked and not ids:
            raise ServiceError(_CODES.BadNothingToDo)
        results: list[Any] = await super().delete_subscriptions(ids)
        if asked and self.processor is not None and not self.subscription_service.subscriptions:
            self.processor.refuse_publishing()
        return results

    async def call(self, params: Any) -> list[Any]:
        return await self._call_as(params, self.actor)

    async def _call_as(self, params: Any, actor: Actor | None) -> list[Any]:
        if not params:
            raise ServiceError(_CODES.BadNothingToDo)
        if len(params) > MAX_CALL:
            raise ServiceError(_CODES.BadTooManyOperations)
        return [await self._call(each, actor) for each in params]

    async def _call(self, wanted: Any, actor: Actor | None) -> Any:
        alarms = self.iserver.context.alarms
        if wanted.ObjectId not in self.iserver.context.nodes:
            return ua.CallMethodResult(StatusCode=ua.StatusCode(_CODES.BadNodeIdUnknown))
        if serverobject.handles(wanted):
            return await serverobject.call(wanted, self)
        if not (self.secured or alarms.only_tells(wanted)):
            self.iserver.refusals.add(self.address, "it wants to call a method, and has no security")
            return ua.CallMethodResult(StatusCode=ua.StatusCode(_CODES.BadSecurityModeInsufficient))
        if actor is not None and alarms.handles(wanted):
            work = alarms.call(wanted, actor, self.subscription_service.subscriptions)
            return await asyncio.shield(self._outlive(work))
        if actor is not None and (method := self.iserver.context.model.method(wanted.MethodId)):
            return await asyncio.shield(self._outlive(methods.call(method, wanted, actor)))
        code = methods.wrong_with(self.aspace, wanted)
        if code:
            return ua.CallMethodResult(StatusCode=ua.StatusCode(code))
        (result,) = await super().call([wanted])
        return result


def _unfit_path(elements: list[Any], known: bool) -> int:
    """Return why a browse path leads nowhere; Good where it may. Source: OPC 10000-4, 5.9.4.4 StatusCodes."""
    if not elements:
        return int(_CODES.BadNothingToDo)
    if not elements[-1].TargetName.Name:
        return int(_CODES.BadBrowseNameInvalid)
    return int(_CODES.Good if known else _CODES.BadNodeIdUnknown)


def _never(subscription: int) -> None:
    """There is no client whose Publish requests a subscription could answer."""


def _length(value: Any) -> int:
    """Return about how many bytes a DataValue takes."""
    inner = None if value.Value is None else value.Value.Value
    return len(inner) if isinstance(inner, bytes | str) else 1


def refusal(tag: Tag, error: WriteRejectedError) -> int:
    """Return the status code that says why the gate refused; its words are in the audit trail."""
    if tag.access is not Access.READ_WRITE:
        return int(_CODES.BadNotWritable)
    if isinstance(error, InsecureError):
        return int(_CODES.BadSecurityModeInsufficient)
    if isinstance(error, ForbiddenError):
        return int(_CODES.BadUserAccessDenied)
    unfit = isinstance(error, UnfitValueError)
    return int(_CODES.BadOutOfRange if unfit else _CODES.BadInvalidState)
