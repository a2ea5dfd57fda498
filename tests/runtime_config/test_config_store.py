"""Versions on disk: the same files are the same version, putting one back loses nothing."""

import asyncio
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec import structs
from typer.testing import CliRunner

from runtime.cli import build
from runtime.clock import ManualClock
from runtime.errors import ForbiddenError, PlantError
from runtime.journal import ConfigRecord, Journal
from runtime.versions import folder as folder_module
from runtime.versions import store as store_module
from runtime.versions import views
from runtime.versions.folder import read_folder
from runtime.versions.start import choose
from runtime.versions.store import Failure, Standing, VersionStore

FILES = {"plant.yaml": "plant: p  # of ours\n", "tags.csv": "path,type\n", "plc/main.st": "PROGRAM p\n"}


@pytest.fixture
def plant(tmp_path):
    folder = tmp_path / "plant"
    write(folder, FILES)
    return folder


@pytest.fixture
def store(plant):
    return VersionStore(plant, plant / ".ironworks")


def write(folder, files):
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def texts(folder):
    content = read_folder(folder, folder / ".ironworks")
    return {name: data.decode() for name, data in content.files.items()}


def test_the_same_files_are_the_same_version(plant, store):
    first = store.keep(store.present(), 1)
    (plant / "tags.csv").write_text("path,type\na,REAL\n")
    second = store.keep(store.present(), 2)
    (plant / "tags.csv").write_text(FILES["tags.csv"])
    assert store.keep(store.present(), 3) == first
    assert [each.number for each in store.versions()] == [1, 2]
    assert store.find("2") == store.find(second.digest[:6]) == second


@pytest.mark.parametrize("name", ["running", "good", "99"])
def test_a_name_that_is_no_version_is_told_with_what_may_be_given(store, name):
    store.keep(store.present(), 1)
    with pytest.raises(PlantError, match=f"no version '{name}'") as error:
        store.find(name)
    for word in ("number", "digest", "good", "ironworks config list"):
        assert word in error.value.remedy


def test_state_caches_and_hidden_files_are_no_part_of_a_version(plant, store):
    write(plant, {".ironworks/x": "1", ".git/y": "2", "plc/__pycache__/z": "3", ".hidden": "4"})
    assert set(store.present().files) == set(FILES)
    elsewhere = VersionStore(plant, plant / "state")
    write(plant, {"state/journal.sqlite": "5"})
    assert set(elsewhere.present().files) == set(FILES)


def test_backups_in_the_plant_folder_are_no_part_of_a_version_and_outlive_a_rollback(plant, store):
    first = store.keep(store.present(), 1)
    backups = {f"backups/p-2026080{day}T000000Z.ironworks.tar.gz": "x" * day for day in (1, 2)}
    write(plant, backups | {"tags.csv": "path,type\na,REAL\n"})
    assert set(store.present().files) == set(FILES)
    store.put_back(first, 2)
    assert texts(plant) == FILES
    assert {name: (plant / name).read_text() for name in backups} == backups


def test_exports_outlive_a_rollback_and_other_files_do_not(plant, store):
    write(plant, {"alarms.csv": "old\n"})
    first = store.keep(store.present(), 1)
    write(
        plant, {"alarms.csv": "new\n", "out/level.csv": "1\n", "LEVEL.Parquet": "2\n", "plc/more.st": "x\n"}
    )
    edited = texts(plant)
    before = store.put_back(first, 2)
    exports = {"out/level.csv": "1\n", "LEVEL.Parquet": "2\n"}
    assert texts(plant) == FILES | {"alarms.csv": "old\n"} | exports
    assert store.present().without_left(store.content(first)) == store.content(first)
    assert {path: data.decode() for path, data in store.content(before).files.items()} == edited


