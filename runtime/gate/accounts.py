"""Users and API tokens made by command: kept in the journal with their audit rows, in force at once."""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from runtime.config.models import format_duration
from runtime.contract import Actor, Clock, Role
from runtime.errors import AbsentError, UnfitValueError, WriteRejectedError
from runtime.gate.attempts import Attempts, lacking
from runtime.gate.identity import TOKEN_PREFIX, Identity, hash_secret
from runtime.gate.passwords import check_password
from runtime.gate.readings import PATIENCE_S
from runtime.gate.scope import hash_token
from runtime.gate.sessions import SESSION_PREFIX
from runtime.journal.accounts import (
    SessionEnd,
    SessionRecord,
    TokenRecord,
    UserEnd,
    UserRecord,
    account_rows,
)

if TYPE_CHECKING:
    from runtime.journal.store import Journal

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_TAKEN = ("anonymous", "gate")  # names that the audit trail gives a meaning
_GLOBS = 32
_GLOB_LENGTH = 256
Areas = tuple[tuple[str, Role], ...]


class Accounts:
    """What admins do to users and tokens."""

    def __init__(self, identity: Identity, journal: Journal, clock: Clock) -> None:
        self._identity = identity
        self._journal = journal
        self._clock = clock
        self._attempts = Attempts(journal, clock)

    async def load(self, patience_s: float = PATIENCE_S) -> None:
        """Bring into force what the journal has.

        Raises:
            StoreError: it cannot be read.
        """
        await self._identity.accounts_read.renew(
            lambda: self._journal.read(account_rows),
            lambda rows: self._identity.restore(*rows),
            self._clock,
            patience_s,
        )

    async def add_user(self, name: str, role: Role, secret: str, actor: Actor, areas: Areas = ()) -> None:
        """Add a user by the argon2 hash of a secret, who has no tokens and certificates yet.

        Raises:
            WriteRejectedError: says why not.
        """
        entry = replace(self._attempts.entry("user-add", name, actor), new=rights(role, areas))
        refusal: WriteRejectedError | None = lacking(actor, Role.ADMIN, "adding a user")
        if refusal is None and (not _NAME.fullmatch(name) or name in _TAKEN):
            remedy = "use letters, digits, - and _, beginning with a letter"
            refusal = UnfitValueError(f"{name!r} cannot be a user's name", remedy)
        if refusal is None and self._identity.user(name):
            refusal = WriteRejectedError(
                f"there is a user {name!r} already",
                "`ironworks user role` and `user password` change it; or remove it first",
            )
        refusal = refusal or _no_hash(secret) or _unfit(areas)
        # What a user of that name in plant.yaml has left behind is not this one's.
        end = UserEnd(name, self._clock.now_ns())
        await self._attempts.command(entry, refusal, end, self._record(name, role, areas, secret, actor))
        self._identity.restore_certificates(
            each for each in self._identity.certificates() if each.user != name
        )
        await self.load()

    async def set_role(self, name: str, role: Role, actor: Actor, areas: Areas = ()) -> None:
        """Give a user another role, and roles in areas instead of those before.

        Raises:
            WriteRejectedError: says why not.
        """
        entry = replace(self._attempts.entry("user-role", name, actor), new=rights(role, areas))
        found = self._identity.user(name)
        if found:
            entry = replace(entry, old=rights(found.role, tuple(found.areas.items())))
        refusal: WriteRejectedError | None = lacking(actor, Role.ADMIN, "another role")
        refusal = refusal or self._not_ours(name) or _unfit(areas)
        secret = found.secret if found else None
        await self._attempts.command(entry, refusal, self._record(name, role, areas, secret or "", actor))
        await self.load()

    async def set_secret(self, name: str, secret: str, actor: Actor) -> None:
        """Give a user another secret, by its argon2 hash; the sessions of that name end.

        Raises:
            WriteRejectedError: says why not.
        """
        entry = self._attempts.entry("user-secret", name, actor)
        found = self._identity.user(name)
        refusal: WriteRejectedError | None = lacking(actor, Role.ADMIN, "another user's secret")
        refusal = refusal or self._not_ours(name) or _no_hash(secret)
        role, areas = (found.role, tuple(found.areas.items())) if found else (Role.VIEWER, ())
        await self._attempts.command(entry, refusal, self._record(name, role, areas, secret, actor))
        await self.load()

    async def change_password(self, secret: str, actor: Actor) -> None:
        """Give the actor, who has just shown the old secret, a new one; its sessions end.

        Raises:
            WriteRejectedError: says why not.
        """
        entry = self._attempts.entry("user-secret", actor.name, actor)
        refusal = self._not_ours(actor.name)
        try:
            check_password(secret, actor.name)
        except WriteRejectedError as exc:
            refusal = refusal or exc
        hashed = "" if refusal else await asyncio.to_thread(hash_secret, secret)
        found = self._identity.user(actor.name)  # as it is now, after the hash was made
        refusal = refusal or self._not_ours(actor.name)
        role, areas = (found.role, tuple(found.areas.items())) if found else (Role.VIEWER, ())
        await self._attempts.command(entry, refusal, self._record(actor.name, role, areas, hashed, actor))
        await self.load()

    async def open_session(self, actor: Actor) -> tuple[SessionRecord, str]:
        """Open a session of someone who was just authenticated; returns its text, which is kept nowhere.

        Raises:
            WriteRejectedError: the user is gone, or it cannot be kept.
        """
        now_ns = self._clock.now_ns()
        secret, id_ = secrets.token_hex(32), secrets.token_hex(4)
        mark = self._identity.mark(actor.name)
        words = tuple((glob, role.name.lower()) for glob, role in actor.areas)
        until_ns = now_ns + self._identity.sessions.config.longest
        made = SessionRecord(
            id_, actor.name, hash_token(secret), actor.role.name.lower(), words, mark or b"", now_ns, until_ns
        )
        entry = self._attempts.entry("login", id_, actor)
        refusal = None if mark else WriteRejectedError(f"{actor.name} cannot log in any more", "ask an admin")
        ends = [SessionEnd(each) for each in self._identity.sessions.to_end(actor.name, now_ns)]
        await self._attempts.command(entry, refusal, *ends, made)
        await self.load()
        return made, f"{SESSION_PREFIX}{id_}_{secret}"

    async def end_session(self, id_: str, actor: Actor) -> None:
        """End a session: one's own, or as admin any.

        Raises:
            WriteRejectedError: says why not.
        """
        found = self._identity.sessions.get(id_, self._clock.now_ns())
        entry = self._attempts.entry("logout", id_, actor)
        refusal: WriteRejectedError | None = None
        if found is None:
            refusal = AbsentError(f"no session {id_!r} is in force", "see `ironworks user sessions`")
        elif actor.name != found.user or actor.via == "local":  # an account of this machine is not the user
            refusal = lacking(actor, Role.ADMIN, "ending a session of someone else")
        await self._attempts.command(entry, refusal, SessionEnd(id_))
        await self.load()

    def _record(self, name: str, role: Role, areas: Areas, secret: str, actor: Actor) -> UserRecord:
        words = tuple((glob, each.name.lower()) for glob, each in areas)
        return UserRecord(name, role.name.lower(), secret, actor.name, self._clock.now_ns(), words)

    def _not_ours(self, name: str) -> WriteRejectedError | None:
        if self._identity.fixed(name):
            return WriteRejectedError(f"user {name!r} stands in the plant file", "change it there")
        if not self._identity.user(name):
            return AbsentError(f"no user is named {name!r}", "`ironworks user list` lists all")
        return None

    async def remove_user(self, name: str, actor: Actor) -> None:
        """Remove a user; the tokens of that name end with it.

        Raises:
            WriteRejectedError: says why not.
        """
        entry = self._attempts.entry("user-remove", name, actor)
        found = self._identity.user(name)
        if found:
            entry = replace(entry, old=rights(found.role, tuple(found.areas.items())))
        refusal: WriteRejectedError | None = lacking(actor, Role.ADMIN, "removing a user")
        refusal = refusal or self._not_ours(name)
        await self._attempts.command(entry, refusal, UserEnd(name, self._clock.now_ns()))
        await self.load()

    async def issue_token(
        self, user: str, read: tuple[str, ...], write: tuple[str, ...], for_ns: int, actor: Actor
    ) -> tuple[TokenRecord, str]:
        """Make a token of a user for globs of tags; returns its text, which is kept nowhere.

        Raises:
            WriteRejectedError: says why not.
        """
        now_ns = self._clock.now_ns()
        secret = secrets.token_hex(32)
        id_ = secrets.token_hex(4)
        expires_ns = now_ns + for_ns if for_ns else None
        made = TokenRecord(id_, user, hash_token(secret), read, write, now_ns, actor.name, expires_ns)
        entry = replace(self._attempts.entry("token-issue", id_, actor), new=_scope(made))
        entry = replace(entry, reason=f"for {user}" + (f", {format_duration(for_ns)}" if for_ns else ""))
        refusal: WriteRejectedError | None = lacking(actor, Role.ADMIN, "a token")
        if refusal is None and not self._identity.user(user):
            refusal = UnfitValueError(f"no user is named {user!r}", "`ironworks user list` lists all")
        if refusal is None and not 0 < len(read) + len(write) <= _GLOBS:
            refusal = UnfitValueError("a token needs a scope", f"give 1 to {_GLOBS}, such as read:**")
        if refusal is None and not all(0 < len(glob) <= _GLOB_LENGTH for glob in (*read, *write)):
            refusal = UnfitValueError("a scope is empty or too long", "write it like read:tank/*")
        await self._attempts.command(entry, refusal, made)
        await self.load()
        return made, f"{TOKEN_PREFIX}{id_}_{secret}"

    async def revoke_token(self, id_: str, actor: Actor) -> None:
        """End a token at once.

        Raises:
            WriteRejectedError: says why not.
        """
        entry = self._attempts.entry("token-revoke", id_, actor)
        refusal: WriteRejectedError | None = lacking(actor, Role.ADMIN, "ending a token")
        found = self._identity.token(id_)
        if found:
            entry = replace(entry, old=_scope(found), reason=f"of {found.user}")
        if refusal is None and (found is None or found.revoked_ns is not None):
            refusal = AbsentError(f"no token {id_!r} is in force", "see `ironworks user tokens`")
        records = (replace(found, revoked_ns=self._clock.now_ns()),) if found else ()
        await self._attempts.command(entry, refusal, *records)
        await self.load()


def rights(role: Role, areas: Areas) -> str:
    """Write a role, and those in areas, as the audit trail has it."""
    return " ".join([role.name.lower(), *(f"{glob}={each.name.lower()}" for glob, each in areas)])


def _scope(token: TokenRecord) -> str:
    return " ".join([*(f"read:{glob}" for glob in token.read), *(f"write:{glob}" for glob in token.write)])


def _no_hash(secret: str) -> WriteRejectedError | None:
    if secret.startswith("$argon2id$"):
        return None
    return UnfitValueError("the secret is not an argon2 hash", "`ironworks user` makes it")


def _unfit(areas: Areas) -> WriteRejectedError | None:
    if len(areas) > _GLOBS:
        return UnfitValueError("too many areas", f"give up to {_GLOBS}")
    if not all(0 < len(glob) <= _GLOB_LENGTH for glob, _ in areas):
        return UnfitValueError("an area is empty or too long", "write it like line1/**=operator")
    return None
