"""Logs: JSON lines in the state folder, bounded; short lines for people at the terminal."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from runtime.config.models import LogConfig

COMPONENT: ContextVar[str] = ContextVar("component", default="kernel")
FILE = "ironworks.log"
LEVELS = ("debug", "info", "warning", "error", "critical")
_NOISY = ("asyncua", "pymodbus", "uvicorn", "uvicorn.access", "websockets", "httpx", "httpcore")
_LONGEST = 16_384  # characters of one text
_VALUE = r"""("[^"]*"|'[^']*'|[^\s,;&]+)"""
_SECRETS = (
    (re.compile(r"\b(iws?_[0-9A-Za-z]+)_[0-9A-Za-z_-]+"), r"\1_***"),
    (re.compile(r"\$argon2\S+"), "$argon2***"),
    (re.compile(r"(?i)\b(basic|bearer)\s+[0-9a-z+/=_.~-]{6,}"), r"\1 ***"),
    (re.compile(rf"(?i)\b(secret|password|passwd|token)(['\"]?\s*[=:]\s*){_VALUE}"), r"\1\2***"),
    (re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"), "***"),
)


class LogLine(Struct, frozen=True, omit_defaults=True):
    """One line of the log; `trace` is there for internal errors only."""

    time: str
    level: str
    component: str
    logger: str
    text: str
    trace: str = ""


class LogFile(logging.Handler):
    """A handler that never holds up or ends what logs: lines for which there is no disk are counted and told.

    Attributes:
        lost: lines since the last that could be written.
    """

    def __init__(self, path: Path, limit_bytes: int, files: int) -> None:
        super().__init__()
        self.path = path
        self.lost = 0
        self._limit_bytes = limit_bytes
        self._files = files
        self._descriptor = -1
        self._size = 0

    @property
    def failing(self) -> bool:
        """Tell whether the last line could not be written."""
        return self.lost > 0

    def emit(self, record: logging.LogRecord) -> None:
        line = line_of(record)
        try:
            if self.lost:
                note = f"{self.lost} lines before this one could not be written: no room or no rights"
                told = LogLine(line.time, "warning", "kernel", __name__, note)
                self._append(told)
                self.lost = 0
            self._append(line)
        except OSError:
            self.lost += 1
            self._shut()  # the next one opens it again, wherever it is then

    def close(self) -> None:
        self._shut()
        super().close()

    def _shut(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # a disk that fails may tell so only now
                os.close(descriptor)

    def _append(self, line: LogLine) -> None:
        data = msgspec.json.encode(line) + b"\n"
        if self._descriptor < 0:
            self._open()
        if self._size and self._size + len(data) > self._limit_bytes:
            self._rotate()
        written = os.write(self._descriptor, data)
        if written < len(data):  # the disk is full: half a line is none
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
            raise OSError("short write")
        self._size += written

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._descriptor = os.open(self.path, flags, 0o640)
        self._size = os.fstat(self._descriptor).st_size
        if self._size and os.pread(self._descriptor, 1, self._size - 1) != b"\n":
            self._size += os.write(self._descriptor, b"\n")  # a kill in the midst of a line

    def _rotate(self) -> None:
        for number in range(self._files - 1, 0, -1):
            older = rotated(self.path, number - 1)
            if older.exists():
                older.replace(rotated(self.path, number))
        self._shut()
        self._open()


class _Short(logging.Formatter):
    """Keeps tracebacks in the file: people at the terminal get the message."""

    def format(self, record: logging.LogRecord) -> str:
        return f"{record.levelname} {text_of(record)}"


class _Prefixed(logging.Formatter):
    """Begins with the level as journald reads it. Source: sd-daemon(3)."""

    def format(self, record: logging.LogRecord) -> str:
        level = 3 if record.levelno >= logging.ERROR else 4 if record.levelno >= logging.WARNING else 6
        return f"<{level}>{text_of(record)}"


def start_log(state: Path, config: LogConfig, verbose: bool) -> LogFile:
    """Log to files in the state folder, and warnings (all, if verbose) to standard error."""
    file = LogFile(state / FILE, config.file_mib * 2**20, config.files)
    shown = logging.StreamHandler()
    journald = "JOURNAL_STREAM" in os.environ
    shown.setFormatter(_Prefixed() if journald else _Short())
    shown.setLevel(logging.INFO if verbose or journald else logging.WARNING)
    logging.raiseExceptions = False  # a terminal that is gone is no reason for a traceback
    root = logging.getLogger()
    for former in root.handlers:
        if isinstance(former, LogFile):  # of the kernel before this one
            former.close()
    root.handlers = [file, shown]
    root.setLevel(config.level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.ERROR)
    for name, level in config.levels.items():
        logging.getLogger(name).setLevel(level.upper())
    return file


def line_of(record: logging.LogRecord) -> LogLine:
    """Return a record as a line, without secrets."""
    at = datetime.fromtimestamp(record.created, UTC)
    trace = ""
    if record.exc_info:
        trace = _clean(logging.Formatter().formatException(record.exc_info))
    component = getattr(record, "component", None) or COMPONENT.get()
    time = f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"
    return LogLine(time, record.levelname.lower(), component, record.name, text_of(record), trace)


def text_of(record: logging.LogRecord) -> str:
    """Return the message of a record without secrets; one that cannot be formatted as it stands."""
    try:
        text = record.getMessage()
    except (TypeError, ValueError):
        text = f"{record.msg} {record.args}"
    return _clean(text)


def _clean(text: str) -> str:
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text.encode("utf-8", "backslashreplace").decode()[:_LONGEST]


def rotated(path: Path, number: int) -> Path:
    """Return the file that is `number` rotations old; 0 is the present one."""
    return path.with_name(f"{path.name}.{number}") if number else path


def log_lines(path: Path) -> Iterator[LogLine]:
    """Yield the lines of all files of a log, oldest first; what is no line of ours comes as plain text."""
    number = 0
    while rotated(path, number + 1).exists():
        number += 1
    for each in range(number, -1, -1):
        with suppress(FileNotFoundError), rotated(path, each).open("rb") as file:  # it may be rotated away
            yield from map(parse_line, file)


def parse_line(line: bytes) -> LogLine:
    """Return a line of the file; what is none of ours becomes its text."""
    try:
        return msgspec.json.decode(line, type=LogLine)
    except msgspec.MsgspecError:
        return LogLine("", "info", "", "", line.decode(errors="replace").rstrip())


class Filter(Struct, frozen=True):
    """Which lines are wanted: from a time, a level upwards, of one component."""

    since: str = ""
    level: str = "debug"
    component: str = ""

    def __call__(self, line: LogLine) -> bool:
        rank = LEVELS.index(line.level) if line.level in LEVELS else len(LEVELS)
        return (
            line.time >= self.since
            and rank >= LEVELS.index(self.level)
            and self.component in ("", line.component)
        )


def following(path: Path, position: int, inode: int) -> tuple[list[LogLine], int, int]:
    """Return whole lines after a position, and where to go on; a rotated file is read to its end first.

    One that was emptied is read from its beginning.
    """
    lines: list[bytes] = []
    try:
        now = path.stat()
    except FileNotFoundError:
        return [], position, inode
    if now.st_ino != inode:
        old = rotated(path, 1)
        with suppress(FileNotFoundError):
            if inode and old.stat().st_ino == inode:
                lines += _from(old, position)[0]
        position, inode = 0, now.st_ino
    elif now.st_size < position:  # somebody emptied it
        position = 0
    more, position = _from(path, position)
    return [parse_line(each) for each in lines + more], position, inode


def _from(path: Path, position: int) -> tuple[list[bytes], int]:
    with path.open("rb") as file:
        file.seek(position)
        data: Any = file.read()
    whole = data[: data.rfind(b"\n") + 1]
    return whole.splitlines(), position + len(whole)
