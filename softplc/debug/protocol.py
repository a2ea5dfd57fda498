"""Protocol: messages of the Debug Adapter Protocol on a pair of streams, and the arguments of requests.

A message is a header with its length, a blank line, and JSON.
Source: Debug Adapter Protocol, "Base protocol".
"""

from __future__ import annotations

import json
import threading
from typing import Any, BinaryIO

import msgspec

from runtime.errors import PlantError

MOST_BYTES = 16 << 20
MOST_HEADER = 4_096
LENGTH = "content-length"

CAPABILITIES = {
    f"supports{name}": True
    for name in (
        "ConfigurationDoneRequest",
        "FunctionBreakpoints",
        "ConditionalBreakpoints",
        "HitConditionalBreakpoints",
        "LogPoints",
        "EvaluateForHovers",
        "SetVariable",
        "SetExpression",
        "RestartRequest",
        "ExceptionInfoRequest",
        "TerminateRequest",
        "BreakpointLocationsRequest",
        "SteppingGranularity",
        "ValueFormattingOptions",
        "CompletionsRequest",
        "DelayedStackTraceLoading",
        "LoadedSourcesRequest",
    )
} | {
    "exceptionBreakpointFilters": [
        {
            "filter": "fault",
            "label": "Faults",
            "description": "Division by zero, an index out of range, a NULL reference, ...",
            "default": True,
        }
    ],
    "completionTriggerCharacters": ["."],
}


class ProtocolError(PlantError):
    """What came is no message; nothing after it can be told apart."""


class Request(msgspec.Struct, frozen=True):
    """A request: `arguments` as they came."""

    seq: int
    command: str
    arguments: Any = None


class Channel:
    """Reads requests in one thread; writes from any."""

    def __init__(self, source: BinaryIO, sink: BinaryIO) -> None:
        self._source = source
        self._sink = sink
        self._lock = threading.Lock()
        self._seq = 0
        self._broken = False

    def read(self) -> Any:
        """Return the next message.

        Raises:
            EOFError: the stream has ended.
            ProtocolError: there is no length, or too long a message: nobody can go on from there.
            ValueError: the body is no JSON; the next message can be read.
        """
        length = self._length()
        body = self._source.read(length)
        if len(body) < length:
            raise EOFError
        return json.loads(body)

    def _length(self) -> int:
        length: int | None = None
        read = 0
        while True:
            line = self._source.readline(MOST_HEADER)
            read += len(line)
            if not line:
                raise EOFError
            if read >= MOST_HEADER:
                raise ProtocolError(f"a header is longer than {MOST_HEADER} bytes")
            text = line.strip().decode("latin-1")
            if not text:
                if length is None:
                    raise ProtocolError("a message has no Content-Length", "speak the Debug Adapter Protocol")
                return length
            name, _, value = text.partition(":")
            if name.strip().lower() == LENGTH:
                value = value.strip()
                if not (value.isascii() and value.isdigit()) or int(value[:12]) > MOST_BYTES:
                    raise ProtocolError(f"{value[:40]!r} is no length of a message")
                length = int(value)

    def send(self, message: dict[str, Any]) -> None:
        """Write a message; a client that has gone gets nothing more."""
        with self._lock:
            self._seq += 1
            body = json.dumps({"seq": self._seq, **message}).encode()
            if self._broken:
                return
            try:
                self._sink.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
                self._sink.flush()
            except (OSError, ValueError):
                self._broken = True

    def event(self, name: str, body: dict[str, Any] | None = None) -> None:
        self.send({"type": "event", "event": name, "body": body or {}})


# Arguments -------------------------------------------------------------------------------------


class Arguments(msgspec.Struct, frozen=True, rename="camel"):
    """Arguments of a request; what a client sends beside them is let be."""


