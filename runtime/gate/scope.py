"""Scopes of API tokens: which tags a program may read and write in its user's name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from runtime.contract import Actor, Tag, Tags
from runtime.errors import ForbiddenError

ALL = ("**",)
_KEPT = 256


@dataclass(frozen=True, slots=True)
class TokenActor(Actor):
    """A program with an API token: its user's name and role, within globs of tags."""

    token: str = ""
    read: tuple[str, ...] = ()
    write: tuple[str, ...] = ()


def hash_token(secret: str) -> bytes:
    """Return the hash of a secret that is random and long, so that a fast hash will do."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


class Scopes:
    """What globs select, kept: another configuration makes another of these."""

    def __init__(self, tags: Tags) -> None:
        self._tags = tags
        self._masks: dict[tuple[str, ...], NDArray[np.bool_]] = {}

    def readable(self, actor: Actor) -> NDArray[np.bool_] | None:
        """Return for each tag whether the actor may read it; None for all."""
        if not isinstance(actor, TokenActor) or actor.read == ALL:
            return None
        return self._mask(actor.read)

    def check_write(self, tag: Tag, actor: Actor) -> None:
        """Refuse what is outside the scope of a token.

        Raises:
            ForbiddenError: it is.
        """
        if isinstance(actor, TokenActor) and not self._mask(actor.write)[tag.id]:
            text = f"{tag.path} is outside the scope of token {actor.token} of {actor.name}"
            raise ForbiddenError(text, "use a token with --scope write: for it")

    def _mask(self, globs: tuple[str, ...]) -> NDArray[np.bool_]:
        mask = self._masks.get(globs)
        if mask is None:
            mask = np.zeros(len(self._tags), np.bool_)
            mask[self._tags.select(*globs)] = True
            while len(self._masks) >= _KEPT:
                del self._masks[next(iter(self._masks))]
            self._masks[globs] = mask
        return mask
