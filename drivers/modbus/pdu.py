"""Requests as bytes and responses as replies, on pymodbus's messages (the only module that imports it).

pymodbus turns registers into lists of Python numbers one by one; here replies keep their bytes, for numpy.
"""

from __future__ import annotations

import logging
from functools import lru_cache

from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    MaskWriteRegisterRequest,
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from drivers.modbus.address import Table
from drivers.modbus.codec import unpack_bits
from drivers.modbus.messages import SILENCE, Reply, Request

# Each bad frame would be a line on the console; the quality of the values tells it once.
logging.getLogger("pymodbus.logging").setLevel(logging.CRITICAL)

_READS = {
    Table.COIL: ReadCoilsRequest,
    Table.DISCRETE_INPUT: ReadDiscreteInputsRequest,
    Table.INPUT_REGISTER: ReadInputRegistersRequest,
    Table.HOLDING_REGISTER: ReadHoldingRegistersRequest,
}
_WRITE_ECHO = (
    5  # function, start, and value or count. Source: MODBUS Application Protocol V1.1b3, 6.5 to 6.12
)
_MASK = 22  # its answer is an echo of all of it; 6.16


def message_of(request: Request, multiple: bool = False) -> bytes:
    """Return the message of a request: function code and data.

    `multiple` writes one place with function 15 or 16 too, for devices that do not know 5 and 6.
    """
    if request.data is None:
        return _read(request.table, request.start, request.count)
    if request.keep is not None:
        put = int.from_bytes(request.data, "big")
        return _bytes(MaskWriteRegisterRequest(request.start, and_mask=request.keep, or_mask=put))
    where = {"address": request.start}
    single = request.count == 1 and not multiple
    if request.table.is_bits:
        bits = unpack_bits(request.data, request.count).astype(bool).tolist()
        pdu = (WriteSingleCoilRequest if single else WriteMultipleCoilsRequest)(bits=bits, **where)
    else:
        words = [int.from_bytes(request.data[at : at + 2], "big") for at in range(0, len(request.data), 2)]
        pdu = (WriteSingleRegisterRequest if single else WriteMultipleRegistersRequest)(
            registers=words, **where
        )
    return _bytes(pdu)


def _bytes(pdu: ModbusPDU) -> bytes:
    return bytes([pdu.function_code]) + bytes(pdu.encode())


@lru_cache(4096)  # the same reads go out again and again
def _read(table: Table, start: int, count: int) -> bytes:
    return _bytes(_READS[table](address=start, count=count))


def data_size(request: Request) -> int:
    """Return how many bytes of data the response to a read has."""
    return (request.count + 7) // 8 if request.table.is_bits else 2 * request.count


def reply_of(request: Request, message: bytes, response: bytes | None, came_ns: int = 0) -> Reply:
    """Return what a response says to the message of a request; one that does not go with it says nothing."""
    if not response:
        return SILENCE
    if response[0] == message[0] | 0x80:
        code = response[1] if len(response) == 2 else 0
        return Reply(exception=code, came_ns=came_ns) if code else SILENCE  # there is no code 0
    if request.data is not None:
        echo = message if message[0] == _MASK else message[:_WRITE_ECHO]
        return Reply(came_ns=came_ns) if response == echo else SILENCE
    if response[0] != message[0] or len(response) < 2 or response[1] != len(response) - 2:
        return SILENCE
    size = data_size(request)
    if response[1] != size:
        return Reply(is_short=True, came_ns=came_ns) if response[1] < size else SILENCE
    return Reply(response[2:], came_ns=came_ns)
