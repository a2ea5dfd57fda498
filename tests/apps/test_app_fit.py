"""`ironworks app`: models from a running plant's history, from virtual time, and their tests."""

import asyncio
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from apps.cli import app
from apps.fit import Variation, fit_app, recall
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
    done = command("fit", "fault_waring", "--plant", press)
    assert "has no app 'fault_waring'; there are: fault_warning" in done.stderr
    done = command("test", "fault_warning", "--plant", press)
    assert done.returncode == 1
    assert "ironworks app fit" in done.stderr
    done = command("fit", "fault_warning", "--plant", press, "--virtual", "soon")
    assert "--virtual: 'soon' is not a duration" in done.stderr
    done = command(
        "fit", "fault_warning", "--plant", press, "--virtual", "1min", "--vary", "press/speed_bpm=fast"
    )
    assert "is not PATH=LOW..HIGH" in done.stderr
    done = command("fit", "fault_warning", "--plant", press, "--virtual", "5min")
    assert "cycles of normal running are too few" in done.stderr
    assert "Traceback" not in done.stderr


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
