"""Every command against every role, from the code: a command without a rule fails."""

import asyncio
import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer.main

from runtime.api.rules import RULES
from runtime.cli import build
from runtime.cli.rules import NEEDS
from runtime.client import PlantClient
from runtime.contract import Role
from runtime.endpoint import find
from runtime.wire import PREFIX

SECRET = "correct horse battery"
LOGIN = f"{SECRET}\n{SECRET}\n"
SAMPLES = {
    "read": ["tank/*"],
    "write": ["tank/setpoint", "50", "--yes"],
    "alarms list": [],
    "alarms show": ["tank.high"],
    "alarms journal": [],
    "alarms figures": [],
    "alarms ack": ["tank.high"],
    "alarms confirm": ["tank.high"],
    "alarms shelve": ["tank.high", "--for", "1min", "--reason", "test"],
    "alarms unshelve": ["tank.high"],
    "alarms reset": ["tank.high"],
    "alarms out-of-service": ["tank.high", "--reason", "test"],
    "alarms in-service": ["tank.high"],
    "history query": ["tank/setpoint"],
    "history trend": ["tank/setpoint"],
    "history sql": ["SELECT 1"],
    "audit list": [],
    "audit verify": [],
    "config status": [],
    "config list": [],
    "config log": [],
    "config show": ["1"],
    "config diff": ["1", "folder"],
    "config apply": ["--dry-run"],
    "config rollback": ["77"],
    "components list": [],
    "components restart": ["gate"],
    "plc watch": ["Main.x", "--once"],
    "plc force": ["Main.x", "1", "--reason", "test"],
    "plc forces": [],
    "plc unforce": ["--all"],
    "plc top": ["--once"],
    "plc worst": [],
    "plc restart": [],
    "plc why": ["Main.x"],
    "plc plan": [],
    "plc change": [],
    "plc back": [],
    "gate status": [],
    "gate mode": ["auto", "--reason", "test"],
    "gate read-only": ["--off", "--reason", "test"],
    "gate approve": ["REQUEST"],
    "gate reject": ["REQUEST"],
    "user list": [],
    "user add": ["someone", "--role", "viewer"],
    "user role": ["nobody", "--role", "viewer"],
    "user remove": ["nobody"],
    "user password": ["nobody"],
    "user sessions": [],
    "user end": ["nothing"],
    "user token": ["viewer1", "--scope", "read:**"],
    "user tokens": [],
    "user revoke": ["nothing"],
    "user cert": ["viewer1", "--make", "client.pem"],
    "user certs": [],
    "backup make": ["backup.tar.gz"],
    "twin faults": [],
    "drivers top": ["--once"],
    "drivers record": ["gate", "--for", "100ms", "--out", "gate.pcap"],
}
APART = {
    "demo": "runs a plant of its own and is tested with it",
    "console": "takes the terminal; its screens have tests of their own",
    "watch": "goes on until it is stopped; the stream is tested in runtime_api",
    "login": "is what makes a role",
    "logout": "is what ends one",
    "lsp": "talks to an editor; live values are tested with it",
    "app fit": "takes hours of history",
    "twin fault": "needs a twin; it is a write of a tag",
}


def _commands():
    def walk(command, path=()):
        if hasattr(command, "commands"):
            for name, each in command.commands.items():
                yield from walk(each, (*path, name))
        else:
            yield path, command

    return dict(walk(typer.main.get_command(build())))


def _needs(path, command):
    """Return the rule of a command: of its own module, or of the table for ours."""
    own = getattr(sys.modules[command.callback.__module__], "NEEDS", {})
    return own.get(path[-1], NEEDS.get(" ".join(path)))


def _all():
    return {" ".join(path): _needs(path, command) for path, command in _commands().items()}


def test_every_command_has_a_rule_and_every_rule_a_command_and_routes_that_exist():
    found = _all()
    assert [name for name, needs in found.items() if needs is None] == []
    assert NEEDS.keys() <= found.keys()
    known = {f"{method} {path}" for method, path in RULES}
    assert {route for needs in found.values() for route in needs} <= known


def test_every_command_that_asks_a_plant_is_tried():
    asking = {name for name, needs in _all().items() if needs}
    assert asking == SAMPLES.keys() | APART.keys()
    assert not SAMPLES.keys() & APART.keys()


def _route(method, path):
    """Return the rule's route for a request."""
    path = path.removeprefix(PREFIX)
    for each_method, route in RULES:
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route)).replace(r"\{path:path\}", ".+")
        if each_method == method and re.fullmatch(pattern, path):
            return f"{method} {route}"
    return f"{method} {path}"


@pytest.fixture
def asked(monkeypatch):
    """The routes that were asked, and the status of each answer."""
    seen: list[tuple[str, int]] = []
    send = httpx.AsyncHTTPTransport.handle_async_request

    async def watch(self, request):
        answer = await send(self, request)
        path = request.url.raw_path.decode().partition("?")[0]
        seen.append((_route(request.method, path), answer.status_code))
        return answer

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", watch)
    return seen


async def _waiting(folder):
    """Ask for a write that takes two persons, as the account that runs the plant."""
    async with PlantClient(find(folder)) as client:
        return (await client.request_write("safe/sp", 2.0)).id


def _least(needs):
    return max(RULES[tuple(route.split(" ", 1))].role for route in needs)


@pytest.mark.parametrize("role", Role)
def test_each_role_gets_what_the_rules_say_and_each_command_asks_only_what_it_says(
    ironworks: Any, running_plant: Path, asked: Any, monkeypatch: Any, tmp_path: Path, role: Role
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IRONWORKS_PLANT", str(running_plant))
    monkeypatch.setenv("IRONWORKS_USER", f"{role.name.lower()}1")
    monkeypatch.setenv("IRONWORKS_SECRET", SECRET)
    rules = _all()
    wrong = []
    for name, arguments in SAMPLES.items():
        if "REQUEST" in arguments:
            arguments = [asyncio.run(_waiting(running_plant))]
        asked.clear()
        result = ironworks(*name.split(), *arguments, input=LOGIN)
        if type(result.exception) not in (type(None), SystemExit):
            assert hasattr(result.exception, "remedy"), (name, result.exception)
        refused = any(status in (401, 403) for _, status in asked)
        if refused != (role < _least(rules[name])) or {route for route, _ in asked} - set(rules[name]):
            wrong.append((name, asked.copy(), result.output, str(result.exception)))
        if not asked:
            wrong.append((name, "asked nothing", result.output, str(result.exception)))
    assert wrong == []


@pytest.mark.parametrize("command", [["read", "**"], ["twin", "faults"], ["twin", "fault", "pump.trip"]])
def test_a_plant_that_is_asked_as_nobody_known_refuses(
    ironworks: Any, running_plant: Path, monkeypatch: Any, command: list[str]
) -> None:
    monkeypatch.setenv("IRONWORKS_USER", "nobody")
    monkeypatch.setenv("IRONWORKS_SECRET", "wrong")
    error = ironworks(*command, "--plant", running_plant).exception
    assert "wrong" in str(error)
