"""The audit trail's hash chain names the row that was touched, removed or inserted."""

import asyncio
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from runtime import wire
from runtime.cli.session import show_of, show_time
from runtime.clock import ManualClock
from runtime.journal import AuditEntry, Journal, audit_log
from runtime.journal.audit import Signature
from runtime.journal.chain import ALL_CELLS, CELLS, TABLES, digest, verify_audit

ROWS = 8
COLUMNS = [*ALL_CELLS.split(", ")[1:], "previous", "hash"]


def filled(path, entries):
    async def main():
        journal = Journal(path, ManualClock())
        await journal.open()
        if entries:
            await journal.append_all(entries)
        await journal.close()
        return journal

    return asyncio.run(main())


def entry(number):
    signed = (Signature("olga", "approval", 7),) if number % 3 == 0 else ()
    return AuditEntry(
        number, "ann", "operator", "api", "write", f"a/b{number}", number, number + 0.5, f"why {number}",
        signatures=signed, type="LREAL" if number % 2 else "", unit_text="°C" if number % 4 == 1 else "",
    )  # fmt: skip


def checked(path, expect=""):
    return Journal(path, ManualClock()).read_now(verify_audit, expect)


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    path = tmp_path_factory.mktemp("chain") / "journal.sqlite"
    filled(path, [entry(number) for number in range(1, ROWS + 1)])
    return path


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """The file that `tampered` changes."""
    return tmp_path_factory.mktemp("copy") / "journal.sqlite"


@pytest.fixture(scope="module")
def tampered(original, changed):
    """Return a function that changes a copy by SQL and tells the report."""

    def change(*statements):
        shutil.copy(original, changed)
        connection = sqlite3.connect(changed)
        for sql, values in statements:
            connection.execute(sql, values)
        connection.commit()
        connection.close()
        return checked(changed)

    return change


def told(report):
    return [(each.kind, each.seq) for each in report.findings]


def test_an_untouched_trail_is_whole_and_tells_its_head(original):
    report = checked(original)
    assert (report.ok, report.rows, report.head_seq, len(report.head)) == (True, ROWS, ROWS, 64)
    assert checked(original, report.head).ok
    assert told(checked(original, "ab" * 32)) == [("head", ROWS)]


_CELL = st.one_of(st.text(max_size=6), st.integers(-(2**60), 2**60), st.binary(max_size=40), st.floats(0, 1))


_ODD = ("[[1]]", "[1]", '[["a", "b", "c"]]', '[["a", "b", 1e999]]', "{}", "1e999", f"{10**30}", "[" * 99_999)


@settings(max_examples=150, deadline=None)
@given(row=st.integers(1, ROWS), column=st.sampled_from(COLUMNS), cell=_CELL)
def test_any_cell_that_is_changed_names_its_row(original, tampered, row, column, cell):
    with sqlite3.connect(original) as connection:
        (before,) = connection.execute(f"SELECT {column} FROM audit WHERE seq = ?", (row,)).fetchone()
    report = tampered((f"UPDATE audit SET {column} = ? WHERE seq = ?", (cell, row)))
    with sqlite3.connect(original.parent.parent / "none.sqlite") as scratch:  # affinity may turn 5 into '5'
        scratch.execute(f"CREATE TEMP TABLE t (c {'INTEGER' if column == 'at_ns' else 'TEXT'})")
        if column in ("previous", "hash"):
            stored = cell
        else:
            scratch.execute("INSERT INTO t VALUES (?)", (cell,))
            (stored,) = scratch.execute("SELECT c FROM t").fetchone()
    same = stored == before and type(stored) is type(before)
    assert told(report) == ([] if same else [("touched", row)])


