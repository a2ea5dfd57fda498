"""The compiler that waits for the next program while a PLC runs."""

import json
import subprocess

import pytest

from softplc import codebase, compiler
from softplc.compiler import Compilers

REQUEST = json.dumps({"sources": {"main.st": "PROGRAM"}, "profile": "iec", "target": "/x", "core": "x.core"})


@pytest.fixture
def started(monkeypatch):
    """Every compiler that is started, in order."""
    found = []
    real = subprocess.Popen

    def start(*args, **kwargs):
        found.append(real(*args, **kwargs))
        return found[-1]

    monkeypatch.setattr(compiler.subprocess, "Popen", start)
    return found


def refused(compilers):
    done = compilers.run(REQUEST)
    return done.returncode == 3 and json.loads(done.stdout)["diagnostics"][0]["file"] == "main.st"


def test_the_next_program_finds_a_compiler_that_waits(started, monkeypatch):
    compilers = Compilers()
    assert refused(compilers)
    assert len(started) == 1  # no PLC runs: nothing waits
    with compilers.kept_ready():
        assert refused(compilers)
        assert refused(compilers)
        assert [each.args[-1] for each in started[1:]] == ["at once", "early", "early"]
        started[-1].kill()
        started[-1].wait()
        assert refused(compilers)  # one that was killed is no reason to fail
        assert [each.args[-1] for each in started[4:]] == ["at once", "early"]
        monkeypatch.setattr(codebase, "stamp", tuple)
        assert refused(compilers)  # another version of the compiler lies there now
        assert [each.args[-1] for each in started[6:]] == ["at once", "early"]
    assert all(each.returncode is not None for each in started)


def test_a_compiler_waits_for_some_minutes_only(started):
    compilers = Compilers(waits_s=0.01)
    with compilers.kept_ready():
        assert refused(compilers)
        assert started[-1].args[-1] == "early"
        started[-1].wait(timeout=60)
