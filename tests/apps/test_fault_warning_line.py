"""The bottling line in virtual time: a warning minutes before the line's own alarm, none without cause."""

import shutil

import pytest

from runtime.testing.virtual import VirtualPlant
from twin.demo.bottling import FOLDER

NORMAL_S = 300
LEAST_LEAD_S = 120


def line(tmp_path, seed):
    """The demo with another seed: another noise, another course of the day than the model was made on."""
    folder = tmp_path / "line"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns(".ironworks", "__pycache__"))
    file = folder / "plant.yaml"
    text = file.read_text(encoding="utf-8")
    assert "  rack: rack.yaml\n" in text
    file.write_text(text.replace("  rack: rack.yaml\n", f"  rack: rack.yaml\n  seed: {seed}\n"), "utf-8")
    return VirtualPlant(folder)


def alarm(plant, name):
    return next(each for each in plant.alarms() if each["name"] == name)


@pytest.mark.parametrize(("seed", "speed_bpm"), [(11, 30.0), (13, 45.0)])
def test_wear_of_the_capper_is_told_minutes_before_its_alarm(tmp_path, seed, speed_bpm, record_property):
    plant = line(tmp_path, seed)
    plant.write("line/speed_sp_bpm", speed_bpm)
    plant.run_for(NORMAL_S)
    assert alarm(plant, "capper.early_warning")["count"] == 0
    plant.fault("capper.wear")
    began = plant.seconds
    while not alarm(plant, "capper.torque_low")["count"]:
        plant.run_for(5)
        assert plant.seconds - began < 1200, "the line's own alarm never came"
    early, late = (alarm(plant, f"capper.{name}")["raised_ns"] for name in ("early_warning", "torque_low"))
    assert early is not None
    lead_s = (late - early) / 1e9
    record_property("lead_s", lead_s)
    print(f"seed {seed}: warned {(early - plant.start_ns) / 1e9 - began:.0f} s after the wear began, "
          f"{lead_s:.0f} s before capper.torque_low")  # fmt: skip
    assert lead_s > LEAST_LEAD_S
    assert plant["capper/early_warning"] is True
    assert str(plant["capper/warning_cause"]).startswith("capper/")


@pytest.mark.campaign
def test_normal_hours_have_no_warning(tmp_path, rounds):
    """Sixteen minutes of the line in short; eight hours in the long form."""
    plant = line(tmp_path, 21)
    minutes = 10 if rounds > 4 else 4
    for number in range(rounds):
        plant.write("line/speed_sp_bpm", 26.0 + number % 4 * 2.5)
        plant.run_for(f"{minutes}min")
    judged = [value for _, value in plant.history("capper/health_t2")]
    print(
        f"{len(judged)} cycles judged, T² at most {max(judged):.1f}, limit {plant['capper/health_limit']:.1f}"
    )
    assert len(judged) > 20 * minutes * rounds
    assert alarm(plant, "capper.early_warning")["count"] == 0


def test_a_standing_line_is_not_judged(tmp_path):
    plant = line(tmp_path, 31)
    plant.run_for("2min")
    assert plant.quality("capper/health_t2") == 0
    plant.write("line/run_cmd", False)
    plant.run_for("1min")
    assert plant.quality("capper/health_t2") >> 30 == 1
    plant.write("line/run_cmd", True)
    plant.run_for("1min")
    assert plant.quality("capper/health_t2") == 0
