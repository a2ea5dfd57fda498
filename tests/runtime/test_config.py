"""The plant folder: every mistake has file, line, column and remedy."""

import os
from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.alarms.table import read_table
from runtime.config import (
    DriverConfig,
    PlantFile,
    TagList,
    format_duration,
    load_model,
    make_folder,
    parse_duration_ns,
    read_tags,
    write_tags,
)
from runtime.contract import Access, DataType, Tag
from runtime.errors import ConfigError

HEADER = "path,type,unit,low,high,access,initial\n"


def findings(file, text, read):
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read(file)
    return [(each.place.line, each.place.column, each.text, each.remedy) for each in caught.value.findings]


@pytest.mark.parametrize(
    ("row", "column", "says", "remedy"),
    [
        ("tank/level,REEL,,,,,", 2, "unknown type 'REEL'", "did you mean 'REAL'?"),
        ("tank level,REAL,,,,,", 1, "'tank level' is not a path", "levels"),
        (
            "tank/level\u200b,REAL,,,,,",
            1,
            r"'tank/level\u200b' holds a character that cannot be seen",
            "anew",
        ),
        ("tank/level,REAL,,ten,,,", 4, "'ten' is not a number", "point"),
        ("tank/level,REAL,,50,10,,", 5, "high (10) must be above low (50)", ""),
        ("tank/level,REAL,,,,write,", 6, "unknown access 'write'", "r, rw"),
        ("tank/on,BOOL,,,,,maybe", 7, "'maybe' is not a value of BOOL", "write true or false"),
        ("tank/n,SINT,,,,,300", 7, "'300' is not a value of SINT", "from -128 to 127"),
    ],
)
def test_a_wrong_cell_is_named_by_line_and_column(tmp_path, row, column, says, remedy):
    text = f"{HEADER}ok/tag,BOOL,,,,,\n{row}\n"
    ((line, at, text, advice),) = findings(tmp_path / "tags.csv", text, lambda f: read_tags(f, "s"))
    assert (line, at) == (3, column)
    assert says in text
    assert remedy in advice


def test_all_wrong_rows_are_told_at_once(tmp_path):
    text = f"{HEADER}a,REEL,,,,,\nb,REAL,,x,,,\nb,REAL\nb,REAL\n"
    assert [line for line, *_ in findings(tmp_path / "t.csv", text, lambda f: read_tags(f, "s"))] == [2, 3, 5]


def test_an_unknown_column_has_a_suggestion(tmp_path):
    ((line, column, text, remedy),) = findings(
        tmp_path / "t.csv", "path,type,acess\n", lambda f: read_tags(f, "s")
    )
    assert (line, column, text, remedy) == (1, 3, "unknown column 'acess'", "did you mean 'access'?")


def test_columns_without_a_name_are_told_as_such(tmp_path):
    found = findings(tmp_path / "t.csv", "path,type,,\na,REAL,,\n", lambda f: read_tags(f, "s"))
    assert [each[:3] for each in found] == [(1, 3, "column 3 has no name"), (1, 4, "column 4 has no name")]
    found = findings(tmp_path / "a.csv", "name,tag,,\na,b,,\n", read_table)
    assert [each[:3] for each in found] == [(1, 3, "column 3 has no name"), (1, 4, "column 4 has no name")]


@pytest.mark.parametrize("sign", [";", "\t", "，", "；"])
def test_another_separator_than_a_comma_is_told(tmp_path, sign):
    told = [(1, f"cells are separated by {sign!r} here")]
    found = findings(tmp_path / "t.csv", f"path{sign}type\n", lambda f: read_tags(f, "s"))
    assert [(line, text) for line, _, text, _ in found] == told
    found = findings(tmp_path / "a.csv", f"name{sign}tag\n", read_table)
    assert [(line, text) for line, _, text, _ in found] == told


CELL = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "Zs"]), max_size=20).map(str.strip)