class Launch(Arguments, frozen=True, rename="camel"):
    """What to debug.

    Attributes:
        program: a plant folder, an ST file, or several.
        cwd: what paths count from.
        profile: dialect: iec or codesys; a plant has its own.
        period: simulated time between two scans, such as 10ms; what fits the tasks without.
        set: values before the first scan, by path or address.
        speed: simulated seconds a second of real time; 0: as fast as it goes.
        stop_on_entry: stop at the first statement.
        library: stop in blocks of the library too.
        no_debug: run without stopping.
    """

    program: str | list[str] = msgspec.field(default_factory=list)
    cwd: str = "."
    profile: str | None = None
    period: str = ""
    set: dict[str, Any] = {}
    speed: float = 1.0
    stop_on_entry: bool = False
    library: bool = False
    no_debug: bool = False


class Attach(Arguments, frozen=True, rename="camel"):
    """Which record to replay.

    Attributes:
        record: a plant folder, or the folder of a record.
        cwd: what paths count from.
        scan: stand before the one behind this scan; without, where the record begins.
        run: which life of the PLC core, from 1; else the newest that has the scan.
        stop_on_entry: stop at the first statement.
        library: stop in blocks of the library too.
    """

    record: str
    cwd: str = "."
    scan: int | None = None
    run: int | None = None
    stop_on_entry: bool = True
    library: bool = False
    no_debug: bool = False


class Restart(Arguments, frozen=True, rename="camel"):
    arguments: dict[str, Any] = {}


class Initialize(Arguments, frozen=True, rename="camel"):
    lines_start_at1: bool = msgspec.field(default=True, name="linesStartAt1")
    columns_start_at1: bool = msgspec.field(default=True, name="columnsStartAt1")
    path_format: str = "path"


class Source(Arguments, frozen=True, rename="camel"):
    path: str = ""
    name: str = ""
    source_reference: int = 0


class SourceBreakpoint(Arguments, frozen=True, rename="camel"):
    line: int
    column: int = 0
    condition: str = ""
    hit_condition: str = ""
    log_message: str = ""


class SetBreakpoints(Arguments, frozen=True, rename="camel"):
    source: Source
    breakpoints: list[SourceBreakpoint] = []


class FunctionBreakpoint(Arguments, frozen=True, rename="camel"):
    name: str
    condition: str = ""
    hit_condition: str = ""


class SetFunctionBreakpoints(Arguments, frozen=True, rename="camel"):
    breakpoints: list[FunctionBreakpoint] = []


class SetExceptionBreakpoints(Arguments, frozen=True, rename="camel"):
    filters: list[str] = []


class BreakpointLocations(Arguments, frozen=True, rename="camel"):
    source: Source
    line: int
    end_line: int = 0


class StackTrace(Arguments, frozen=True, rename="camel"):
    start_frame: int = 0
    levels: int = 0


class Step(Arguments, frozen=True, rename="camel"):
    granularity: str = "line"


class NextScan(Arguments, frozen=True, rename="camel"):
    """`scans`: how many scans to go on."""

    scans: int = 1


class FrameArguments(Arguments, frozen=True, rename="camel"):
    frame_id: int


class Format(Arguments, frozen=True, rename="camel"):
    hex: bool = False


class Variables(Arguments, frozen=True, rename="camel"):
    variables_reference: int
    filter: str = ""
    start: int = 0
    count: int = 0
    format: Format = Format()


class SetVariable(Arguments, frozen=True, rename="camel"):
    variables_reference: int
    name: str
    value: str


class SetExpression(Arguments, frozen=True, rename="camel"):
    expression: str
    value: str
    frame_id: int = 0


class Evaluate(Arguments, frozen=True, rename="camel"):
    expression: str
    frame_id: int = 0
    context: str = ""
    format: Format = Format()


class Completions(Arguments, frozen=True, rename="camel"):
    text: str
    column: int
    frame_id: int = 0


class SourceText(Arguments, frozen=True, rename="camel"):
    source: Source | None = None
    source_reference: int = 0
