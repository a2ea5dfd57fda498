"""One connection to a server: requests and their answers. It is used once; a new one is made after it.

asyncua's transport, secure channel and messages; its supervisor, subscriptions and publish loop are not used,
since they give a subscription up where a rebuild fails midway.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from drivers.frame.connection import Traffic
from drivers.opcua.client.address import NodeRef
from drivers.opcua.client.errors import RefusedError, SilentError
from runtime.clock import SECOND_NS
from runtime.contract import Clock
from runtime.errors import ConnectError

CHUNK = 1000
MAX_UNENCODED = 50  # values of one read that are looked for: a server may refuse all alike
GOODBYE_S = 1.0
LEAST_MS = 1000.0
_LIMITS = {
    "read": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerRead,
    "write": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerWrite,
    "items": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall,
    "browse": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerBrowse,
    "history": ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxNodesPerHistoryReadData,
}
_TOO_MUCH = frozenset(
    {
        ua.StatusCodes.BadTooManyOperations,
        ua.StatusCodes.BadRequestTooLarge,
        ua.StatusCodes.BadResponseTooLarge,
        ua.StatusCodes.BadEncodingLimitsExceeded,
    }
)

_ENDS = frozenset(
    getattr(ua.StatusCodes, name)
    for name in dir(ua.StatusCodes)
    if name.startswith(("BadSession", "BadSecureChannel", "BadTcp", "BadConnection"))
    or name in ("BadServerHalted", "BadShutdown", "BadSecurityChecksFailed", "BadCommunicationError")
)


def ends_session(refusal: RefusedError) -> bool:
    """Tell whether a refusal is of the session, not only of the one request."""
    return refusal.code in _ENDS


def is_unencoded(refusal: RefusedError) -> bool:
    """Tell whether one value among those asked for may be why the server answers nothing at all."""
    return refusal.code in (ua.StatusCodes.BadInternalError, ua.StatusCodes.BadEncodingError)


def status_name(code: int) -> str:
    """Return what people read for a status code."""
    name: str = ua.StatusCode(code & 0xFFFF_0000).name
    return name


@contextmanager
def in_words(traffic: Traffic | None = None) -> Iterator[None]:
    """Tell the library's errors as ours.

    Raises:
        SilentError: no answer in time.
        RefusedError: a bad status code for the whole request.
        ConnectError: the connection is gone, or makes no sense.
    """
    try:
        yield
    except TimeoutError as exc:
        if traffic is not None:
            traffic.timeouts += 1
        raise SilentError("no answer in time") from exc
    except ua.UaStatusCodeError as exc:
        if traffic is not None:
            traffic.refused(status_name(exc.code))
        raise RefusedError(f"the server refuses: {status_name(exc.code)}", exc.code) from exc
    except ConnectionRefusedError as exc:
        raise ConnectError("nothing listens there") from exc
    except OSError as exc:
        raise ConnectError(exc.strerror or str(exc) or "the connection is gone") from exc
    except ua.UaError as exc:
        raise ConnectError(f"the server's answer makes no sense: {exc}") from exc


class Session:
    """Requests over an activated session.

    Attributes:
        url: the server that is connected.
        ends: when the certificates end that the connection is made with, by kind.
        limits: how many operations a request may hold, by service.
        traffic: what went over the link.
        moved: indices that stand for another namespace than they did, each with the URI that is meant.
    """

    def __init__(
        self,
        client: Client,
        url: str,
        traffic: Traffic,
        clock: Clock,
        timeout_s: float,
        ends: Mapping[str, datetime],
    ) -> None:
        self.url = url
        self.ends = ends
        self.limits = dict.fromkeys(_LIMITS, CHUNK)
        self.moved: dict[int, str] = {}
        self._client = client
        self.traffic = traffic
        self._clock = clock
        self._timeout_s = timeout_s
        self._namespaces: dict[str, int] = {}
        self._renew_ns = self._next_renewal()

    @property
    def life_s(self) -> float:
        """Return how long the server keeps the session without a request, as it granted."""
        return _sane_ms(self._client.session_timeout) / 1000

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Have it told once when the connection is gone."""
        protocol = self._client.uaclient.protocol
        if protocol is None or protocol.is_closed:
            tell()
        else:
            protocol.on_connection_lost = lambda _: tell()

    async def ask(self, request: Any, answer: Any, timeout_s: float | None = None) -> Any:
        """Send a request and return the answer; `timeout_s` 0 waits for ever.

        Raises:
            ConnectError: as `in_words` tells.
        """
        protocol = self._client.uaclient.protocol
        with in_words(self.traffic):
            if protocol is None or protocol.is_closed:
                raise ConnectionError("the connection is gone")
            self.traffic.requests += 1
            sent_ns = self._clock.steady_ns()
            wait_s = self._timeout_s if timeout_s is None else timeout_s
            found = _decoded(answer, await protocol.send_request(request, wait_s))
            found.ResponseHeader.ServiceResult.check()
        if wait_s:
            self.traffic.took((self._clock.steady_ns() - sent_ns) / 1e6)
        return found

    async def learn(self, meant: dict[int, str] | None = None) -> None:
        """Read what the server calls its namespaces, and how much it takes at once.

        `meant` has the URIs that indices stood for when they were first seen, and is added to: nodes that are
        named by an index are not taken from another namespace that has it now.

        Raises:
            ConnectError: it does not say.
        """
        ids = [ua.ObjectIds.Server_NamespaceArray, *_LIMITS.values()]
        found = await self.read([read_id(ua.NodeId(each)) for each in ids])
        uris = found[0].Value.Value if found[0].Value is not None else None
        if isinstance(uris, list):
            self._namespaces = {uri: index for index, uri in reversed(list(enumerate(uris)))}
            known = {} if meant is None else meant
            for index, uri in list(enumerate(uris))[2:]:  # 1 is each server's own
                known.setdefault(index, uri)
            self.moved = {index: uri for index, uri in known.items() if uri not in uris[index : index + 1]}
        for name, data in zip(_LIMITS, found[1:], strict=True):
            limit = data.Value.Value if data.Value is not None else None
            if isinstance(limit, int) and limit > 0:
                self.limits[name] = min(self.limits[name], limit)

    def node_id(self, node: NodeRef) -> ua.NodeId | None:
        """Return the node id as this server counts its namespaces today; None where it has no such one."""
        if isinstance(node.namespace, str):
            space = self._namespaces.get(node.namespace)
        else:
            space = None if node.namespace in self.moved else node.namespace
        if space is None:
            return None
        match node.kind:
            case "i":
                return ua.NodeId(int(node.identifier), space)
            case "g":
                return ua.NodeId(uuid.UUID(node.identifier), space)
            case "b":
                return ua.NodeId(base64.b64decode(node.identifier), space, ua.NodeIdType.ByteString)
        return ua.NodeId(node.identifier, space, ua.NodeIdType.String)

    def node_ref(self, node_id: Any) -> NodeRef:
        """Return a node as the plant file names it: by URI, but for the server's own namespace."""
        space = node_id.NamespaceIndex
        by_uri = next((uri for uri, index in self._namespaces.items() if index == space), None)
        kind, name = "s", str(node_id.Identifier)
        if isinstance(node_id.Identifier, int):
            kind = "i"
        elif isinstance(node_id.Identifier, uuid.UUID):
            kind = "g"
        elif isinstance(node_id.Identifier, bytes):
            kind, name = "b", base64.b64encode(node_id.Identifier).decode()
        return NodeRef(by_uri if space > 1 and by_uri else space, kind, name)

    async def read(self, wanted: Sequence[Any], timeout_s: float | None = None) -> list[Any]:
        """Return a DataValue for each ReadValueId.

        Where the whole is refused since the server cannot encode it, that is found by halves: the status of
        such a value is BadEncodingError.

        Raises:
            ConnectError: no answer, or none that fits.
        """
        unencoded = 0

        async def some(chunk: Sequence[Any]) -> Any:
            nonlocal unencoded
            request = ua.ReadRequest()
            request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
            request.Parameters.NodesToRead = list(chunk)
            try:
                return (await self.ask(request, ua.ReadResponse, timeout_s)).Results
            except RefusedError as exc:
                if not is_unencoded(exc) or unencoded >= MAX_UNENCODED:
                    raise
            if len(chunk) > 1:
                half = len(chunk) // 2
                parts = [chunk[:half], chunk[half:]]
                return [each for part in parts for each in fitting(await some(part), part)]
            unencoded += 1
            return [ua.DataValue(StatusCode=ua.StatusCode(ua.StatusCodes.BadEncodingError))]

        return await self.in_pieces("read", wanted, some)

    async def write(self, wanted: Sequence[Any]) -> list[int]:
        """Return a status code for each WriteValue.

        Raises:
            ConnectError: no answer, or none that fits.
        """

        async def some(chunk: Sequence[Any]) -> Any:
            request = ua.WriteRequest()
            request.Parameters.NodesToWrite = list(chunk)
            return (await self.ask(request, ua.WriteResponse)).Results

        return [each.value for each in await self.in_pieces("write", wanted, some)]

    async def in_pieces(
        self, service: str, wanted: Sequence[Any], ask: Callable[[Sequence[Any]], Awaitable[Any]]
    ) -> list[Any]:
        """Return the result of each operation, asked for as many at once as the server takes.

        One that does not tell its limit is asked for half as many whenever it says that it was too much.

        Raises:
            ConnectError: no answer, or none that fits.
        """
        found: list[Any] = []
        while len(found) < len(wanted):
            chunk = wanted[len(found) : len(found) + self.limits[service]]
            try:
                found += fitting(await ask(chunk), chunk)
            except RefusedError as exc:
                if exc.code not in _TOO_MUCH or len(chunk) == 1:
                    raise
                self.limits[service] = len(chunk) // 2
        return found

    async def renew_channel(self) -> None:
        """Renew the secure channel's token, for ever.

        Raises:
            ConnectError: the server does not renew it.
        """
        while True:
            await self._clock.sleep(max(0, self._renew_ns - self._clock.steady_ns()) / SECOND_NS)
            await self.renew_if_due()

    async def renew_if_due(self) -> None:
        """Renew the secure channel's token once three quarters of its life are over.

        Raises:
            ConnectError: the server does not renew it.
        """
        if self._clock.steady_ns() < self._renew_ns:
            return
        with in_words(self.traffic):
            await self._client.open_secure_channel(renew=True)
        self._renew_ns = self._next_renewal()

    def _next_renewal(self) -> int:
        return self._clock.steady_ns() + round(_sane_ms(self._client.secure_channel_timeout) * 750_000)

    async def close(self, politely: bool) -> None:
        """Leave; `politely` ends session and subscriptions on the server, within a second."""
        self._client.uaclient.request_disconnect()
        self._client.uaclient.pre_request_hook = None
        try:
            if politely:
                with in_words():
                    request = ua.CloseSessionRequest()
                    request.DeleteSubscriptions = True
                    await self.ask(request, ua.CloseSessionResponse, GOODBYE_S)
                    await self._client.close_secure_channel()
        except ConnectError:
            pass  # it is gone anyway
        finally:
            self._client.disconnect_socket()


def _sane_ms(granted: float) -> float:
    """Return a time that a server grants; one of next to nothing would keep both sides busy."""
    return float(granted) if granted >= LEAST_MS else LEAST_MS


def _decoded(answer: Any, data: Any) -> Any:
    try:
        return struct_from_binary(answer, data)
    except ua.UaError:
        raise
    except Exception as exc:  # the library's decoders raise anything on malformed messages
        raise ua.UaError(f"{type(exc).__name__}: {exc}") from exc


def read_id(node_id: Any, attribute: int = ua.AttributeIds.Value, index_range: str | None = None) -> Any:
    """Return what a Read asks for."""
    return ua.ReadValueId(NodeId=node_id, AttributeId=attribute, IndexRange=index_range)


def chunks(wanted: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    """Yield the sequence in pieces of at most so many."""
    return (wanted[first : first + most] for first in range(0, len(wanted), most))


def fitting(results: Any, asked: Sequence[Any]) -> list[Any]:
    """Return the results of a request.

    Raises:
        ConnectError: they are not as many as were asked for.
    """
    if not isinstance(results, list) or len(results) != len(asked):
        count = len(results) if isinstance(results, list) else 0
        raise ConnectError(f"the server answers {count} results where {len(asked)} were asked for")
    return results
