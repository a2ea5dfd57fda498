"""The gate and accounts of a plant that really runs, by command and client."""

import asyncio
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest
from typer.testing import CliRunner

from runtime.cli import build
from runtime.client import PlantClient
from runtime.endpoint import Endpoint, find
from runtime.errors import ConnectError, PlantError, WriteRejectedError

PLANT = """\
plant: gated
root: s/a/l
api: {port: 0}
history: null
gate:
  two_person: [safe/*]
  signatures: [{tags: [recipe/*, safe/signed], meanings: [approval, review]}]
  rates: [{tags: [tank/often], writes: 2, per: 1h}]
"""
TAGS = """path,type,access,initial
tank/sp,REAL,rw,50
tank/often,DINT,rw,0
safe/limit,DINT,rw,7
recipe/sp,DINT,rw,7
safe/signed,DINT,rw,7
"""
SECRETS = ("barley & yeast\n", "malt & water\n")


class Life:
    """A plant in a process of its own."""

    def __init__(self, folder):
        self.folder = folder
        self.process = None

    def start(self):
        command = [sys.executable, "-m", "runtime.cli", "run", str(self.folder), "--attached"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while True:
            try:
                return find(self.folder)
            except ConnectError:
                assert self.process.poll() is None, "the plant ended"
                assert time.monotonic() < deadline, "the plant did not start"
                time.sleep(0.05)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process.stdin.close()

    def run(self, *arguments, **options):
        arguments = [*map(str, arguments), "--plant", str(self.folder)]
        return CliRunner().invoke(build(arguments[0]), arguments, **options)

    def ask(self, work, **login):
        async def main():
            async with PlantClient(find(self.folder), **login) as client:
                return await work(client)

        return asyncio.run(main())

    def tcp(self, work, **login):
        async def main():
            async with PlantClient(Endpoint(http=find(self.folder).http), **login) as client:
                return await work(client)

        return asyncio.run(main())


@pytest.fixture
def life(tmp_path, monkeypatch):
    home = tempfile.mkdtemp(prefix="iw")  # short: a socket's path is limited
    monkeypatch.setenv("XDG_RUNTIME_DIR", home)
    for name in ("IRONWORKS_PLANT", "IRONWORKS_USER", "IRONWORKS_SECRET", "IRONWORKS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "plant.yaml").write_text(PLANT)
    (tmp_path / "tags.csv").write_text(TAGS)
    made = Life(tmp_path)
    yield made
    if made.process and made.process.poll() is None:
        made.process.stdin.close()
        try:
            made.process.wait(60)
        except subprocess.TimeoutExpired:
            made.process.kill()
            made.process.wait()
    shutil.rmtree(home)


def until(holds, seconds=60):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_switch_and_a_value_for_a_time_outlive_a_kill(life):
    life.start()
    assert life.run("gate").stdout == "mode: auto\n"
    done = life.run("write", "tank/sp", "60", "--for", "1h", "--reason", "trial")
    assert done.stdout == "s/a/l/tank/sp: 50 -> 60 for 1h\n"
    assert "goes back to" in life.run("gate").stdout
    assert life.run("write", "tank/sp", "60", "--for", "2s", "--reason", "shorter").exit_code == 0
    life.kill()
    life.start()
    until(lambda: life.ask(lambda client: client.tag("tank/sp")).value == 50)
    assert "mode: read only" in life.run("gate", "read-only", "--on", "--reason", "odd values").stdout
    life.kill()
    life.start()
    refused = life.run("write", "tank/sp", "61").exception
    assert isinstance(refused, WriteRejectedError)
    assert "odd values" in refused.text
    until(lambda: life.ask(lambda client: client.tag("sys/gate/read_only")).value is True)
    until(lambda: "gate.read_only" in [each.name for each in life.ask(lambda client: client.alarms())])
    assert "mode: auto" in life.run("gate", "read-only", "--off", "--reason", "fine").stdout
    assert life.run("write", "tank/sp", "61").exit_code == 0
    report = life.run("audit", "verify")
    assert report.stdout.startswith("ok: "), report.stdout


def test_rates_dry_run_and_requests_by_command(life):
    life.start()
    for value in (1, 2):
        assert life.run("write", "tank/often", value).exit_code == 0
    assert "too often" in life.run("write", "tank/often", 3).exception.text
    told = life.run("write", "tank/sp", "61", "--dry-run").stdout
    assert told == "s/a/l/tank/sp: 50 -> 61 would be allowed; nothing was written\n"
    assert "request 1 waits" in life.run("write", "safe/limit", "9", "--reason", "season").stdout
    assert "season" in life.run("gate").stdout
    assert "asked for it" in life.run("gate", "approve", 1).exception.text
    assert "ended" in life.run("gate", "reject", 1).stdout
    assert life.ask(lambda client: client.tag("safe/limit")).value == 7


def test_a_protection_that_protects_nothing_is_a_finding(life):
    (life.folder / "plant.yaml").write_text(PLANT.replace("safe/*", "sfae/*"))
    result = CliRunner().invoke(build("check"), ["check", str(life.folder)])
    assert "'sfae/*' matches no tag that can be written" in str(result.exception) + result.output


def test_the_first_admin_is_made_on_the_gateway_and_logs_in(life):
    added = life.run("user", "add", "ada", "--role", "admin", input="engine no 1\n")
    assert added.stdout == "ada is added as admin\n", added.exception
    assert "shorter" in life.run("user", "add", "bo", "--role", "viewer", input="short\n").exception.text
    life.start()
    assert life.tcp(lambda client: client.info()).user.role == "viewer"
    assert life.tcp(lambda client: client.info(), user="ada", secret="engine no 1").user.role == "admin"
    with pytest.raises(WriteRejectedError, match="adding a user needs admin"):
        life.tcp(lambda client: client.add_user("eve", "admin", "$argon2id$x"))
    assert life.run("user", "add", "olga", "--role", "operator", input="hops & malt\n").exit_code == 0
    rows = [line.split() for line in life.run("user", "list").stdout.splitlines()[1:]]
    assert rows == [["ada", "admin", "journal"], ["olga", "operator", "journal"]]
    login = {"user": "olga", "secret": "hops & malt"}
    assert life.tcp(lambda client: client.write("tank/sp", 61), **login).value == 61
    request = life.tcp(lambda client: client.request_write("safe/limit", 9), **login)
    assert life.run("gate", "approve", request.id).stdout == f"request {request.id}: 7 -> 9\n"
    life.kill()
    life.start()
    assert life.tcp(lambda client: client.info(), **login).user.name == "olga"
    assert "olga is removed" in life.run("user", "remove", "olga").stdout
    with pytest.raises(PlantError, match="wrong"):
        life.tcp(lambda client: client.info(), **login)


def test_log_in_roles_by_area_and_another_secret_by_command(life, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(life.folder / "state"))
    add = ("user", "add", "olga", "--role", "viewer", "--in", "tank/**=operator")
    assert life.run(*add, input="hops & malt\n").exit_code == 0
    assert "not GLOB=ROLE" in life.run(*add[:-1], "tank/**", input="hops & malt\n").exception.text
    life.start()
    assert "nobody is logged in" in life.run("logout").exception.text
    assert "wrong" in life.run("login", "olga", input="hops and malt\n").exception.text
    told = life.run("login", "olga", input="hops & malt\n").stdout
    assert told.startswith("olga is logged in as viewer, until")
    assert life.run("write", "tank/sp", "61").exit_code == 0
    assert "olga is viewer" in life.run("write", "safe/limit", "8").exception.text
    assert "needs admin" in life.run("user", "add", "eve", "--role", "admin", input=SECRETS[0]).exception.text
    life.kill()
    life.start()
    assert [line.split()[2] for line in life.run("user", "sessions").stdout.splitlines()[1:]] == ["olga"]
    changed = life.run("user", "password", input="hops & malt\n" + SECRETS[0])
    assert changed.stdout == "the secret of olga is changed\n", changed.exception
    assert "the session is over" in life.run("gate").exception.text
    assert life.run("logout").stdout == "the session had ended already\n"
    assert life.run("user", "role", "olga", "--role", "engineer").stdout == "olga is engineer\n"
    assert life.run("login", "olga", input=SECRETS[0]).stdout.startswith("olga is logged in as engineer")
    assert life.run("write", "safe/limit", "8").exit_code == 0
    assert life.run("logout").stdout == "logged out\n"
    assert life.run("user", "password", "olga", input=SECRETS[1]).exit_code == 0
    assert life.tcp(lambda client: client.info(), user="olga", secret=SECRETS[1].strip()).user.name == "olga"


def test_a_write_is_signed_by_command_and_approved_by_another_who_signs(life):
    for name in ("olga", "wang"):
        life.run("user", "add", name, "--role", "operator", input=SECRETS[0])
    life.start()
    write = ("write", "recipe/sp", "8")
    assert "--sign-as is missing" in life.run(*write, input=SECRETS[0]).exception.text
    assert "--meaning is missing" in life.run(*write, "--sign-as", "olga", input=SECRETS[0]).exception.text
    sign = ("--sign-as", "olga", "--meaning", "review")
    assert "signature: the name or" in life.run(*write, *sign, input=SECRETS[1]).exception.text
    assert life.run(*write, *sign, input=SECRETS[0]).stdout == "s/a/l/recipe/sp: 7 -> 8\n"
    assert "would be allowed, once it is signed;" in life.run(*write, "--dry-run").stdout
    assert "request 1 waits" in life.run("write", "safe/signed", "9", *sign, input=SECRETS[0]).stdout
    approve = ("gate", "approve", 1, "--meaning", "approval", "--sign-as")
    assert "asked for it" in life.run(*approve, "olga", input=SECRETS[0]).exception.text
    assert life.run(*approve, "wang", input=SECRETS[0]).stdout == "request 1: 7 -> 9\n"
    told = life.run("audit", "list").stdout
    assert "signed by olga: review; signed by wang: approval" in told
    assert life.run("audit", "verify").stdout.startswith("ok: ")


def test_a_token_is_shown_once_serves_in_its_scope_and_ends(life, monkeypatch):
    life.run("user", "add", "robot", "--role", "operator", input="engine no 1\n")
    life.start()
    made = life.run("user", "token", "robot", "--scope", "read:tank/*", "--scope", "write:tank/sp")
    token = made.stdout.strip()
    assert token.startswith("iw_")
    assert "not shown again" in made.stderr
    assert "is not a scope" in life.run("user", "token", "robot", "--scope", "all").exception.text

    async def follow(client):
        return (await anext(client.stream(["**"]))).rows

    seen = life.tcp(follow, token=token)
    known = {tag.id for tag in life.ask(lambda client: client.tags("tank/*"))}
    assert {row[0] for row in seen} == known
    with pytest.raises(ConnectError, match="outside the scope"):
        life.tcp(lambda client: anext(client.stream(alarms=True)), token=token)
    monkeypatch.setenv("IRONWORKS_TOKEN", token)
    assert life.run("write", "tank/sp", "62").exit_code == 0
    assert "outside the scope" in life.run("write", "tank/often", "1").exception.text
    assert "may not do this" in life.run("gate", "mode", "maintenance", "--reason", "x").exception.text
    monkeypatch.delenv("IRONWORKS_TOKEN")
    listing = life.run("user", "tokens").stdout
    assert "read:tank/* write:tank/sp" in listing
    assert token not in listing

    async def revoked_while_it_follows(client):
        async for _ in client.stream(["tank/sp"], interval_ms=50):
            await asyncio.to_thread(life.run, "user", "revoke", token.split("_")[1])
            await asyncio.to_thread(life.run, "write", "tank/sp", "63")

    with pytest.raises(ConnectError, match="not in force any more"):
        life.tcp(revoked_while_it_follows, token=token)
    with pytest.raises(PlantError, match="revoked"):
        life.tcp(lambda client: client.info(), token=token)