def test_what_starts_anew_reads_what_was_applied_whatever_was_edited_since(plant, store, tmp_path):
    write(plant, {"apps/a/app.py": "1\n", "apps/b/app.py": "1\n", ".own/app.py": "1\n"})
    version = store.keep(store.present(), 1)
    a, b, place = plant / "apps/a", plant / "apps/b", store.place(version)
    assert [store.applied(version, each) for each in (a, b, plant)] == [a, b, plant]
    write(plant, {"apps/a/pid": "7\n"})  # an app wrote it
    assert store.applied(version, a) == a
    write(plant, {"apps/a/json.py": "2\n"})
    assert store.applied(version, a) == place / "apps/a"
    (plant / "apps/a/json.py").unlink()
    write(plant, {"apps/a/app.py": "2\n", ".own/app.py": "2\n", "apps/c/model": "2\n"})
    assert [store.applied(version, each) for each in (a, b, plant)] == [place / "apps/a", b, place]
    shutil.rmtree(b)
    assert store.applied(version, b) == place / "apps/b"
    assert not store.applied(version, plant / "apps/c").exists()
    (plant / "apps/elsewhere").symlink_to(tmp_path)
    for beyond in (plant / ".own", plant / "apps/elsewhere", tmp_path):
        assert store.applied(version, beyond) == beyond


def test_a_folder_that_is_too_large_is_refused_in_words(plant, store, monkeypatch):
    monkeypatch.setattr(folder_module, "MOST_FILES", 2)
    with pytest.raises(PlantError, match="more than 2 files"):
        store.present()
    monkeypatch.setattr(folder_module, "MOST_FILES", 2000)
    monkeypatch.setattr(folder_module, "MOST_BYTES", 20)
    with pytest.raises(PlantError, match="MiB"):
        store.present()


def test_a_name_that_is_not_utf_8_is_told_and_the_plant_runs_without_versions(plant, store):
    write(plant, {"plant.yaml": "plant: p\nroot: site\n", os.fsdecode("第一班.txt".encode("gbk")): "x"})
    with pytest.raises(PlantError, match="that name is not UTF-8"):
        store.present()
    assembly, beginning = choose(plant, 1)
    assert assembly.plant.name == "p"
    assert beginning is None


def test_a_difference_shows_every_digit_that_differs(plant, store):
    tags = "path,type,low,high\nlevel,REAL,{},{}\n"
    write(plant, {"plant.yaml": "plant: p\nroot: site\n", "tags.csv": tags.format(0, 1234567)})
    first = store.keep(store.present(), 1)
    write(plant, {"tags.csv": tags.format(0.00001234567, 1234568)})
    (change,) = views.difference(store, (str(first.number), "folder"), "plant.yaml").changes
    assert [(each.name, each.old, each.new) for each in change.fields] == [
        ("low", "0", "1.234567e-05"), ("high", "1234567", "1234568")
    ]  # fmt: skip


def test_secrets_in_the_folder_are_shown_to_those_only_who_may_know_them(plant, store):
    hashed = "$argon2id$v=19$m=65536,t=3,p=4$zQCUjK2DvzOp+kM8dRA$N3aBsXtukkfKH0XnaoN/8jzh1JS"
    head = f'plant: p\nusers: [{{name: ada, secret: "{hashed}"}}]\nx: {{password_file: ./db/pw}}\n'
    write(plant, {"plant.yaml": head, "db/pw": "hunter2", "tls.key": "-----BEGIN EC PRIVATE KEY-----\n"})
    store.keep(store.present(), 1)
    told = views.files(store, "1", "plant.yaml", secrets=False).text
    assert told == head.replace(hashed, "(kept secret)")
    for name in ("db/pw", "tls.key"):
        with pytest.raises(ForbiddenError, match="is secret"):
            views.files(store, "1", name, secrets=False)
        assert views.files(store, "1", name).text
    write(plant, {"plant.yaml": head + "  - broken", "db/pw": "hunter3", "tls.key": ""})
    differing = {
        each.name: each.text for each in views.difference(store, ("1", "folder"), "plant.yaml").changes
    }
    assert differing.keys() == {"db/pw", "plant.yaml", "tls.key"}
    assert not any(each in str(differing) for each in ("hunter", "argon2", "PRIVATE"))


