"""How large messages may be, each way: what a client says in its Hello is of our answers alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from asyncua import ua
from asyncua.common.connection import TransportLimits


@dataclass
class Sizes(TransportLimits):  # type: ignore[misc]
    """The limits of one connection; asyncua takes what a client can receive for what it may send.

    Attributes:
        answer_bytes: what an answer may have, before it is cut into chunks; 0 is no limit.
        answer_chunks: chunks that an answer may have; 0 is no limit.
    """

    max_recv_buffer: int = 65_536
    max_send_buffer: int = 65_536
    answer_bytes: int = 0
    answer_chunks: int = 0

    def create_acknowledge_and_set_limits(self, msg: Any) -> Any:
        """Return the Acknowledge of a Hello. Source: OPC 10000-6, 7.1.2.3 and 7.1.2.4."""
        self.answer_bytes, self.answer_chunks = msg.MaxMessageSize, msg.MaxChunkCount
        self.max_recv_buffer = min(msg.SendBufferSize, self.max_recv_buffer)
        self.max_send_buffer = min(msg.ReceiveBufferSize, self.max_send_buffer)
        return ua.Acknowledge(
            ReceiveBufferSize=self.max_recv_buffer,
            SendBufferSize=self.max_send_buffer,
            MaxMessageSize=self.max_message_size,
            MaxChunkCount=self.max_chunk_count,
        )

    def takes(self, size: int, a_chunk: int) -> bool:
        """Tell whether a client takes an answer of so many bytes, where a chunk has room for so many."""
        fits = not self.answer_bytes or size <= self.answer_bytes
        return fits and (not self.answer_chunks or size <= self.answer_chunks * a_chunk)
