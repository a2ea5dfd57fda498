"""Alarms as CSV: in the plant folder, out of it, and merged back; what is wrong has line and column."""

import os
import stat

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from runtime.alarms import load_alarms
from runtime.alarms.exchange import export_table, plan_import
from runtime.alarms.table import cells_of, columns_of, keys_of, line_of
from runtime.assembly import assemble
from runtime.cli.alarms import app
from runtime.config import AlarmConfig, value_text
from runtime.contract import DataType
from runtime.errors import ConfigError, PlantError

TAGS = """path,type,low,high
tank/level,REAL,0,100
tank/sp,REAL,0,100
pump/run,BOOL,,
pump/mode,STRING,,
"""
YAML = """\
# alarms of the tank
alarms:
  # the operators asked for this one
  - name: tank.high
    tag: tank/level
    kind: high
    limit: 90  # agreed in the HAZOP
    text: {en: Tank is full, zh: 罐满}
  - {name: pump.mode, tag: pump/mode, kind: discrete, state: "5", text: Mode five}
"""
CSV = """\
# alarms of the tank
name,tag,kind,limit,state,text,text_zh

# the operators asked for this one
tank.high,tank/level,high,90,,Tank is full,罐满
pump.mode,pump/mode,discrete,,"""


def plant(folder, alarms, name="alarms.yaml"):
    folder.mkdir(exist_ok=True)
    (folder / "plant.yaml").write_text(f"plant: p\nroot: s/a/l\napi: null\nhistory: null\nalarms: {name}\n")
    (folder / "tags.csv").write_text(TAGS)
    (folder / name).write_text(alarms, encoding="utf-8")
    return assemble(folder).plant


def brought(folder, text):
    file = folder / "sheet.csv"
    file.write_text(text, encoding="utf-8")
    return file


CSV += '"""5""",Mode five,\n'


def test_both_formats_say_the_same(tmp_path):
    one, two = plant(tmp_path / "1", YAML), plant(tmp_path / "2", CSV, "alarms.csv")
    assert one.alarms[:2] == two.alarms[:2]
    places = [place for _, place in load_alarms(two.path("alarms.csv"))]
    assert [(place.line, place.column) for place in places] == [(5, 1), (6, 1)]
    exported = tmp_path / "out.csv"
    exported.write_text(export_table(one), encoding="utf-8")
    assert [config for config, _ in load_alarms(exported)] == list(one.alarms[:2])
    assert export_table(two) == CSV


@pytest.mark.parametrize(
    ("text", "said", "line", "column"),
    [
        ("name,tag,kind,limit,text\na,tank/level,high,ninety,x\n", "number", 2, 4),
        ("name,tag,kind,text\n\n# note, with a comma\na,tank/levle,high,x\n", "no tag 'tank/levle'", 4, 1),
        ("name,tag,kind,text,on_delay\na,pump/run,discrete,x,soon\n", "not a duration", 2, 5),
        ("name,tag,kind,txet\n", "unknown column 'txet'", 1, 4),
        ("name;tag;kind\n", "separated by ';'", 1, 0),
        ("tag,kind\n", "column 'name' is missing", 1, 0),
        ("name,tag,kind,text\na,pump/run,discrete,x,y,z\n", "6 cells", 2, 5),
        ('name,tag,kind,text\na,pump/run,discrete,"x\n', "not valid CSV", 2, 1),
        ("# only a note\n", "no header", 1, 1),
        ("name,tag,kind,text\nkernel.values_lost,pump/run,discrete,x\n", "already defined", 2, 1),
        ("name,tag,kind,text\na,pump/run,discrete,x\na,pump/run,discrete,x\n", "already defined", 3, 1),
        ("name,tag,kind\nnew,pump/run,discrete\n", "'text' is missing", 2, 1),
        ("area,name,tag,kind,text\n# a, note\n#1,a,pump/run,discrete,x\n", "begins with #", 3, 1),
    ],
)
def test_what_is_wrong_has_line_and_column(tmp_path, text, said, line, column):
    there = plant(tmp_path, YAML)
    with pytest.raises(ConfigError) as caught:
        plan_import(there, brought(tmp_path, text))
    (finding,) = caught.value.findings
    assert said in finding.text
    assert (finding.place.line, finding.place.column) == (line, column)
    assert finding.remedy


SHEET = """\
name,limit,tag,kind,text,area
tank.high,95,tank/level,high,Tank is very full,north
tank.low,5,tank/level,low,"Tank, empty",
"""