def test_the_log_of_a_stopped_plant_is_as_long_as_it_is_asked_for(plant, store, monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(plant.parent / "run"))
    monkeypatch.setattr(views, "LOG_ROWS", 2)
    store.state.mkdir()

    async def note():
        journal = Journal(store.state / "journal.sqlite", ManualClock())
        await journal.open()
        for number in range(4):
            await journal.append(ConfigRecord(number, "ana", "apply", number, "d", "", "applied"))
        await journal.close()

    asyncio.run(note())
    command = ["config", "log", "--limit", "3", "--plant", str(plant), "--json"]
    result = CliRunner().invoke(build("config"), command)
    assert result.exit_code == 0, result.exception
    assert [each["version"] for each in json.loads(result.stdout)] == [3, 2, 1]


def test_putting_back_keeps_comments_and_present_edits(plant, store):
    first = store.keep(store.present(), 1)
    write(plant, {"plant.yaml": "plant: q\n", "plc/more.st": "x\n"})
    (plant / "plc/main.st").unlink()
    edited = texts(plant)
    before = store.put_back(first, 2)
    assert texts(plant) == FILES
    store.put_back(before, 3)
    assert texts(plant) == edited


def test_a_damaged_version_is_not_put_back(plant, store):
    version = store.keep(store.present(), 1)
    (store.place(version) / "tags.csv").write_text("something else\n")
    write(plant, {"tags.csv": "mine\n"})
    with pytest.raises(PlantError, match="damaged"):
        store.put_back(version, 2)
    assert texts(plant)["tags.csv"] == "mine\n"


def test_the_oldest_versions_go_but_never_what_the_plant_stands_on(plant, store, monkeypatch):
    monkeypatch.setattr(store_module, "KEPT", 3)
    made = []
    for number in range(7):
        (plant / "tags.csv").write_text(f"path,type\n# {number}\n")
        made.append(store.keep(store.present(), number))
        if number == 0:
            store.stand(Standing(good=made[0].digest))
    assert [each.number for each in store.versions()] == [1, 5, 6, 7]
    assert store.find("good") == made[0]


def test_rolling_back_to_the_oldest_version_keeps_it(plant, store, monkeypatch):
    monkeypatch.setattr(store_module, "KEPT", 3)
    oldest = store.keep(store.present(), 0)
    for number in (1, 2):
        (plant / "tags.csv").write_text(f"path,type\n# {number}\n")
        store.keep(store.present(), number)
    (plant / "tags.csv").write_text("path,type\n# never applied\n")
    before = store.put_back(oldest, 3)
    assert [each.number for each in store.versions()] == [1, 2, 3, before.number]
    assert store.keep(store.present(), 4) == oldest


def test_a_rollback_to_the_oldest_version_that_a_kill_interrupts_is_completed(plant, store, monkeypatch):
    monkeypatch.setattr(store_module, "KEPT", 2)
    oldest = store.keep(store.present(), 0)
    (plant / "tags.csv").write_text("path,type\n# newer\n")
    store.keep(store.present(), 1)
    (plant / "plant.yaml").write_text("plant: q\n")
    with monkeypatch.context() as patch:
        patch.setattr(store, "_complete", killed)
        with pytest.raises(KeyboardInterrupt):
            store.put_back(oldest, 2)
    (plant / "plc/main.st").write_text("PROGRAM q\n")
    edited = texts(plant)
    assert store.finish(3) == oldest
    assert texts(plant) == FILES
    assert edited in [texts(store.place(each)) for each in store.versions()]


@pytest.mark.parametrize("both", [False, True])
def test_an_interrupted_rollback_to_what_is_damaged_by_now_stops_no_start(plant, store, monkeypatch, both):
    first = store.keep(store.present(), 0)
    (plant / "tags.csv").write_text("path,type\n# newer\n")
    newer = store.keep(store.present(), 1)
    wanted = texts(plant)
    with monkeypatch.context() as patch:
        patch.setattr(store, "_complete", killed)
        with pytest.raises(KeyboardInterrupt):
            store.put_back(first, 2)
    (plant / "tags.csv").write_text("half")
    (store.place(first) / "tags.csv").write_text("damaged")
    if both:
        shutil.rmtree(store.place(newer))
    assert store.finish(3) == (None if both else newer)
    assert texts(plant) == ({**wanted, "tags.csv": "half"} if both else wanted)
    assert store.finish(4) is None


