"""The core's object code, loaded: the functions that Python calls."""

from __future__ import annotations

import ctypes
from typing import Any

from softplc.core.elf import load

_ADDRESS, _WORD = ctypes.c_void_p, ctypes.c_int64


class Native:
    """The core's functions.

    Those that may take long release the GIL; the short ones keep it, so that no other Python
    thread comes between their steps.
    """

    def __init__(self, object_code: bytes) -> None:
        self._loaded = load(object_code)
        self.write_inputs = self._bind(ctypes.PYFUNCTYPE, "iw_write_inputs", _WORD, _ADDRESS, _WORD)
        self.push_writes = self._bind(ctypes.PYFUNCTYPE, "iw_push_writes", _WORD, _ADDRESS, _ADDRESS, _WORD)
        self.read_snapshot = self._bind(ctypes.PYFUNCTYPE, "iw_read_snapshot", _WORD, _ADDRESS, _ADDRESS)
        self.collect = self._bind(ctypes.PYFUNCTYPE, "iw_collect", _WORD, _ADDRESS)
        self.read_events = self._bind(ctypes.PYFUNCTYPE, "iw_read_events", _WORD, _ADDRESS, _ADDRESS)
        self.read_whole = self._bind(
            ctypes.PYFUNCTYPE, "iw_read_whole", _WORD, _ADDRESS, _ADDRESS, _ADDRESS, _WORD
        )
        self.post = self._bind(ctypes.PYFUNCTYPE, "iw_post", None, _ADDRESS)
        self.word = self._bind(ctypes.PYFUNCTYPE, "iw_word", _WORD, _ADDRESS)
        self.now = self._bind(ctypes.PYFUNCTYPE, "iw_now", _WORD)
        self.check = self._bind(ctypes.PYFUNCTYPE, "iw_check", None, _ADDRESS, _WORD)
        self.step = self._bind(ctypes.CFUNCTYPE, "iw_step", _WORD, _ADDRESS, _WORD)
        self.succeed = self._bind(
            ctypes.PYFUNCTYPE, "iw_succeed", None, _ADDRESS, _ADDRESS, _ADDRESS, _ADDRESS, _WORD
        )
        self.withdraw = self._bind(ctypes.PYFUNCTYPE, "iw_withdraw", _WORD, _ADDRESS)
        self.migrate = self._bind(ctypes.PYFUNCTYPE, "iw_migrate", None, _ADDRESS, _ADDRESS, _ADDRESS)
        self.replay = self._bind(
            ctypes.CFUNCTYPE, "iw_replay", _WORD, _ADDRESS, _ADDRESS, _WORD, _WORD, _WORD
        )
        self.loop = self._bind(ctypes.CFUNCTYPE, "iw_loop", None, _ADDRESS)
        self.monitor = self._bind(ctypes.CFUNCTYPE, "iw_monitor", None, _ADDRESS)

    def _bind(self, kind: Any, symbol: str, *types: Any) -> Any:
        return kind(*types)(self._loaded.address(symbol))
