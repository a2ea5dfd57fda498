"""Users, sessions, tokens and certificates: pages, and changes that hold only if nothing changed before."""

import asyncio
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from runtime.api import certificates, sessions, users
from runtime.cli import build
from runtime.client import PlantClient
from runtime.clock import SECOND_NS
from runtime.errors import PlantError, StoreError, WriteRejectedError
from runtime.gate import lockout
from runtime.gate.accounts import Accounts
from runtime.gate.identity import hash_secret
from runtime.logins import keep_session, kept_session
from runtime.tls.issue import new_client
from runtime.wire import PREFIX

HASH = "$argon2id$x"  # of nobody's secret


def _on_socket(endpoint):
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=endpoint.socket), base_url="http://x", timeout=60
    )


def test_lists_come_in_pages_and_the_client_has_them_whole(desk: Any, monkeypatch: Any) -> None:
    for module in (users, sessions, certificates):
        monkeypatch.setattr(module, "PAGE", 2)

    async def main() -> None:
        async with desk.serving() as endpoint, _on_socket(endpoint) as raw, PlantClient(endpoint) as client:
            before = {each.name for each in await client.users()}
            secret = hash_secret("barley & yeast")
            for name in ("ada", "bea", "cleo"):
                added = await client.add_user(name, "operator", secret)
                await client.issue_token(name, ["**"])
                await client.log_in(name, "barley & yeast")
                shown = await client.add_certificate(
                    name, new_client(name, 9, desk.clock.now_ns())[1].decode()
                )
            names = [each.name for each in added]
            assert names == sorted(before | {"ada", "bea", "cleo"})
            assert [each.user for each in shown] == ["ada", "bea", "cleo"]
            for path, asked in (
                ("users", client.users),
                ("tokens", client.tokens),
                ("sessions", client.sessions),
                ("certificates", client.certificates),
            ):
                whole: Any = await asked()
                assert len(whole) >= 3, path
                seen, after = [], ""
                while after is not None:
                    page = (await raw.get(f"{PREFIX}/{path}?limit=1&after={after}")).json()
                    assert len(page[path]) == 1
                    seen += [each.get("id") or each["name"] for each in page[path]]
                    after = page["next"]
                assert seen == [getattr(each, "id", None) or each.name for each in whole]
                assert len((await raw.get(f"{PREFIX}/{path}")).json()[path]) == 2
                assert (await raw.get(f"{PREFIX}/{path}?after=nothing")).status_code == 404
                assert (await raw.get(f"{PREFIX}/{path}?limit=0")).status_code == 422
            assert len(await client.revoke_token((await client.tokens())[0].id)) == 3
            assert len(await client.end_session((await client.sessions())[0].id)) == 2
            assert len(await client.end_certificate((await client.certificates())[0].id)) == 2
            assert [each.name for each in await client.remove_user("ada")] == [n for n in names if n != "ada"]

    asyncio.run(main())


@pytest.mark.parametrize("change", ["role", "secret", "remove"])
def test_a_user_whom_someone_else_changed_is_not_changed_by_what_was_seen_before(
    desk: Any, change: str
) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint, PlantClient(endpoint) as client:
            await client.add_user("ada", "operator", HASH)
            seen, etag = await client.user("ada")
            assert (seen.name, seen.role, seen.kept) == ("ada", "operator", "journal")

            async def mine() -> None:
                if change == "role":
                    await client.set_role("ada", "engineer", etag=etag)
                elif change == "secret":
                    await client.set_secret("ada", HASH + "mine", etag=etag)
                else:
                    await client.remove_user("ada", etag=etag)

            await client.set_secret("ada", HASH + "other")  # nothing that a list shows but its version
            with pytest.raises(WriteRejectedError, match="changed since it was read"):
                await mine()
            now, etag = await client.user("ada")
            assert (now.role, now.version) == ("operator", (await client.user("ada"))[0].version)
            assert now.version != seen.version
            await mine()
            left = {each.name: each.role for each in await client.users()}
            assert left.get("ada") == {"role": "engineer", "secret": "operator"}.get(change)

    asyncio.run(main())


