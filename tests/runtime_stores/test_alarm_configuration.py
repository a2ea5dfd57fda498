"""Wrong alarms are told with file, line and remedy."""

from pathlib import Path

import pytest

from runtime.alarms import check_alarms, load_alarms
from runtime.config import AlarmConfig, TagList
from runtime.contract import DataType, Tag
from runtime.errors import ConfigError, Place

TAGS = TagList(
    [
        Tag("nb/line/tank/level_pct", DataType.REAL, low=0, high=100, unit_text="%"),
        Tag("nb/line/filler/fault", DataType.BOOL),
        Tag("nb/line/filler/state", DataType.INT),
        Tag("nb/line/filler/recipe", DataType.STRING),
        Tag("nb/line/filler/began", DataType.DT),
        Tag("nb/line/filler/cycle", DataType.TIME, low=0, high=60_000_000_000),
    ],
    "nb/line",
)


def written(tmp_path, text):
    file = tmp_path / "alarms.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_good_file_has_no_findings(tmp_path):
    file = written(
        tmp_path,
        """\
alarms:
  - name: tank.high
    tag: tank/level_pct
    kind: high
    limit: 95
    deadband: 2
    on_delay: 500ms
    priority: high
    text: {en: Tank too full, zh: 液位过高}
  - {name: filler.fault, tag: filler/fault, kind: discrete, text: Filler fault}
""",
    )
    alarms = load_alarms(file)
    assert [(config.name, place.line) for config, place in alarms] == [("tank.high", 2), ("filler.fault", 10)]
    assert alarms[0][0].on_delay == 500_000_000
    assert list(check_alarms(alarms, TAGS)) == []


@pytest.mark.parametrize(
    ("lines", "text", "remedy"),
    [
        ("tag: tank/levl_pct\nkind: high\nlimit: 9", "no tag 'tank/levl_pct'", "tank/level_pct"),
        ("tag: tank/level_pct\nkind: high", "needs a limit", "limit:"),
        ("tag: tank/level_pct\nkind: high\nlimit: 120", "outside the range", "correct the limit"),
        ("tag: tank/level_pct\nkind: high\nlimit: 100", "can never be above 100", "inside the range"),
        ("tag: tank/level_pct\nkind: low\nlimit: 0", "can never be below 0", "inside the range"),
        ("tag: tank/level_pct\nkind: high\nlimit: 5\ndeadband: 9", "never clear", "smaller"),
        ("tag: filler/fault\nkind: low\nlimit: 5", "BOOL", "kind: discrete"),
        ("tag: filler/state\nkind: high\nlimit: 40000", "outside the range", "correct the limit"),
        ("tag: filler/cycle\nkind: high\nlimit: 90", "limit 90 has no unit", "90 ns are 90ns"),
        ("tag: filler/cycle\nkind: high\nlimit: 3e9", "limit 3e+09 has no unit", "ns are 3s"),
        ("tag: filler/cycle\nkind: low\nlimit: 3s\ndeadband: 5", "deadband 5 has no unit", "write it like"),
        ("tag: filler/cycle\nkind: high\nlimit: 90s", "limit 1m30s is outside", "T#0s to T#1m"),
        ("tag: filler/cycle\nkind: low\nlimit: -1ms", "limit -1ms is outside", "T#0s to T#1m"),
        ("tag: tank/level_pct\nkind: high\nlimit: 5s", "5s is a duration", "unit of the tag (%)"),
        ("tag: tank/level_pct\nkind: high\nlimit: 9\ndeadband: 1ms", "1ms is a duration", "(%)"),
        ("tag: filler/began\nkind: high\nlimit: 3s", "limit 3s is a duration", "began is DT"),
        ("tag: filler/began\nkind: high\nlimit: 3e18\ndeadband: 7", "deadband 7 has no unit", "like 3s"),
        ("tag: filler/began\nkind: rate_of_change\nlimit: 7", "limit 7 has no unit", "like 3s"),
        ("tag: filler/cycle\nkind: expression\nexpression: filler/cycle > 3", "3 has no unit", "T#3s"),
        (
            "tag: filler/cycle\nkind: expression\nexpression: filler/cycle < 1e999",
            "1e999 has no unit",
            "T#3s",
        ),
        (
            "tag: filler/cycle\nkind: expression\nexpression: T#3s < tank/level_pct",
            "T#3s is a duration, but tank/level_pct is REAL",
            "a number",
        ),
        (
            "tag: filler/cycle\nkind: expression\nexpression: filler/cycle > T#3",
            "column 16: 'T#3' is not a value of TIME",
            "write it like",
        ),
        ("tag: filler/state\nkind: discrete\nstate: fast", "no value of", "state:"),
        ("tag: filler/state\nkind: discrete\nstate: 70000", "outside INT", "state:"),
        ("tag: filler/state\nkind: discrete\nstate: .inf", "whole numbers", "state:"),
        ("tag: filler/state\nkind: discrete\nstate: .nan", "whole numbers", "state:"),
        ("tag: tank/level_pct\nkind: discrete\nstate: 1" + "0" * 400, "so large", "state:"),
        (
            "tag: filler/cycle\nkind: expression\nexpression: filler/cycle > filler/state",
            "filler/cycle is TIME and filler/state is INT",
            "T#3s",
        ),
        (
            "tag: filler/cycle\nkind: deviation\nlimit: 3s\nsetpoint: filler/state",
            "state is INT, but nb/line/filler/cycle is TIME",
            "that is TIME",
        ),
        ("tag: filler/recipe\nkind: discrete\nstate: 5", "takes text, not 5", 'state: "5"'),
        ("tag: filler/state\nkind: discrete\nlimit: 5", "limit says nothing", "remove limit:"),
        ("tag: filler/fault\nkind: bad_quality\nstate: false", "state says nothing", "remove state:"),
        ("tag: filler/fault\nkind: discrete\ndeadband: 1", "deadband says nothing", "remove deadband:"),
        ("tag: tank/level_pct\nkind: high\nlimit: 9\nover: 5s", "over says nothing", "rate_of_change"),
    ],
)
def test_what_does_not_fit_the_tag(tmp_path, lines, text, remedy):
    body = "".join(f"    {line}\n" for line in lines.splitlines())
    file = written(tmp_path, f"# alarms\nalarms:\n  - name: a.b\n    text: t\n{body}")
    (finding,) = check_alarms(load_alarms(file), TAGS)
    assert text in finding.text
    assert remedy in f"{finding.text}\n{finding.remedy}"
    assert (finding.place.file, finding.place.line) == (file, 3)


