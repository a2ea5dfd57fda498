"""/sessions: log in once, log out, and see who is logged in; /password: change one's own secret."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from runtime.api.access import Caller, callers_of
from runtime.api.answers import Json, Refused, answers, refused
from runtime.api.pages import PAGE, After, Limit, page
from runtime.api.services import Services
from runtime.api.texts import UnicodeText
from runtime.contract import Actor, Role
from runtime.errors import WriteRejectedError
from runtime.gate.accounts import Accounts
from runtime.gate.oidc import OidcActor
from runtime.gate.sessions import SessionActor
from runtime.journal.accounts import SessionRecord
from runtime.logins import LoginWays, OidcWay, SessionList, SessionMade, SessionView
from runtime.wire import UserView

Secret = Annotated[UnicodeText, Field(max_length=256)]


class LoginBody(BaseModel):
    """A user's name and secret."""

    model_config = ConfigDict(extra="forbid")

    name: Secret
    secret: Secret


class PasswordBody(LoginBody):
    """The same, and the secret that is to be instead."""

    new: Secret


def router(services: Services) -> APIRouter:
    routes = APIRouter(tags=["sessions"])
    identity = services.identity
    sessions = identity.sessions
    accounts = Accounts(identity, services.journal, services.clock)

    def view(record: SessionRecord, actor: Actor) -> SessionView:
        own = isinstance(actor, SessionActor) and actor.session == record.id
        times = (record.created_ns, sessions.idle_ns(record.id), record.expires_ns)
        return SessionView(record.id, record.user, record.role, *times, own)

    def listed(actor: Actor, after: str = "", limit: int = PAGE) -> Json:
        user = None if actor.role >= Role.ADMIN else actor.name
        there = sessions.of(user, services.clock.now_ns())
        found, following = page(there, lambda each: each.id, after, limit)
        return Json(SessionList(tuple(view(each, actor) for each in found), following))

    @routes.get("/login", **answers(LoginWays, "How people log in."))
    async def ways() -> Json:
        """Tell how people log in here: by name and secret always, by an issuer where `oidc` is not null."""
        oidc = services.plant.head.login.oidc
        if oidc is None:
            return Json(LoginWays(None))
        access = oidc.for_audience != oidc.client_id
        return Json(LoginWays(OidcWay(oidc.issuer, oidc.client_id, oidc.scope, access)))

    @routes.get("/sessions", **answers(SessionList, "Sessions, oldest first.", 404))
    async def list_sessions(actor: Caller, after: After = "", limit: Limit = PAGE) -> Json:
        """List one's own sessions; an admin's answer has all."""
        return listed(actor, after, limit)

    @routes.post("/sessions", **answers(SessionMade, "The session, shown this once."))
    async def log_in(request: Request, actor: Caller, body: LoginBody | None = None) -> Json:
        """Log in; the session is used as Bearer token until it is idle or too old.

        Without name and secret it is for whom the issuer's token in the request's header vouches.
        """
        if body:
            actor = await callers_of(request).verified(request, body.name, body.secret, "session")
        elif not isinstance(actor, OidcActor):
            raise Refused(422, "who logs in?", "send name and secret, or a token of the plant's issuer")
        try:
            made, text = await accounts.open_session(actor)
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        return Json(SessionMade(text, view(made, actor)))

    @routes.delete("/sessions/{id}", **answers(SessionList, "The sessions that are left."))
    async def log_out(id: str, actor: Caller) -> Json:  # noqa: A002 - the API's word
        """End a session at once: one's own, or as admin any."""
        try:
            await accounts.end_session(id, actor)
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        return listed(actor)

    @routes.post("/password", **answers(UserView, "The user; its sessions have ended."))
    async def change_password(body: PasswordBody, request: Request) -> Json:
        """Change one's own secret; whoever is logged in with the old one is out."""
        actor = await callers_of(request).verified(request, body.name, body.secret, "http")
        try:
            async with identity.changing:
                if identity.mark(actor.name) != actor.mark:
                    raise Refused(409, f"{actor.name} was changed meanwhile", "give the secret it has now")
                await accounts.change_password(body.new, actor)
        except WriteRejectedError as exc:
            raise refused(exc) from exc
        return Json(UserView(actor.name, actor.role.name.lower(), "journal", 0))

    return routes
