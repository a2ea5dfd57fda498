"""What a server did, for whom, and whom it refused: the first questions when a client gets no values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from drivers.frame.connection import Traffic, in_words
from drivers.frame.facts import Table, Telling
from runtime.contract import DataType, Port

FACTS: Table = {
    "connections": (DataType.UDINT, "clients connected", "已连接的客户端数"),
    "clients": (DataType.STRING, "addresses of clients, with their connections", "客户端地址及其连接数"),
    "requests": (DataType.UDINT, "requests answered", "已应答请求数"),
    "exceptions": (DataType.UDINT, "requests refused", "已拒绝请求数"),
    "exception_codes": (DataType.STRING, "those by code, the most frequent first", "按代码统计的拒绝数"),
    "dropped": (DataType.UDINT, "connections refused, or closed for cause", "被拒绝或异常关闭的连接数"),
    "last_refusal": (DataType.STRING, "who was refused last, and why", "最近一次拒绝的对象和原因"),
    "bytes_sent": (DataType.ULINT, "bytes sent", "已发送字节数"),
    "bytes_received": (DataType.ULINT, "bytes received", "已接收字节数"),
}
MOST_SHOWN = 10


@dataclass(slots=True)
class Served(Traffic):
    """What a server did since it started.

    Attributes:
        dropped: connections that were refused, or closed for cause.
        last_refusal: who was refused last, and why.
    """

    dropped: int = 0
    last_refusal: str = ""

    def refuse(self, whom: str, code: str, what: str) -> None:
        """Note a request that was refused."""
        self.refused(code)
        self.last_refusal = f"{whom}: {what}"

    def drop(self, whom: str, why: str) -> None:
        """Note a connection that was refused, or closed for cause."""
        self.dropped += 1
        self.last_refusal = f"{whom}: {why}"


class Serving(Telling):
    """Tells of a server."""

    def __init__(self, name: str, port: Port, served: Served, table: Table = FACTS) -> None:
        """`table` has what every server tells, and what this one tells beside."""
        super().__init__(name, port, table)
        self.served = served
        self.connections, self.clients = 0, ""
        self._count()

    def look(self, addresses: Iterable[str]) -> None:
        """Tell what changed; `addresses` has that of each connection."""
        counts = Counter(addresses)
        self.connections = counts.total()
        most = counts.most_common(MOST_SHOWN)
        shown = [each if count == 1 else f"{each} ({count})" for each, count in most]
        more = [f"{len(counts) - MOST_SHOWN} more"] if len(counts) > MOST_SHOWN else []
        self.clients = ", ".join(shown + more)
        self._count()
        self.tell()

    def _count(self) -> None:
        served = self.served
        self.requests, self.exceptions, self.dropped = served.requests, served.exceptions, served.dropped
        self.exception_codes, self.last_refusal = in_words(served.codes), served.last_refusal
        self.bytes_sent, self.bytes_received = served.bytes_sent, served.bytes_received
