"""As whom a client logs in: by options, environment, or the sessions that this account keeps, one a plant."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import msgspec
from msgspec import Struct

from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.endpoint import Endpoint

IDLE = "Ironworks-Idle"  # a header: for so many seconds no person did anything at the client
OVER = "the session is over"  # what a plant says to one that is not in force


class SessionView(Struct, frozen=True):
    """Someone who is logged in.

    Attributes:
        idle_ns: since a person used it last.
        expires_ns: when it ends at the latest.
        own: whether the caller is in it.
    """

    id: str
    user: str
    role: str
    created_ns: int
    idle_ns: int
    expires_ns: int
    own: bool = False


class Signing(Struct, frozen=True):
    """An electronic signature that is given with a request: who signs, the secret, and what it means."""

    name: str
    secret: str
    meaning: str

    def __repr__(self) -> str:
        return f"Signing({self.name!r}, {self.meaning!r})"


class OidcWay(Struct, frozen=True):
    """Where a client gets a token for the plant; `access_token` rather than the ID token."""

    issuer: str
    client_id: str
    scope: str
    access_token: bool


class LoginWays(Struct, frozen=True):
    """How people log in beside name and secret; `oidc` is null where no issuer vouches for them."""

    oidc: OidcWay | None


class SessionList(Struct, frozen=True):
    """Sessions, oldest first; `next` is the id to ask for the rest `after`."""

    sessions: tuple[SessionView, ...]
    next: str | None = None


class SessionMade(Struct, frozen=True):
    """A new session; `session` is its text, shown this once, for `Authorization: Bearer`."""

    session: str
    view: SessionView


class Credentials(TypedDict, total=False):
    """What `PlantClient` takes: a user with a secret, or a token; and a client certificate, for https."""

    user: str
    secret: str
    token: str
    certificate: str


def credentials(
    endpoint: Endpoint, user: str | None = None, ask: Callable[[str], str] | None = None
) -> Credentials:
    """Return as whom to log in: what options and environment say, else the kept session.

    $IRONWORKS_USER with $IRONWORKS_SECRET; or $IRONWORKS_TOKEN; and $IRONWORKS_CERTIFICATE.
    $IRONWORKS_SECRET_FILE and $IRONWORKS_TOKEN_FILE name files instead. `ask` gets the secret of a user from
    a person where nothing else gives it.

    Raises:
        PlantError: a file cannot be read, what it holds is of no use, or a user has no secret.
    """
    found = Credentials()
    if certificate := os.environ.get("IRONWORKS_CERTIFICATE"):
        found["certificate"] = certificate
    user = user or endpoint.user or os.environ.get("IRONWORKS_USER")
    if not user:
        token = _token() or (None if certificate else kept_session(endpoint))
        if token:
            found["token"] = token
        return found
    secret = _secret("IRONWORKS_SECRET")
    if secret is None and certificate:  # it says who calls
        return found
    if secret is None and ask is not None:
        secret = ask(user)
    if secret is None:
        remedy = "set $IRONWORKS_SECRET_FILE to a file that holds it, or $IRONWORKS_SECRET"
        raise PlantError(f"there is no secret for user {user!r}, and nobody to ask", remedy)
    found["user"], found["secret"] = user, secret
    return found


def _token() -> str | None:
    token = _secret("IRONWORKS_TOKEN")
    if token and not (token.isascii() and token.isprintable()):  # it goes into a header
        remedy = "give it the one line that `ironworks user token` printed"
        raise PlantError(
            "what $IRONWORKS_TOKEN, or the file of $IRONWORKS_TOKEN_FILE, holds is no token", remedy
        )
    return token


def _secret(variable: str) -> str | None:
    file = os.environ.get(f"{variable}_FILE")
    if not file:
        found = os.environ.get(variable)
        return None if found is None else secret_line(found, f"${variable}")
    try:
        return secret_line(Path(file).read_text("utf-8"), file)
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is not UTF-8"
        text = f"{file}, named by ${variable}_FILE, cannot be read: {why}"
        raise PlantError(text, "correct the variable, or the rights of the file") from exc


def secret_line(text: str, source: str) -> str:
    """Return a secret without the end of its line, and the mark that editors put before UTF-8.

    Raises:
        PlantError: it is not UTF-8.
    """
    line = text.removeprefix("\ufeff").rstrip("\r\n")
    if any("\ud800" <= each <= "\udfff" for each in line):
        raise PlantError(
            f"the secret of {source} is not UTF-8", "set the terminal to UTF-8, or save it as such"
        )
    return line


def sessions_file() -> Path:
    """Return where this account keeps the sessions that it has opened."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "ironworks" / "sessions.json"


def kept_session(endpoint: Endpoint) -> str | None:
    """Return the session of this account at a plant.

    Raises:
        PlantError: others can read the file, or it is damaged.
    """
    return _read().get(_key(endpoint))


def keep_session(endpoint: Endpoint, session: str | None) -> None:
    """Keep the session at a plant instead of the one before; None forgets it.

    Raises:
        PlantError: others can read the file, or it is damaged.
    """
    kept = _read()
    if session is None:
        kept.pop(_key(endpoint), None)
    else:
        kept[_key(endpoint)] = session
    file = sessions_file()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_suffix(f".{os.getpid()}.tmp")
    temporary.unlink(missing_ok=True)
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(msgspec.json.encode(kept))
    temporary.replace(file)


def _key(endpoint: Endpoint) -> str:
    return endpoint.file or endpoint.http or ""


def _read() -> dict[str, str]:
    file = sessions_file()
    try:
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
                raise PlantError(f"{file}: other accounts have access to it", f"run: chmod 600 {file}")
            return msgspec.json.decode(opened.read(), type=dict[str, str])
    except FileNotFoundError:
        return {}
    except msgspec.DecodeError as exc:
        raise PlantError(f"{file} is damaged: {exc}", "remove it and log in again") from exc
