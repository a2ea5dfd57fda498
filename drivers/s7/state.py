"""Whether the CPU runs: a tag, and an event when it changes."""

from __future__ import annotations

import numpy as np

from drivers.frame.held import Held, Values
from drivers.s7.messages import Reply
from runtime.contract import Batch, DataType, Event, Port, Quality, Tag

# Source: SIMATIC, System and Standard Functions for S7-300 and S7-400, SSL-ID W#16#xy24, modes.
WORDS = {
    **dict.fromkeys((1, 2, 3, 4), "stop"),
    **dict.fromkeys((5, 6, 7), "startup"),
    **dict.fromkeys((8, 9), "run"),
    10: "hold",
    11: "link-up",
    12: "update",
    13: "defective",
    14: "self-test",
    15: "no power",
}


def declare_state(name: str) -> Tag:
    """Return the tag that tells the CPU's mode."""
    return Tag(
        path=f"sys/drivers/{name}/cpu",
        data_type=DataType.STRING,
        description=f"{name}: mode of the CPU: run, stop, startup, hold, defective",
        description_zh=f"{name}：CPU 运行模式",
        source=name,
        retention="short",
    )


class CpuState:
    """The mode that the CPU told last.

    Attributes:
        due: it is to be asked.
        began: it began to run between the last two answers.
        answers: the CPU knows the question; one that does not is not asked again on this connection.
    """

    def __init__(self, name: str, port: Port) -> None:
        self.due, self.began, self.answers = False, False, True
        self._missed = False  # its last answer
        self._name, self._port = name, port
        self._held = Held([port.tags[f"sys/drivers/{name}/cpu"].id])
        self._word = ""

    def begin(self) -> None:
        """Ask on a new connection, also a CPU that did not know the question before."""
        self.due, self.answers, self._missed = True, True, False

    def take(self, reply: Reply, now_ns: int) -> Batch | None:
        """Take in an answer; return what changed. A CPU that cannot tell leaves the tag without a value.

        One that says nothing twice in a row cannot; once, it may just have been busy.
        """
        self.began = False
        missed, self._missed = self._missed, reply.silent
        if reply.silent and not missed:
            return self._held.hold(now_ns)
        word = WORDS.get(reply.data[0], "") if reply.ok and reply.data else ""
        if not word:
            self.answers = self.due = False  # it may have become due again while the answer was waited for
            return self._held.degrade(Quality.BAD_CONFIGURATION_ERROR, now_ns)
        if self._word and word != self._word:
            text = f"{self._name}: the CPU went from {self._word} to {word}"
            self._port.emit(Event("driver.cpu", self._name, now_ns, text, {"mode": word}))
        self.began = word == "run" and self._word not in ("", word)
        self._word = word
        return self._held.hear(Values(np.zeros(1, np.uint64), np.zeros(1, np.uint32), {0: word}), now_ns)

    def lose(self, now_ns: int) -> Batch | None:
        """Take in that the CPU does not answer; return what changed."""
        return self._held.degrade(Quality.BAD_NO_COMMUNICATION, now_ns)
