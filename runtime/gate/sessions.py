"""Sessions: who has logged in, until the session is idle, too old or ended, or the user has changed."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from runtime.config.models import LoginConfig
from runtime.contract import Actor, Role
from runtime.gate.scope import hash_token
from runtime.journal.accounts import SessionRecord

SESSION_PREFIX = "iws_"
MOST = 1000
MOST_EACH = 10


@dataclass(frozen=True, slots=True)
class SessionActor(Actor):
    """Someone who has logged in."""

    session: str = ""


class Sessions:
    """The sessions in force.

    `mark` tells what a user's sessions are bound to; None where there is no such user.
    """

    def __init__(
        self, mark: Callable[[str], bytes | None], config: LoginConfig, now_ns: Callable[[], int]
    ) -> None:
        self._mark = mark
        self._now_ns = now_ns
        self.config = config
        self._records: dict[str, SessionRecord] = {}
        self._used_ns: dict[str, int] = {}  # of the clock that never jumps

    def restore(self, records: Iterable[SessionRecord]) -> None:
        """Take up what the journal has; after a restart nobody was idle yet."""
        now_ns = self._now_ns()
        self._records = {each.id: each for each in records}
        self._used_ns = {id_: self._used_ns.get(id_, now_ns) for id_ in self._records}

    def by_text(self, text: str, now_ns: int, idle_ns: int = 0) -> SessionActor | None:
        """Return whose session that is; None when it is unknown or over.

        That is a use of it: by a person who did something `idle_ns` ago.
        """
        id_, _, secret = text.removeprefix(SESSION_PREFIX).partition("_")
        found = self._records.get(id_)
        right = hmac.compare_digest(hash_token(secret), found.hash if found else b"")
        if not right or found is None or not self.in_force(id_, now_ns):
            return None
        self._used_ns[id_] = max(self._used_ns[id_], self._now_ns() - idle_ns)
        areas = tuple((glob, Role[word.upper()]) for glob, word in found.areas)
        return SessionActor(found.user, Role[found.role.upper()], "session", found.id, areas=areas)

    def in_force(self, id_: str, now_ns: int) -> bool:
        found = self._records.get(id_)
        if found is None or not found.created_ns <= now_ns < found.expires_ns:
            return False
        idle_ns = self._now_ns() - self._used_ns[id_]
        return idle_ns < self.config.idle and self._mark(found.user) == found.mark

    def idle_ns(self, id_: str) -> int:
        """Return how long a session was not used."""
        return self._now_ns() - self._used_ns[id_]

    def get(self, id_: str, now_ns: int) -> SessionRecord | None:
        """Return a session that is in force."""
        return self._records[id_] if self.in_force(id_, now_ns) else None

    def of(self, user: str | None, now_ns: int) -> list[SessionRecord]:
        """Return the sessions of a user, or of all, that are in force, oldest first."""
        found = [each for each in self._records.values() if user in (None, each.user)]
        return sorted(
            (each for each in found if self.in_force(each.id, now_ns)), key=lambda each: each.created_ns
        )

    def to_end(self, user: str, now_ns: int) -> list[str]:
        """Return what goes when this user opens another: what is over, and the oldest beyond the limits."""
        live = self.of(None, now_ns)
        ended = self._records.keys() - {each.id for each in live}
        own = [each.id for each in live if each.user == user]
        ended |= set(own[: max(0, len(own) - MOST_EACH + 1)])
        ended |= {each.id for each in live[: max(0, len(live) - MOST + 1)]}
        return sorted(ended)
