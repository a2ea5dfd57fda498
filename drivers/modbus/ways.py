"""How a device is reached: the parts of plant.yaml that say so, and connections made from them."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from drivers.frame.host import Host
from runtime.config import FileName, Plant, Section
from runtime.errors import ConnectError, Finding

if TYPE_CHECKING:
    import asyncio

    from drivers.frame.connection import Traffic
    from drivers.modbus.messages import Transport
    from drivers.modbus.owed import Owed
    from drivers.modbus.transport import Manner

Connect = Callable[["Traffic", Callable[[], None]], Awaitable["Transport"]]
SECURE_PORT = 802  # MODBUS/TCP Security Protocol Specification, MB-TCP-Security-v36, 5


def check_device(text: str) -> str:
    """Return the path of a serial port.

    Raises:
        ValueError: it is none.
    """
    if not text.startswith("/") or "\0" in text:
        raise ValueError(f"{text!r} is no serial port; write its whole path, such as /dev/ttyUSB0")
    return text


class SerialConfig(Section):
    """A serial line. The standard's own setting is 19,200 baud, even parity, one stop bit.

    Attributes:
        device: such as /dev/ttyUSB0; names in /dev/serial/by-id stay when something else is plugged in.
        rs485: the port's driver switches the direction by RTS; most adapters do that themselves.
    """

    device: Annotated[str, AfterValidator(check_device), Field(max_length=4096)]
    baud: Literal[1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600] = 19200
    parity: Literal["even", "odd", "none"] = "even"
    stop: Literal[1, 2] = 1
    rs485: bool = False


class TlsConfig(Section):
    """Modbus/TCP Security: both sides show a certificate.

    Attributes:
        authority: PEM file of who signed the other side's certificate (or that certificate itself).
        certificate, key: PEM files of our own.
        name: what the device's certificate calls it, where that is not `host`.
    """

    authority: FileName
    certificate: FileName
    key: FileName
    name: Annotated[str, Field(max_length=253)] | None = None


class BackupConfig(Section):
    """The second address of a device: gone over to when the first fails."""

    host: Host
    port: int | None = Field(None, ge=1, le=65535)


def check_tls(plant: Plant, tls: TlsConfig | None, key: tuple[str | int, ...]) -> Iterator[Finding]:
    """Yield the files of TLS that are not there."""
    if tls is None:
        return
    for each in ("authority", "certificate", "key"):
        file = plant.folder / getattr(tls, each)
        if not file.is_file():
            text = f"there is no file {file}"
            yield Finding(
                text, plant.place(*key, "tls", each), "PEM files, in the plant folder or by whole path"
            )


def check_line(
    plant: Plant, serial: SerialConfig | None, name: str, key: tuple[str | int, ...]
) -> Iterator[Finding]:
    """Yield an earlier driver that has the same serial line."""
    if serial is None:
        return
    for other in plant.head.drivers:
        if other.get("name") == name:
            return
        line = other.get("serial")
        if isinstance(line, dict) and line.get("device") == serial.device:
            text = f"{other.get('name')} has {serial.device} already"
            remedy = "one driver asks all units of a line: write `3!40001` for unit 3"
            yield Finding(text, plant.place(*key, "serial", "device"), remedy)
            return


def context_of(folder: Path, tls: TlsConfig, *, server: bool) -> ssl.SSLContext:
    """Return the rules of TLS 1.2 and later with certificates on both sides.

    Raises:
        ConnectError: a file cannot be used.
    """
    purpose = ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH
    try:
        context = ssl.create_default_context(purpose, cafile=str(folder / tls.authority))
        context.load_cert_chain(folder / tls.certificate, folder / tls.key)
    except (OSError, ssl.SSLError) as exc:
        text = f"the certificates of `tls` cannot be used: {exc}"
        raise ConnectError(text, "PEM files: authority, certificate and the key that goes with it") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def to_socket(
    folder: Path, host: str, port: int, manner: Manner, *, rtu: bool = False, tls: TlsConfig | None = None
) -> Connect:
    """Return how to connect to a device on the network."""
    known: dict[int, Owed] = {}

    async def connect(traffic: Traffic, on_lost: Callable[[], None]) -> Transport:
        from drivers.modbus.line import RtuTransport
        from drivers.modbus.transport import TcpTransport

        transport = (
            RtuTransport(traffic, on_lost, manner, known) if rtu else TcpTransport(traffic, on_lost, manner)
        )
        context = None if tls is None else context_of(folder, tls, server=False)
        name = None if tls is None else tls.name or host
        await _connect(transport, host, port, manner.timeout_s, context, name)
        return transport

    return connect


async def _connect(
    protocol: asyncio.Protocol,
    host: str,
    port: int,
    timeout_s: float,
    context: ssl.SSLContext | None,
    name: str | None,
) -> None:
    import asyncio

    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(max(timeout_s, 1.0)):
            await loop.create_connection(lambda: protocol, host, port, ssl=context, server_hostname=name)
    except TimeoutError as exc:
        raise ConnectError(f"{host}:{port} does not accept connections in time") from exc
    except ssl.SSLCertVerificationError as exc:
        remedy = "`tls: authority` names who signed it, `tls: name` what it is called"
        text = f"the certificate of {host}:{port} is not believed: {exc.verify_message}"
        raise ConnectError(text, remedy) from exc
    except ConnectionRefusedError as exc:
        raise ConnectError(f"{host}:{port} refuses the connection", "does it listen there?") from exc
    except OSError as exc:
        raise ConnectError(f"cannot connect to {host}:{port}: {exc.strerror or exc}") from exc


def to_line(serial: SerialConfig, manner: Manner) -> Connect:
    """Return how to open a serial line."""
    known: dict[int, Owed] = {}

    async def connect(traffic: Traffic, on_lost: Callable[[], None]) -> Transport:
        from drivers.modbus.line import RtuTransport
        from drivers.modbus.serialport import Line, SerialPort, open_port

        line = Line(**serial.model_dump())
        transport = RtuTransport(traffic, on_lost, manner, known, line.char_s)
        SerialPort(open_port(line), transport)
        return transport

    return connect
