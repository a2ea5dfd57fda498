"""The detector: its arithmetic, its fit and its model folder."""

import json
import math

import numpy as np
import pytest
from msgspec.structs import replace

from apps.catalog.fault_warning.mewma import Detector, ewma
from apps.errors import AppError, FitError, ModelError
from apps.fit import alarmed, fit_app
from apps.fitting import Excluded, History
from apps.installed import CATALOG, Installed
from apps.manifest import load_manifest
from apps.models.onnx import load_model, open_session
from apps.models.registry import check_files
from runtime.contract import Quality
from runtime.wire import AlarmView, JournalEntry, Text

SECOND = 10**9
FEATURES = ["torque", "current", "vibration"]


def installed(folder, **parameters):
    given = {"equipment": "m", "features": FEATURES, "trigger": "count", "unless": []} | parameters
    manifest, values = load_manifest(CATALOG / "fault_warning", given)
    return Installed("fault_warning", CATALOG / "fault_warning", manifest, values, folder / "model")


def history(n=4000, seed=1, change=None, excluded=()):
    """A machine of one cycle a second: three signals with a common part, speed in two steps."""
    random = np.random.default_rng(seed)
    common = random.normal(size=n)
    speed = np.where(np.arange(n) // 500 % 2, 30.0, 36.0)
    noise = random.normal(size=(n, 3))
    x = np.stack(
        [2 + 0.1 * common, 5 + 0.1 * common + 0.1 * (speed - 30), 1 + 0.05 * common], axis=1
    ) + noise * [
        0.05,
        0.05,
        0.1,
    ]
    if change is not None:
        x = change(x)
    at = [index * SECOND for index in range(n)]
    points = {
        f"m/{name}": [(t, float(v), 0) for t, v in zip(at, x[:, index], strict=True)]
        for index, name in enumerate(FEATURES)
    }
    points["m/count"] = [(t, index, 0) for index, t in enumerate(at)]
    points["m/running"] = [(0, True, 0)]
    points["m/speed_bpm"] = [(t, float(v), 0) for t, v in zip(at, speed, strict=True)]
    return History("virtual", 0, n * SECOND, points, excluded)


def test_the_graph_is_the_formula():
    random = np.random.default_rng(0)
    mixing = random.normal(size=(4, 4))
    detector = Detector(
        mean=random.normal(size=4),
        sd=random.uniform(0.5, 2, size=4),
        coefficients=random.normal(size=(2, 4)),
        power=np.array([-1.0, 0.0, 0.5, 2.0]),
        speed=30.0,
        smoothing=0.1,
        covariance=mixing @ mixing.T,
    )
    session = open_session(detector.graph())
    z = np.zeros((1, 4))
    x, speed = random.normal(size=(50, 4)), random.uniform(25, 40, size=50)
    expected = ewma(detector.standardise(x, speed), 0.1)
    for index in range(50):
        z, t2, contributions = session.run(
            None, {"x": x[[index]], "given": speed[[index], None], "z_prev": z}
        )
        assert z[0] == pytest.approx(expected[index], rel=1e-9, abs=1e-12)
        assert t2[0, 0] == pytest.approx(detector.t2(expected[[index]])[0], rel=1e-9)
    y = np.linalg.solve(detector.covariance, expected[-1])
    own = np.diag(np.linalg.inv(detector.covariance))
    assert contributions[0] == pytest.approx(y * np.abs(y) / own, rel=1e-6)


def test_a_contribution_is_the_loss_of_t2_without_that_feature():
    covariance = np.array([[1.0, 0.6, 0.1], [0.6, 1.0, 0.3], [0.1, 0.3, 1.0]])
    detector = Detector(np.zeros(3), np.ones(3), np.zeros((2, 3)), np.zeros(3), 1.0, 1.0, covariance)
    x = np.array([[1.0, -2.0, 0.5]])
    session = open_session(detector.graph())
    _, t2, contributions = session.run(None, {"x": x, "given": np.ones((1, 1)), "z_prev": np.zeros((1, 3))})
    for index in range(3):
        rest = [other for other in range(3) if other != index]
        without = x[0, rest] @ np.linalg.solve(covariance[np.ix_(rest, rest)], x[0, rest])
        assert abs(contributions[0, index]) == pytest.approx(t2[0, 0] - without)
    assert np.sign(contributions[0, 1]) == -1


def test_a_fit_learns_speed_and_holds_its_limit(tmp_path):
    card, made = fit_app(installed(tmp_path), "p", [], history())
    current = made.facts["features"][1]
    assert current["path"] == "m/current"
    gain = np.array(current["by_speed"]) @ [36 / 33 - 1 - (30 / 33 - 1), 33 / 36 - 33 / 30]
    assert gain == pytest.approx(0.6, abs=0.02)
    assert made.report["false_alarms_held_out"] == 0
    assert made.report["t2_mean_fit"] == pytest.approx(3, abs=0.5)
    assert made.report["t2_mean_held_out"] < 6
    assert card.sha256["model.onnx"]
    load_model(tmp_path / "model")


def test_a_fit_on_the_same_history_is_the_same_model(tmp_path):
    first, _ = fit_app(installed(tmp_path / "a"), "p", [], history())
    second, _ = fit_app(installed(tmp_path / "b"), "p", [], history())
    assert first.sha256 == second.sha256


def test_a_limit_holds_for_independent_cycles(tmp_path):
    """False alarms in 100 fresh stretches of normal running, with a limit made for 30 days."""
    _, made = fit_app(installed(tmp_path), "p", [], history(8000))
    facts = made.facts
    detector = Detector(
        np.array([each["mean"] for each in facts["features"]]),
        np.array([each["sd"] for each in facts["features"]]),
        np.array([each["by_speed"] for each in facts["features"]]).T,
        np.array([each["spread_power"] for each in facts["features"]]),
        facts["speed"],
        facts["smoothing"],
        np.array(facts["covariance"]),
    )
    above = 0
    for seed in range(100, 110):
        points = history(2000, seed).points
        x = np.array([[value for _, value, _ in points[f"m/{name}"]] for name in FEATURES]).T
        speed = np.array([value for _, value, _ in points["m/speed_bpm"]])
        above += int((detector.t2(ewma(detector.standardise(x, speed), 0.05)) > facts["limit"]).sum())
    assert above == 0


@pytest.mark.parametrize(
    ("told", "change", "n"),
    [
        ("cycles of normal running are too few", None, 500),
        ("m/current did not change", lambda x: x * [1, 0, 1] + [0, 3, 0], 4000),
    ],
)
def test_history_that_teaches_nothing_is_refused(tmp_path, told, change, n):
    with pytest.raises(FitError, match=told):
        fit_app(installed(tmp_path), "p", [], history(n, change=change))
    assert not (tmp_path / "model").exists()


def test_signals_that_say_the_same_are_regularised_and_told(tmp_path):
    def copy(x):
        x[:, 2] = x[:, 0] * 3 + 1
        return x

    _, made = fit_app(installed(tmp_path), "p", [], history(change=copy))
    assert any("the covariance was regularised" in note for note in made.notes)


def test_excluded_times_teach_nothing(tmp_path):
    def worn(x):
        x[1500:2500, 0] -= 1
        return x

    out = (Excluded(1490 * SECOND, 2510 * SECOND, "m.worn"),)
    _, clean = fit_app(installed(tmp_path / "a"), "p", [], history(6000, change=worn, excluded=out))
    _, dirty = fit_app(installed(tmp_path / "b"), "p", [], history(6000, change=worn))
    assert clean.facts["features"][0]["mean"] == pytest.approx(2, abs=0.02)
    assert clean.facts["features"][0]["sd"] < 0.5 * dirty.facts["features"][0]["sd"]


VIEW = AlarmView(
    "m.low", "r/m/torque", "low", 1.0, "high", "normal", False, False, Text("x"), None, None, None,
    None, None, None, "", "", None, 1,
)  # fmt: skip


def entry(seq, minute, transition, alarm="m.low"):
    return JournalEntry(seq, minute * 60 * SECOND, alarm, transition, "", "", "", None)


def test_an_alarm_that_was_raised_before_the_entries_begin_is_excluded():
    stands = replace(VIEW, name="m.high", active=True)
    found = alarmed([entry(9, 110, "cleared")], {"m.low": VIEW, "m.high": stands}, 140 * 60 * SECOND)
    spans = {each.why: (each.start_ns <= 0, each.end_ns // 60 // SECOND) for each in found}
    assert spans == {"m.low": (True, 115), "m.high": (True, 140)}


def test_the_time_before_an_alarm_is_excluded_too():
    entries = [
        entry(3, 130, "raised"),
        entry(2, 110, "cleared"),
        entry(1, 100, "raised"),
        entry(4, 131, "raised", "z"),
    ]
    found = list(alarmed(entries, {"m.low": VIEW}, 140 * 60 * SECOND))
    minutes = [(each.start_ns // 60 // SECOND, each.end_ns // 60 // SECOND) for each in found]
    assert minutes == [(70, 115), (100, 140)]


def test_a_damaged_model_is_not_used(tmp_path):
    fit_app(installed(tmp_path), "p", [], history())
    file = tmp_path / "model" / "model.onnx"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    with pytest.raises(ModelError, match="is not the file that the card was written for"):
        load_model(tmp_path / "model")


def test_a_model_that_answers_otherwise_is_not_used(tmp_path):
    import hashlib

    fit_app(installed(tmp_path), "p", [], history())
    folder = tmp_path / "model"
    golden = json.loads((folder / "golden.json").read_text())
    golden[3]["outputs"]["t2"][0] += 0.01
    (folder / "golden.json").write_text(json.dumps(golden))
    card = json.loads((folder / "card.json").read_text())
    card["sha256"]["golden.json"] = hashlib.sha256((folder / "golden.json").read_bytes()).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))
    assert check_files(folder)
    with pytest.raises(ModelError, match="vector 3: t2 is"):
        load_model(folder)


@pytest.mark.parametrize("content", ["", "{", '{"app": 3}'])
def test_a_card_that_is_none_is_told(tmp_path, content):
    (tmp_path / "card.json").write_text(content)
    with pytest.raises(ModelError, match="cannot be read"):
        load_model(tmp_path)


def steps(folder, rows, **parameters):
    """Run the app over rows of (m/... values); yield what it makes."""
    from apps.runner.session import Session
    from apps.sdk import Context, Reading

    app = installed(folder, **parameters)
    session = Session(app.folder, app.manifest.entry, Context("w", app.parameters, SECOND, (), app.model))
    for index, (values, quality) in enumerate(rows):
        readings = {f"m/{name}": Reading(value, quality, index * SECOND) for name, value in values.items()}
        yield session.step(index * SECOND, readings)


def row(**values):
    normal = {"torque": 2.0, "current": 5.0, "vibration": 1.0, "running": True, "speed_bpm": 30.0}
    return normal | values


def test_a_drift_too_small_for_any_single_limit_is_found_and_named(tmp_path):
    fit_app(installed(tmp_path), "p", [], history())
    random = np.random.default_rng(5)
    rows = []
    for index in range(600):
        drift = 0.15 * max(0.0, (index - 200) / 400)
        common = random.normal() * 0.1
        rows.append(
            row(
                torque=2 + common - drift + random.normal() * 0.05,
                current=5 + common + drift + random.normal() * 0.05,
                vibration=1 + common / 2 + random.normal() * 0.1,
                count=index,
            )
        )
    made = list(steps(tmp_path, [(each, 0) for each in rows]))
    first = next(index for index, each in enumerate(made) if each.get("m/early_warning", (0,))[0])
    assert 200 < first < 560
    assert made[first]["m/warning_cause"].value in ("m/torque low", "m/current high")
    assert abs(0.15 * (first - 200) / 400) < 2 * math.hypot(0.1, 0.05), "within two sigma of one signal"


def test_a_machine_that_stands_is_not_judged(tmp_path):
    fit_app(installed(tmp_path), "p", [], history())
    rows = [(row(count=index, torque=0.0, running=False), 0) for index in range(30)]
    made = list(steps(tmp_path, rows))
    assert all(each["m/early_warning"] == (None, Quality.UNCERTAIN_LAST_USABLE_VALUE) for each in made)
    assert all(each["m/health_limit"].value > 0 for each in made)


def test_a_speed_that_was_never_learned_is_not_judged(tmp_path):
    fit_app(installed(tmp_path), "p", [], history())
    made = list(steps(tmp_path, [(row(count=index, speed_bpm=50.0), 0) for index in range(20)]))
    assert made[-1]["m/health_t2"].quality == Quality.UNCERTAIN_LAST_USABLE_VALUE


def test_a_lost_device_makes_the_products_bad(tmp_path):
    fit_app(installed(tmp_path), "p", [], history())
    rows = [(row(count=index), 0) for index in range(10)]
    rows += [(dict.fromkeys(row(count=1)), int(Quality.BAD_NO_COMMUNICATION))]
    made = list(steps(tmp_path, rows))
    assert made[-2]["m/health_t2"].quality == Quality.GOOD
    assert made[-1]["m/health_t2"] == (None, Quality.BAD_NO_COMMUNICATION)


def test_a_model_of_other_parameters_is_refused(tmp_path):
    fit_app(installed(tmp_path), "p", [], history())
    with pytest.raises(ModelError, match="made with other parameters: smoothing"):
        list(steps(tmp_path, [(row(count=1), 0)], smoothing=0.2))


def test_one_value_that_is_not_finite_is_not_judged_and_leaves_nothing_behind(tmp_path):
    fit_app(installed(tmp_path), "p", [], history())
    values = [2.0] * 10 + [math.inf, math.nan] + [2.0] * 10
    made = list(steps(tmp_path, [(row(count=i, torque=torque), 0) for i, torque in enumerate(values)]))
    assert all(each["m/health_t2"].quality == Quality.BAD for each in made[10:12])
    assert made[-1]["m/health_t2"].quality == Quality.GOOD
    assert made[-1]["m/health_t2"].value < 30


def test_counts_that_could_never_warn_are_refused(tmp_path):
    fit_app(installed(tmp_path), "p", [], history())
    with pytest.raises(AppError, match=r"raise_count \(8\) is above of_last \(5\): it would never warn"):
        list(steps(tmp_path, [(row(count=1), 0)], of_last=5))


def test_what_was_left_out_of_a_fit_is_told(tmp_path):
    points = dict(history(1000).points)
    del points["m/vibration"]
    points["m/running"] = [(0, True, 0), (250 * SECOND, False, 0)]
    with pytest.raises(FitError, match="100 % of the time without m/vibration"):
        fit_app(installed(tmp_path), "p", [], History("virtual", 0, 1000 * SECOND, points))
    points["m/vibration"] = points["m/torque"]
    points["m/speed_bpm"] = [(t, v + t // SECOND % 2, 0) for t, v, _ in points["m/speed_bpm"]]
    with pytest.raises(
        FitError, match="75 % of the time standing, 250 cycles after a start or a change of speed"
    ):
        fit_app(installed(tmp_path), "p", [], History("virtual", 0, 1000 * SECOND, points))
