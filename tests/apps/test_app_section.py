"""What `ironworks check` says about apps, and apps in virtual time."""

import errno
import os
from pathlib import Path

import pytest

from apps.errors import AppError
from apps.runner.protocol import Outputs, frame
from apps.runner.session import Session
from apps.sdk import Context
from apps.section import plugin
from runtime.assembly import assemble
from runtime.contract import Quality
from runtime.errors import ConfigError
from runtime.testing.virtual import VirtualPlant


def wrong(small):
    with pytest.raises(ConfigError) as caught:
        assemble(small.folder)
    return str(caught.value)


def test_a_sound_app_has_no_findings(small):
    assert small.findings() == []


def test_an_unknown_key_of_the_manifest_is_placed(small):
    small.manifest("entry: app:Mine", "entyr: app:Mine")
    text = wrong(small)
    assert "app.yaml:5:1: error: unknown key 'entyr'" in text
    assert "did you mean 'entry'?" in text


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("deadline: 40ms", "deadline: 60ms", "the deadline is longer than the period"),
        ("type: REAL, unit: m, low", "type: FLOAT, unit: m, low", "produces.0.type"),
        ("entry: app:Mine", "entry: app", "entry"),
        ('reads: ["unit/*"]', "reads: []", "permissions.reads"),
        ('reads: ["unit/*"]', 'reads: ["{unit}/*"]', "no parameter is named 'unit'"),
        ('reads: ["unit/*"]', 'reads: ["{Unit 1}/*"]', "no parameter is named 'Unit 1'"),
        ("default: 2,", "default: two,", "'two' is not of type REAL"),
        ('["unit/*"]', '["unit/*"]\n  writes: ["unit/x"]', "apps do not write yet"),
        (
            "budget:",
            "alarms: [{name: a.b, tag: unit/x, kind: high, limit: 3, text: no}]\nbudget:",
            "'unit/x' is no tag of the app's own",
        ),
        ("name: mine\n", "name: [mine\n", "not valid YAML"),
        ("low: -100", "low: 100", "app.yaml:11:5: error: produces.0: high (100) must be above low (100)"),
        ("low: -100", "low: .nan", "produces.0.low"),
        ("type: STRING", "type: STRING, low: 1", "produces.1: STRING has no range"),
        ("unit/double", "unit/d?uble", "produces.0.path"),
    ],
)
def test_a_wrong_manifest_is_told_with_its_place(small, old, new, told):
    small.manifest(old, new)
    text = wrong(small)
    assert told in text
    assert "app.yaml:" in text


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (
            "fault_waring",
            "plant.yaml:6:5: error: no app is named 'fault_waring'\n    did you mean 'fault_warning'",
        ),
        ("./apps/none", "plant.yaml:6:5: error: no app.yaml in "),
        (
            "./apps/mine\n    parameters: {facter: 3}",
            "plant.yaml:7:18: error: ./apps/mine: no parameter is named",
        ),
        (
            "./apps/mine\n    parameters: {factor: 11}",
            "plant.yaml:7:18: error: ./apps/mine: parameter 'factor': 11",
        ),
        ("./apps/mine\n    parameters: {factor: fast}", "'fast' is not of type REAL"),
        ("./apps/mine\n    parameters: {factor: .nan}", "parameter 'factor': nan is no finite number"),
        (f"./apps/mine\n    parameters: {{factor: {10**19}}}", "parameter 'factor': the number is too large"),
        ("./apps/mine\n  - app: ./apps/mine", "the name 'mine' is already used by another app"),
        ("./apps/mine\n    enabeld: no", "unknown key 'enabeld'"),
    ],
)
def test_a_wrong_entry_of_the_plant_file_is_told_with_its_place(small, entry, told):
    small.plant(f"plant: small\nroot: site/area/line\napi: null\nhistory: null\napps:\n  - app: {entry}\n")
    assert told in wrong(small)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (
            "class Mime:\n    pass\n",
            "app.yaml:5:1: error: app:Mine: app.py defines no Mine\n    did you mean app:Mime?",
        ),
        ("x = 1\n", "define it there"),
        ("class Mine:\n  def step(self:\n", "app.py:2:11: error: no valid Python: "),
        ("\0", "app.py:1:1: error: no valid Python: "),
    ],
)
def test_code_without_the_class_of_the_manifest_is_told(small, code, told):
    small.code(code)
    [found] = small.findings()
    assert told in found


@pytest.mark.parametrize(
    ("method", "name", "told"),
    [
        ("read_bytes", "app.py", "app.py: error: cannot be read: Permission denied\n    check the owner"),
        (
            "is_file",
            "app.yaml",
            "plant.yaml:6:5: error: {app} cannot be read: Permission denied\n    check the owner",
        ),
        ("is_file", "card.json", "plant.yaml:6:5: error: {app}/model cannot be read: Permission denied"),
    ],
)
def test_what_the_account_may_not_read_is_told(small, monkeypatch, method, name, told):
    real = getattr(Path, method)

    def refused(path):
        if path.name == name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    small.manifest("entry: app:Mine", "entry: app:Mine\nmodel: model.onnx")
    monkeypatch.setattr(Path, method, refused)
    try:
        said = "\n".join(small.findings())
    except ConfigError as exc:
        said = str(exc)
    assert told.format(app=small.app) in said


