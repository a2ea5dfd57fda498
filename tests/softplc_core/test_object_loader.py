"""Loading object code without LLVM."""

import platform
import subprocess
import sys

import pytest

from softplc.core.elf import ObjectFile, UnsupportedError, load
from softplc.core.loop import emit_core

FUNCTIONS = {"iw_loop", "iw_monitor", "iw_step", "iw_write_inputs", "iw_read_snapshot", "iw_collect"}


@pytest.mark.parametrize("triple", ["x86_64-linux-gnu", "aarch64-linux-gnu"])
def test_the_core_links_for_both_kinds_of_gateway(triple):
    file = ObjectFile(emit_core(triple))
    asked = set()
    code = file.link(0x7000_0000, lambda name: asked.add(name) or 0x7FFF_0000_0000)
    assert len(code) == file.size
    assert set(file.symbols(0)) >= FUNCTIONS
    assert "clock_nanosleep" in asked


@pytest.mark.skipif(platform.machine() not in ("x86_64", "aarch64"), reason="LLVM loads it on this host")
def test_a_cached_program_runs_in_a_process_that_never_loads_llvm(tmp_path):
    source = """
    PROGRAM Main
    VAR x : LREAL := 2.0; s : STRING := 'a'; n : INT; END_VAR
    x := SIN(x) + EXPT(x, 0.5);
    s := CONCAT(s, 'b');
    CASE n OF 0: n := 5; 1: n := 9; 2: n := 11; 3: n := 2; 4: n := 7; 5: n := 1; END_CASE;
    END_PROGRAM
    """
    script = f"""
import sys, pathlib
from softplc.build import build
from softplc.wiring import make_core, wire
made = build({{"m.st": {source!r}}}, pathlib.Path({str(tmp_path)!r}))
core = make_core(made, wire([], made.application))
for step in range(20):
    core.step(10**18 + step * 10**7)
assert core.stats().scans == 20
assert not core.faults()
print(any(name.startswith("llvmlite") for name in sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == "False", done.stderr


def test_code_that_this_loader_does_not_know_is_loaded_by_llvm():
    from llvmlite import binding as llvm

    emit_core()
    text = """
    @counter = global i64 41
    define i64 @next() {
      %a = load i64, ptr @counter
      %b = add i64 %a, 1
      store i64 %b, ptr @counter
      ret i64 %b
    }
    """
    module = llvm.parse_assembly(text)
    module.triple = llvm.get_process_triple()
    machine = llvm.Target.from_default_triple().create_target_machine(reloc="pic", codemodel="small")
    code = machine.emit_object(module)
    with pytest.raises(UnsupportedError):
        ObjectFile(code)
    import ctypes

    loaded = load(code)
    assert ctypes.CFUNCTYPE(ctypes.c_int64)(loaded.address("next"))() == 42


def test_what_is_no_object_is_refused():
    for data in (b"", b"\x7fELF", b"x" * 200):
        with pytest.raises(UnsupportedError):
            ObjectFile(data)


def test_an_unknown_symbol_is_a_key_error():
    with pytest.raises(KeyError):
        load(emit_core()).address("iw_nothing")
