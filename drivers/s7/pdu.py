"""S7 messages by python-snap7, and what their replies say (the only module that imports it).

python-snap7's client waits for each reply in a blocking call, raises on the first item that is refused and so
loses the others; its messages are used here, not its client.
"""

from __future__ import annotations

import logging
import struct
from functools import lru_cache

from snap7.datatypes import S7Area, S7DataTypes, S7WordLen
from snap7.error import S7Error
from snap7.s7protocol import S7Protocol

from drivers.s7.address import Area
from drivers.s7.messages import SILENCE, AskState, Code, Item, Read, Reply, Request, Write

# A refused item would be a line on the console; the quality of the values tells it once.
logging.getLogger("snap7").setLevel(logging.CRITICAL)

READ_HEAD, READ_ITEM = 12, 12  # bytes of a request to read: head and function, an item
REPLY_HEAD, REPLY_ITEM = 14, 4  # bytes of its reply
WRITE_HEAD = 28  # bytes of a request to write one item, without its data
_STATE_LIST = 0x0424  # the CPU's mode, in the system status list
_SEQUENCE = struct.Struct(">H")
_WORD_LENGTHS = {Area.TIMER: S7WordLen.TIMER, Area.COUNTER: S7WordLen.COUNTER}


def max_read(pdu: int) -> int:
    """Return the bytes that one read of one item can bring."""
    return (pdu - REPLY_HEAD - REPLY_ITEM) & ~1


def max_write(pdu: int) -> int:
    """Return the bytes that one write can carry."""
    return (pdu - WRITE_HEAD) & ~1


def setup_message(pdu: int, jobs: int) -> bytes:
    """Return the message that negotiates length and requests under way."""
    message: bytes = S7Protocol().build_setup_communication_request(jobs, jobs, pdu)
    return message


def setup_answer(message: bytes) -> tuple[int, int]:
    """Return the length and the number of requests under way that the CPU grants.

    Raises:
        ValueError: it grants none.
    """
    try:
        granted = S7Protocol().parse_response(message).get("parameters") or {}
    except (S7Error, struct.error) as exc:
        raise ValueError(str(exc)) from exc
    pdu = granted.get("pdu_length", 0)
    if not isinstance(pdu, int) or pdu < 64:
        raise ValueError(f"a message length of {pdu} bytes")
    return pdu, max(1, int(granted.get("max_amq_caller", 1)))


@lru_cache(maxsize=4096)
def _message(request: Read | AskState) -> bytes:
    """Return a message whose sequence number is to be set."""
    if isinstance(request, AskState):
        message: bytes = S7Protocol().build_read_szl_request(_STATE_LIST, 0)
        return message
    specs = b"".join(_specification(item) for item in request.items)
    head = struct.pack(">BBHHHHBB", 0x32, 1, 0, 0, 2 + len(specs), 0, 4, len(request.items))
    return head + specs


def _specification(item: Item) -> bytes:
    length = _WORD_LENGTHS.get(item.area, S7WordLen.BYTE)
    spec = S7DataTypes.encode_address(S7Area(item.area.code), item.db, item.start, length, item.count)
    return bytes(spec)


def message_of(request: Request, sequence: int) -> bytes:
    """Return a request as it goes over the wire."""
    if isinstance(request, Write):
        item = request.item
        length, start = (
            (S7WordLen.BYTE, item.start) if item.bit is None else (S7WordLen.BIT, item.start * 8 + item.bit)
        )
        area = S7Area(item.area.code)
        message = bytes(S7Protocol().build_write_request(area, item.db, start, length, request.data))
    else:
        message = _message(request)
    return message[:4] + _SEQUENCE.pack(sequence) + message[6:]


def sequence_of(message: bytes) -> int | None:
    """Return the number of the request that a message answers; None where it is no S7 message."""
    if len(message) < 10 or message[0] != 0x32:
        return None
    number: int = _SEQUENCE.unpack_from(message, 4)[0]
    return number


def replies_of(request: Request, message: bytes) -> tuple[Reply, ...]:
    """Return what a message says to the items of a request; silence where it does not go with it."""
    n = len(request.items) if isinstance(request, Read) else 1
    try:
        response = S7Protocol().parse_response(message)
    except S7Error as exc:
        code = exc.error_code
        refused = isinstance(code, int) and 0xFF < code <= 0xFFFF
        return (Reply(code=code) if refused and code is not None else SILENCE,) * n
    except (struct.error, IndexError):
        return (SILENCE,) * n
    body = bytes(response.get("raw_data", b""))
    if isinstance(request, AskState):
        return (_state(response.get("data") or {}),)
    parameters = response.get("parameters") or {}
    function = 4 if isinstance(request, Read) else 5
    if parameters.get("function_code") != function or parameters.get("item_count") != n:
        return (SILENCE,) * n
    if isinstance(request, Write):
        return (Reply(code=body[0]) if len(body) == 1 else SILENCE,)
    return tuple(_items(request.items, body))


def _items(items: tuple[Item, ...], body: bytes) -> list[Reply]:
    """Return a reply for each item of a read; all are silent where the body does not go with them."""
    replies = []
    at = 0
    for item in items:
        if at + 4 > len(body):
            return [SILENCE] * len(items)
        code, kind, length = struct.unpack_from(">BBH", body, at)
        at += 4
        if code != Code.OK:
            replies.append(Reply(code=code))
            continue
        size = length // 8 if kind in (4, 5) else length
        if size != item.size or at + size > len(body):
            return [SILENCE] * len(items)
        replies.append(Reply(body[at : at + size]))
        at += size + size % 2
    return replies


def _state(data: object) -> Reply:
    """Return the low half of a mode's byte: what the CPU does now.

    Source: SIMATIC, System and Standard Functions for S7-300 and S7-400, SSL-ID W#16#xy24.
    """
    raw = data.get("data", b"") if isinstance(data, dict) else b""
    if len(raw) < 12:  # list, index, length, count; event and mode
        return SILENCE
    return Reply(bytes([raw[11] & 0x0F]))
