"""What the secret of a person must be: length counts, mixtures of characters do not (NIST SP 800-63B)."""

from __future__ import annotations

import re

from runtime.errors import UnfitValueError

SHORTEST = 8
LONGEST = 256
_DIFFERENT = 4
_DECORATION = re.compile(r"[\W\d_]+")


def check_password(secret: str, name: str = "") -> None:
    """Refuse a secret that anybody would try first.

    Raises:
        UnfitValueError: says why.
    """
    if len(secret) < SHORTEST:
        raise UnfitValueError(f"the secret is shorter than {SHORTEST} characters", "take a longer one")
    if len(secret) > LONGEST:
        raise UnfitValueError(f"the secret is longer than {LONGEST} characters", "take a shorter one")
    if len(set(secret)) < _DIFFERENT:
        raise UnfitValueError("the secret repeats a few characters", "take some words in a row")
    if name and _bare(secret) == _bare(name):
        raise UnfitValueError("the secret is the name", "take some words in a row")


def _bare(text: str) -> str:
    return _DECORATION.sub("", text).casefold()