@pytest.mark.parametrize(("text", "name"), [(YAML, "alarms.yaml"), (CSV, "alarms.csv")])
def test_an_import_merges_by_name_and_keeps_comments(tmp_path, text, name):
    before = plant(tmp_path, text, name)
    planned = plan_import(before, brought(tmp_path, SHEET))
    assert (planned.new, planned.changed, planned.removed) == (("tank.low",), ("tank.high",), ())
    planned.file.write_text(planned.text, encoding="utf-8")
    after = {config.name: config for config in assemble(tmp_path).plant.alarms}
    assert (after["tank.high"].limit, after["tank.high"].area, after["tank.high"].text.zh) == (
        95,
        "north",
        "罐满",
    )
    assert (after["tank.low"].text.en, after["pump.mode"]) == ("Tank, empty", before.alarms[1])
    assert "# alarms of the tank" in planned.text
    assert "# the operators asked for this one" in planned.text
    again = plan_import(assemble(tmp_path).plant, brought(tmp_path, SHEET))
    assert (again.new, again.changed) == ((), ())
    assert again.text == planned.text
    only = plan_import(assemble(tmp_path).plant, brought(tmp_path, SHEET), replace=True)
    assert only.removed == ("pump.mode",)
    assert "pump.mode" not in only.text


BLOCKS = """\
alarms:
  - name: a
    tag: pump/run
    kind: discrete
    text: Runs
    cause: |
      By hand
      or by mistake
    action: >
      Stop it
"""


def test_texts_of_yaml_blocks_are_the_same_after_a_spreadsheet(tmp_path):
    there = plant(tmp_path, BLOCKS)
    assert there.alarms[0].action.en == "Stop it"
    assert plan_import(there, brought(tmp_path, export_table(there))).changed == ()


COMMENTED = """\
alarms:
  # about a
  - name: a  # here
    tag: pump/run
    kind: discrete
    text: A

  # about b
  - {name: b, tag: pump/run, kind: discrete,
     text: B}
  # about c
  - name: c
    tag: pump/run
    kind: discrete
    text:
      en: C
      zh: 丙
# the end
"""


def test_comments_stay_where_they_are_when_alarms_gain_keys_or_go(tmp_path):
    gained = plan_import(plant(tmp_path, COMMENTED), brought(tmp_path, "name,area\na,north\n"))
    assert gained.text == COMMENTED.replace("    text: A\n", "    area: north\n    text: A\n").replace(
        "discrete,\n     text", "discrete, text"
    )
    left = plan_import(plant(tmp_path, COMMENTED), brought(tmp_path, "name\nc\n"), replace=True)
    assert (left.removed, left.text) == (
        ("a", "b"),
        COMMENTED[: COMMENTED.index("  - name: a")]
        + "\n  # about b\n"
        + COMMENTED[COMMENTED.index("  # about c") :],
    )


@pytest.mark.parametrize(
    "text",
    [
        "alarms: [{name: a, tag: pump/run, kind: discrete, text: A},"
        " {name: b, tag: pump/run, kind: discrete, text: A}]",
        "alarms:\n  -\n    name: a\n    tag: pump/run\n    kind: discrete\n    text: A\n"
        "  - {name: b, tag: pump/run, kind: discrete, text: A}\n",
        "alarms:\n  - {name: a, tag: pump/run, kind: discrete, text: &t A}\n"
        "  - {name: b, tag: pump/run, kind: discrete, text: *t}\n",
    ],
)
def test_an_alarm_goes_however_the_file_is_written(tmp_path, text):
    planned = plan_import(plant(tmp_path, text), brought(tmp_path, "name\nb\n"), replace=True)
    (tmp_path / "alarms.yaml").write_text(planned.text, encoding="utf-8")
    ((config, _),) = load_alarms(tmp_path / "alarms.yaml")
    assert (config.name, config.text.en) == ("b", "A")


@pytest.mark.parametrize(("text", "name"), [(YAML, "alarms.yaml"), (CSV, "alarms.csv")])
def test_lines_end_after_an_import_as_they_did(tmp_path, text, name):
    """As editors on Windows and spreadsheets write them."""
    sheet = brought(tmp_path, SHEET)
    plain = plan_import(plant(tmp_path, text, name), sheet).text
    (tmp_path / name).write_bytes(text.replace("\n", "\r\n").encode())
    assert plan_import(assemble(tmp_path).plant, sheet).text == plain.replace("\n", "\r\n")


TRANSLATED = """\
alarms:
  - {name: a, tag: pump/run, kind: discrete, text: {en: Runs, zh: 运行}, cause: {en: By hand, zh: 手动}}
  - {name: b, tag: pump/run, kind: discrete, text: Runs again, cause: By mistake}
"""


@pytest.mark.parametrize(
    ("sheet", "a", "b"),
    [
        ("name,text_zh,cause_zh\na,,人工\nb,,\n", ("Runs", "", "By hand", "人工"), ("By mistake", "")),
        ("name,cause_zh\na,\nb,误动\n", ("Runs", "运行", "By hand", ""), ("By mistake", "误动")),
        ("name,cause\na,\nb,In error\n", ("Runs", "运行", None, None), ("In error", "")),
    ],
)
def test_a_language_that_the_sheet_lacks_stays(tmp_path, sheet, a, b):
    planned = plan_import(plant(tmp_path, TRANSLATED), brought(tmp_path, sheet))
    planned.file.write_text(planned.text, encoding="utf-8")
    one, two = assemble(tmp_path).plant.alarms[:2]
    assert (one.text.en, one.text.zh, one.cause and one.cause.en, one.cause and one.cause.zh) == a
    assert (two.text.en, two.cause.en, two.cause.zh) == ("Runs again", *b)


