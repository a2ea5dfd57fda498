"""`ironworks app`: models from a running plant's history, from virtual time, and their tests."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from apps.catalog.fault_warning.mewma import Detector
from apps.cli import app
from apps.fit import Variation, fit_app, play, recall
from apps.fitting import History
from apps.installed import AppEntry, resolve
from runtime.client import PlantClient
from runtime.contract import Batch
from runtime.endpoint import find
from runtime.errors import PlantError

SECOND = 10**9
PLANT = """\
plant: press
root: site/area/line
alarms: alarms.yaml
api: {port: null}
history: {flush: 100ms}
apps:
  - app: fault_warning
    parameters: {equipment: press, features: [force, current], trigger: count, unless: [], smoothing: 0.5}
"""
TAGS = """\
path,type,access,initial
press/force,REAL,rw,10
press/current,REAL,rw,0
press/count,UDINT,rw,0
press/running,BOOL,rw,true
press/speed_bpm,REAL,rw,30
"""
ALARMS = """\
alarms:
  - {name: press.force_low, tag: press/force, kind: low, limit: 5, text: Force low}
"""


@pytest.fixture
def press(tmp_path):
    (tmp_path / "plant.yaml").write_text(PLANT)
    (tmp_path / "tags.csv").write_text(TAGS)
    (tmp_path / "alarms.yaml").write_text(ALARMS)
    return tmp_path


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "runtime.cli", "app", *map(str, arguments)], capture_output=True, text=True
    )


def test_a_model_from_the_history_of_a_running_plant(press, run):
    cycles = 600

    async def main():
        async with run(press) as plant:
            kernel = plant.kernel
            await plant.until(lambda: plant.component("fault_warning")["state"] == "faulted")
            assert "ironworks app fit fault_warning" in plant.component("fault_warning")["text"]
            random = np.random.default_rng(1)
            ids = [kernel.table[f"press/{name}"].id for name in ("force", "current", "count", "running")]
            encode = [kernel.table[id_].data_type.encode for id_ in ids]
            end = kernel.clock.now_ns()
            start = end - cycles * SECOND
            running, speed = ids[3], kernel.table["press/speed_bpm"]
            raw = [0, speed.data_type.encode(29.0), 1, speed.data_type.encode(30.0)]
            times = start - np.array([9, 9, 8, 8])
            kernel.bus.publish(Batch.of([running, speed.id] * 2, raw, times))
            before = kernel.historian.stats().committed
            for index in range(cycles):
                values = (10 + random.normal(), 4 + random.normal() * 0.1, index, True)
                raw = [pack(value) for pack, value in zip(encode, values, strict=True)]
                kernel.bus.publish(Batch.of(ids, raw, start + index * SECOND))
            await plant.until(lambda: kernel.historian.stats().committed - before >= 3 * cycles)
            installed = resolve(press, [AppEntry.model_validate(_entry())], None)[0]
            async with PlantClient(find(press)) as client:
                name, reads, history = await recall(client, installed, start, end)
            card, made = fit_app(installed, name, reads, history)
            assert card.plant == "press"
            assert card.source == "history"
            assert made.report["cycles_fit"] + made.report["cycles_held_out"] >= cycles - 10
            kernel.supervisor.restart("fault_warning")
            await plant.until(lambda: plant.component("fault_warning")["state"] == "running")
            await plant.until(
                lambda: plant["press/health_limit"] == pytest.approx(made.facts["limit"], rel=1e-6)
            )

    asyncio.run(main())


def _entry():
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(PLANT)["apps"][0]


def test_fit_and_test_say_what_is_wrong(press, runtime_home):
    done = command("fit", "fault_warning", "--plant", press)
    assert done.returncode == 1
    assert "is not running" in done.stderr
    assert "Traceback" not in done.stderr
    for arguments, told in (
        ("fit fault_waring", "has no app 'fault_waring'; there are: fault_warning"),
        ("test fault_warning", "the app has no model yet (make one: ironworks app fit NAME)"),
        ("fit fault_warning --virtual soon", "--virtual: 'soon' is not a duration"),
        ("fit fault_warning --virtual 1min --vary press/speed_bpm=fast", "is not PATH=LOW..HIGH"),
        ("fit fault_warning --virtual 5min", "cycles of normal running are too few"),
    ):
        done = CliRunner().invoke(app, [*arguments.split(), "--plant", str(press)])
        assert isinstance(done.exception, PlantError)
        assert told in str(done.exception)


def test_list_tells_catalogue_and_models(press):
    done = CliRunner().invoke(app, ["list", "--plant", str(press), "--json"])
    told = json.loads(done.stdout)
    assert told["catalog"][0]["app"] == "fault_warning"
    assert told["installed"] == [
        {"name": "fault_warning", "app": "fault_warning", "version": "1.0.0", "model": "none yet"}
    ]


def test_a_variation_covers_its_span():
    variation = Variation.parse("line/speed=20..40")
    values = sorted(variation.value(turn) for turn in range(24))
    assert values[0] == 20
    assert values[-1] > 38
    assert max(np.diff(values)) < 2
    with pytest.raises(PlantError):
        Variation.parse("line/speed=20-40")
    for text in ("line/speed=nan..40", "line/speed=20..inf"):
        with pytest.raises(PlantError, match="is not PATH=LOW"):
            Variation.parse(text)


@pytest.mark.parametrize("span", ["0.02..0.08", "0.0008..0.0002", "5..5", "-1e6..1e6"])
def test_a_variation_stays_within_its_span_however_small(span):
    variation = Variation.parse(f"a/b={span}")
    low, high = sorted((variation.low, variation.high))
    values = {variation.value(turn) for turn in range(24)}
    assert all(low <= value <= high for value in values)
    assert len(values) == (1 if low == high else 24)


def test_a_whole_number_is_varied_and_a_tag_that_is_not_there_is_told(press):
    installed = resolve(press, [AppEntry.model_validate(_entry())], None)[0]
    *_, (_, history) = play(press, installed, 2400, [Variation.parse("press/count=1..9")])
    assert [value for _, value, _ in history.points["press/count"]] == [0, 1, 6, 3, 8]
    with pytest.raises(PlantError, match=r"there is no tag 'press/cuont'.*press/count"):
        list(play(press, installed, 1, [Variation.parse("press/cuont=1..9")]))


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("    return 1 / 0", "fit:fit failed at fit.py:4: ZeroDivisionError"),
        ("    return Fitted(b'junk', [], {}, 1, {})", "does not run the model"),
        ("    return Fitted(MODEL, [Golden({'y': [1.0]}, {})], {}, 1, {})", "vector 0 cannot be asked"),
        (
            "    return Fitted(MODEL, [], {'a': np.ones(2)}, 1, {})",
            "cannot be written: Encoding objects of type",
        ),
        ("    return Fitted(MODEL, [], {}, 1.5, {})", "cannot be written: Expected `int`, got `float`"),
    ],
)
def test_a_mistake_in_the_fit_of_an_app_is_told_and_the_old_model_stays(press, code, told):
    with pytest.raises(PlantError, match=told):
        fit_app(own_fit(press, code), "press", [], History("virtual", 0, 1, {}))
    assert not (press / "apps" / "fault_warning" / "model").exists()


def test_a_fit_says_how_a_running_plant_takes_the_model_over(press, monkeypatch):
    mine = own_fit(press, "    return Fitted(MODEL, [], {}, 1, {'cycles': 1})")
    monkeypatch.setattr("apps.cli._named", lambda file, name: mine)
    done = CliRunner().invoke(app, ["fit", "fault_warning", "--plant", str(press), "--virtual", "1s"])
    assert done.stdout.splitlines()[-1] == "a plant that runs takes it over with: ironworks config apply"


def own_fit(press, code):
    """The app with a `fit` of its own, whose body is `code`."""
    installed = resolve(press, [AppEntry.model_validate(_entry())], None)[0]
    manifest = installed.manifest.model_copy(update={"fit": "fit:fit"})
    head = "import numpy as np; from apps.fitting import Fitted; from apps.models.registry import Golden\n"
    detector = Detector(np.ones(1), np.ones(1), np.zeros((2, 1)), np.zeros(1), 1.0, 1.0, np.eye(1))
    (press / "fit.py").write_text(f"{head}MODEL = {detector.graph()!r}\ndef fit(history, context):\n{code}\n")
    return replace(installed, folder=press, manifest=manifest)
