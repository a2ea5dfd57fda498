"""What `ironworks bench st` measures: the same algorithms, and programs that compile."""

import shutil

import pytest

import softplc
from runtime.errors import PlantError
from softplc.bench.compiling import driver_of, program_of
from softplc.bench.versus import RIVALS, Runner, compare, source_of

NAMED = [pytest.param(rival, id=rival.name) for rival in RIVALS]


@pytest.mark.skipif(shutil.which("gcc") is None, reason="no gcc")
@pytest.mark.parametrize("rival", NAMED)
def test_st_and_c_end_in_the_same_state(rival, tmp_path):
    runner = Runner(tmp_path)
    simulator = softplc.compile(sources={"main.st": source_of(rival)}).simulator()
    compare(rival, simulator, runner.in_st(simulator), runner.in_c(rival))


def test_a_difference_to_c_is_told(tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc")
    rival, runner = RIVALS[0], Runner(tmp_path)
    other = source_of(rival).replace("phase < 30", "phase < 29")
    simulator = softplc.compile(sources={"main.st": other}).simulator()
    with pytest.raises(PlantError, match="in ST"):
        compare(rival, simulator, runner.in_st(simulator), runner.in_c(rival))


def test_the_long_program_has_its_length_and_no_findings():
    text = program_of(1000)
    assert 950 < text.count("\n") <= 1000
    assert softplc.check(sources={"long.st": text}) == []


def test_every_unit_of_a_library_is_called():
    sources = {
        "Twice.st": "FUNCTION Twice : INT VAR_INPUT a : INT; END_VAR Twice := 2 * a; END_FUNCTION",
        "Kept.st": "FUNCTION_BLOCK Kept VAR_IN_OUT s : STRING[9]; END_VAR s := 'kept'; END_FUNCTION_BLOCK",
    }
    driver, units = driver_of(sources)
    assert units == 2
    simulator = softplc.compile(sources={**sources, "driver.st": driver}, profile="codesys").simulator()
    simulator.scan()
    assert "kept" in [
        simulator.read(path.path) for path in simulator.application.roots if path.path.endswith("_s")
    ]