@settings(max_examples=150, deadline=None)
@given(
    row=st.integers(1, ROWS),
    column=st.sampled_from([each for each in COLUMNS if each not in ("previous", "hash")]),
    cell=_CELL
    | st.sampled_from(["[[1]]", "[1]", '[["a", "b", "c"]]', "{}", "1e999", f"{10**30}", "[" * 9000]),
    bare=st.booleans(),
)
@example(row=1, column="new", cell=_ODD[-1], bare=False)
@example(row=1, column="signatures", cell=_ODD[-1], bare=False)
@example(row=1, column="signatures", cell=_ODD[3], bare=False)
@example(row=1, column="old", cell=f"{10**30}", bare=False)
def test_a_trail_that_somebody_wrote_in_can_still_be_listed(tampered, changed, row, column, cell, bare):
    value = f"CAST(x'{str(cell).encode().hex()}ff' AS TEXT)" if bare else "?"  # text that is not UTF-8
    tampered((f"UPDATE audit SET {column} = {value} WHERE seq = ?", (row,) if bare else (cell, row)))
    rows = Journal(changed, ManualClock()).read_now(audit_log, 100)
    entries = msgspec.convert(rows, tuple[wire.AuditEntry, ...], from_attributes=True)
    assert [each.seq for each in entries] == list(range(ROWS, 0, -1))
    msgspec.json.encode(entries)
    for each in entries:
        show_of(each, each.old), show_of(each, each.new), show_time(each.at_ns)


@settings(max_examples=30, deadline=None)
@given(first=st.integers(1, ROWS), count=st.integers(1, ROWS))
def test_rows_that_are_deleted_are_named(tampered, first, count):
    last = min(ROWS, first + count - 1)
    report = tampered(("DELETE FROM audit WHERE seq BETWEEN ? AND ?", (first, last)))
    assert told(report) == [("removed", first)]
    assert str(last) in report.findings[0].text


@settings(max_examples=30, deadline=None)
@given(rows=st.lists(st.integers(1, ROWS), min_size=2, max_size=2, unique=True), whole=st.booleans())
def test_rows_that_are_swapped_are_both_named(tampered, rows, whole):
    one, other = rows
    if whole:
        report = tampered(
            ("UPDATE audit SET seq = -1 WHERE seq = ?", (one,)),
            ("UPDATE audit SET seq = ? WHERE seq = ?", (one, other)),
            ("UPDATE audit SET seq = ? WHERE seq = -1", (other,)),
        )
    else:
        swap = "UPDATE audit SET target = (SELECT target FROM audit WHERE seq = ?) WHERE seq = ?"
        report = tampered((swap, (one, other)))
        assert told(report) == [("touched", other)]
        return
    assert told(report) == [("touched", row) for row in sorted(rows)]


@settings(max_examples=20, deadline=None)
@given(at=st.integers(0, ROWS + 2))
def test_a_row_that_is_inserted_is_named(tampered, at):
    shift = (("UPDATE audit SET seq = -seq WHERE seq >= ?", (at,)),) if 0 < at <= ROWS else ()
    back = (("UPDATE audit SET seq = 1 - seq WHERE seq < 0", ()),) if shift else ()
    rest = CELLS.removeprefix("seq, at_ns, ")
    copy = (
        f"INSERT INTO audit ({CELLS}, previous, hash)"
        f" SELECT ?, 99, {rest}, previous, hash FROM audit WHERE abs(seq) = 3"
    )
    report = tampered(*shift, (copy, (at,)), *back)
    assert not report.ok
    kind, seq = told(report)[0]
    assert kind in ("touched", "inserted", "removed")
    assert seq == min(at, ROWS + 1)


@settings(max_examples=20, deadline=None)
@given(row=st.integers(1, ROWS))
def test_a_row_with_a_hash_of_its_own_is_named(original, tampered, row):
    with sqlite3.connect(original) as connection:
        *cells, previous = connection.execute(
            f"SELECT {CELLS}, previous FROM audit WHERE seq = ?", (row,)
        ).fetchone()
    cells[2] = "mallory"
    report = tampered(
        ("UPDATE audit SET actor = 'mallory', hash = ? WHERE seq = ?", (digest(previous, *cells), row))
    )
    assert told(report) == [("touched", row)]