@given(
    st.lists(
        st.builds(
            Tag,
            path=st.from_regex(r"[a-z]{1,8}(/[a-z0-9_]{1,8}){0,3}", fullmatch=True).map(
                lambda path: f"s/{path}"
            ),
            data_type=st.sampled_from([DataType.REAL, DataType.DINT, DataType.LREAL]),
            unit=st.sampled_from(["", "Cel", "L/min"]),
            unit_text=st.just(""),
            low=st.none() | st.floats(-1e6, 0, exclude_max=True),
            high=st.none() | st.floats(1, 1e6),
            description=CELL,
            access=st.sampled_from(Access),
            deadband=st.floats(0.1, 10),
            compression=st.sampled_from(["deadband", "swinging_door"]),
        ),
        unique_by=lambda tag: tag.path,
        max_size=5,
    )
)
def test_a_tag_table_survives_writing_and_reading(tmp_path_factory, tags):
    file = tmp_path_factory.mktemp("t") / "tags.csv"
    file.write_text(write_tags(tags, "s"), encoding="utf-8")
    back = [tag for tag, _ in read_tags(file, "s")]
    for name in ("path", "data_type", "low", "high", "description", "deadband", "compression"):
        assert [getattr(tag, name) for tag in back] == [getattr(tag, name) for tag in tags]


def test_a_path_that_would_read_as_a_comment_is_written_whole(tmp_path):
    file = tmp_path / "tags.csv"
    file.write_text(write_tags([Tag("s/#1/run", DataType.BOOL)], "s"), encoding="utf-8")
    assert [tag.path for tag, _ in read_tags(file, "s")] == ["s/#1/run"]


def test_paths_may_be_relative_or_whole_and_patterns_match_levels():
    tags = TagList([Tag(f"n/l1/{name}", DataType.BOOL) for name in ("a/run", "b/run", "b/x/run")], "n/l1")
    assert tags["a/run"] is tags["n/l1/a/run"]
    assert tags.select("*/run").tolist() == [0, 1]
    assert tags.select("**/run").tolist() == [0, 1, 2]
    assert tags.select("n/l1/b/**").tolist() == [1, 2]
    assert "did you mean 'n/l1/a/run'" in tags.close_to("a/rum")
    assert "did you mean 'n/l1/b/x/run'" in tags.close_to("x/run")
    assert "did you mean" not in tags.close_to("nonsense"), "the long root makes nothing alike"


def test_what_is_made_for_the_state_is_not_for_everybody_to_read(tmp_path):
    make_folder(tmp_path / ".ironworks" / "cache")
    make_folder(tmp_path / ".ironworks")
    assert not (tmp_path / ".ironworks").stat().st_mode & 0o007, "it holds hashes of secrets"


def test_a_mistyped_tag_among_many_is_compared_with_few(monkeypatch):
    compared = []
    monkeypatch.setattr(SequenceMatcher, "quick_ratio", lambda self: compared.append(self) or 1.0)
    names = [f"n/line{line}/motor_{at:03}/{what}" for line in range(10) for at in range(50) for what in "ab"]
    tags = TagList([Tag(name, DataType.BOOL) for name in names], "n")
    assert "did you mean 'n/line7/motor_033/b'" in tags.close_to("lin7/motor_033/b")
    assert "did you mean 'n/line7/motor_033/a'" in tags.close_to("line7/moter_033/a")
    assert len(compared) <= 200, "each costs 0.1 ms of the loop: 10,000 tags would cost a second"


