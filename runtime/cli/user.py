"""`ironworks user`: users and API tokens, on the gateway; `hash` makes the line for plant.yaml."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

import typer

from runtime.cli.certificate import cert, certs
from runtime.cli.session import (
    JsonOption,
    PlantOption,
    ask,
    ask_secret,
    before_command,
    parse_for,
    print_json,
    print_table,
    show_time,
)
from runtime.errors import PlantError

if TYPE_CHECKING:
    from runtime.client import PlantClient
    from runtime.contract import Actor
    from runtime.gate.accounts import Accounts
    from runtime.gate.identity import Identity
    from runtime.logins import SessionView
    from runtime.wire import TokenMade, TokenView, UserView

T = TypeVar("T")
_TOKEN_ID = 8
AreaOption = Annotated[
    list[str],
    typer.Option(
        "--in",
        help="GLOB=ROLE: another role for these tags or alarm areas, such as 'line1/**=operator'; "
        "may be repeated, the last that matches holds.",
    ),
]
app = typer.Typer(help="Users of a plant, and API tokens.", no_args_is_help=True)
app.callback()(before_command)
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
RoleOption = Annotated[
    Literal["viewer", "operator", "engineer", "admin"], typer.Option("--role", help="What the user may do.")
]


@app.command("hash")
def hash_command(json: JsonOption = False) -> None:
    """Ask for a secret and print its argon2 line for plant.yaml; reads a line of standard input in a pipe."""
    from runtime.gate.identity import hash_secret
    from runtime.gate.passwords import check_password

    secret = ask_secret(twice=True)
    check_password(secret)
    line = hash_secret(secret)
    if json:
        print_json({"secret": line})
    else:
        print(f'secret: "{line}"')


@app.command()
def add(
    name: str,
    role: RoleOption,
    areas: AreaOption = [],  # noqa: B006 - typer copies it
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Add a user; asks for the secret twice, or reads a line of standard input in a pipe.

    The first admin is added on the gateway: by the account that runs the plant, running or stopped.
    """
    from runtime.contract import Role
    from runtime.gate.identity import hash_secret
    from runtime.gate.passwords import check_password

    given = _areas(areas)
    secret = ask_secret(twice=True)
    check_password(secret, name)
    hashed = hash_secret(secret)

    async def online(client: PlantClient) -> tuple[UserView, ...]:
        return await client.add_user(name, role, hashed, given)

    async def offline(accounts: Accounts, identity: Identity, actor: Actor) -> tuple[UserView, ...]:
        places = tuple((glob, Role[word.upper()]) for glob, word in given)
        await accounts.add_user(name, Role[role.upper()], hashed, actor, places)
        return _users(identity)

    users = _from_either(plant, online, offline)
    if json:
        print_json(users)
    else:
        print(f"{name} is added as {role}")