def test_of_two_changes_by_what_both_saw_one_is_made(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint, _on_socket(endpoint) as raw, PlantClient(endpoint) as client:
            await client.add_user("ada", "operator", HASH)
            headers = {"If-Match": (await client.user("ada"))[1]}
            changes = [
                raw.put(f"{PREFIX}/users/ada/role", json={"role": "engineer"}, headers=headers),
                raw.put(f"{PREFIX}/users/ada/role", json={"role": "viewer"}, headers=headers),
                raw.request("DELETE", f"{PREFIX}/users/ada", headers=headers),
            ]
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(each) for each in changes]
            assert sorted(task.result().status_code for task in tasks) == [200, 412, 412]

    asyncio.run(main())


def test_a_locked_user_stays_the_same_while_the_lock_lasts(desk: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(lockout, "_FIRST_NS", 300 * SECOND_NS)

    async def main() -> None:
        async with desk.serving() as endpoint, _on_socket(endpoint) as raw, PlantClient(endpoint) as client:
            await client.add_user("ada", "operator", HASH)
            assert (await client.user("ada"))[0].locked_until_ns == 0
            for _ in range(8):
                await raw.get(f"{PREFIX}/info", auth=("ada", "wrong"))
            now_ns = desk.clock.now_ns()
            seen, etag = await client.user("ada")
            assert now_ns < seen.locked_until_ns < now_ns + 400 * SECOND_NS
            assert seen.locked_until_ns % SECOND_NS == 0
            await client.set_role("ada", "viewer", etag=etag)

    asyncio.run(main())


def test_a_user_that_is_not_there_is_told(desk: Any) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint, PlantClient(endpoint) as client:
            with pytest.raises(PlantError, match="no user is named 'ada'"):
                await client.user("ada")
            with pytest.raises(WriteRejectedError, match="no user is named 'ada'"):
                await client.remove_user("ada", etag='"x"')
            with pytest.raises(WriteRejectedError, match="no user is named 'ada'"):
                await client.remove_user("ada")
            refused = await client.audit(5)
            assert ("user-remove", "refused") in [(each.action, each.outcome) for each in refused]

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["token", "certificate"])
def test_nothing_is_made_for_a_user_who_goes_meanwhile(desk: Any, kind: str) -> None:
    async def main() -> None:
        async with desk.serving() as endpoint, PlantClient(endpoint) as client:
            await client.add_user("ada", "operator", HASH)
            accounts = Accounts(desk.identity, desk.journal, desk.clock)
            pem = new_client("ada", 9, desk.clock.now_ns())[1].decode()
            async with desk.identity.changing:  # as a removal has it until it is in force
                made = asyncio.create_task(
                    client.issue_token("ada", ["**"])
                    if kind == "token"
                    else client.add_certificate("ada", pem)
                )
                await desk.until(lambda: desk.identity.changing._waiters)
                await accounts.remove_user("ada", desk.identity.peer(0))
            with pytest.raises(WriteRejectedError, match="no user is named 'ada'"):
                await made
            await client.add_user("ada", "admin", HASH)
            assert [*await client.tokens(), *await client.certificates()] == []

    asyncio.run(main())


def test_a_log_out_that_the_plant_refuses_is_not_told_as_an_end(desk: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(desk.plant.state))

    async def full(entry: Any) -> int:
        raise StoreError("the disk is full")

    async def main() -> None:
        async with desk.serving() as endpoint:

            async def run(*arguments: str, says: str = "") -> str:
                command = [*arguments, "--plant", str(desk.plant.folder)]
                return (await asyncio.to_thread(CliRunner().invoke, build(command[0]), command, says)).stdout

            await run("login", "olga", says="hops & malt\n")
            session = kept_session(endpoint)
            with monkeypatch.context() as patched:
                patched.setattr(desk.journal, "append_audit", full)
                told = await run("logout")
            assert told.startswith("the session is forgotten here; at the plant it ends by itself")
            assert "the disk is full" in told
            async with PlantClient(endpoint, token=session) as client:
                assert (await client.info()).user.name == "olga"
                keep_session(endpoint, session)
                assert await run("logout") == "logged out\n"
                keep_session(endpoint, session)
                assert await run("logout") == "the session had ended already\n"

    asyncio.run(main())
