"""`ironworks drivers top|record` on a plant that runs, `export|import` on a folder."""

import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

SECRET = "correct horse battery"
PLANT = """plant: works
root: site/area/line
api: null
history: null
users:
  - {{name: vera, role: viewer, secret: "{secret}"}}
  - {{name: egon, role: engineer, secret: "{secret}"}}
drivers:
  - {{name: rio, kind: modbus.server, host: 127.0.0.1, port: {port}}}
  - {{name: io, kind: modbus.client, host: 127.0.0.1, port: {port}, period: 20ms}}
"""
TAGS = """path,type,unit,access,source,device,address,initial,low,high
given,REAL,,rw,operator,rio,30001:float,5,,
# what the client reads
io/level,REAL,m,r,io,,30001:float,,0,10
io/wrong,INT,,r,io,io,39000,,,
out,INT,,r,operator,io,40007,,,
"""
SHORT = ["io/level", "io/wrong", "out"]
WHOLE = [f"site/area/line/{each}" for each in SHORT]


@pytest.fixture
def ironworks(monkeypatch):
    from runtime.cli import build

    monkeypatch.delenv("IRONWORKS_PLANT", raising=False)

    def run(*arguments, user=None):
        if user:
            monkeypatch.setenv("IRONWORKS_USER", user)
            monkeypatch.setenv("IRONWORKS_SECRET", SECRET)
        return CliRunner().invoke(build(arguments[0]), [str(each) for each in arguments])

    return run


def lay_out(folder: Path, port: int = 5020, secret: str = "$argon2id$") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "plant.yaml").write_text(PLANT.format(port=port, secret=secret))
    (folder / "tags.csv").write_text(TAGS)
    return folder


@pytest.fixture
def running(tmp_path, monkeypatch, free_port):
    from runtime.gate.identity import hash_secret

    folder = lay_out(tmp_path / "plant", free_port(), hash_secret(SECRET))
    with tempfile.TemporaryDirectory(prefix="iw") as home:  # short: a socket's path is limited
        monkeypatch.setenv("XDG_RUNTIME_DIR", home)
        process = subprocess.Popen(
            [sys.executable, "-m", "runtime.cli", "run", str(folder), "--attached"],
            stdin=subprocess.PIPE,
            env=os.environ | {"XDG_RUNTIME_DIR": home},
        )
        try:
            deadline = time.monotonic() + 120
            while not list(Path(home).glob("ironworks/*.json")):
                assert process.poll() is None, "the plant ended"
                assert time.monotonic() < deadline, "the plant did not start"
                time.sleep(0.05)
            yield folder
        finally:
            process.stdin.close()
            process.wait(60)


