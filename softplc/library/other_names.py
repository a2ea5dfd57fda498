"""Other names: what CODESYS calls parameters of standard functions and blocks; profile codesys takes both.

Source: CODESYS Standard library, pages of the string functions, counters and bistables.
"""

from __future__ import annotations

_TWO_TEXTS = {"STR1": "IN1", "STR2": "IN2"}
_SIDE = {"STR": "IN", "SIZE": "L"}
_PART = {"STR": "IN", "LEN": "L", "POS": "P"}

OF_FUNCTIONS = {
    "LEN": {"STR": "IN"},
    "LEFT": _SIDE,
    "RIGHT": _SIDE,
    "MID": _PART,
    "DELETE": _PART,
    "CONCAT": _TWO_TEXTS,
    "FIND": _TWO_TEXTS,
    "REPLACE": _TWO_TEXTS,
    "INSERT": _TWO_TEXTS | {"POS": "P"},
}
OF_BLOCKS = {
    "CTU": {"reset": "r"},
    "CTD": {"load": "ld"},
    "CTUD": {"reset": "r", "load": "ld"},
    "SR": {"set1": "s1", "reset": "r"},
    "RS": {"set": "s", "reset1": "r1"},
}
