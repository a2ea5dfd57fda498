"""One connection to an MQTT broker on asyncio; the only module that imports paho.

A connection is used once. paho's client is driven from the event loop: reading and writing when the socket is
ready, so no thread of its own and no `select`, which fails beyond 1,023 open files.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import select
import socket
import ssl
import struct
import termios
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from paho.mqtt.client import Client, time_func
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from drivers.frame.connection import NOWHERE, Traffic, ends_of_socket
from drivers.frame.errors import DeniedError
from runtime.contract import Clock
from runtime.errors import ConnectError

log = logging.getLogger(__name__)
MOST_WAITING = 64  # messages handed over, but not yet written to the socket
LOOKS = 5  # within a timeout, whether what was sent comes further
MOST_PATIENCE = 6  # times `timeout`
MOST_MESSAGE = 16 * 1024 * 1024  # bytes; MQTT's own 256 MiB would all be kept until the last has come
MOST_READ = 100  # packets at once, then others have their turn
_LEAVE_S = 1.0
_UNSPECIFIED, _TAKEN_OVER = 0x80, 0x8E  # Source: MQTT 5.0, 3.14.2.1


class Broker(NamedTuple):
    """Where a broker listens; `context` is there for TLS."""

    url: str
    host: str
    port: int
    context: ssl.SSLContext | None = None


@dataclass(frozen=True, slots=True)
class Login:
    """How we present ourselves to any broker. `five` is for MQTT 5, else it is 3.1.1."""

    client_id: str
    user: str
    password: str | None
    five: bool
    keep_alive_s: int
    timeout_s: float


class Message(NamedTuple):
    """What a broker delivers, or is to deliver for us."""

    topic: str
    payload: bytes
    retained: bool = False


class _Client(Client):
    """paho's client, which tells its bytes.

    Attributes:
        heard: what was read and not told yet: paho reads the head of a packet byte by byte.
        queued, written: bytes that were to be sent, and those that the socket took.
        tell: is called with what was written. It is handed over in a thread until the socket is open.
    """

    def __init__(self, login: Login, version: MQTTProtocolVersion) -> None:
        clean = None if login.five else True
        super().__init__(
            CallbackAPIVersion.VERSION2, login.client_id, clean, protocol=version, reconnect_on_failure=False
        )
        self.heard = bytearray()
        self.queued = self.written = 0
        self.said: list[bytes] = []
        self.tell: Callable[[bytes], None] = self.said.append

    def _sock_recv(self, bufsize: int) -> bytes:
        if bufsize > MOST_MESSAGE:
            raise ValueError(f"a message of {bufsize} bytes, more than {MOST_MESSAGE}")
        data = super()._sock_recv(bufsize)
        self.heard += data
        return data

    def _sock_send(self, buf: bytes | bytearray) -> int:
        count = super()._sock_send(buf)
        self.written += count
        self.tell(bytes(buf[:count]))
        return count

    def _packet_queue(self, command: int, packet: bytes | bytearray, *more: Any) -> MQTTErrorCode:
        self.queued += len(packet)
        return super()._packet_queue(command, packet, *more)

    def seem_alive(self) -> None:
        """Take the broker for alive now, as if it had said something: it takes what we say."""
        with self._msgtime_mutex:
            self._last_bytes_received = time_func()


class _Progress:
    """What is on its way to the broker at one moment, and whether it comes further.

    Only that counts: what is sent later may fill the buffers of a broker that is frozen for hours.
    """

    def __init__(self, client: _Client, fd: int) -> None:
        self._client, self._fd = client, fd
        self._goal, self._gone = client.queued, self._taken()

    def moved(self) -> bool:
        """Tell whether some of it was taken since the last look."""
        before, self._gone = self._gone, self._taken()
        return before < self._goal and self._gone > before

    def _taken(self) -> int:
        return self._client.written - (_unacknowledged(self._fd) if self._fd >= 0 else 0)


class Connection:
    """A connection that stands until `lost` is set; `reason` says why then."""

    def __init__(self, client: _Client, login: Login, traffic: Traffic, clock: Clock) -> None:
        self.lost = asyncio.Event()
        self.reason = ""
        self._client = client
        self._login = login
        self._traffic = traffic
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._answers: dict[tuple[str, int], asyncio.Future[Any]] = {}
        self._unwritten: set[int] = set()
        self._room = asyncio.Event()
        self._room.set()
        self._fd = -1
        self._misc: asyncio.Task[None] | None = None
        self._ends = NOWHERE
        self._hear: Callable[[Message], None] = lambda message: None

    async def publish(self, message: Message, qos: int = 0) -> None:
        """Hand over a message; with QoS 1 wait until the broker has it.

        Raises:
            ConnectError: the connection is lost, or the broker does not answer.
        """
        while len(self._unwritten) >= MOST_WAITING and not self.lost.is_set():
            self._room.clear()
            progress = self._progress()
            try:
                async with asyncio.timeout(self._login.timeout_s):
                    await self._room.wait()
            except TimeoutError as exc:
                if progress.moved():
                    continue
                self._traffic.timeouts += 1
                text = f"the broker does not take what is sent within {self._login.timeout_s:g} s"
                raise ConnectError(text) from exc
        self._check()
        info = self._client.publish(message.topic, message.payload, qos, message.retained)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectError(f"the message cannot be sent: {info.rc.name}")
        self._unwritten.add(info.mid)
        if qos:
            await self._ask(("publish", info.mid))

    async def subscribe(self, filters: Sequence[str]) -> None:
        """Subscribe with QoS 1.

        Raises:
            ConnectError: the connection is lost, or the broker does not answer.
            DeniedError: the broker refuses one.
        """
        self._check()
        code, mid = self._client.subscribe([(each, 1) for each in filters])
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise ConnectError(f"the subscription cannot be sent: {code.name}")
        codes: Sequence[ReasonCode] = await self._ask(("subscribe", mid))
        refused = [each for each, said in zip(filters, codes, strict=False) if said.is_failure]
        if refused or len(codes) != len(filters):
            raise DeniedError(f"the broker refuses the subscription to {', '.join(refused or filters)}")

    async def fence(self, filter_: str) -> None:
        """Wait until the broker has read all that was sent before; the filter is one not subscribed to.

        A broker answers an UNSUBSCRIBE even if there is nothing to end (MQTT 3.1.1, 3.10.4).

        Raises:
            ConnectError: the connection is lost, or the broker does not answer.
        """
        self._check()
        code, mid = self._client.unsubscribe(filter_)
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            raise ConnectError(f"the question cannot be sent: {code.name}")
        await self._ask(("unsubscribe", mid))

    async def watch(self, filter_: str, every_s: float) -> None:
        """Ask again and again whether the broker is there, for ever; the filter is one not subscribed to.

        Raises:
            ConnectError: the connection is lost, or the broker does not answer.
        """
        while True:
            await self._clock.sleep(every_s)
            await self.fence(filter_)

    async def close(self, politely: bool) -> None:
        """End the connection; politely with a DISCONNECT, else the broker publishes the will."""
        try:
            if politely and not self.lost.is_set():
                said = "Disconnect with will message"
                reason = ReasonCode(PacketTypes.DISCONNECT, said) if self._login.five else None
                self._client.disconnect(reason)
                async with asyncio.timeout(_LEAVE_S):
                    await self.lost.wait()
        except TimeoutError:
            log.debug("the broker does not take our leave")
        finally:
            self._forget_socket()
            if (sock := self._client.socket()) is not None:
                sock.close()
            self._lose("closed")
            if self._misc is not None:
                self._misc.cancel()

    # What follows runs when paho or the socket call.

    async def _attach(self, hear: Callable[[Message], None]) -> None:
        """Go on with a client whose socket is open, until the broker accepts it."""
        self._hear = hear
        client = self._client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_socket_close = lambda *_: self._forget_socket()
        client.on_socket_register_write = lambda *_: self._await_room(True)
        client.on_socket_unregister_write = lambda *_: self._await_room(False)
        sock = client.socket()
        if sock is None:
            raise ConnectError("the broker closed the connection")
        self._ends = ends_of_socket(sock)
        self._traffic.sent(self._ends, _without_password(b"".join(client.said), self._login.password))
        client.tell = self._note
        self._fd = sock.fileno()
        self._loop.add_reader(self._fd, self._read)
        if client.want_write():
            self._loop.add_writer(self._fd, self._write)
        self._misc = asyncio.create_task(self._keep_alive(), name="mqtt")
        await self._answer(("connect", 0))

    async def _keep_alive(self) -> None:
        while not self.lost.is_set():
            progress = self._progress()
            self._guarded(self._client.loop_misc)
            await self._clock.sleep(0.5)
            if progress.moved():
                self._client.seem_alive()

    def _progress(self) -> _Progress:
        return _Progress(self._client, self._fd)

    def _read(self) -> None:
        for _ in range(MOST_READ):
            stands = self._guarded(self._client.loop_read)
            heard = len(self._client.heard)
            self._note()
            if not stands or not heard:
                return
        sock = self._client.socket()
        if isinstance(sock, ssl.SSLSocket) and sock.pending():  # no event tells of that
            self._loop.call_soon(self._read)

    def _note(self, said: bytes = b"") -> None:
        """Count what was heard, then what was said."""
        if heard := bytes(self._client.heard):
            self._client.heard.clear()
            self._traffic.received(self._ends, heard)
        if said:
            self._traffic.sent(self._ends, said)

    def _await_room(self, wanted: bool) -> None:
        if self._fd < 0:
            return
        if wanted:
            self._loop.add_writer(self._fd, self._write)
        else:
            self._loop.remove_writer(self._fd)

    def _write(self) -> None:
        self._guarded(self._client.loop_write)

    def _guarded(self, work: Callable[[], MQTTErrorCode]) -> bool:
        """Do what may fail on what a broker sends; return whether the connection stands."""
        try:
            code = work()
        except Exception as exc:  # noqa: BLE001 - paho raises anything on malformed packets
            self._lose(f"the broker sends what cannot be: {type(exc).__name__}: {exc}")
            return False
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._traffic.timeouts += code == MQTTErrorCode.MQTT_ERR_KEEPALIVE
            self._lose(_lost_for(code))
        return not self.lost.is_set()

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _more: Any) -> None:
        answer = self._answers.pop(("connect", 0), None)
        if answer is None or answer.done():
            return
        if code.is_failure:
            answer.set_exception(DeniedError(f"the broker refuses us: {str(code).lower()}"))
        else:
            answer.set_result(None)

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: ReasonCode, _more: Any) -> None:
        self._lose(self._why_ended(code))

    def _why_ended(self, code: ReasonCode) -> str:
        """Return what to tell of an end: a broker has one client of each name; MQTT 3.1.1 has no reasons."""
        ours = self._login.client_id
        if code.value == _TAKEN_OVER:
            return f"another client calls itself {ours} too, and the broker keeps the newer one"
        if code.value == _UNSPECIFIED:
            more = f"if it does again and again, another client calls itself {ours} too"
            return f"the broker closed the connection; {more}"
        return f"the connection ended: {str(code).lower()}"

    def _on_message(self, _client: Any, _data: Any, message: Any) -> None:
        self._hear(Message(message.topic, bytes(message.payload), bool(message.retain)))

    def _on_publish(self, _client: Any, _data: Any, mid: int, _code: Any, _more: Any) -> None:
        self._unwritten.discard(mid)
        self._room.set()
        self._settle(("publish", mid), None)

    def _on_subscribe(self, _client: Any, _data: Any, mid: int, codes: Any, _more: Any) -> None:
        self._settle(("subscribe", mid), codes)

    def _on_unsubscribe(self, _client: Any, _data: Any, mid: int, _codes: Any, _more: Any) -> None:
        self._settle(("unsubscribe", mid), None)

    def _settle(self, key: tuple[str, int], result: Any) -> None:
        answer = self._answers.pop(key, None)
        if answer is not None and not answer.done():
            answer.set_result(result)

    async def _ask(self, key: tuple[str, int]) -> Any:
        self._traffic.requests += 1
        begun_ns = self._clock.steady_ns()
        answer = await self._answer(key)
        self._traffic.took((self._clock.steady_ns() - begun_ns) / 1e6)
        return answer

    async def _answer(self, key: tuple[str, int]) -> Any:
        """Wait for an answer, longer while the question is on its way over a slow line.

        Longer too while something waits to be read: we may have been asleep ourselves.
        """
        answer = self._answers[key] = self._loop.create_future()
        progress, patience, still = self._progress(), MOST_PATIENCE, 0
        try:
            while patience:
                await asyncio.wait([answer], timeout=self._login.timeout_s / LOOKS)
                if answer.done():
                    return answer.result()
                still = 0 if progress.moved() else still + 1
                if still == LOOKS:
                    if not self._is_behind():
                        break
                    patience, still = patience - 1, 0
        finally:
            self._answers.pop(key, None)
            if not answer.cancel():
                answer.exception()  # whoever waited may be gone in the same moment
        self._traffic.timeouts += 1
        raise ConnectError(f"the broker does not answer within {self._login.timeout_s:g} s")

    def _is_behind(self) -> bool:
        """Tell whether something came that was not read yet."""
        if self._fd < 0:
            return False
        unread = select.poll()
        unread.register(self._fd, select.POLLIN)
        return bool(unread.poll(0))

    def _check(self) -> None:
        if self.lost.is_set():
            raise ConnectError(self.reason)

    def _lose(self, reason: str) -> None:
        if self.lost.is_set():
            return
        self.reason = reason
        self.lost.set()
        self._room.set()
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectError(reason))
        self._answers.clear()

    def _forget_socket(self) -> None:
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._loop.remove_writer(self._fd)
            self._fd = -1


def _unacknowledged(fd: int) -> int:
    """Return how many bytes of a socket the other end has not acknowledged; 0 where the system does not tell.

    Source: Linux, tcp(7), SIOCOUTQ.
    """
    try:
        (count,) = struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, bytes(4)))
    except OSError:  # then what the socket took is all that shows how a line is
        return 0
    return int(count)


Connect = Callable[[str, Message, Callable[[Message], None], Traffic, Clock], Awaitable[Connection]]


async def connect(
    broker: Broker,
    login: Login,
    will: Message,
    hear: Callable[[Message], None],
    traffic: Traffic,
    clock: Clock,
) -> Connection:
    """Return a connection that the broker has accepted; the will has QoS 1.

    `hear` is called with each message that comes; it must not wait.

    Raises:
        ConnectError: the broker cannot be reached, or does not answer.
        DeniedError: it refuses us, or its certificate is not trusted.
    """
    client = _Client(login, MQTTProtocolVersion.MQTTv5 if login.five else MQTTProtocolVersion.MQTTv311)
    client.connect_timeout = login.timeout_s
    client.will_set(will.topic, will.payload, 1, will.retained)
    if login.user:
        client.username_pw_set(login.user, login.password)
    if broker.context is not None:
        client.tls_set_context(broker.context)
    opening = asyncio.get_running_loop().run_in_executor(None, _open, client, broker, login)
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(lambda done: _abandon(client, done))
        raise
    connection = Connection(client, login, traffic, clock)
    try:
        await connection._attach(hear)
    except BaseException:
        await connection.close(politely=False)
        raise
    return connection


def _without_password(said: bytes, password: str | None) -> bytes:
    """Return a CONNECT for a recording. Source: MQTT 3.1.1, 3.1.3: the password is its last field."""
    secret = (password or "").encode()
    return said[: len(said) - len(secret)] + b"*" * len(secret) if said.endswith(secret) else said


def _open(client: Client, broker: Broker, login: Login) -> None:
    try:
        if login.five:
            client.connect(broker.host, broker.port, login.keep_alive_s, clean_start=True)
        else:
            client.connect(broker.host, broker.port, login.keep_alive_s)
    except ssl.SSLCertVerificationError as exc:
        raise DeniedError(f"the certificate of {broker.url} is not trusted: {exc.verify_message}") from exc
    except ssl.SSLError as exc:
        raise DeniedError(f"no TLS with {broker.url}: {exc.reason or exc}") from exc
    except (OSError, ValueError) as exc:
        text = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise ConnectError(f"{broker.url}: {text.lower() or type(exc).__name__}") from exc


def _abandon(client: Client, done: asyncio.Future[None]) -> None:
    if not done.cancelled() and done.exception() is None and isinstance(client.socket(), socket.socket):
        client.socket().close()  # type: ignore[union-attr]


def _lost_for(code: MQTTErrorCode) -> str:
    if code == MQTTErrorCode.MQTT_ERR_CONN_LOST:
        return "the broker closed the connection"
    if code == MQTTErrorCode.MQTT_ERR_KEEPALIVE:
        return "the broker does not answer a ping"
    return f"the connection ended: {code.name}"


async def until_lost(connection: Connection) -> None:
    """Wait until a connection is lost.

    Raises:
        ConnectError: it is.
    """
    await connection.lost.wait()
    raise ConnectError(connection.reason)


def cause_of(group: BaseExceptionGroup[Any], *expected: type[Exception]) -> BaseException:
    """Return what ended a group of tasks: what is not expected before what is."""
    leaves: list[BaseException] = []
    todo: list[BaseException] = list(group.exceptions)
    while todo:
        each = todo.pop(0)
        if isinstance(each, BaseExceptionGroup):
            todo += each.exceptions
        else:
            leaves.append(each)
    return next((each for each in leaves if not isinstance(each, expected)), leaves[0])
