"""The standard address space takes no more memory than its nodes."""

from __future__ import annotations

import ctypes
import gc
import sys

import asyncua.server

_PACKAGE = "asyncua.server.standard_address_space"


def forget_generators() -> None:
    """Let go of the code that makes the standard nodes, 9 MiB that run once. Later servers load it anew."""
    for name in [each for each in sys.modules if each == _PACKAGE or each.startswith(f"{_PACKAGE}.")]:
        del sys.modules[name]
    vars(asyncua.server).pop(_PACKAGE.rpartition(".")[2], None)
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # where the C library is glibc
    if trim is not None:
        trim(0)