@pytest.mark.parametrize(
    "code",
    [
        "from .other import Mine",
        "from .other import *",
        "from .other import Theirs as Mine",
        "import sys\nif sys.platform:\n    class Mine: pass\n",
        "try:\n    Mine = 1\nexcept ValueError:\n    pass\n",
        "def __getattr__(name): return None",
    ],
)
def test_a_class_may_come_from_elsewhere(small, code):
    small.code(code)
    assert small.findings() == []


def test_a_module_may_be_a_package_and_must_be_there(small):
    small.manifest("entry: app:Mine", "entry: parts.unit:Mine")
    [found] = small.findings()
    assert "app.yaml:5:1: error: parts.unit:Mine: there is no parts/unit.py in " in found
    (small.app / "parts" / "unit").mkdir(parents=True)
    (small.app / "parts" / "unit" / "__init__.py").write_text("class Mine: pass\n")
    assert small.findings() == []


def test_a_fit_that_is_not_there_is_told(small):
    small.manifest("entry: app:Mine", "entry: app:Mine\nfit: app:fit")
    [found] = small.findings()
    assert "app.yaml:6:1: error: app:fit: app.py defines no fit" in found


def test_reading_what_is_not_there_and_producing_what_is_are_errors(small):
    small.manifest('["unit/*"]', '["unit/*", "unti/x"]')
    small.manifest("unit/double", "other/y")
    found = "\n".join(small.findings())
    assert "mine reads 'unti/x', and no tag matches" in found
    assert "did you mean 'site/area/line/unit/x'?" in found
    assert "mine produces other/y, which is defined already" in found


def test_apps_that_want_more_than_a_core_together_are_not_admitted(small):
    small.manifest("cpu: 0.5", "cpu: 0.6")
    small.plant((small.folder / "plant.yaml").read_text() + "  - {app: ./apps/mine, name: other}\n")
    assert any("the apps ask for 1.20 cores together" in each for each in small.findings())


def test_a_disabled_app_is_not_there(small):
    small.plant((small.folder / "plant.yaml").read_text() + "    enabled: false\n")
    assembly = assemble(small.folder)
    assert "unit/double" not in assembly.plant.tags
    assert list(plugin.build(assembly.plant, assembly.sections[0].config)) == []


def test_the_same_app_runs_in_virtual_time(small):
    plant = VirtualPlant(small.folder)
    plant.write("unit/x", 21.0)
    plant.run_for("1s")
    assert plant["unit/double"] == 42.0
    assert plant["unit/word"] == "calm"


def test_nothing_keeps_the_last_value_and_is_none_before_the_first(small):
    small.code("""\
        from apps.sdk import App, Output

        class Mine(App):
            def step(self, now_ns, values):
                x = values.number("unit/x")
                return {"unit/double": x if x > 1 else None, "unit/word": Output(None, 0x40900000)}
        """)
    plant = VirtualPlant(small.folder)
    plant.run_for("1s")
    assert plant.quality("unit/double") == Quality.BAD_WAITING_FOR_INITIAL_DATA
    assert plant.quality("unit/word") == Quality.BAD_WAITING_FOR_INITIAL_DATA
    for x in (7.0, 0.0):
        plant.write("unit/x", x)
        plant.run_for("1s")
        assert plant["unit/double"] == 7.0
        assert plant.quality("unit/double") == Quality.GOOD


def test_a_path_that_is_no_text_is_refused_in_virtual_time_too(small):
    small.code("""\
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                return {7: 1.0, "unit/double": 2.0}
        """)
    plant = VirtualPlant(small.folder)
    plant.run_for("1s")
    assert plant["unit/double"] == 2.0


def test_an_app_never_gets_its_own_products(small):
    small.code("""\
        from apps.sdk import App

        class Mine(App):
            def step(self, now_ns, values):
                return {"unit/word": " ".join(sorted(values))}
        """)
    plant = VirtualPlant(small.folder)
    plant.run_for("1s")
    assert plant["unit/word"] == "unit/mode unit/x"


def test_a_product_has_all_that_a_tag_has(small):
    small.manifest(
        "description: Twice x", "deadband: 0.5, retention: long, description: {en: Twice x, zh: 两倍}"
    )
    tag = assemble(small.folder).plant.tags["unit/double"]
    assert (tag.low, tag.high, tag.unit, tag.source) == (-100, 100, "m", "mine")
    assert (tag.deadband, tag.retention, tag.description_zh) == (0.5, "long", "两倍")