def killed(*_):
    raise KeyboardInterrupt


def test_what_a_kill_left_of_a_version_that_goes_is_cleared_away(plant, store, monkeypatch):
    monkeypatch.setattr(store_module, "KEPT", 1)
    first = store.keep(store.present(), 0)
    (plant / "tags.csv").write_text("path,type\n# 1\n")
    with monkeypatch.context() as patch:
        patch.setattr(store_module.shutil, "rmtree", lambda *_, **__: None)
        store.keep(store.present(), 1)
    assert store.place(first).is_dir()
    (plant / "tags.csv").write_text("path,type\n# 2\n")
    store.keep(store.present(), 2)
    assert not store.place(first).exists()


def test_changes_of_the_standing_from_two_sides_are_both_kept(store):
    def start_often(_):
        for _ in range(40):
            store.restand(lambda now: structs.replace(now, starts=now.starts + 1))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(start_often, range(2)))
    assert store.standing().starts == 80


def test_a_version_is_by_who_applied_it_also_after_it_started_and_returned(plant, store):
    version = store.keep(store.present(), 1)
    told = [
        ("config", "return", "", "applied"),
        ("config", "start", "", "good"),
        ("config", "start", "", "applied"),
        ("erna", "apply", "new tank", "applied"),
        ("olga", "apply", "try", "applied"),
    ]
    log = [ConfigRecord(9, by, what, 1, version.digest, why, result) for by, what, why, result in told]
    (shown,) = views.versions(store, log, version).versions
    assert (shown.actor, shown.action, shown.comment) == ("erna", "apply", "new tank")
    (shown,) = views.versions(store, log[:3], version).versions
    assert (shown.actor, shown.action) == ("config", "return")


def test_the_standing_survives_and_a_damaged_one_says_nothing(store):
    standing = Standing("g", "t", 2, Failure("f", "why", 5))
    store.stand(standing)
    assert store.standing() == standing
    (store.root / "standing.json").write_text("{")
    assert store.standing() == Standing()


KILL = """
import os, sys
from pathlib import Path
from runtime.versions.store import VersionStore, Standing

folder, step, version = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
count = 0

def deadly(real):
    def call(*args, **options):
        global count
        count += 1
        if count == step:
            os._exit(9)
        return real(*args, **options)
    return call

os.fsync = deadly(os.fsync)
for name in ("replace", "unlink", "rename", "mkdir", "open"):
    setattr(Path, name, deadly(getattr(Path, name)))
store = VersionStore(folder, folder / ".ironworks")
store.put_back(store.find(version), 9)
"""


def test_a_kill_at_any_step_of_a_rollback_leaves_old_or_new(plant, store, tmp_path):
    """Each step in a process of its own that ends there; then what the next start does."""
    write(plant, {"plc/only_old.st": "a\n"})
    first = store.keep(store.present(), 1)
    old = texts(plant)
    (plant / "plc/only_old.st").unlink()
    write(plant, {"tags.csv": "path,type\nnew,REAL\n", "plc/only_new.st": "b\n"})
    new = texts(plant)
    (tmp_path / "kill.py").write_text(KILL)
    seen = []
    step = 1
    while True:
        command = [sys.executable, str(tmp_path / "kill.py"), str(plant), str(step), str(first.number)]
        code = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(Path.cwd())}, check=False
        ).returncode
        assert code in (0, 9), code
        store.finish(10)
        now = texts(plant)
        assert now in (old, new), step
        seen.append(now == old)
        kept = {store.content(each).digest for each in store.versions()}
        assert store.present().digest in kept or now == new
        assert all(texts(store.place(each)) in (old, new) for each in store.versions())  # and no mixture
        if code == 0:
            break
        for name in set(now) - set(new):
            (plant / name).unlink()
        write(plant, new)
        step += 1
    assert seen[-1]
    assert not seen[0]
    assert step > 10
    assert any(texts(store.place(each)) == new for each in store.versions())