def test_a_head_that_is_removed_is_told_and_later_rows_do_not_hide_it(tampered, original, tmp_path):
    assert told(tampered(("DELETE FROM audit_head", ()))) == [("head", 1)]
    path = tmp_path / "journal.sqlite"
    shutil.copy(original, path)
    with sqlite3.connect(path) as connection:
        connection.execute("DELETE FROM audit WHERE seq > 5")
    filled(path, [entry(20)])
    assert told(checked(path)) == [("removed", 6)]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.text(max_size=20), st.floats() | st.text(max_size=9) | st.booleans()), max_size=5)
)
def test_any_text_and_value_is_kept_in_a_whole_chain(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("any") / "journal.sqlite"
    entries = [AuditEntry(1, text, text, text, text, text, value, value, text) for text, value in rows]
    try:
        filled(path, entries)
    finally:
        report = checked(path)
    assert report.ok
    assert report.rows == len(rows)


def test_a_journal_of_an_older_format_is_chained_as_it_is(tmp_path):
    from runtime.journal.schema import _STEPS

    path = tmp_path / "journal.sqlite"
    with sqlite3.connect(path) as connection:
        for number, step in enumerate(_STEPS[: _STEPS.index(TABLES)], 1):
            connection.executescript(f"{step}PRAGMA user_version = {number};")
        for number in range(1, 40):
            connection.execute(
                f"INSERT INTO audit ({CELLS}) VALUES (?, 5, '李', 'operator', 'http', 'write', 'a/b',"
                " '1.5', 'null', '', 'done', '')",
                (number,),
            )
    filled(path, [entry(40)])
    report = checked(path)
    assert (report.ok, report.rows) == (True, 40)


def test_a_kill_leaves_a_whole_chain(tmp_path):
    path = tmp_path / "journal.sqlite"
    code = textwrap.dedent(f"""
        import asyncio, pathlib
        from runtime.clock import WallClock
        from runtime.journal import AuditEntry, Journal, audit_log
        async def main():
            journal = Journal(pathlib.Path({str(path)!r}), WallClock())
            await journal.open()
            while True:
                entry = AuditEntry(1, "ann", "operator", "api", "write", "a/b")
                for seq in await asyncio.gather(*(journal.append(entry) for _ in range(7))):
                    print(seq, flush=True)
        asyncio.run(main())
    """)
    confirmed = 0
    for round_ in range(3):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(60 + 31 * round_):
            confirmed = max(confirmed, int(child.stdout.readline()))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        filled(path, [])
        report = checked(path)
        assert report.ok, report.findings
        assert report.rows >= confirmed


def test_the_command_checks_a_plant_that_is_stopped(tmp_path):
    from typer.testing import CliRunner

    from runtime.cli import build

    (tmp_path / "plant.yaml").write_text("plant: p\nroot: s/l\n")
    file = tmp_path / ".ironworks" / "journal.sqlite"
    file.parent.mkdir()
    filled(file, [entry(1), entry(2)])

    def run(*more):
        return CliRunner().invoke(build("audit"), ["audit", "verify", "--plant", str(tmp_path), *more])

    assert run().stdout.startswith("ok: 2 rows, head ")
    refused = run("--expect", "")  # a script that lost the head it had noted
    assert refused.exit_code == 2
    assert "a head has 64 hexadecimal digits" in refused.stderr
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE audit SET reason = 'none' WHERE seq = 1")
    result = run("--json")
    assert result.exit_code == 1
    assert '"seq":1,"kind":"touched"' in result.stdout
    assert "row 1 was touched" in run().stdout


@pytest.mark.parametrize("cell", ["none", "{}", b"\xff"])
def test_a_row_that_was_touched_is_listed_with_the_others(tmp_path, cell):
    path = tmp_path / "journal.sqlite"
    journal = filled(path, [entry(1), entry(2), entry(3)])
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE audit SET new = ? WHERE seq = 2", (cell,))
    assert [row.new for row in journal.read_now(audit_log, 9)] == [3.5, str(cell), 1.5]
