"""The console's texts: every word a person reads comes through `Words`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.wire import Text
from tui.locale.en import TEXTS as ENGLISH
from tui.locale.zh import TEXTS as CHINESE

LANGUAGES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH, "zh": CHINESE}


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language."""

    language: str = "en"

    def __call__(self, key: str, **values: object) -> str:
        text = LANGUAGES[self.language][key]
        return text.format(**values) if values else text

    def has(self, key: str) -> bool:
        return key in LANGUAGES[self.language]

    def pick(self, text: Text | None) -> str:
        """Return a text of the plant in this language; English where it has no other."""
        return text.in_language(self.language) if text else ""

    def other(self) -> Words:
        """Return the words of the next language."""
        names = list(LANGUAGES)
        return Words(names[(names.index(self.language) + 1) % len(names)])
