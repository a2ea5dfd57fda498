"""A replay that obeys lines of text: what `ironworks plc replay` does in a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from runtime.config import parse_duration_ns
from runtime.errors import PlantError
from softplc.record.replay import Position, Replay
from softplc.record.shown import place_text, report_of, value_text, why_text
from softplc.record.until import run_until
from softplc.record.why import why

HELP = """\
n [N]         the next scan, or N        b [N]         one scan back, or N
scan N        stand behind scan N        at TIME       behind the last scan up to a time (-10s, 14:05:30)
until EXPR    on until EXPR is TRUE      c             on until a shown variable changes
start, end    of the record              gaps          what is missing, and how the replay compares
show PATH...  show variables             hide [PATH..] show them no more
why PATH      why it has its value       q             leave; an empty line repeats the last step"""
_MOST = 1_000_000_000


def parse_at(text: str, now_ns: int) -> int:
    """Return the ns of a time: `-10s` before now, `14:05:30` of today, or ISO 8601.

    Raises:
        PlantError: it is none.
    """
    word = text.strip()
    try:
        if word.startswith("-"):
            return now_ns - parse_duration_ns(word[1:])
        if word == "now":
            return now_ns
        if "-" not in word:
            today = datetime.fromtimestamp(now_ns / 1e9).astimezone()
            word = f"{today:%Y-%m-%d}T{word}"
        return round(datetime.fromisoformat(word).astimezone().timestamp() * 1_000_000) * 1000
    except (ValueError, OverflowError, OSError) as exc:
        remedy = "write -10s, 14:05:30 or 2026-05-01T08:00:00"
        raise PlantError(f"{text!r} is not a time", remedy) from exc


def seek(replay: Replay, at: str, run: int | None, now_ns: int) -> None:
    """Stand behind a scan (`4711`), at a time, or at the end.

    Raises:
        PlantError: it is none of these, or not in the record.
    """
    if not at:
        replay.seek_end(run)
    elif at.isdecimal():
        replay.seek(scan=_number(at), run=run)
    else:
        replay.seek(at_ns=parse_at(at, now_ns))


class Player:
    """Carries out commands; each yields the lines that it tells."""

    def __init__(self, replay: Replay, shown: list[str], now_ns: int) -> None:
        self.replay = replay
        self.shown = shown
        self._now_ns = now_ns
        self._last = "n"
        self._runs = len(replay.record.runs)

    def obey(self, line: str) -> Iterator[str]:
        """Carry one line out.

        Raises:
            PlantError: it cannot be done.
        """
        word, _, rest = (line.strip() or self._last).partition(" ")
        rest = rest.strip()
        if word in ("n", "b", "c"):
            self._last = f"{word} {rest}".strip()
        if word in ("n", "b"):
            yield from self._step(rest, -1 if word == "b" else 1)
        elif word == "c":
            yield from self._changed()
        elif word == "scan":
            self.replay.seek(scan=_number(rest))
            yield from self.here()
        elif word == "at":
            self.replay.seek(at_ns=parse_at(rest, self._now_ns))
            yield from self.here()
        elif word == "until":
            if not run_until(self.replay, rest):
                yield f"{rest} is not TRUE any more until the end"
            yield from self.here()
        elif word in ("start", "end"):
            self.replay.seek_first() if word == "start" else self.replay.seek_end()
            yield from self.here()
        elif word == "gaps":
            found = list(report_of(self.replay))
            yield from found or ["nothing is missing"]
            yield f"{self.replay.compared} whole images compared with the record"
        elif word == "show":
            for path in rest.split():
                self.replay.read(path)
                self.shown += [path] if path not in self.shown else []
            yield from self.here()
        elif word == "hide":
            self.shown = [path for path in self.shown if rest and path not in rest.split()]
        elif word == "why":
            yield from self._why(rest)
        elif word in ("h", "help", "?"):
            yield HELP
        else:
            raise PlantError(f"{word}: there is no such command", "h lists them")

    def here(self) -> Iterator[str]:
        """Yield where the replay stands, and what is shown."""
        replay = self.replay
        jump = "   (the record begins anew here)" if replay.jumped else ""
        task = f", {replay.task}" if replay.scans else ""
        yield f"{place_text(replay.at, self._runs)}{task}{jump}"
        for fault in replay.faults():
            file = replay.program.build.application.files[fault.file]
            yield f"  task {fault.task} is stopped by a fault at {file}:{fault.line}"
        for path in self.shown:
            try:
                yield f"  {path} = {value_text(replay.read(path))}"
            except PlantError as exc:
                yield f"  {path}: {exc.text}"

    def _step(self, rest: str, sign: int) -> Iterator[str]:
        count = _number(rest) if rest else 1
        if not self.replay.step(sign * count):
            yield f"the record {'begins' if sign < 0 else 'ends'} here"
        yield from self.here()

    def _changed(self) -> Iterator[str]:
        if not self.shown:
            raise PlantError("nothing is shown that could change", "show PATH")
        before = [self._value(path) for path in self.shown]
        while self.replay.run(watch=self.shown):
            if [self._value(path) for path in self.shown] != before:
                break
        else:
            yield "nothing of it changes any more until the end"
        yield from self.here()

    def _value(self, path: str) -> object:
        try:
            return self.replay.read(path)
        except PlantError:
            return None

    def _why(self, path: str) -> Iterator[str]:
        here = self.replay.at
        try:
            yield from why_text(why(self.replay, path))
        finally:
            self.back_to(here)

    def back_to(self, at: Position) -> None:
        """Stand again where it stood."""
        self.replay.seek(scan=at.scan, run=at.run)


def _number(text: str) -> int:
    if not text.isdecimal() or not 0 <= int(text[:12]) <= _MOST:
        raise PlantError(f"{text!r} is no number of scans", "write a whole number")
    return int(text)
