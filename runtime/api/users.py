"""/users and /tokens: accounts, for admins. Secrets come as argon2 hashes; a token is shown once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from runtime.api.access import Caller
from runtime.api.answers import Json, Refused, answers, refused
from runtime.api.delivery import Match, unchanged
from runtime.api.pages import PAGE, After, Limit, page
from runtime.api.services import Services
from runtime.api.texts import UnicodeText
from runtime.clock import SECOND_NS
from runtime.config import UserConfig
from runtime.contract import Actor, Role
from runtime.errors import WriteRejectedError
from runtime.gate.accounts import Accounts, Areas
from runtime.gate.identity import Identity
from runtime.journal.accounts import TokenRecord
from runtime.wire import Area, TokenList, TokenMade, TokenView, UserList, UserView

RoleWord = Literal["viewer", "operator", "engineer", "admin"]
Word = Annotated[UnicodeText, Field(max_length=256)]


class RoleBody(BaseModel):
    """A role, and globs of tags or alarm areas with the role there; the last that matches holds."""

    model_config = ConfigDict(extra="forbid")

    role: RoleWord
    areas: Annotated[list[tuple[Word, RoleWord]], Field(max_length=100)] = []

    def rights(self) -> tuple[Role, Areas]:
        return Role[self.role.upper()], tuple((glob, Role[word.upper()]) for glob, word in self.areas)


class UserBody(RoleBody):
    """A user: name, role, and the argon2 hash of a secret."""

    name: Word
    secret: Word


class SecretBody(BaseModel):
    """The argon2 hash of a secret."""

    model_config = ConfigDict(extra="forbid")

    secret: Word


class TokenBody(BaseModel):
    """A token of a user: globs that it may read and write, and for how long (0: until it is revoked)."""

    model_config = ConfigDict(extra="forbid")

    user: Word
    read: list[Word] = []
    write: list[Word] = []
    for_ns: Annotated[StrictInt, Field(ge=0, le=2**61)] = 0


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["users"])
    identity = services.identity
    accounts = Accounts(identity, services.journal, services.clock)

    @routes.get("/users", **answers(UserList, "Users, by name.", 404))
    async def list_users(after: After = "", limit: Limit = PAGE) -> Json:
        """List the users (admin)."""
        return listed(after, limit)

    @routes.get("/users/{name}", **answers(UserView, "The user."))
    async def get_user(name: str) -> Json:
        """Return a user; its ETag is what `If-Match` of a change takes (admin)."""
        return Json(view(known(name)))

    @routes.post("/users", **answers(UserList, "Users, with the new one; `next` where there are more."))
    async def add_user(body: UserBody, actor: Caller) -> Json:
        """Add a user, who may log in at once (admin)."""
        role, areas = body.rights()
        async with changing(None, body.name, actor):
            await accounts.add_user(body.name, role, body.secret, actor, areas)
        return listed()

    @routes.put("/users/{name}/role", **answers(UserList, "Users; `next` where there are more.", 412))
    async def set_role(name: str, body: RoleBody, actor: Caller, match: Match = None) -> Json:
        """Give a user another role, in force at once (admin)."""
        role, areas = body.rights()
        async with changing(match, name, actor):
            await accounts.set_role(name, role, actor, areas)
        return listed()

    @routes.put("/users/{name}/secret", **answers(UserList, "Users; `next` where there are more.", 412))
    async def set_secret(name: str, body: SecretBody, actor: Caller, match: Match = None) -> Json:
        """Give a user another secret; the sessions of that name end (admin)."""
        async with changing(match, name, actor):
            await accounts.set_secret(name, body.secret, actor)
        return listed()

    @routes.delete("/users/{name}", **answers(UserList, "The users that are left.", 412))
    async def remove_user(name: str, actor: Caller, match: Match = None) -> Json:
        """Remove a user and the tokens of that name (admin)."""
        async with changing(match, name, actor):
            await accounts.remove_user(name, actor)
        return listed()

    @asynccontextmanager
    async def changing(match: str | None, name: str, actor: Actor) -> AsyncIterator[None]:
        """Hold the users as they are from a look at `If-Match` until the change is in force."""
        async with identity.changing:
            if match is not None and actor.role >= Role.ADMIN:  # others are refused, and that is audited
                unchanged(match, view(known(name)))
            try:
                yield
            except WriteRejectedError as exc:
                raise refused(exc) from exc

    def current() -> None:
        """Refuse to tell what may be older than the last change."""
        if identity.accounts_read.behind:
            raise Refused(503, "users and tokens cannot be read just now", "see to the disk, then try again")

    def view(user: UserConfig) -> UserView:
        return user_view(identity, user, services.clock.now_ns())

    def known(name: str) -> UserConfig:
        current()
        found = identity.user(name)
        if found is None:
            raise Refused(404, f"no user is named {name!r}", "`ironworks user list` lists all")
        return found

    def listed(after: str = "", limit: int = PAGE) -> Json:
        current()
        found, following = page(identity.users(), lambda each: each.name, after, limit)
        return Json(UserList(tuple(view(each) for each in found), following))

    @routes.get("/tokens", **answers(TokenList, "Tokens, without their secrets.", 404))
    async def list_tokens(after: After = "", limit: Limit = PAGE) -> Json:
        """List the API tokens, revoked and expired ones too (admin)."""
        return tokens(after, limit)

    def tokens(after: str = "", limit: int = PAGE) -> Json:
        current()
        found, following = page(identity.tokens(), lambda each: each.id, after, limit)
        return Json(TokenList(tuple(token_view(each) for each in found), following))

    @routes.post("/tokens", **answers(TokenMade, "The token, shown this once."))
    async def issue_token(body: TokenBody, actor: Caller) -> Json:
        """Make an API token (admin)."""
        scope = (tuple(body.read), tuple(body.write))
        async with changing(None, body.user, actor):  # else one for a user who goes now outlives it
            made, text = await accounts.issue_token(body.user, *scope, body.for_ns, actor)
        return Json(TokenMade(text, token_view(made)))

    @routes.delete("/tokens/{id}", **answers(TokenList, "Tokens; `next` where there are more."))
    async def revoke_token(id: str, actor: Caller) -> Json:  # noqa: A002 - the API's word
        """End a token at once (admin)."""
        try:
            await accounts.revoke_token(id, actor)
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        return tokens()

    return routes


def user_view(identity: Identity, user: UserConfig, now_ns: int) -> UserView:
    """Return a user as clients see it; the end of a lock in whole seconds, so that it stays the same."""
    mark = identity.mark(user.name)
    locked_ns = identity.lockout.longest_ns(user.name)
    until_ns = -(-(now_ns + locked_ns) // SECOND_NS) * SECOND_NS if locked_ns else 0
    return UserView(
        user.name,
        user.role.name.lower(),
        "plant.yaml" if identity.fixed(user.name) else "journal",
        until_ns,
        tuple(Area(glob, role.name.lower()) for glob, role in user.areas.items()),
        mark.hex()[:16] if mark else "",
    )


def token_view(token: TokenRecord) -> TokenView:
    """Return a token without its hash."""
    times = (token.created_ns, token.created_by, token.expires_ns, token.revoked_ns)
    return TokenView(token.id, token.user, token.read, token.write, *times)