def test_the_command_line_exports_and_imports(tmp_path):
    plant(tmp_path, YAML)
    run = CliRunner().invoke
    out = tmp_path / "out.csv"
    assert run(app, ["export", str(tmp_path), "-o", str(out)]).exit_code == 0
    out.write_text(out.read_text(encoding="utf-8").replace(",90,", ",80,"), encoding="utf-8")
    dry = run(app, ["import", str(out), str(tmp_path), "--dry-run"])
    assert "0 new, 1 changed, 0 removed (nothing was written)" in dry.stdout
    assert (tmp_path / "alarms.yaml").read_text(encoding="utf-8") == YAML
    assert "1 changed" in run(app, ["import", str(out), str(tmp_path)]).stdout
    assert "limit: 80  # agreed in the HAZOP" in (tmp_path / "alarms.yaml").read_text(encoding="utf-8")


def test_what_is_written_keeps_its_place_its_rights_and_its_kind(tmp_path):
    plant(tmp_path, YAML)
    run = CliRunner().invoke
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    real.write_text("")
    real.chmod(0o640)
    link.symlink_to(real)
    assert run(app, ["export", str(tmp_path), "-o", str(link)]).exit_code == 0
    assert (link.is_symlink(), stat.S_IMODE(real.stat().st_mode)) == (True, 0o640)
    assert real.read_text("utf-8-sig").startswith("name,")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    assert run(app, ["export", str(tmp_path), "-o", str(pipe)]).exit_code == 0
    assert (pipe.is_fifo(), os.read(held, 5)) == (True, b"name,")
    os.close(held)
    for wrong in ("/", str(tmp_path), str(tmp_path / "none" / "x.csv")):
        error = run(app, ["export", str(tmp_path), "-o", wrong]).exception
        assert isinstance(error, PlantError)
        assert error.text.startswith(f"{wrong} cannot be written: ")
    assert sorted(each.name for each in tmp_path.glob(".*.tmp")) == []


def test_a_plant_without_a_file_of_alarms_says_what_to_do(tmp_path):
    plant(tmp_path, YAML)
    (tmp_path / "plant.yaml").write_text("plant: p\nroot: s/a/l\napi: null\nhistory: null\n")
    with pytest.raises(PlantError, match="names no file of alarms") as caught:
        export_table(assemble(tmp_path).plant)
    assert "alarms: alarms.csv" in caught.value.remedy


words = st.text(st.characters(categories=["L", "N", "P", "Z"], exclude_characters="\r\n"), max_size=20)
texts = words.map(str.strip).filter(bool)
amounts = st.one_of(
    st.floats(-1e9, 1e9),
    st.integers(-(10**15), 10**15).filter(bool).map(lambda ns: value_text(DataType.TIME, ns)),
)
states = st.one_of(st.booleans(), st.integers(-100, 100), st.floats(-1e9, 1e9), words)
flags = st.fixed_dictionaries({"latching": st.booleans(), "confirm": st.booleans()})


@settings(max_examples=300, deadline=None)
@example("x", "", "", 1, 1.0, {})
@example("x", "", " x ", 1, 1.0, {})
@example("x\ry\nz", "", "", 1, 1.0, {})
@given(texts, words.map(str.strip), states, st.integers(1, 10**15), amounts, flags)
def test_every_alarm_reads_back_from_its_row(tmp_path_factory, en, zh, state, delay_ns, limit, flags):
    config = AlarmConfig.model_validate(
        {
            "name": "a.b", "tag": "t", "kind": "discrete", "state": state, "limit": limit, "class": en,
            "on_delay": f"{delay_ns}ns", "text": {"en": en, "zh": zh}, "cause": zh or None, **flags,
        }
    )  # fmt: skip
    cells = cells_of(keys_of(config))
    columns = columns_of([cells])
    file = tmp_path_factory.mktemp("row") / "alarms.csv"
    lines = [dict(zip(columns, columns, strict=True)), cells]
    file.write_text("".join(line_of(columns, each) for each in lines), encoding="utf-8")
    ((read, _),) = load_alarms(file)
    assert read == config
    assert type(read.limit) is type(config.limit)


def test_thousands_of_rows(tmp_path):
    rows = "".join(f"a{n},tank/level,high,{n % 90 + 1},Alarm {n}\n" for n in range(5000))
    there = plant(tmp_path, "name,tag,kind,limit,text\n" + rows, "alarms.csv")
    sheet = brought(tmp_path, "name,limit\n" + "".join(f"a{n},50\n" for n in range(0, 5000, 2)))
    assert len(plan_import(there, sheet).changed) > 2000
