"""Certificates of clients, each for the user that it logs in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from typing import Any

TABLES = """
CREATE TABLE certificates (
    fingerprint TEXT PRIMARY KEY, user TEXT NOT NULL, pem TEXT NOT NULL, until_ns INTEGER NOT NULL,
    added_ns INTEGER NOT NULL, added_by TEXT NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER certificates_end AFTER DELETE ON users BEGIN
    DELETE FROM certificates WHERE user = old.name;
END;
"""


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """A certificate that logs in a user.

    Attributes:
        fingerprint: SHA-256 of the whole certificate, in hex.
        until_ns: its own end.
    """

    fingerprint: str
    user: str
    pem: str
    until_ns: int
    added_ns: int
    added_by: str

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        yield "INSERT INTO certificates VALUES (?, ?, ?, ?, ?, ?)", astuple(self)


@dataclass(frozen=True, slots=True)
class CertificateEnd:
    """A certificate logs in nobody any more."""

    fingerprint: str

    def statements(self) -> Iterator[tuple[str, tuple[Any, ...]]]:
        """Yield what the writer executes."""
        yield "DELETE FROM certificates WHERE fingerprint = ?", (self.fingerprint,)


def certificate_rows(connection: sqlite3.Connection) -> list[CertificateRecord]:
    """Return the certificates, by age."""
    rows = connection.execute("SELECT * FROM certificates ORDER BY added_ns, fingerprint")
    return [CertificateRecord(*row) for row in rows]
