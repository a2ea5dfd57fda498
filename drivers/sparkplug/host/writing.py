"""Writes of people to edge nodes: sent as a command, done when the node tells the value."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from drivers.frame.commands import Commands
from drivers.sparkplug.datatypes import BOOLEAN_TYPE, SPARKPLUG, UnfitError, carried, value_of
from drivers.sparkplug.host.address import Address, NodeId, Point
from drivers.sparkplug.host.nodes import EdgeNode, Told
from drivers.sparkplug.payload import BOOLEAN, LONG, Carried, Metric, Payload, encode
from drivers.sparkplug.topics import REBIRTH, Topic
from drivers.sparkplug.transport import Connection, Message
from runtime.contract import Clock, Command, Tag

MS_NS = 1_000_000


class Writing:
    """Commands that passed the gate, one after the other."""

    def __init__(
        self,
        name: str,
        points: Sequence[Point],
        nodes: Mapping[NodeId, EdgeNode],
        clock: Clock,
        timeout_s: float,
    ) -> None:
        self.points = {point.tag.id: point for point in points}
        self._name = name
        self._nodes = nodes
        self._clock = clock
        self._timeout_s = timeout_s
        self._wake = asyncio.Event()
        self.commands = Commands(name, self._wake)
        self._heard: tuple[Address, asyncio.Future[Told]] | None = None

    def hear(self, node: NodeId, told: Told) -> None:
        """Note what a node tells: it may be the answer to a write."""
        if self._heard is None or told.metric.is_historical:
            return
        address, answer = self._heard
        if address == Address(node, told.device, told.name) and not answer.done():
            answer.set_result(told)

    async def serve(self, connection: Connection) -> None:
        """Write until the connection is lost.

        Raises:
            ConnectError: it is.
        """
        self.commands.online = True
        while True:
            await self._wake.wait()
            self._wake.clear()
            while len(self.commands):
                await self.commands.serve_next(lambda command: self._carry_out(connection, command))

    def rebirth(self, node: NodeId) -> Message:
        """Return the command that asks a node for its births."""
        metric = Metric(REBIRTH, datatype=BOOLEAN_TYPE, value=Carried(BOOLEAN, True))
        return self._command(node, "", metric)

    def _command(self, node: NodeId, device: str, metric: Metric) -> Message:
        topic = Topic("DCMD" if device else "NCMD", node.group, node.node, device)
        return Message(str(topic), encode(Payload(self._clock.now_ns() // MS_NS, [metric])))

    async def _carry_out(self, connection: Connection, command: Command) -> str:
        """Send a write and wait for what the node tells; return why it was not done, or nothing."""
        point = self.points.get(command.tag.id)
        if point is None:
            return f"{command.tag.path} cannot be written on {self._name}"
        tag, address = point
        node = self._nodes[address.node]
        datatype = node.datatype(address.device, address.metric)
        alias = node.alias(address.device, address.metric)
        if not node.online or datatype is None:
            return f"{address.node} is offline" if not node.online else "the node has no such metric"
        if datatype != SPARKPLUG[tag.data_type]:
            return "the metric has another type than the tag, and is only read"
        value = carried(tag.data_type, command.raw, command.text)
        if node.is_wide(address.device, address.metric):
            value = Carried(LONG, value.content)
        name = "" if alias is not None else address.metric
        metric = Metric(name, alias, self._clock.now_ns() // MS_NS, datatype, value=value)
        answer: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._heard = address, answer
        try:
            await connection.publish(self._command(address.node, address.device, metric))
            async with asyncio.timeout(self._timeout_s):
                told = await answer
        except TimeoutError:
            return f"written, but {address.node} did not tell the value within {self._timeout_s:g} s"
        finally:
            self._heard = None
        return _judge(tag, metric, told)


def _judge(tag: Tag, sent: Metric, told: Told) -> str:
    if told.metric.value is None or sent.value is None:
        return "the node tells no value"
    try:
        kept = value_of(tag.data_type, told.datatype, told.metric.value)
        same = kept == value_of(tag.data_type, sent.datatype, sent.value)
    except UnfitError as exc:
        return f"the node tells what the tag cannot be: {exc}"
    return "" if same else f"the node keeps {kept}"