@pytest.mark.parametrize(
    ("text", "line", "says", "remedy"),
    [
        (
            "plant: p\nroot: a/b\nplants: 1\nhistory:\n  flsh: 1s\n",
            5,
            "unknown key 'flsh'",
            "did you mean 'flush'?",
        ),
        ("plant: p\nroot: a/b\nhistory:\n  flush: 1 second\n", 4, "not a duration", "write it like 250ms"),
        ("plant: p\nroot: a/b\nlogin: {idle: 31d}\n", 3, "'31d' is too large", "write 30d or less"),
        ("plant: p\n", 1, "'root' is missing", "add root:"),
        (
            "plant: p\nroot: a/b\nusers:\n  - name: li\n    role: boss\n",
            5,
            "'boss' is not a role",
            "use viewer",
        ),
        ("plant: p\nroot: a/b\n  x: 1\n", 3, "not valid YAML", "indentation"),
        (
            "plant: p\nroot: a/b\napi: {host: gateway}\n",
            3,
            "'gateway' is no address",
            "write one of this machine",
        ),
        (
            "plant: p\nroot: a/b\napi: {port: 99999}\n",
            3,
            "api.port: 99999 is too large",
            "write 65535 or less",
        ),
        ("plant: p\nroot: a/b\napi: {port: eight}\n", 3, "'eight' is no whole number", "digits"),
        ("plant: p\nroot: a/b\nhistory: {flush: 1ms}\n", 3, "'1ms' is too small", "write 10ms or more"),
        ("plant: p\nroot: a/b\nhistory: {flush: 0}\n", 3, "0 is too small", "write 10ms or more"),
        ("plant: p\nroot: a/b\ndrivers: {kind: a}\n", 3, "drivers: a list belongs here", "`- `"),
        ("plant: p\nroot: a/b\ngate: {two_person: a/b}\n", 3, "a list belongs here", "write [a/b]"),
        ("plant: 5\nroot: a/b\n", 1, "plant: 5 is no text", "quotes"),
        ("plant:\nroot: a/b\n", 1, "plant: there is nothing", "write a value"),
        ("plant: p\nroot: a/b\nlog:\n", 3, "keys and values belong here", "`key: value`"),
        ("plant: p\nroot: a/b\napi:\n  tls: {key: x}\n", 4, "certificate and key go together", ""),
    ],
)
def test_a_wrong_plant_file_is_told_by_line(tmp_path, text, line, says, remedy):
    got = findings(tmp_path / "plant.yaml", text, lambda f: load_model(PlantFile, f))
    assert any(at == line and says in text and remedy in advice for at, _, text, advice in got), got


def test_a_missing_file_and_a_binary_file_are_told(tmp_path):
    with pytest.raises(ConfigError, match="file not found"):
        load_model(DriverConfig, tmp_path / "none.yaml")
    (tmp_path / "bin.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load_model(DriverConfig, tmp_path / "bin.yaml")
    for begins in (b"PK\x03\x04\x14\x00", b"\xd0\xcf\x11\xe0\xa1\xb1"):
        (tmp_path / "tags.csv").write_bytes(begins)
        with pytest.raises(ConfigError, match="workbook"):
            read_tags(tmp_path / "tags.csv", "s")


def test_a_pipe_and_a_device_are_told_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "plant.yaml")
    (tmp_path / "tags.csv").symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match="a pipe or a device, not a file"):
        load_model(PlantFile, tmp_path / "plant.yaml")
    with pytest.raises(ConfigError, match="a pipe or a device, not a file"):
        read_tags(tmp_path / "tags.csv", "s")


def test_tags_as_yaml_are_told_where_they_belong(tmp_path):
    told = findings(tmp_path / "tags.yaml", "- {path: a, type: REAL}\n", lambda f: read_tags(f, "s"))
    assert told == [
        (1, 1, "the first line names no column of a tag table", "begin a CSV with path,type,unit,description")
    ]
    text = "plant: x\nroot: a\ntags:\n  - {path: a, type: REAL}\nalarms: {a: b}\n"
    told = findings(tmp_path / "plant.yaml", text, lambda f: load_model(PlantFile, f))
    assert [(line, text) for line, _, text, _ in told] == [
        (3, "tags: the name of a file belongs here"),
        (5, "alarms: the name of a file belongs here"),
    ]
    assert "`tags: tags.csv`" in told[0][3]


@given(st.integers(0, 10**18))
def test_durations_survive_writing_and_reading(ns):
    assert parse_duration_ns(format_duration(ns)) == ns


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("250ms", 250_000_000),
        ("1h 30min", 5400 * 10**9),
        ("1.5s", 1_500_000_000),
        ("1m30s", 90 * 10**9),
        ("1h5m", 3900 * 10**9),
    ],
)
def test_durations_read_as_people_write_them(text, ns):
    assert parse_duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "5", "-1s", "1 fortnight", "3 mm", "2 months", 5, None, "1s2"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration_ns(text)