def until(look):
    """Look until something is seen, up to a limit."""
    deadline = time.monotonic() + 120
    while not (found := look()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_figures_and_a_recording_of_a_plant_that_runs(ironworks, running, tmp_path, caplog):
    # Each driver tells in its own time, and its state comes by itself.
    expected = {
        "io": {"state": "degraded", "refused": 1, "items": 2, "scan_requests": 2, "online": True},
        "rio": {"clients": "127.0.0.1", "connections": 1},
    }
    refusal = "127.0.0.1: function 4 at 8999 of unit 1: exception 2"

    def lines(*arguments):
        return ironworks("drivers", "top", *arguments, "--once", user="vera").stdout.splitlines()

    def figures():
        told = json.loads((lines("--json") or ["{}"])[0])
        seen = {name: {each: told.get(name, {}).get(each) for each in row} for name, row in expected.items()}
        if seen != expected:
            return False
        io, rio = told["io"], told["rio"]
        return (
            io.get("exception_codes", "").startswith("2: ")
            and rio.get("last_refusal", "").startswith(refusal)
            and io["bytes_received"] > io["bytes_sent"] > 100
            and told.keys() == expected.keys()
        )

    until(figures)

    def table():  # one that was held up may have lost the other for a moment
        rows = [line.split() for line in lines("--lang", "zh")]
        begun = [row[:2] for row in rows]
        return rows if ["io", "降级"] in begun and ["rio", "1"] in begun else None

    rows = until(table)
    assert rows[0][:3] == ["驱动", "状态", "请求"]
    assert rows[1][:2] == ["io", "降级"]
    server = rows.index([]) + 1
    assert rows[server][:3] == ["服务器", "连接", "会话"]
    assert rows[server + 1][:2] == ["rio", "1"]
    until(lambda: ["online", "true"] in [line.split()[:2] for line in lines("io", "--lang", "en")])
    assert "io: requests sent" in "\n".join(lines("io", "--lang", "en"))
    assert "did you mean 'io'?" in str(ironworks("drivers", "top", "ioo", "--once", user="vera").exception)

    file = tmp_path / "io.pcap"
    refused = ironworks("drivers", "record", "io", "--for", "1s", "--out", file, user="vera").exception
    assert "a recording needs engineer" in str(refused)
    assert not file.exists()
    question = b"\x00\x00\x00\x06\x01\x04\x00\x00\x00\x02"  # input registers 1 and 2 of unit 1
    answer = b"\x00\x00\x00\x07\x01\x04\x04\x40\xa0\x00\x00"  # they hold 5.0

    def seen():
        order = ("drivers", "record", "io", "--for", "300ms", "--out", file, "--reason", "spikes")
        done = ironworks(*order, user="egon")
        assert done.exit_code == 0, done.output
        data = file.read_bytes()
        assert struct.unpack_from("<I", data)[0] == 0xA1B2_3C4D
        return question in data and answer in data

    until(seen)

    def served():  # the same from the other side
        order = ("drivers", "record", "rio", "--for", "300ms", "--out", file, "--peer", "127.0.0.1")
        assert ironworks(*order, user="egon").exit_code == 0
        data = file.read_bytes()
        return question in data and answer in data

    until(served)
    strange = ironworks(
        "drivers", "record", "rio", "--for", "100ms", "--out", file, "--peer", "10.9.9.9", user="egon"
    )
    assert "nothing went over" in strange.output
    assert len(file.read_bytes()) == 24
    wrong = ironworks("drivers", "record", "rio", "--out", file, "--peer", "scada", user="egon").exception
    assert "no address of a connection (write it like 10.0.0.5" in str(wrong)
    none = ironworks("drivers", "record", "kernel", "--out", file, user="egon").exception
    assert "kernel has no traffic to record" in str(none)
    for nowhere in (tmp_path, tmp_path / "no" / "io.pcap"):
        order = ("drivers", "record", "io", "--for", "1s", "--out", nowhere)
        assert isinstance(ironworks(*order, user="egon").exception, OSError)
    assert [
        each for each in caplog.records if "asynchronous generator" in each.message
    ] == []  # all is closed
    rows = ironworks("audit", "list", user="vera").stdout
    assert [each for each in rows.splitlines() if "spikes" in each or "needs engineer" in each]


@pytest.fixture
def folder(tmp_path):
    return lay_out(tmp_path / "plant")


def test_what_is_exported_imports_without_a_change(ironworks, folder, tmp_path):
    file = tmp_path / "io.csv"
    assert "3 tags of io" in ironworks("drivers", "export", "io", "--csv", file, "--plant", folder).stdout
    assert [line.split(",")[0] for line in file.read_text().splitlines()[1:]] == [
        "io/level",
        "io/wrong",
        "out",
    ]
    assert ironworks("drivers", "export", "io", "--plant", folder).stdout == file.read_text()
    before = (folder / "tags.csv").read_text()
    assert "nothing to change" in ironworks("drivers", "import", "io", file, "--plant", folder).stdout
    assert (folder / "tags.csv").read_text() == before


def test_an_import_changes_the_tags_of_its_driver_only(ironworks, folder, tmp_path):
    file = tmp_path / "io.csv"
    file.write_text(
        "path,type,source,address,high\nio/level,REAL,io,30011:float,12\nsite/area/line/io/new,BOOL,io,10001,\n"
    )
    before = (folder / "tags.csv").read_text()
    dry = ironworks("drivers", "import", "io", file, "--plant", folder, "--dry-run").stdout
    assert f"~ {WHOLE[0]}  high: 10.0 -> 12.0, address: '30001:float' -> '30011:float'\n" in dry
    assert (folder / "tags.csv").read_text() == before
    done = json.loads(ironworks("drivers", "import", "io", file, "--plant", folder, "--json").stdout)
    assert (done["added"], done["kept"]) == (["site/area/line/io/new"], WHOLE[1:])
    lines = (folder / "tags.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [
        "given", "# what the client reads", "io/level", "io/wrong", "out", "io/new",
    ]  # fmt: skip
    removed = ironworks("drivers", "import", "io", file, "--plant", folder, "--replace").stdout
    assert f"- {WHOLE[2]}" in removed
    assert "given" in (folder / "tags.csv").read_text()


@pytest.mark.parametrize(
    ("rows", "place", "told"),
    [
        ("io/new,INT,io,50001", ":2", "50001"),
        ("io/new,INT,io,30020\nio/two,INT,rio,30021", ":3", "is of 'rio', not of 'io'"),
        ("io/new,INTT,io,30020", ":2:2", "did you mean"),
    ],
    ids=["address", "device", "type"],
)
def test_a_wrong_line_is_told_where_it_stands_and_nothing_is_written(
    ironworks, folder, tmp_path, rows, place, told
):
    file = tmp_path / "io.csv"
    file.write_text(f"path,type,source,address\n{rows}\n")
    before = (folder / "tags.csv").read_text()
    error = str(ironworks("drivers", "import", "io", file, "--plant", folder).exception)
    assert f"{file}{place}" in error
    assert told in error
    assert (folder / "tags.csv").read_text() == before


def test_a_driver_that_is_not_there_is_told_with_what_is_like_it(ironworks, folder):
    error = ironworks("drivers", "export", "ioo", "--plant", folder).exception
    assert "did you mean 'io'?" in str(error)


def test_a_plant_that_is_wrong_itself_takes_no_import(ironworks, folder, tmp_path):
    plant = folder / "plant.yaml"
    plant.write_text(plant.read_text().replace("kind: modbus.server", "kind: modbus.sever"))
    file = tmp_path / "io.csv"
    file.write_text("path,type,source,address\nio/new,INT,io,30020\n")
    before = (folder / "tags.csv").read_text()
    error = str(ironworks("drivers", "import", "io", file, "--plant", folder).exception)
    assert "no driver is named 'modbus.sever'" in error
    assert (folder / "tags.csv").read_text() == before
