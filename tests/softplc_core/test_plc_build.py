"""Compiling in a child process, and the cache."""

import os
import py_compile
import subprocess
import sys
from importlib.util import cache_from_source
from pathlib import Path

import pytest

from runtime.errors import ConfigError, PlantError
from softplc import build as building
from softplc import compiler, pipeline
from softplc.diagnostics import CompileError

GOOD = "PROGRAM Main VAR n : DINT; END_VAR n := n + 1; END_PROGRAM"


@pytest.fixture
def no_child(monkeypatch):
    """Make it an error to start a compiler from here on."""

    def forbid():
        def start(*args, **kwargs):
            raise AssertionError("a compiler was started")

        monkeypatch.setattr(compiler.subprocess, "Popen", start)

    return forbid


def test_the_second_build_comes_from_the_cache(tmp_path, no_child):
    first = building.build({"main.st": GOOD}, tmp_path)
    no_child()
    second = building.build({"main.st": GOOD}, tmp_path)
    assert second.core_object == first.core_object
    assert second.application.object_code == first.application.object_code
    with pytest.raises(AssertionError, match="started"):
        building.build({"main.st": GOOD.replace("+ 1", "+ 2")}, tmp_path)


def test_the_profile_belongs_to_the_result(tmp_path):
    text = "PROGRAM Main VAR n : INT; p : POINTER TO INT; END_VAR p := ADR(n); p^ := p^ + 1; END_PROGRAM"
    assert building.build({"main.st": text}, tmp_path, "codesys").application.tasks
    with pytest.raises(CompileError):
        building.build({"main.st": text}, tmp_path)


def test_a_damaged_result_is_compiled_again(tmp_path):
    building.build({"main.st": GOOD}, tmp_path)
    (file,) = tmp_path.glob("*.plc")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert building.build({"main.st": GOOD}, tmp_path).application.tasks
    assert file.read_bytes() != bytes(data)


def test_the_core_is_compiled_once_for_all_programs(tmp_path):
    first = building.build({"main.st": GOOD}, tmp_path)
    (core,) = tmp_path.glob("*.core")
    written = core.read_bytes()
    core.write_bytes(written[:-1] + bytes([written[-1] ^ 1]))
    second = building.build({"main.st": GOOD.replace("+ 1", "+ 2")}, tmp_path)
    assert second.core_object == first.core_object
    assert [each.read_bytes() for each in tmp_path.glob("*.core")] == [written]


def test_every_diagnostic_of_the_child_comes_back_with_its_place(tmp_path):
    source = "PROGRAM Main\nVAR n : DINT; END_VAR\nm := 1;\nn := TRUE;\nEND_PROGRAM"
    with pytest.raises(CompileError) as caught:
        building.build({"plc/main.st": source}, tmp_path)
    places = {(each.file, each.line) for each in caught.value.diagnostics}
    assert {("plc/main.st", 3), ("plc/main.st", 4)} <= places
    assert not list(tmp_path.iterdir())


def test_a_cache_that_cannot_be_written_does_not_stop_a_build(tmp_path):
    (tmp_path / "cache").write_text("a file in the way")
    assert building.build({"main.st": GOOD}, tmp_path / "cache" / "plc").application.tasks
    assert (tmp_path / "cache").read_text() == "a file in the way"


def test_the_cache_is_bounded(tmp_path):
    for number in range(20):
        file = tmp_path / f"{number}.plc"
        file.write_bytes(b"old")
        os.utime(file, (number, number))
    building.build({"main.st": GOOD}, tmp_path)
    kept = {file.stem for file in tmp_path.glob("*.plc")}
    assert len(kept) == 8
    assert {"19", "18"} < kept


@pytest.fixture
def killed(tmp_path, monkeypatch):
    """Let the next compilers be killed by SIGKILL, as by the system when memory runs out."""
    folder = tmp_path / "killed"
    folder.mkdir()

    def times(count):
        for number in range(count):
            (folder / f"{number}").touch()
        file = tmp_path / "python"
        file.write_text(
            f'#!/bin/sh\nfor each in "{folder}"/*; do [ -e "$each" ] && rm "$each" && kill -9 $$; done\n'
            f'exec "{sys.executable}" "$@"\n'
        )
        file.chmod(0o755)
        monkeypatch.setattr(building.sys, "executable", str(file))
        return folder

    return times


def test_a_compiler_that_was_killed_is_started_again(tmp_path, killed):
    left = killed(2)
    assert building.build({"main.st": GOOD}, tmp_path / "cache").application.tasks
    assert not list(left.iterdir())


def test_a_compiler_that_is_always_killed_is_told_and_says_nothing_about_the_program(tmp_path, killed):
    left = killed(5)
    with pytest.raises(PlantError, match="killed 3 times") as caught:
        building.build({"main.st": GOOD}, tmp_path / "cache")
    assert "memory" in caught.value.remedy
    assert len(list(left.iterdir())) == 2


def test_what_a_killed_compiler_left_is_removed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    (tmp_path / f"a.plc.{gone.pid}").write_bytes(b"half")
    (tmp_path / f"b.plc.{os.getpid()}").write_bytes(b"half")
    building.build({"main.st": GOOD}, tmp_path)
    assert [file.name for file in tmp_path.glob("*.plc.*")] == [f"b.plc.{os.getpid()}"]


def test_files_are_named_relative_to_the_plant(tmp_path):
    (tmp_path / "plc").mkdir()
    (tmp_path / "plc" / "b.st").write_text("(* b *)")
    (tmp_path / "plc" / "a.st").write_text("(* a *)")
    assert list(building.read_sources(tmp_path, ["plc/*.st"])) == ["plc/a.st", "plc/b.st"]


def test_no_program_is_a_finding(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing matches plc/\*\.st"):
        building.read_sources(tmp_path, ["plc/*.st"])


def test_bytecode_that_a_full_disk_cut_short_is_made_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(compiler, "cache_from_source", lambda _: tmp_path / "none beside the sources")
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path / "bytecode"))
    cut = Path(cache_from_source(pipeline.__file__))
    py_compile.compile(pipeline.__file__, cfile=str(cut))
    os.truncate(cut, 40)
    assert building.build({"main.st": GOOD}, tmp_path / "plc").application.tasks
    assert not cut.exists() or cut.stat().st_size > 40
