"""Who is asking: the plant's users, and accounts of this machine on the unix socket."""

from __future__ import annotations

import os
import pwd

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from runtime.config.models import UserConfig
from runtime.contract import Actor, Role


class Identity:
    """Turns a secret or a peer's uid into an actor. No password is built in."""

    def __init__(self, users: list[UserConfig]) -> None:
        self._users = {user.name: user for user in users}
        self._accounts = {user.os_user: user for user in users if user.os_user}
        self._hasher = PasswordHasher()
        self._decoy = self._hasher.hash("nobody has this secret")

    def authenticate(self, name: str, secret: str, via: str) -> Actor | None:
        """Check a secret; takes as long for an unknown name. Slow on purpose: call it in a thread."""
        user = self._users.get(name)
        known = user.secret if user and user.secret else None
        try:
            self._hasher.verify(known or self._decoy, secret)
        except (VerifyMismatchError, InvalidHashError):
            return None
        return Actor(user.name, user.role, via) if user and known else None

    def peer(self, uid: int, via: str = "local") -> Actor:
        """Return the actor of a process on this machine.

        The account that runs the kernel, and root, are admin unless the plant file says otherwise;
        any other account may look.
        """
        try:
            account = pwd.getpwuid(uid).pw_name
        except KeyError:
            account = f"uid{uid}"
        user = self._accounts.get(account)
        if user:
            return Actor(user.name, user.role, via)
        return Actor(account, Role.ADMIN if uid in (0, os.getuid()) else Role.VIEWER, via)


def hash_secret(secret: str) -> str:
    """Return the argon2 line for `secret:` in the plant file."""
    return PasswordHasher().hash(secret)
