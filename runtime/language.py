"""The language of whoever reads: of the plant's own texts in commands, of all in the console."""

from __future__ import annotations

from collections.abc import Mapping


def language_of(environment: Mapping[str, str]) -> str:
    """Return `en` or `zh` for a POSIX environment; English where it is neither.

    Source: POSIX.1-2017, 8.2: LC_ALL, LC_MESSAGES and LANG, in this order.
    """
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environment.get(name):
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"
