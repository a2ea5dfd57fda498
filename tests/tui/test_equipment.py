"""The overview is read from the tags alone."""

from tui.equipment import read_picture
from tui.trend import default_pens


def test_stations_stand_in_the_order_of_the_tag_list(plant):
    picture = read_picture(plant.tag_list)
    assert [each.name for each in picture.stations] == [
        "tank", "filler", "conv1", "buffer1", "capper", "conv2", "labeller", "conv3",
    ]  # fmt: skip


def test_tank_and_buffer_have_a_level_and_no_state(plant):
    stations = {each.name: each for each in read_picture(plant.tag_list).stations}
    assert stations["tank"].state is None
    assert stations["tank"].level.path.endswith("tank/level_pct")
    assert stations["buffer1"].level.path.endswith("buffer1/bottle_count")


def test_a_station_shows_at_most_four_measured_values(plant):
    capper = next(each for each in read_picture(plant.tag_list).stations if each.name == "capper")
    assert [tag.path.rsplit("/", 1)[1] for tag in capper.values] == [
        "torque_nm", "current_a", "cycle_s", "vibration_mm_s",
    ]  # fmt: skip


def test_line_figures_come_before_what_can_be_set_and_kernel_facts_are_no_equipment(plant):
    picture = read_picture(plant.tag_list)
    assert [tag.path.rsplit("/", 1)[1] for tag in picture.figures] == [
        "bottles_total", "rate_bpm", "oee_pct", "run_cmd", "speed_sp_bpm",
    ]  # fmt: skip
    assert not any("sys" in tag.path.split("/") for tag in picture.tags)


def test_default_pens_are_of_different_equipment(plant):
    pens = default_pens(plant.tag_list)
    assert len(pens) == 4
    assert len({path.rsplit("/", 1)[0] for path in pens}) == 4