@app.command()
def role(
    name: str,
    role: RoleOption,
    areas: AreaOption = [],  # noqa: B006 - typer copies it
    yes: YesOption = False,
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Give a user another role, and the roles of --in instead of those before.

    Asks first when a person sits at the terminal; if the user changed meanwhile, nothing is done.
    """
    from runtime.contract import Role

    given = _areas(areas)

    async def offline(accounts: Accounts, identity: Identity, actor: Actor) -> tuple[UserView, ...]:
        places = tuple((glob, Role[word.upper()]) for glob, word in given)
        await accounts.set_role(name, Role[role.upper()], actor, places)
        return _users(identity)

    async def online(client: PlantClient) -> tuple[UserView, ...]:
        etag = await _seen(client, name, yes, " ".join([role, *areas]))
        return await client.set_role(name, role, given, etag)

    users = _from_either(plant, online, offline)
    if json:
        print_json(users)
    else:
        print(f"{name} is {' '.join([role, *areas])}")


@app.command()
def password(
    name: Annotated[str, typer.Argument(help="Whose; one's own without it.")] = "",
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Change one's own secret, or as admin that of someone else; the sessions of that name end.

    In a pipe it reads lines of standard input: the old secret, where it is one's own, then the new one.
    """
    from runtime.gate.identity import hash_secret
    from runtime.gate.passwords import check_password

    def new_secret(of: str) -> str:
        secret = ask_secret("New secret", twice=True)
        check_password(secret, of)
        return secret

    async def online(client: PlantClient) -> str:
        me = (await client.info()).user
        whose = name or me.name
        if me.role == "admin" and me.name != whose:
            _, etag = await client.user(whose)
            await client.set_secret(whose, hash_secret(new_secret(whose)), etag)
        else:
            old = ask_secret(f"Secret of {whose}")
            await client.change_password(whose, old, new_secret(whose))
        return whose

    async def offline(accounts: Accounts, identity: Identity, actor: Actor) -> str:
        if not name:
            raise PlantError("whose secret?", "the plant does not run: name the user")
        await accounts.set_secret(name, hash_secret(new_secret(name)), actor)
        return name

    whose = _from_either(plant, online, offline)
    if json:
        print_json({"user": whose})
    else:
        print(f"the secret of {whose} is changed")


@app.command()
def sessions(plant: PlantOption = None, json: JsonOption = False) -> None:
    """List one's own sessions; an admin sees all."""
    found: tuple[SessionView, ...] = ask(plant, lambda client: client.sessions())
    if json:
        print_json(found)
        return
    rows = [
        (
            each.id + (" *" if each.own else ""),
            each.user,
            each.role,
            show_time(each.created_ns),
            f"{each.idle_ns // 60_000_000_000} min",
            show_time(each.expires_ns),
        )
        for each in found
    ]
    print_table(("session", "user", "role", "since", "idle", "until"), rows)


@app.command("end")
def end_session(
    session: Annotated[
        str, typer.Argument(help="Its id, from `ironworks user sessions`.", metavar="SESSION")
    ],
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """End a session at once: one's own, or as admin any."""
    found: tuple[SessionView, ...] = ask(plant, lambda client: client.end_session(session))
    if json:
        print_json(found)
    else:
        print(f"session {session} is ended")


@app.command("list")
def list_users(plant: PlantOption = None, json: JsonOption = False) -> None:
    """List the users."""

    async def offline(accounts: Accounts, identity: Identity, actor: Actor) -> tuple[UserView, ...]:
        return _users(identity)

    users = _from_either(plant, lambda client: client.users(), offline)
    if json:
        print_json(users)
        return
    rows = [
        (
            each.name,
            _rights(each),
            each.kept,
            f"locked until {show_time(each.locked_until_ns)}" if each.locked_until_ns else "",
        )
        for each in users
    ]
    print_table(("name", "role", "kept in", ""), rows)


@app.command()
def remove(name: str, yes: YesOption = False, plant: PlantOption = None, json: JsonOption = False) -> None:
    """Remove a user, and end the tokens of that name. Asks first when a person sits at the terminal."""

    async def offline(accounts: Accounts, identity: Identity, actor: Actor) -> tuple[UserView, ...]:
        await accounts.remove_user(name, actor)
        return _users(identity)

    async def online(client: PlantClient) -> tuple[UserView, ...]:
        return await client.remove_user(name, await _seen(client, name, yes, "removed"))

    users = _from_either(plant, online, offline)
    if json:
        print_json(users)
    else:
        print(f"{name} is removed")


@app.command()
def token(
    name: str,
    scope: Annotated[list[str], typer.Option("--scope", help="read:GLOB or write:GLOB; may be repeated.")],
    expires: Annotated[str, typer.Option("--expires", help="After this time: 8h, 90d, or never.")] = "90d",
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """Make an API token of a user and print it, this once. Use it as $IRONWORKS_TOKEN or Bearer token."""
    kinds: dict[str, list[str]] = {"read": [], "write": []}
    for each in scope:
        kind, _, glob = each.partition(":")
        if kind not in kinds or not glob:
            raise PlantError(f"{each!r} is not a scope", "write it like read:tank/* or write:line/speed_sp")
        kinds[kind].append(glob)
    for_ns = 0 if expires == "never" else parse_for(expires, "--expires")
    made: TokenMade = ask(
        plant, lambda client: client.issue_token(name, kinds["read"], kinds["write"], for_ns)
    )
    if json:
        print_json(made)
    else:
        print(made.token)
        until = show_time(made.view.expires_ns) if made.view.expires_ns else "it is revoked"
        print(f"token {made.view.id} of {name}, until {until}; it is not shown again", file=sys.stderr)


@app.command()
def tokens(plant: PlantOption = None, json: JsonOption = False) -> None:
    """List the API tokens, without their secrets."""
    found: tuple[TokenView, ...] = ask(plant, lambda client: client.tokens())
    if json:
        print_json(found)
        return
    rows = []
    for each in found:
        scope = [*(f"read:{glob}" for glob in each.read), *(f"write:{glob}" for glob in each.write)]
        end = f"revoked {show_time(each.revoked_ns)}" if each.revoked_ns else show_time(each.expires_ns)
        rows.append((each.id, each.user, " ".join(scope), show_time(each.created_ns), each.created_by, end))
    print_table(("token", "user", "scope", "made", "by", "until"), rows)


@app.command()
def revoke(
    token: Annotated[
        str, typer.Argument(help="Its id, from `ironworks user tokens` or `certs`.", metavar="ID")
    ],
    plant: PlantOption = None,
    json: JsonOption = False,
) -> None:
    """End an API token or a client certificate at once."""
    certificate = len(token) > _TOKEN_ID  # the beginning of a fingerprint
    found: tuple[object, ...] = ask(
        plant, lambda client: client.end_certificate(token) if certificate else client.revoke_token(token)
    )
    if json:
        print_json(found)
    else:
        print(f"{'certificate' if certificate else 'token'} {token} is revoked")


app.command()(cert)
app.command()(certs)


def _areas(given: list[str]) -> list[tuple[str, str]]:
    found = []
    for each in given:
        glob, _, word = each.rpartition("=")
        if not glob or word not in ("viewer", "operator", "engineer", "admin"):
            raise PlantError(f"--in: {each!r} is not GLOB=ROLE", "write it like 'line1/**=operator'")
        found.append((glob, word))
    return found


def _rights(user: UserView) -> str:
    return " ".join([user.role, *(f"{glob}={word}" for glob, word in user.areas)])


def _users(identity: Identity) -> tuple[UserView, ...]:
    from runtime.api.users import user_view
    from runtime.clock import WallClock

    return tuple(user_view(identity, each, WallClock().now_ns()) for each in identity.users())


async def _seen(client: PlantClient, name: str, yes: bool, then: str) -> str:
    """Return the ETag of a user; who sits at the terminal is asked first whether that is meant.

    Empty for who may not look: the plant refuses the change too, and audits that.
    """
    if (await client.info()).user.role != "admin":
        return ""
    user, etag = await client.user(name)
    if sys.stdin.isatty() and not yes:
        typer.confirm(f"{name}: {_rights(user)} -> {then}?", abort=True)
    return etag


def _from_either(
    plant: str | None,
    online: Callable[[PlantClient], Awaitable[T]],
    offline: Callable[[Accounts, Identity, Actor], Awaitable[T]],
) -> T:
    """Ask the plant if it runs, else work on its journal as the account of this process."""
    from runtime.cli.stopped import runs

    return ask(plant, online) if runs(plant) else asyncio.run(_stopped(plant, offline))


async def _stopped(plant: str | None, work: Callable[[Accounts, Identity, Actor], Awaitable[T]]) -> T:
    import os

    from runtime.cli.stopped import journal_file, plant_head
    from runtime.clock import WallClock
    from runtime.gate.accounts import Accounts
    from runtime.gate.identity import Identity
    from runtime.journal import Journal

    clock = WallClock()
    identity = Identity(plant_head(plant).users)
    journal = Journal(journal_file(plant), clock)
    await journal.open()
    try:
        accounts = Accounts(identity, journal, clock)
        await accounts.load()
        return await work(accounts, identity, identity.peer(os.getuid()))
    finally:
        await journal.close()
