"""A client that costs little: asyncua logs it in, then it sends prepared requests and counts answers."""

from __future__ import annotations

import asyncio
import logging
import struct
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.ua.ua_binary import struct_to_binary

ROOT = "bench/area/line"
_FIRST = 1_000_000  # number of its first request: asyncua's own are below
_BODY = 28  # type and header of a response. Source: OPC 10000-6, 5.2.9; OPC 10000-4, 7.33
_PUBLISHES = 4
_PER_CALL = 1000


def node_of(number: int) -> str:
    """Return the node of a bench's tag: Ironworks', and the one that the stock server is given."""
    return f"ns=2;s={ROOT}/unit{number // 100}/signal{number % 100}"


class RawClient:
    """One client.

    Attributes:
        values: values read, or notified, so far.
    """

    def __init__(self, url: str, secure: Path | None = None) -> None:
        logging.getLogger("asyncua").setLevel(logging.CRITICAL)
        self.values = 0
        self._client = Client(url, timeout=30, watchdog_intervall=30)  # a loaded machine is no fault
        self._secure = secure
        self._number = _FIRST
        self._ask: Any = None

    async def open(self) -> None:
        """Connect; with a folder `secure`, by Basic256Sha256 with a certificate that is made there.

        Raises:
            OSError: nobody listens.
        """
        if self._secure is not None:
            from drivers.opcua.certificate import own_certificate

            uri = "urn:ironworks:bench"
            await asyncio.to_thread(own_certificate, self._secure, uri, "bench")
            self._client.application_uri = uri
            await self._client.set_security(
                SecurityPolicyBasic256Sha256,
                self._secure / "certificate.der",
                self._secure / "key.pem",
                mode=ua.MessageSecurityMode.SignAndEncrypt,
            )
        await self._client.connect()
        protocol: Any = self._client.uaclient.protocol
        theirs = protocol._process_received_message

        def take(message: Any) -> None:
            if isinstance(message, ua.Message) and message.request_id() > _FIRST:
                self._answered(bytes(message.body().copy()))
            else:
                theirs(message)

        protocol._process_received_message = take

    async def close(self) -> None:
        await self._client.disconnect()

    def read(self, tags: int, under_way: int = 2) -> None:
        """Read that many tags again and again, with so many requests under way."""
        request = ua.ReadRequest()
        request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        request.Parameters.NodesToRead = [
            ua.ReadValueId(ua.NodeId.from_string(node_of(number)), ua.AttributeIds.Value)
            for number in range(tags)
        ]
        prepared = self._prepared(request)

        def ask(_data: bytes) -> None:
            self.values += tags
            self._send(prepared)

        self._ask = ask
        for _ in range(under_way):
            self._send(prepared)

    async def watch(self, tags: int, publish_ms: float) -> None:
        """Subscribe to that many tags, and count notifications.

        Raises:
            ValueError: the server refused an item.
        """
        uaclient = self._client.uaclient
        made = await uaclient.create_subscription(
            ua.CreateSubscriptionParameters(
                RequestedPublishingInterval=publish_ms,
                RequestedLifetimeCount=10_000,
                RequestedMaxKeepAliveCount=100,
                PublishingEnabled=True,
            ),
            lambda _result: None,
        )
        await self._client._cancel_task(uaclient._publish_task)
        for first in range(0, tags, _PER_CALL):
            numbers = range(first, min(first + _PER_CALL, tags))
            results = await uaclient.create_monitored_items(
                ua.CreateMonitoredItemsParameters(
                    SubscriptionId=made.SubscriptionId,
                    TimestampsToReturn=ua.TimestampsToReturn.Both,
                    ItemsToCreate=[_item(number, publish_ms) for number in numbers],
                )
            )
            if not all(each.StatusCode.is_good() for each in results):
                raise ValueError("the server refused a monitored item")

        def ask(data: bytes) -> None:
            acknowledged = self._notified(data, made.SubscriptionId)
            self._send(self._publish(acknowledged))

        self._ask = ask
        for _ in range(_PUBLISHES):
            self._send(self._publish([]))

    def _publish(self, acknowledged: list[Any]) -> bytes:
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = acknowledged
        return self._prepared(request)

    def _notified(self, data: bytes, subscription: int) -> list[Any]:
        """Count a publish response's data changes. Source: OPC 10000-4, 5.14.5, 7.25."""
        (known,) = struct.unpack_from("<i", data, _BODY + 4)
        at = _BODY + 8 + 4 * max(known, 0) + 1
        sequence, _time, parts = struct.unpack_from("<Iqi", data, at)
        if parts <= 0:
            return []
        self.values += int(struct.unpack_from("<i", data, at + 16 + 4 + 1 + 4)[0])
        return [ua.SubscriptionAcknowledgement(SubscriptionId=subscription, SequenceNumber=sequence)]

    def _prepared(self, request: Any) -> bytes:
        request.RequestHeader.AuthenticationToken = self._client.uaclient.protocol.authentication_token
        request.RequestHeader.TimeoutHint = 60_000
        data: bytes = struct_to_binary(request)
        return data

    def _send(self, data: bytes) -> None:
        protocol: Any = self._client.uaclient.protocol
        if protocol is None or protocol.transport is None:
            return
        self._number += 1
        protocol.transport.write(protocol._connection.message_to_binary(data, request_id=self._number))

    def _answered(self, data: bytes) -> None:
        (result,) = struct.unpack_from("<I", data, 16)
        if result == 0:
            self._ask(data)


def _item(number: int, sampling_ms: float) -> Any:
    return ua.MonitoredItemCreateRequest(
        ua.ReadValueId(ua.NodeId.from_string(node_of(number)), ua.AttributeIds.Value),
        ua.MonitoringMode.Reporting,
        ua.MonitoringParameters(
            ClientHandle=number, SamplingInterval=sampling_ms, QueueSize=10, DiscardOldest=True
        ),
    )
