"""Users and API tokens that were made by command; secrets are kept as hashes only."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, slots=True)
class UserRecord:
    """A user: argon2 hash of the secret, names of roles in lower case, globs with the role there."""

    name: str
    role: str
    secret: str
    added_by: str
    added_ns: int
    areas: tuple[tuple[str, str], ...] = ()

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        values = (self.name, self.role, self.secret, self.added_by, self.added_ns, json.dumps(self.areas))
        yield "INSERT OR REPLACE INTO users VALUES (?, ?, ?, ?, ?, ?)", values


@dataclass(frozen=True, slots=True)
class UserEnd:
    """A user is removed; the tokens and certificates of that name end."""

    name: str
    at_ns: int

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        yield "DELETE FROM users WHERE name = ?", (self.name,)
        yield "DELETE FROM locks WHERE name = ?", (self.name,)
        yield "DELETE FROM certificates WHERE user = ?", (self.name,)
        yield (
            "UPDATE tokens SET revoked_ns = ? WHERE user = ? AND revoked_ns IS NULL",
            (self.at_ns, self.name),
        )


@dataclass(frozen=True, slots=True)
class TokenRecord:
    """An API token of a user.

    Attributes:
        hash: SHA-256 of the secret, which is random and of 256 bits.
        read, write: globs of the tags that it may read and write.
        expires_ns, revoked_ns: None for never, and not.
    """

    id: str
    user: str
    hash: bytes
    read: tuple[str, ...]
    write: tuple[str, ...]
    created_ns: int
    created_by: str
    expires_ns: int | None
    revoked_ns: int | None = None

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        scope = (json.dumps(self.read), json.dumps(self.write))
        times = (self.created_ns, self.created_by, self.expires_ns, self.revoked_ns)
        yield (
            "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (self.id, self.user, self.hash, *scope, *times),
        )


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """Someone who has logged in.

    Attributes:
        hash: SHA-256 of the secret, which is random and of 256 bits.
        role, areas: what the user was then.
        mark: what it is bound to; see `Identity.mark`.
    """

    id: str
    user: str
    hash: bytes
    role: str
    areas: tuple[tuple[str, str], ...]
    mark: bytes
    created_ns: int
    expires_ns: int

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        values = (self.id, self.user, self.hash, self.role, json.dumps(self.areas), self.mark)
        yield (
            "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *values,
                self.created_ns,
                self.expires_ns,
            ),
        )


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """A session is over."""

    id: str

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        yield "DELETE FROM sessions WHERE id = ?", (self.id,)


@dataclass(frozen=True, slots=True)
class LockRecord:
    """A user is locked at an address after so many wrong secrets, until a time of day."""

    name: str
    address: str
    failures: int
    until_ns: int

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes; what ended a day before is forgotten."""
        yield "DELETE FROM locks WHERE until_ns < ?", (self.until_ns - DAY_NS,)
        values = (self.name, self.address, self.failures, self.until_ns)
        yield "INSERT OR REPLACE INTO locks VALUES (?, ?, ?, ?)", values


@dataclass(frozen=True, slots=True)
class LockEnd:
    """The user gave the right secret at that address."""

    name: str
    address: str

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        yield "DELETE FROM locks WHERE name = ? AND address = ?", (self.name, self.address)


def lock_rows(connection: sqlite3.Connection) -> list[LockRecord]:
    """Return the locks that were kept, those that are over too."""
    return [LockRecord(*row) for row in connection.execute("SELECT * FROM locks ORDER BY name, address")]


def account_rows(
    connection: sqlite3.Connection,
) -> tuple[list[UserRecord], list[TokenRecord], list[SessionRecord]]:
    """Return the users, all tokens, revoked ones too, and the sessions."""
    users = [
        UserRecord(name, role, secret, by, at_ns, _pairs(areas))
        for name, role, secret, by, at_ns, areas in connection.execute("SELECT * FROM users ORDER BY name")
    ]
    tokens = [
        TokenRecord(id_, user, hash_, tuple(json.loads(read)), tuple(json.loads(write)), *times)
        for id_, user, hash_, read, write, *times in connection.execute("SELECT * FROM tokens ORDER BY id")
    ]
    sessions = [
        SessionRecord(id_, user, hash_, role, _pairs(areas), *rest)
        for id_, user, hash_, role, areas, *rest in connection.execute("SELECT * FROM sessions")
    ]
    return users, tokens, sessions


def _pairs(cell: str) -> tuple[tuple[str, str], ...]:
    return tuple((glob, word) for glob, word in json.loads(cell))
