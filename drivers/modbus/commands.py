"""Writes of masters to tags of others, through the gate; the response comes once it has answered."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from drivers.frame.gated import Refusals
from drivers.modbus.device import Device, Wanted, Wish
from drivers.modbus.messages import ExceptionCode
from runtime.contract import Actor, Port
from runtime.errors import RateLimitedError, UnfitValueError, WriteRejectedError


class Commands:
    """Carries out what masters ask for, as one actor of the plant file."""

    def __init__(self, port: Port, device: Device, actor: Actor) -> None:
        self._port = port
        self._device = device
        self._actor = actor
        self._refusals = Refusals(port)

    async def carry_out(self, wish: Wish, peer: str) -> bytes:
        """Return the response to a request, once everything that it wants is written, or one was refused.

        Several tags are all judged before the first is written, in order of address; what is refused only
        then, by its owner, ends it. What masters own in the request is taken in last, unless the switch for
        read only is on.
        """
        reason = f"{self._port.name}: {wish.what} from {peer}"
        wanted = [each for each in wish.wanted if not self._stands(each)]
        written = 0
        try:
            if len(wanted) > 1:
                await self._port.judge([(tag, value) for tag, value, _ in wanted], self._actor, reason)
            for tag, value, _ in wanted:
                await self._port.write(tag, value, self._actor, reason)
                written += 1
        except WriteRejectedError as exc:
            self._show(wanted[:written])
            partly = f"{written} of {len(wanted)} tags were written before: " if written else ""
            self._refusals.tell(f"{wish.what} from {peer}", f"{partly}{exc}")
            return wish.refused(code_of(exc))
        held = wish.has_inputs and self._device.is_read_only  # the gate had nothing to refuse, or not yet
        now_ns = self._port.clock.now_ns()
        batch = wish.doubt(now_ns) if held else wish.take(now_ns)
        if batch is not None:
            self._port.submit(batch)
        self._show(wanted)
        return wish.refused(ExceptionCode.SERVER_DEVICE_FAILURE) if held else wish.response()

    def _stands(self, wanted: Wanted) -> bool:
        """Tell whether a bit that shares its register has that value: who set another one sent it too."""
        return wanted.shares and self._port.tags.value(wanted.tag) == wanted.value

    def _show(self, written: Sequence[Wanted]) -> None:
        """Have reads that follow see what the owners have taken."""
        ids = np.array([each.tag.id for each in written], np.int32)
        self._device.show(self._port.tags.snapshot(ids))


def code_of(error: WriteRejectedError) -> ExceptionCode:
    """Return what a master is told; the words are in the audit and in the event.

    Source: MODBUS Application Protocol V1.1b3, 7; drivers/README.md argues each.
    """
    if isinstance(error, UnfitValueError):
        return ExceptionCode.ILLEGAL_DATA_VALUE
    if isinstance(error, RateLimitedError):
        return ExceptionCode.SERVER_DEVICE_BUSY
    return ExceptionCode.SERVER_DEVICE_FAILURE