def test_a_list_parameter_names_several_tags(tmp_path):
    from apps.installed import CATALOG
    from apps.manifest import load_manifest

    manifest, parameters = load_manifest(CATALOG / "fault_warning", {"equipment": "filler", "speed": ""})
    assert {"filler/torque_nm", "filler/current_a"} < set(manifest.permissions.reads)
    assert "filler/" not in manifest.permissions.reads
    assert manifest.alarms[0].name == "filler.early_warning"
    assert manifest.alarms[0].tag == "filler/early_warning"
    manifest, _ = load_manifest(CATALOG / "fault_warning", {"equipment": "hall/press"})
    assert manifest.alarms[0].name == "hall.press.early_warning"
    assert manifest.alarms[0].tag == "hall/press/early_warning"
    assert parameters["false_alarm_every"] == 30 * 86_400 * 10**9


def test_a_list_parameter_multiplies_products_and_alarms(small):
    small.manifest("parameters:", "parameters:\n  p1: {type: LIST, default: [a, b], description: Pumps}")
    small.manifest(
        "produces:",
        "alarms: [{name: '{p1}.hot', tag: '{p1}/hot', kind: discrete, text: '{p1} is hot'}]\n"
        "produces:\n  - {path: '{p1}/hot', type: BOOL, description: Hot}",
    )
    plant = assemble(small.folder).plant
    assert {"a/hot", "b/hot"} < {tag.path.removeprefix(f"{plant.root}/") for tag in plant.tags}
    assert {(each.name, each.tag, each.text.en) for each in plant.alarms if each.name.endswith("hot")} == {
        ("a.hot", "a/hot", "a is hot"),
        ("b.hot", "b/hot", "b is hot"),
    }


def test_an_entry_after_a_multiplied_one_is_told_with_its_own_place(small):
    small.manifest("parameters:", "parameters:\n  pumps: {type: LIST, default: [a, b], description: Pumps}")
    small.manifest("produces:", "produces:\n  - {path: '{pumps}/hot', type: BOOL, description: Hot}")
    small.manifest("type: STRING", "type: TEXT")
    assert "app.yaml:14:23: error: produces.2.type" in wrong(small)


@pytest.mark.parametrize("name", ["alarms", "journal", "operator", "gate"])
def test_an_app_cannot_have_the_name_of_a_part_of_the_kernel(small, name):
    text = (small.folder / "plant.yaml").read_text()
    small.plant(f"{text}    name: {name}\n")
    assert f"plant.yaml:6:5: error: the name '{name}' is already used" in small.findings()[0]


APP = "from apps.sdk import App, Output\n"


@pytest.mark.parametrize(
    ("code", "told"),
    [
        (f"{APP}x = nothing\nclass Mine(App): ...\n", "cannot be loaded at app.py:2: NameError"),
        (f"{APP}from helper import f\nclass Mine(App): ...\n", r"a dot before them: from .helper import"),
        (f"{APP}import none_such.part\nclass Mine(App): ...\n", "install the package that has it"),
        (
            f"{APP}class Mine(App):\n    def __init__(self):\n        1 / 0\n",
            "mine: setup failed at app.py:4: ZeroDivisionError",
        ),
        (f"{APP}class Mine(App): ...\n", r"mine: step failed: NotImplementedError: it has no `def step\("),
    ],
)
def test_what_fails_as_an_app_starts_is_told_with_line_and_remedy(small, code, told):
    (small.app / "helper.py").write_text("def f(): ...\n")
    small.code(code)
    with pytest.raises(AppError, match=told):
        VirtualPlant(small.folder).run_for("1s")


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ("[1.0, 2.0]", "unit/double: list is no value"),
        ("(1.0, 0)", r"unit/double: tuple is no value .*Output\(value, quality\)"),
        ("__import__('decimal').Decimal(1)", "unit/double: Decimal is no value"),
        ("__import__('datetime').date.today()", "unit/double: date is no value"),
        ("Output(1.0, 'good')", "unit/double: 'good' is no quality"),
        ("float('y' * 5000)", "ValueError: could not convert.{900,1000}$"),
    ],
)
def test_what_is_no_value_fails_in_virtual_time_as_it_does_live(small, made, told):
    small.code(f"{APP}class Mine(App):\n    def step(self, *_):\n        return {{'unit/double': {made}}}\n")
    with pytest.raises(AppError, match=told):
        VirtualPlant(small.folder).run_for("1s")


def test_what_computes_as_a_value_can_be_sent_as_one(small):
    small.code("""\
        from enum import IntEnum, StrEnum
        from apps.sdk import App

        class Mode(StrEnum):
            CALM = "calm"

        class Mine(App):
            def step(self, now_ns, values):
                return {"unit/double": 1 << 70, "unit/word": Mode.CALM, "n": IntEnum("N", "a b").b}
        """)
    context = Context("mine", {}, 1, ())
    made = Session(small.app, "app:Mine", context).step(0, {})
    assert frame(Outputs(made))
    assert made == {"unit/double": (2.0**70, 0), "unit/word": ("calm", 0), "n": (2, 0)}
