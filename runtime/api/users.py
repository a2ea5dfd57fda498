"""/users and /tokens: accounts, for admins. Secrets come as argon2 hashes; a token is shown once."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field, StrictInt

from runtime.api.access import Caller
from runtime.api.answers import Json, Refused, answers
from runtime.api.services import Services
from runtime.api.texts import UnicodeText
from runtime.contract import Role
from runtime.errors import ForbiddenError, WriteRejectedError
from runtime.gate.accounts import Accounts, Areas
from runtime.gate.identity import Identity
from runtime.journal.accounts import TokenRecord
from runtime.wire import TokenList, TokenMade, TokenView, UserList, UserView

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

    @routes.get("/users", **answers(UserList, "Users, by name."))
    async def list_users() -> Json:
        """List the users (admin)."""
        return Json(user_list(identity))

    @routes.post("/users", **answers(UserList, "All users, with the new one."))
    async def add_user(body: UserBody, actor: Caller) -> Json:
        """Add a user, who may log in at once (admin)."""
        role, areas = body.rights()
        try:
            await accounts.add_user(body.name, role, body.secret, actor, areas)
        except WriteRejectedError as exc:
            raise _refused(exc) from exc
        return Json(user_list(identity))

    @routes.put("/users/{name}/role", **answers(UserList, "All users."))
    async def set_role(name: str, body: RoleBody, actor: Caller) -> Json:
        """Give a user another role, in force at once (admin)."""
        role, areas = body.rights()
        try:
            await accounts.set_role(name, role, actor, areas)
        except WriteRejectedError as exc:
            raise _refused(exc) from exc
        return Json(user_list(identity))

    @routes.put("/users/{name}/secret", **answers(UserList, "All users."))
    async def set_secret(name: str, body: SecretBody, actor: Caller) -> Json:
        """Give a user another secret; the sessions of that name end (admin)."""
        try:
            await accounts.set_secret(name, body.secret, actor)
        except WriteRejectedError as exc:
            raise _refused(exc) from exc
        return Json(user_list(identity))

    @routes.delete("/users/{name}", **answers(UserList, "The users that are left."))
    async def remove_user(name: str, actor: Caller) -> Json:
        """Remove a user and the tokens of that name (admin)."""
        try:
            await accounts.remove_user(name, actor)
        except WriteRejectedError as exc:
            raise _refused(exc) from exc
        return Json(user_list(identity))

    @routes.get("/tokens", **answers(TokenList, "Tokens, without their secrets.", 404))
    async def list_tokens(
        after: Annotated[str, Query(max_length=64, description="only tokens made after this one")] = "",
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    ) -> Json:
        """List the API tokens, revoked and expired ones too (admin)."""
        tokens = token_list(identity).tokens
        ids = [each.id for each in tokens]
        if after and after not in ids:
            raise Refused(404, f"no token is {after!r}", "give the `next` of the page before")
        rest = tokens[ids.index(after) + 1 :] if after else tokens
        return Json(TokenList(rest[:limit], rest[limit - 1].id if len(rest) > limit else None))

    @routes.post("/tokens", **answers(TokenMade, "The token, shown this once."))
    async def issue_token(body: TokenBody, actor: Caller) -> Json:
        """Make an API token (admin)."""
        scope = (tuple(body.read), tuple(body.write))
        try:
            made, text = await accounts.issue_token(body.user, *scope, body.for_ns, actor)
        except WriteRejectedError as exc:
            raise _refused(exc) from exc
        return Json(TokenMade(text, token_view(made)))

    @routes.delete("/tokens/{id}", **answers(TokenList, "All tokens."))
    async def revoke_token(id: str, actor: Caller) -> Json:  # noqa: A002 - the API's word
        """End a token at once (admin)."""
        try:
            await accounts.revoke_token(id, actor)
        except WriteRejectedError as exc:
            raise _refused(exc) from exc
        return Json(token_list(identity))

    return routes


def user_list(identity: Identity) -> UserList:
    """Return all users as clients see them."""
    return UserList(
        tuple(
            UserView(
                each.name,
                each.role.name.lower(),
                "plant.yaml" if identity.fixed(each.name) else "journal",
                identity.locked_for_ns(each.name),
                tuple((glob, role.name.lower()) for glob, role in each.areas.items()),
            )
            for each in identity.users()
        )
    )


def token_list(identity: Identity) -> TokenList:
    """Return all tokens as clients see them."""
    return TokenList(tuple(token_view(each) for each in identity.tokens()))


def token_view(token: TokenRecord) -> TokenView:
    """Return a token without its hash."""
    times = (token.created_ns, token.created_by, token.expires_ns, token.revoked_ns)
    return TokenView(token.id, token.user, token.read, token.write, *times)


def _refused(error: WriteRejectedError) -> Refused:
    return Refused(403 if isinstance(error, ForbiddenError) else 409, error.text, error.remedy)
