"""Read Device Identification (function 43/14): what a device says of itself, asked and answered.

Source: MODBUS Application Protocol V1.1b3, 6.21.
"""

from __future__ import annotations

from collections.abc import Mapping

from drivers.modbus.messages import ExceptionCode, RefusalError

MEI = 14
NAMES = ("vendor", "product code", "revision", "vendor URL", "product name", "model name", "application name")
_BASIC, _REGULAR, _EXTENDED, _ONE = 1, 2, 3, 4
_LAST = {_BASIC: 0x02, _REGULAR: 0x7F, _EXTENDED: 0xFF}
_CONFORMITY = 0x82  # regular, as a stream and one by one
_ROOM = 253 - 7  # bytes for objects in a message

Identity = Mapping[int, bytes] | tuple[()]


def identify(identity: Identity, data: bytes) -> bytes:
    """Return the response's data to a request's.

    Raises:
        RefusalError: another kind of MEI, a wrong code, or an object that is not there.
    """
    if data[:1] != bytes([MEI]) or not identity:
        raise RefusalError(ExceptionCode.ILLEGAL_FUNCTION)
    if len(data) != 3:
        raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
    code, first = data[1], data[2]
    objects = dict(identity)
    if code == _ONE:
        if first not in objects:
            raise RefusalError(ExceptionCode.ILLEGAL_DATA_ADDRESS)
        wanted = [first]
    elif code in _LAST:
        known = sorted(each for each in objects if each <= _LAST[code])
        wanted = [each for each in known if each >= first] if first in known else known
    else:
        raise RefusalError(ExceptionCode.ILLEGAL_DATA_VALUE)
    body, count = b"", 0
    for each in wanted:
        entry = bytes([each, len(objects[each])]) + objects[each]
        if len(body) + len(entry) > _ROOM:
            break
        body += entry
        count += 1
    follows = wanted[count] if count < len(wanted) else 0
    return bytes([MEI, code, _CONFORMITY, 0xFF if follows else 0, follows, count]) + body


def request(first: int = 0, code: int = _REGULAR) -> bytes:
    """Return the message that asks for the objects from `first` on."""
    return bytes([43, MEI, code, first])


def parse(response: bytes) -> tuple[dict[int, str], int]:
    """Return the objects in a response, and the first of those that follow; 0 where none do.

    Raises:
        ValueError: it is no such response.
    """
    if len(response) < 7 or response[0] != 43 or response[1] != MEI:
        raise ValueError("no identification")
    follows, count = (response[5] if response[4] else 0), response[6]
    objects: dict[int, str] = {}
    at = 7
    for _ in range(count):
        if at + 2 > len(response) or at + 2 + response[at + 1] > len(response):
            raise ValueError("the identification is cut off")
        size = response[at + 1]
        objects[response[at]] = response[at + 2 : at + 2 + size].decode("utf-8", "replace").strip("\0 ")
        at += 2 + size
    return objects, follows
