"""twin.yaml: every error has a place and a remedy, and names close to what was meant."""

import json
import re

import pytest

from runtime.errors import ConfigError
from twin.model import load_twin
from twin.section import plugin

GOOD = """\
equipment:
  infeed:
    kind: source
    next: press
    every: 2s
  press:
    kind: station
    next: out
    cycle: {dist: normal, mean: 2s, sd: 100ms}
    values:
      force_n: {mean: 10}
    faults:
      wear: {over: 1min, effects: {force_n: -1}}
  out:
    kind: sink
"""


def findings(tmp_path, text):
    file = tmp_path / "twin.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_twin(file)
    return caught.value.findings


def test_good_model_loads(tmp_path):
    file = tmp_path / "twin.yaml"
    file.write_text(GOOD)
    model, _ = load_twin(file)
    assert list(model.equipment) == ["infeed", "press", "out"]


@pytest.mark.parametrize(
    ("old", "new", "line", "said", "remedy"),
    [
        ("kind: station", "kind: sttion", 7, "unknown kind 'sttion'", "did you mean 'station'?"),
        ("kind: station", "kind: [station]", 7, "unknown kind ['station']", "did you mean 'station'?"),
        ("{mean: 10}", "{mean: .inf}", 11, "is no finite number", "write digits"),
        ("effects: {force_n: -1}", "effects: {force_n: .nan}", 13, "is no finite number", "write digits"),
        ("next: out", "next: oot", 8, "no equipment 'oot'", "did you mean 'out'?"),
        ("next: out", "next: infeed", 8, "which is a source", "name a station or"),
        ("    next: out\n", "", 6, "'next' is missing", "add next:"),
        ("every: 2s", "evry: 2s", 5, "unknown key 'evry'", "did you mean 'every'?"),
        ("every: 2s", "every: soon", 5, "not a duration", ""),
        ("every: 2s", "every: 2", 5, "every: 2 is no duration", "write it like 2s"),
        ("dist: normal", "dist: norml", 9, "unknown dist 'norml'", "did you mean 'normal'?"),
        ("dist: normal, ", "", 9, "'dist' is missing", "use one of const, uniform"),
        ("  press:", "  压机:", 6, "equipment: '压机' is not possible here", "use letters, digits"),
        (
            "{mean: 10}",
            "{mean: 10}\n    rejects: {force_n: {below: 11, above: 9}}",
            12,
            "rejects.force_n: below must be less than above",
            "",
        ),
        ("every: 2s", "every: 0s", 5, "its mean is 0", "such as 2s"),
        ("mean: 2s, sd: 100ms", "mean: 0s, sd: 100ms", 9, "its mean is 0", "such as 2s"),
        ("{force_n: -1}", "{farce_n: -1}", 13, "nothing named 'farce_n'", "did you mean 'force_n'?"),
        (
            "kind: sink",
            "kind: sink\n    faults: {jam: {stops: true}}",
            16,
            "out (sink) has no drive to stop",
            "use effects or stuck",
        ),
        (
            "kind: sink",
            "kind: sink\n    signals: {cuont: a/b}",
            16,
            "no signal 'cuont'",
            "did you mean 'count'?",
        ),
        ("mean: 2s", "mean: -2s", 9, "not a duration", ""),
        ("    kind: sink", "    title: x", 14, "'out' has no kind", "add `kind:`"),
    ],
)
def test_error_has_line_and_remedy(tmp_path, old, new, line, said, remedy):
    assert old in GOOD
    found = findings(tmp_path, GOOD.replace(old, new))
    texts = [(each.place.line, f"{each.text} | {each.remedy}") for each in found]
    assert any(at == line and said in text and remedy in text for at, text in texts), texts


def test_all_errors_come_at_once(tmp_path):
    bad = GOOD.replace("kind: station", "kind: sttion").replace("every: 2s", "every: soon")
    assert len(findings(tmp_path, bad)) == 2


def test_circle_is_refused(tmp_path):
    bad = re.sub(
        r"  out:\n    kind: sink", "  out:\n    kind: buffer\n    capacity: 3\n    next: press", GOOD
    )
    assert "press -> out -> press" in findings(tmp_path, bad)[0].text


@pytest.mark.parametrize("text", ["", "equipment: 7", "- a\n- b", "equipment:\n  a: 3"])
def test_what_is_no_model_at_all_is_told_so(tmp_path, text):
    assert findings(tmp_path, text)[0].text


def test_schema_for_editors_knows_all_kinds():
    text = json.dumps(plugin.schemas()["twin"])
    for kind in ("source", "station", "conveyor", "buffer", "sink", "tank", "valve", "pump", "heater"):
        assert f'"{kind}"' in text
