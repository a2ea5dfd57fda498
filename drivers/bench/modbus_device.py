"""A Modbus TCP device that costs little, in a process of its own: `python -m drivers.bench.modbus_device`.

Prints its port. It answers every read with other values than the last, one connection after the other and
pipelined requests too, without an event loop, so that what is measured is the client.
"""

from __future__ import annotations

import socket
from functools import lru_cache

from drivers.modbus.mbap import frame

_WORDS = [bytes((each + turn) & 0xFF for each in range(250)) for turn in range(3)]
_CHUNK = 65_536
_BITS = (1, 2)  # functions that read coils and discrete inputs
_REQUEST = 12  # bytes of a read; its transaction number is the first two


@lru_cache
def answers_to(request: bytes) -> tuple[bytes, ...]:
    """Return the answers to a read, one after the other, all without their transaction numbers."""
    unit, function, count = request[4], request[5], int.from_bytes(request[8:10], "big")
    size = (count + 7) // 8 if function in _BITS else 2 * count
    return tuple(frame(0, unit, bytes((function, size)) + words[:size])[2:] for words in _WORDS)


def answer(connection: socket.socket) -> None:
    """Answer one master until it is gone."""
    rest, turn = b"", 0
    while data := connection.recv(_CHUNK):
        data = rest + data
        end = len(data) - len(data) % _REQUEST
        answers: list[bytes] = []
        for at in range(0, end, _REQUEST):
            turn = (turn + 1) % len(_WORDS)
            answers += data[at : at + 2], answers_to(data[at + 2 : at + _REQUEST])[turn]
        connection.sendall(b"".join(answers))
        rest = data[end:]


def serve() -> None:
    """Serve until the process is ended."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            connection, _ = server.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection:
                try:
                    answer(connection)
                except ConnectionError:
                    continue  # it was ended rudely; the next one is served


if __name__ == "__main__":
    serve()
