"""The process of one Python app: `python -m apps.runner.worker FD PARENT`; started by the host."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from apps.errors import AppError
from apps.runner import limits
from apps.runner.protocol import Channel, Failure, Inputs, Outputs, ProtocolError, Ready, Setup
from apps.runner.session import Session
from apps.sdk import Context, Reading
from runtime.errors import PlantError


def main(arguments: Sequence[str]) -> int:
    """Serve until the kernel closes the socket."""
    descriptor, parent = int(arguments[0]), int(arguments[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as end:
        channel = Channel(end)
        try:
            return _serve(channel, parent)
        except (BrokenPipeError, ConnectionResetError):
            return 0  # the kernel has ended
        except MemoryError:
            failure = Failure("it ran out of the memory it may have", "raise budget.memory_mib in app.yaml")
        except ProtocolError as exc:
            failure = Failure(f"its outputs are no message: {exc}", "return fewer and shorter values")
        except PlantError as exc:
            failure = Failure(exc.text, exc.remedy)
        channel.send(failure)
    return 1


def _serve(channel: Channel, parent: int) -> int:
    first = channel.receive()
    if first is None:
        return 0
    if not isinstance(first, Setup):
        raise AppError("the first message is no setup")
    limits.apply(first.memory_mib, parent)
    context = Context(
        first.name,
        first.parameters,
        first.period_ns,
        first.reads,
        None if first.model is None else Path(first.model),
    )
    session = Session(Path(first.folder), first.entry, context)
    channel.send(Ready())
    while (message := channel.receive()) is not None:
        if isinstance(message, Inputs):
            changes = {
                first.reads[index]: Reading(value, quality, at) for index, value, quality, at in message.rows
            }
            outputs = session.step(message.now_ns, changes)
            channel.send(Outputs({path: (value, int(quality)) for path, (value, quality) in outputs.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
