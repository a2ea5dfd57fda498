"""The compiler that waits for the next program while a PLC runs."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

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


def refused(compilers, folder):
    done = compilers.run(REQUEST, folder)
    return done.returncode == 3 and json.loads(done.stdout)["diagnostics"][0]["file"] == "main.st"


def test_the_next_program_finds_a_compiler_that_waits(started, monkeypatch, tmp_path):
    compilers = Compilers()
    assert refused(compilers, tmp_path)
    assert len(started) == 1  # no PLC runs: nothing waits
    with compilers.kept_ready():
        assert refused(compilers, tmp_path)
        assert refused(compilers, tmp_path)
        assert [each.args[-1] for each in started[1:]] == ["at once", "early", "early"]
        started[-1].kill()
        started[-1].wait()
        assert refused(compilers, tmp_path)  # one that was killed is no reason to fail
        assert [each.args[-1] for each in started[4:]] == ["at once", "early"]
        monkeypatch.setattr(codebase, "stamp", tuple)
        assert refused(compilers, tmp_path)  # another version of the compiler lies there now
        assert [each.args[-1] for each in started[6:]] == ["at once", "early"]
    assert all(each.returncode is not None for each in started)


def test_a_compiler_waits_for_some_minutes_only(started, tmp_path):
    compilers = Compilers(waits_s=0.01)
    with compilers.kept_ready():
        assert refused(compilers, tmp_path)
        assert started[-1].args[-1] == "early"
        started[-1].wait(timeout=60)


def test_bytecode_that_python_keeps_nowhere_else_is_kept_in_a_folder(started, monkeypatch, tmp_path):
    beside = tmp_path / "beside"
    monkeypatch.setattr(sys, "pycache_prefix", str(beside))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    compilers = Compilers()
    assert refused(compilers, tmp_path)
    kept = [each.name for each in tmp_path.rglob("*.pyc")]
    assert any(name.startswith("pipeline.") for name in kept)

    made = Path(importlib.util.cache_from_source(compiler.__file__))
    made.parent.mkdir(parents=True)
    made.write_bytes(b"")  # as where Python does write it
    assert refused(compilers, tmp_path / "other")
    assert not (tmp_path / "other").exists()
