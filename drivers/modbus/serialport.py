"""A serial port of the operating system, opened for Modbus RTU, as a transport of asyncio.

Source: termios(3); Linux, Documentation/driver-api/serial/serial-rs485.rst (TIOCSRS485).
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import termios
from dataclasses import dataclass, replace
from typing import Literal

from runtime.errors import ConnectError

BAUDS = (1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600)
Parity = Literal["even", "odd", "none"]
_TIOCSRS485 = 0x542F
_RS485 = struct.Struct("=8I")
_ENABLED, _RTS_ON_SEND = 1, 2
_PSEUDO = range(136, 144)  # Linux, Documentation/admin-guide/devices.txt: Unix98 pty slaves
_PENDING = 4096
_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class Line:
    """A serial line.

    Attributes:
        device: such as /dev/ttyUSB0.
        rs485: the driver of the port switches between sending and listening, by RTS.
    """

    device: str
    baud: int = 19_200
    parity: Parity = "even"
    stop: int = 1
    rs485: bool = False

    @property
    def char_s(self) -> float:
        """Return how long a character takes: start bit, 8 bits, parity, stop bits."""
        return (9 + (self.parity != "none") + self.stop) / self.baud

    def __str__(self) -> str:
        return f"{self.device} at {self.baud} baud, 8{self.parity[0].upper()}{self.stop}"


class SerialPort(asyncio.Transport):
    """An open port that hands what it reads to a protocol."""

    def __init__(self, descriptor: int, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._fd, self._protocol = descriptor, protocol
        self._loop = asyncio.get_running_loop()
        self._pending = b""
        self._loop.add_reader(descriptor, self._read)
        protocol.connection_made(self)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, _CHUNK)
        except BlockingIOError:
            return
        except OSError as exc:
            self._close(exc)
            return
        if data:
            self._protocol.data_received(data)
        else:
            self._close(OSError(errno.EIO, "the port is gone"))

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send the bytes; what the port does not take yet waits, up to a bound."""
        if self._fd < 0:
            return
        waiting = bool(self._pending)
        self._pending += bytes(data)
        if len(self._pending) > _PENDING:
            self._close(OSError(errno.EIO, "the port takes nothing any more"))
        elif not waiting:
            self._flush()

    def _flush(self) -> None:
        try:
            self._pending = self._pending[os.write(self._fd, self._pending) :]
        except BlockingIOError:
            pass
        except OSError as exc:
            self._close(exc)
            return
        if self._pending:
            self._loop.add_writer(self._fd, self._flush)
        else:
            self._loop.remove_writer(self._fd)

    def is_closing(self) -> bool:
        return self._fd < 0

    def close(self) -> None:
        self._close(None)

    def abort(self) -> None:
        self._close(None)

    def pause_reading(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        if self._fd >= 0:
            self._loop.add_reader(self._fd, self._read)

    def _close(self, exc: Exception | None) -> None:
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        os.close(self._fd)
        self._fd = -1
        self._loop.call_soon(self._protocol.connection_lost, exc)


def open_port(line: Line) -> int:
    """Open and set up a port for ourselves alone; return its descriptor.

    Raises:
        ConnectError: it is not there, not ours, not free, or no serial port.
    """
    try:
        descriptor = os.open(line.device, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        raise _cannot_open(line, exc) from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _set_up(descriptor, line)
    except (OSError, termios.error) as exc:
        os.close(descriptor)
        raise _cannot_open(line, OSError(*exc.args)) from exc
    except ConnectError:
        os.close(descriptor)
        raise
    return descriptor


def _set_up(descriptor: int, line: Line) -> None:
    if os.major(os.fstat(descriptor).st_rdev) in _PSEUDO:
        line = replace(line, parity="none")  # no wire, no parity: asking for it is an error
    speed = getattr(termios, f"B{line.baud}")
    flags = termios.CS8 | termios.CREAD | termios.CLOCAL
    if line.parity != "none":
        flags |= termios.PARENB | (termios.PARODD if line.parity == "odd" else 0)
    if line.stop == 2:
        flags |= termios.CSTOPB
    # A character with wrong parity is kept as it is: the CRC tells.
    control = termios.tcgetattr(descriptor)[6]
    control[termios.VMIN], control[termios.VTIME] = 1, 0
    termios.tcsetattr(descriptor, termios.TCSANOW, [0, 0, flags, 0, speed, speed, control])
    termios.tcflush(descriptor, termios.TCIOFLUSH)
    if line.rs485:
        try:
            fcntl.ioctl(descriptor, _TIOCSRS485, _RS485.pack(_ENABLED | _RTS_ON_SEND, *[0] * 7))
        except OSError as exc:
            remedy = "leave `rs485` out where the adapter switches by itself, as most do"
            raise ConnectError(f"{line.device} has no RS-485 mode", remedy) from exc


def _cannot_open(line: Line, exc: OSError) -> ConnectError:
    number = exc.errno
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return ConnectError(f"there is no {line.device}", "plug it in; /dev/serial/by-id keeps its name")
    if number in (errno.EACCES, errno.EPERM):
        remedy = "put the account that runs Ironworks into the group dialout"
        return ConnectError(f"{line.device} is not permitted", remedy)
    if number in (errno.EWOULDBLOCK, errno.EBUSY):
        return ConnectError(f"{line.device} is in use", "stop the other program, or share one driver")
    if number in (errno.ENOTTY, errno.EINVAL):
        text = f"{line.device} is no serial port, or does not run at {line.baud} baud"
        return ConnectError(text, "name one, such as /dev/ttyS0")
    return ConnectError(f"cannot open {line.device}: {exc.strerror or exc}")