@pytest.mark.parametrize(
    ("text", "said", "line"),
    [
        ("- name: x\n", "not a list of alarms", 1),
        ("alarms: 5\n", "not a list of alarms", 1),
        ("", "not a list of alarms", 1),
        ("alarms: []\nalarm: []\n", "unknown key 'alarm'", 2),
        ("alarms:\n  - name: a\n    tag: t\n    kind: high\n    limt: 5\n    text: t\n", "'limt'", 5),
        (
            "alarms:\n  - {name: a, tag: t, text: t, kind: deviation,\n    limit: .nan}\n",
            "limit: nan is no finite number",
            3,
        ),
        (
            "alarms:\n  - {name: a, tag: t, text: t, kind: high,\n    deadband: .inf}\n",
            "inf is no finite number",
            3,
        ),
        (
            "alarms:\n  - {name: a, tag: t, text: t, kind: high,\n    limit: 1x}\n",
            "limit: '1x' is no number\n    write digits, or 3s or 250ms for a TIME",
            3,
        ),
        (
            "alarms:\n  - {name: a, tag: t, text: t, kind: high,\n    deadband: -3s}\n",
            "deadband: '-3s' is too small",
            3,
        ),
        ("alarms:\n  - name: a\n    tag: t\n    kind: hihg\n    text: t\n", "kind", 4),
        ("alarms:\n  - 5\n", "keys and values belong here", 2),
    ],
)
def test_what_is_no_alarm_file(tmp_path, text, said, line):
    with pytest.raises(ConfigError) as caught:
        load_alarms(written(tmp_path, text))
    assert said in str(caught.value)
    assert caught.value.findings[0].place.line == line


def test_a_name_used_twice_tells_both_places(tmp_path):
    item = "  - {name: same, tag: filler/fault, kind: discrete, text: t}\n"
    (finding,) = check_alarms(load_alarms(written(tmp_path, "alarms:\n" + item * 2)), TAGS)
    assert "already defined at" in finding.text
    assert finding.place.line == 3


def test_a_close_tag_is_sought_for_the_first_alarms_alone_where_thousands_are_wrong(monkeypatch):
    sought = []
    monkeypatch.setattr(TagList, "close_to", lambda _, path: sought.append(path) or "did you mean ...?")
    alarms = [
        (AlarmConfig(name=f"a{n}", tag=f"no/tag{n}", kind="discrete", text="x"), Place(Path("a.csv"), n))
        for n in range(50)
    ]
    findings = list(check_alarms(alarms, TAGS))
    assert (len(findings), len(sought)) == (50, 20)
    assert "tags export" in findings[-1].remedy


def test_the_same_unknown_path_is_sought_once():
    tags = TagList(TAGS, "nb/line")
    assert "filler/fault" in tags.close_to("filler/falt")
    assert tags.close_to("filler/falt") is tags.close_to("filler/falt")
