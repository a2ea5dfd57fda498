"""A plant folder with mistakes: each told with file, line and remedy, exit code 1, never a traceback."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from runtime.cli import build

Edit = Callable[[Path], object]


def put(name: str, content: str | bytes) -> Edit:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def change(name: str, old: str, new: str) -> Edit:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


def more(name: str, text: str) -> Edit:
    return lambda folder: (folder / name).write_text((folder / name).read_text("utf-8") + text, "utf-8")


def recode(name: str, encoding: str) -> Edit:
    return lambda folder: (folder / name).write_bytes((folder / name).read_text("utf-8").encode(encoding))


def a_folder_at(name: str) -> Edit:
    def edit(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return edit


def remove(name: str) -> Edit:
    return lambda folder: (folder / name).rename(folder.parent / "gone")


def tag(cells: str) -> Edit:
    return more("tags.csv", f"{cells}\n")


PLANT, TAGS, ALARMS, TWIN, RACK, ST = (
    "plant.yaml", "tags.csv", "alarms.yaml", "twin.yaml", "rack.yaml", "plc/main.st",
)  # fmt: skip
NEW_TAG = 12  # the line of a tag added to tags.csv
HUGE = "9" * 5000

# what is wrong: (the edit, the file told, its line or None, what is told)
YAML_MISTAKES: dict[str, tuple[str | bytes, int | None, str]] = {
    "nothing": ("", 1, ""),
    "a list": ("- a\n- b\n", 1, ""),
    "a zero byte": ("plant: a\0b\n", 1, "0x0000 is not allowed"),
    "two documents": ("a: 1\n---\nb: 2\n", 2, "second document"),
    "nesting without end": ("a: " + "[" * 400 + "]" * 400, None, "nested too deeply"),
    "a key twice": ("a: 1\nb: 2\na: 3\n", 3, "'a' is there twice"),
    "an alias of nothing": ("a: *b\n", 1, "undefined alias"),
    "a tag of YAML": ("a: !thing b\n", 1, "!thing means nothing"),
    "a date that is none": ("a: 2026-13-45\n", 1, "month must be"),
    "a number without end": (f"a: {HUGE}\n", 1, "too long a number"),
    "a tab": ("a:\n\t- b\n", 2, "a tab cannot indent"),
    "GBK": ("a: 1\n# 工厂液位\n".encode("gbk"), 2, "not UTF-8"),
    "UTF-16": ("a: 1\n".encode("utf-16"), 1, "not UTF-8"),
}
MISTAKES: dict[str, tuple[Edit, str, int | None, str]] = {
    f"{file}: {what}": (put(file, content), file, line, told)
    for file in (PLANT, ALARMS, TWIN, RACK)
    for what, (content, line, told) in YAML_MISTAKES.items()
    if file in (PLANT, TWIN) or what in ("nothing", "a list", "a tag of YAML", "GBK")
}
MISTAKES |= {
    "wrong indentation": (change(PLANT, "    kind:", "   kind:"), PLANT, 11, "not valid YAML"),
    "a file without end": (put(PLANT, "x: y\n" * 2_000_000), PLANT, None, "million characters"),
    "unknown section": (more(PLANT, "mqtt: {a: 1}\n"), PLANT, 23, "unknown key 'mqtt'"),
    "stores among the files": (more(PLANT, "state: ./\n"), PLANT, 23, "state: this is the plant folder"),
    "mistyped section": (change(PLANT, "twin:", "twn:"), PLANT, 20, "unknown key 'twn'"),
    "mistyped key": (change(PLANT, "host:", "hots:"), PLANT, 12, "unknown key 'hots'"),
    "empty section": (change(PLANT, '  sources: ["plc/*.st"]', ""), PLANT, 16, "keys and values"),
    "drivers that are none": (change(PLANT, "drivers:\n", "drivers: yes\nx:\n"), PLANT, 8, "drivers"),
    "driver without kind": (change(PLANT, "    kind: modbus.client\n", ""), PLANT, 10, "needs a kind"),
    "driver of no kind": (change(PLANT, "modbus.client", "modbus.cliet"), PLANT, 11, "modbus.cliet"),
    "driver without a way": (
        change(PLANT, "plc:", "  - {name: other, kind: modbus.client}\nplc:"),
        PLANT,
        16,
        "drivers.1: a device is on the network or on a serial line",
    ),
    "driver name twice": (
        change(PLANT, "plc:", "  - {name: remote_io, kind: modbus.client, host: a}\nplc:"),
        PLANT,
        16,
        "already used",
    ),
    "driver named like a component": (
        change(PLANT, "name: remote_io", "name: historian"),
        PLANT,
        10,
        "already used",
    ),
    "port that is none": (change(PLANT, "port: 5021", "port: 99999"), PLANT, 13, "99999 is too large"),
    "negative duration": (change(PLANT, "100ms", "-100ms"), PLANT, 14, "not a duration"),
    "duration without unit": (change(PLANT, "100ms", "100"), PLANT, 14, "not a duration"),
    "duration without end": (change(PLANT, "100ms", f"{HUGE}d"), PLANT, 14, "longer than 100 years"),
    "duration too short": (change(PLANT, "100ms", "1ns"), PLANT, 14, "'1ns' is too small"),
    "host that is none": (change(PLANT, "host: 127.0.0.1", "host: not a host"), PLANT, 12, "no host"),
    "name with spaces": (change(PLANT, "plant: works", "plant: my works"), PLANT, 2, "not possible here"),
    "root of the system": (
        change(PLANT, "root: site/area/works", "root: sys"),
        PLANT,
        4,
        "kept for the system",
    ),
    "tag table that is missing": (change(PLANT, "tags.csv", "nope.csv"), "nope.csv", None, "not found"),
    "tag table that is a folder": (change(PLANT, "tags.csv", "plc"), "plc", None, "a folder"),
    "file name with a zero": (
        change(PLANT, "tags: tags.csv", 'tags: "a\\0b"'),
        PLANT,
        5,
        "not possible here",
    ),
    "no room for history": (more(PLANT, "history: {flush: 0s}\n"), PLANT, 23, "history.flush"),
    "secret that is no hash": (
        more(PLANT, "users: [{name: a, secret: b}]\n"),
        PLANT,
        23,
        "not an argon2 hash",
    ),
    "user twice": (more(PLANT, "users: [{name: a}, {name: a}]\n"), PLANT, 23, "two users"),
    "role of nobody": (more(PLANT, "users: [{name: a, role: boss}]\n"), PLANT, 23, "is not a role"),
    "program folder missing": (remove("plc"), "", None, "no program"),
    "program by whole path": (change(PLANT, "plc/*.st", "/etc/*.st"), "", None, "Non-relative"),
    "safe value of no tag": (
        change(PLANT, "plc:\n", "plc:\n  safe: {nope: 1}\n"),
        PLANT,
        17,
        "unknown tag 'nope'",
    ),
    "table in GBK": (recode(TAGS, "gbk"), TAGS, 3, "not UTF-8"),
    "table with semicolons": (change(TAGS, "path,type,", "path;type;"), TAGS, 1, "path;type;unit"),
    "table of tabs": (put(TAGS, "path\ttype\na\tBOOL\n"), TAGS, 1, "separated by"),
    "empty table": (put(TAGS, ""), TAGS, 1, "column 'path' is missing"),
    "column twice": (change(TAGS, "path,type", "path,path"), TAGS, 1, "there twice"),
    "unknown column": (change(TAGS, "unit,unit_text", "units,unit_text"), TAGS, 1, "unknown column 'units'"),
    "quote that stays open": (tag('a/b,REAL,"oops'), TAGS, NEW_TAG, "not valid CSV"),
    "cell without end": (tag(f"a/b,REAL,{'x' * 200_000}"), TAGS, NEW_TAG, "not valid CSV"),
    "too few cells": (tag("a/b"), TAGS, NEW_TAG, "no type"),
    "too many cells": (tag("a/b,REAL" + "," * 40), TAGS, NEW_TAG, "cells"),
    "unknown type": (tag("a/b,FLOAT"), TAGS, NEW_TAG, "unknown type 'FLOAT'"),
    "tag twice": (tag("tank/auto,BOOL"), TAGS, NEW_TAG, "already defined in line 6"),
    "zero in a cell": (tag("a/b,REAL,,,,,Level\0of"), TAGS, NEW_TAG, "0x0000 is not allowed"),
    "path to elsewhere": (tag("../a/b,REAL"), TAGS, NEW_TAG, "not a path"),
    "path that stays": (tag("a/./b,REAL"), TAGS, NEW_TAG, "not a path"),
    "path with a space": (tag("a b,BOOL"), TAGS, NEW_TAG, "not a path"),
    "path of the system": (tag("sys/kernel/uptime_s,BOOL"), TAGS, NEW_TAG, "kept for the system"),
    "limits that are crossed": (tag("a/b,REAL,,,5,1"), TAGS, NEW_TAG, "must be above"),
    "limit that is no number": (tag("a/b,REAL,,,nan,1"), TAGS, NEW_TAG, "not a finite number"),
    "decimal comma": (tag('a/b,REAL,,,"1,5",3'), TAGS, NEW_TAG, "not a number"),
    "negative deadband": (tag("a/b,REAL,,,,,,,r,operator,,,,-1,"), TAGS, NEW_TAG, "below 0"),
    "door without a deadband": (
        put(TAGS, "path,type,compression\na,REAL,swinging_door\n"),
        TAGS,
        2,
        "without a deadband",
    ),
    "door of no numbers": (
        put(TAGS, "path,type,deadband,compression\na,BOOL,1,swinging_door\n"),
        TAGS,
        2,
        "of a BOOL mean nothing",
    ),
    "unknown compression": (
        put(TAGS, "path,type,compression\na,REAL,swing_door\n"),
        TAGS,
        2,
        "unknown compression",
    ),
    "initial outside": (tag("a/b,INT,,,0,10,,,rw,operator,,,,,50"), TAGS, NEW_TAG, "outside low and high"),
    "initial that is infinite": (tag("a/b,REAL,,,,,,,rw,operator,,,,,1e999"), TAGS, NEW_TAG, "finite"),
    "source that is nobody": (tag("a/b,REAL,,,,,,,r,remot_io"), TAGS, NEW_TAG, "no component is named"),
    "source that is the kernel": (tag("a/b,REAL,,,,,,,r,kernel"), TAGS, NEW_TAG, "no component is named"),
    "device that is nobody": (
        tag("a/b,BOOL,,,,,,,r,plc,nope,00001,pump_run"),
        TAGS,
        NEW_TAG,
        "no driver is named",
    ),
    "variable that is none": (tag("a/b,BOOL,,,,,,,r,plc,,,nope"), TAGS, NEW_TAG, "no variable 'nope'"),
    "variable of another type": (tag("a/b,INT,,,,,,,r,plc,,,tank_level_pct"), TAGS, NEW_TAG, "is REAL"),
    "input bound twice": (tag("a/b,REAL,,,,,,,r,operator,,,tank_level_pct"), TAGS, NEW_TAG, "already takes"),
    "address that is none": (tag("a/b,REAL,,,,,,,r,remote_io,,abc"), TAGS, NEW_TAG, "not a Modbus address"),
    "table that is none": (tag("a/b,REAL,,,,,,,r,remote_io,,99999"), TAGS, NEW_TAG, "no table 9"),
    "address missing": (tag("a/b,REAL,,,,,,,r,remote_io"), TAGS, NEW_TAG, "no address"),
    "written twice": (tag("a/b,BOOL,,,,,,,rw,operator,remote_io,00001"), TAGS, NEW_TAG, "both written"),
    "written to an input": (
        tag("a/b,REAL,,,,,,,r,plc,remote_io,30020,tank_level_pct"),
        TAGS,
        NEW_TAG,
        "input registers",
    ),
    "alarm of no tag": (
        change(ALARMS, "tank/level_pct", "tank/levle_pct"),
        ALARMS,
        None,
        "no tag 'tank/levle_pct'",
    ),
    "alarm without text": (
        put(ALARMS, "alarms:\n - {name: a, tag: pump/fault, kind: discrete}\n"),
        ALARMS,
        2,
        "'text'",
    ),
    "alarm on nothing finite": (
        put(ALARMS, "alarms:\n - {name: a, tag: tank/level_pct, kind: high, limit: .nan, text: a}\n"),
        ALARMS,
        2,
        "limit: nan is no finite number",
    ),
    "equipment of no kind": (change(TWIN, "kind: tank", "kind: tonk"), TWIN, 6, "unknown kind 'tonk'"),
    "equipment into nothing": (change(TWIN, "into: tank", "into: tonk"), TWIN, 19, "no equipment 'tonk'"),
    "signal of nothing": (change(TWIN, "high_switch: 95", "hgih_switch: 95"), TAGS, 4, "tank/high_switch"),
    "negative volume": (change(TWIN, "volume_l: 200", "volume_l: -1"), TWIN, 7, "volume_l"),
    "rack of no device": (change(RACK, "rack: remote_io", "rack: remote_oi"), RACK, 5, "'remote_oi'"),
    "rack without its driver": (
        change(RACK, "- name: remote_io", "- name: other"),
        TAGS,
        None,
        "'remote_io'",
    ),
    "rack with a wrong port": (change(RACK, "port: 5021", "port: -5"), RACK, None, "port"),
    "rack missing": (remove(RACK), RACK, None, "not found"),
    "alarms missing": (remove(ALARMS), ALARMS, None, "not found"),
    "model that is a folder": (a_folder_at(TWIN), TWIN, None, "a folder"),
    "ST syntax": (change(ST, "END_IF;", "END_F;"), ST, None, "ST1"),
    "ST type": (change(ST, "pump_failed := TRUE;", "pump_failed := 5;"), ST, 31, "ST3004"),
    "ST in GBK": (put(ST, "(* 泵泵 *)".encode("gbk")), ST, 1, "not UTF-8"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_told_with_place_and_remedy(folder: Path, name: str) -> None:
    edit, file, line, told = MISTAKES[name]
    edit(folder)
    result = CliRunner().invoke(build("check"), ["check", str(folder), "--json"])
    assert result.exit_code == 1, result.exception
    findings = json.loads(result.stdout)["findings"]
    errors = [each for each in findings if each["severity"] == "error"]
    fitting = [each for each in errors if re.search(re.escape(told), each["text"])]
    assert fitting, errors
    assert Path(fitting[0]["file"]).name == (Path(file).name or folder.name)
    assert line is None or fitting[0]["line"] == line
    assert all(each["remedy"] for each in fitting if not each["text"].startswith("ST"))
    assert all(len(each["text"]) < 500 for each in errors)


def test_the_beginning_of_a_kind_is_told_all_kinds_that_begin_so(folder: Path) -> None:
    change(PLANT, "kind: modbus.client", "kind: modbus")(folder)
    result = CliRunner().invoke(build("check"), ["check", str(folder), "--json"])
    (found,) = [each for each in json.loads(result.stdout)["findings"] if "'modbus'" in each["text"]]
    assert found["remedy"] == "did you mean 'modbus.client' or 'modbus.server'?"


INNOCENT: dict[str, Edit] = {
    "CRLF": lambda folder: [
        (folder / each).write_bytes((folder / each).read_bytes().replace(b"\n", b"\r\n"))
        for each in (PLANT, TAGS, ALARMS, TWIN, RACK)
    ],
    "BOM": lambda folder: [
        (folder / each).write_bytes(b"\xef\xbb\xbf" + (folder / each).read_bytes())
        for each in (PLANT, TAGS, ALARMS, TWIN, RACK)
    ],
    "Chinese paths": tag("罐/液位,BOOL,,,,,,,rw,operator"),
    "Chinese folder with spaces": lambda folder: folder.rename(folder.parent / "工厂 一号"),
    "a cache in the way": lambda folder: [
        each.write_bytes(b"x") for each in folder.glob(".ironworks/cache/plc/*")
    ],
    "merge keys": more(PLANT, "users:\n  - &base {name: a}\n  - <<: *base\n    name: b\n"),
}


@pytest.mark.parametrize("name", INNOCENT)
def test_what_is_no_mistake_is_accepted(folder: Path, name: str) -> None:
    INNOCENT[name](folder)
    found = next(each.parent for each in folder.parent.glob("*/plant.yaml"))
    result = CliRunner().invoke(build("check"), ["check", str(found)])
    assert result.exit_code == 0, result.output


def test_a_folder_that_may_only_be_read_can_be_checked(folder: Path) -> None:
    (folder / ".ironworks" / "cache" / "plc").chmod(0o500)
    for each in (folder / ".ironworks" / "cache" / "plc").iterdir():
        os.truncate(each, 10)
    assert CliRunner().invoke(build("check"), ["check", str(folder)]).exit_code == 0


def test_aliases_that_multiply_are_stopped_early(folder: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    (folder / PLANT).write_text("\n".join(lines))
    result = CliRunner().invoke(build("check"), ["check", str(folder)])
    assert result.exit_code == 1
    assert "values" in result.output
