"""Answers `why` for the kernel, in a process of its own: it compiles, and runs scans again.

    python -m softplc.record.answer FOLDER

The question comes as JSON on standard input; the answer goes to standard output, or why there is none.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec

from runtime.clock import WallClock
from runtime.errors import PlantError, UnknownVariableError
from runtime.plcview import WhyView

_PATIENCE_S = 120
_NICE = 10


class Question(msgspec.Struct, frozen=True):
    """What is asked; `at` is a scan, or a time, or nothing for now."""

    path: str
    at: str = ""
    run: int | None = None


class Refusal(msgspec.Struct, frozen=True):
    """Why there is no answer."""

    text: str
    remedy: str
    unknown: bool


class Answer(msgspec.Struct, frozen=True):
    """An answer, or a refusal."""

    why: WhyView | None = None
    refusal: Refusal | None = None


def answered(folder: Path, path: str, at: str, run: int | None) -> WhyView:
    """Ask another process. Waits.

    Raises:
        UnknownVariableError: there is no such variable.
        PlantError: the record does not say.
    """
    home = str(Path(__file__).resolve().parent.parent.parent)
    search = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "softplc.record.answer", str(folder)],
            input=msgspec.json.encode(Question(path, at, run)), capture_output=True, timeout=_PATIENCE_S,
            env=os.environ | {"PYTHONPATH": search}, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as exc:
        text = f"the answer took more than {_PATIENCE_S} s"
        raise PlantError(text, "ask on the machine itself, with the folder of the plant") from exc
    try:
        answer = msgspec.json.decode(done.stdout, type=Answer)
    except msgspec.MsgspecError as exc:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or ["no message"]
        raise PlantError(f"the record cannot be asked: {last[0][:300]}", "please report this") from exc
    if answer.why is not None:
        return answer.why
    refusal = answer.refusal or Refusal("the record does not say", "", unknown=False)
    raise (UnknownVariableError if refusal.unknown else PlantError)(refusal.text, refusal.remedy)


def asked(folder: Path, question: Question) -> WhyView:
    """Look the answer up.

    Raises:
        PlantError: there is none.
    """
    from softplc.build import core_object
    from softplc.record.player import seek
    from softplc.record.reader import Record
    from softplc.record.replay import Replay
    from softplc.record.why import why

    cache = folder.parent.parent / "cache" / "plc"
    with Replay(Record(folder, lambda: core_object(cache))) as replay:
        seek(replay, question.at, question.run, WallClock().now_ns())
        return why(replay, question.path)


def main(folder: Path) -> None:
    os.nice(_NICE)
    try:
        answer = Answer(why=asked(folder, msgspec.json.decode(sys.stdin.buffer.read(), type=Question)))
    except PlantError as exc:
        answer = Answer(refusal=Refusal(exc.text, exc.remedy, isinstance(exc, UnknownVariableError)))
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
