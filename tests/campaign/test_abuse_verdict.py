"""How `ironworks chaos abuse` judges: what it says of itself, of a slow server and of a loaded machine."""

import asyncio
import subprocess
import sys
from collections import Counter
from random import Random

import pytest

from drivers.abuse.campaign import play
from drivers.abuse.judge import audited, served
from drivers.abuse.machine import Machine, Spent
from drivers.abuse.plant import KEPT
from drivers.abuse.report import Report
from drivers.abuse.target import Target, over_and_over
from runtime.wire import AuditEntry


@pytest.fixture
def target():
    return Target(1, 1, 1, "seen", "kept")


def played(attack, target, seconds=0.05):
    return asyncio.run(play(attack, target, Random(1), seconds))


def test_what_an_attacker_trips_over_is_told_in_words(target):
    async def one():
        raise KeyError("no such response")

    async def attack(target, random):
        async with asyncio.TaskGroup() as group, asyncio.TaskGroup() as inner:
            group.create_task(asyncio.Event().wait())
            inner.create_task(over_and_over(one, target))

    assert played(attack, target, 5).startswith("KeyError: 'no such response' (test_abuse_verdict.py, line ")


def test_what_fails_while_an_attack_is_ended_is_told_too(target):
    async def attack(target, random):
        try:
            await asyncio.Event().wait()
        finally:
            raise OSError("the folder is not empty")

    assert "the folder is not empty" in played(attack, target)


def test_an_attack_lasts_until_it_is_ended(target):
    async def short(target, random):
        pass

    async def whole(target, random):
        await asyncio.Event().wait()

    assert played(short, target, 5) == "it ended before its time"
    assert played(whole, target) == ""


def test_an_attack_on_a_port_that_nobody_has_is_the_servers_right(target):
    async def attack(target, random):
        await over_and_over(lambda: target.connect(1), target)

    assert played(attack, target) == ""
    assert target.tried["connections"] > 0


@pytest.mark.parametrize(
    ("waited_ms", "machine", "findings", "unjudged"),
    [
        (4_900, (0.0, 0.0), 0, 0),
        (5_100, (0.0, 0.0), 1, 0),
        (9_900, (2.0, 2.0), 1, 0),
        (9_900, (6.0, 0.0), 0, 1),
        (99_000, (0.0, 95.0), 0, 1),
        (None, (0.0, 0.0), 1, 0),
    ],
)
def test_a_wait_is_the_servers_but_for_what_the_machine_withheld(waited_ms, machine, findings, unjudged):
    report = Report(1, spent={"attack": Spent(1.0, *machine)})
    seen = {"asked": 0 if waited_ms is None else 3, "max_ms": waited_ms, "wrong": [], "cut": []}
    served(report, "attack", "OPC UA", seen, True)
    assert (len(report.findings), len(report.unjudged)) == (findings, unjudged)
    assert report.ok == (not findings and not unjudged)


@pytest.mark.parametrize(("late_s", "findings"), [(0.0, 2), (60.0, 1)])
def test_who_is_cut_off_counts_unless_it_stood_still_itself(late_s, findings):
    report = Report(1, spent={"attack": Spent(1.0, 60.0, late_s)})
    seen = {"asked": 3, "max_ms": 1.0, "wrong": ["7 after 8"], "cut": ["TimeoutError: "]}
    served(report, "attack", "OPC UA, login", seen, False)
    assert len(report.findings) == findings


def row(actor, outcome="refused", target=KEPT, detail=""):
    return AuditEntry(1, 1, actor, "viewer", "opcua", "write", target, 42.0, 1.0, "", outcome, detail)


COUNTED = "olga is viewer; 41 refused attempts before have no row of their own"


@pytest.mark.parametrize(
    ("refused", "rows", "found"),
    [
        ({"anonymous": 2, "olga": 1}, [row("anonymous"), row("olga"), row("anonymous")], ""),
        (
            {"anonymous": 2},
            [row("anonymous"), row("anonymous", target="other")],
            "2 writes of anonymous were",
        ),
        ({"olga": 42}, [row("olga", detail=COUNTED)], ""),
        ({"olga": 43}, [row("olga", detail=COUNTED)], "43 writes of olga were refused, the audit has 42"),
        ({"olga": 0}, [row("anonymous")], "the gate was not asked for olga"),
        ({}, [row("olga", "done")], "the audit has 1 writes that were done"),
        ({}, [row("olga", "done", "other")], ""),
    ],
)
def test_writes_without_right_are_judged_by_the_rows_of_the_gate(refused, rows, found):
    report = Report(1)
    audited(report, "attack", Counter(refused), rows, whole=True)
    assert found in "".join(report.findings)
    assert len(report.findings) == bool(found)


def test_the_time_that_a_kernel_took_is_told():
    code = "from time import process_time\ninput()\nbegun_s = process_time()\n"
    code += "while process_time() - begun_s < 0.4: pass\nprint()\ninput()"
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe) as child:
        machine = Machine(child.pid)
        child.stdin.write(b"\n")
        child.stdin.flush()
        child.stdout.readline()
        assert machine.take().kernel_s >= 0.2
        assert machine.take().kernel_s <= 0.1
