"""The archive: whatever was done to it after it was written is refused in words, and writes nowhere else."""

import gzip
import hashlib
import io
import json
import resource
import tarfile
from pathlib import Path

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from runtime.backup.manifest import FORMAT, LARGEST, Manifest, parse
from runtime.backup.pack import Source, entries, packed, write_whole
from runtime.backup.unpack import unpack, verify
from runtime.errors import StoreError

FILES = {
    "plant/plant.yaml": b"plant: p\n",
    "plant/plc/main.st": b"x" * 3000,
    "state/history/a.parquet": bytes(range(256)) * 9,
    "state/journal.sqlite": bytes(70_000),
}


def made(folder, files=FILES):
    """Return the bytes of a backup of some files."""
    sources = []
    for number, (name, content) in enumerate(files.items()):
        file = folder / f"{number}-{Path(name).name}"
        file.write_bytes(content)
        sources.append(Source(name, file))
    manifest = Manifest(FORMAT, "1", "p", "plant.yaml", 1_700_000_000 * 10**9, entries(sources))
    return b"".join(packed(manifest, sources))


def content(folder):
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()
    }


@settings(max_examples=25, deadline=None)
@given(
    st.dictionaries(
        st.lists(st.sampled_from(["a", "ü", "名", "b" * 120]), min_size=1, max_size=3).map("/".join),
        st.binary(max_size=2000),
        max_size=5,
    )
)
def test_what_is_packed_comes_back(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("x")
    wanted = {f"plant/{name}.txt": data for name, data in files.items()}
    (folder / "b").write_bytes(made(folder, wanted))
    (folder / "out").mkdir()
    unpack(folder / "b", folder / "out")
    assert content(folder / "out") == wanted
    with tarfile.open(folder / "b") as plain:  # any tar reads it
        assert plain.getnames() == ["manifest.json", *wanted]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_bit_is_refused_or_changes_nothing(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("x")
    archive = bytearray(made(folder))
    place = data.draw(st.integers(0, 8 * len(archive) - 1))
    archive[place // 8] ^= 1 << place % 8
    (folder / "b").write_bytes(archive)
    (folder / "out").mkdir()
    try:  # a few bits say nothing: the time in gzip's header, the filling between blocks
        unpack(folder / "b", folder / "out")
    except StoreError:
        return
    assert content(folder / "out") == FILES


@pytest.mark.parametrize("share", [0.05, 0.3, 0.6, 0.95])
def test_a_changed_byte_of_a_file_is_refused(tmp_path, share):
    archive = bytearray(made(tmp_path))
    archive[int(share * len(archive))] ^= 255
    (tmp_path / "b").write_bytes(archive)
    with pytest.raises(StoreError):
        verify(tmp_path / "b")


@settings(max_examples=40, deadline=None)
@given(st.floats(0, 1, exclude_max=True), st.binary(max_size=3))
@example(share=0.9999999999999998, more=b"\1")
def test_a_cut_file_is_refused(tmp_path_factory, share, more):
    folder = tmp_path_factory.mktemp("x")
    archive = made(folder)
    cut = archive[: int(share * len(archive))] + more
    assume(not cut.startswith(archive))  # what was cut off can be put back
    (folder / "b").write_bytes(cut)
    with pytest.raises(StoreError):
        verify(folder / "b")


def forged(file, names, members, size=None):
    """Write an archive with a manifest of files that are said to be there, and other members."""
    files = [
        {
            "path": name,
            "size": len(data) if size is None else size,
            "sha256": hashlib.sha256(data).hexdigest(),
        }
        for name, data in names
    ]
    words = json.dumps(
        {"format": 1, "ironworks": "1", "plant": "p", "file": "plant.yaml", "at_ns": 0, "files": files}
    ).encode()
    with tarfile.open(file, "w:gz") as out:
        head = tarfile.TarInfo("manifest.json")
        head.size = len(words)
        out.addfile(head, io.BytesIO(words))
        for info, data in members:
            info.size = len(data) if info.isreg() else info.size
            out.addfile(info, io.BytesIO(data))
    return file


def link(name, kind, to):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


@pytest.mark.parametrize(
    "name",
    [
        "plant/../../x",
        "/etc/x",
        "plant//x",
        "plant/./x",
        "x",
        "other/x",
        "plant/a\nb",
        "plant/" + "x" * 300,
        "state/..",
    ],
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    file = forged(tmp_path / "b", [(name, b"1")], [(tarfile.TarInfo(name), b"1")])
    (tmp_path / "in" / "out").mkdir(parents=True)
    with pytest.raises(StoreError, match="names the file"):
        unpack(file, tmp_path / "in" / "out")
    assert content(tmp_path / "in") == {}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE]
)
def test_only_plain_files_are_taken(tmp_path, kind):
    file = forged(tmp_path / "b", [("plant/x", b"")], [(link("plant/x", kind, "/etc/passwd"), b"")])
    (tmp_path / "out").mkdir()
    with pytest.raises(StoreError, match="no plain file"):
        unpack(file, tmp_path / "out")


def test_a_file_below_a_file_is_refused(tmp_path):
    both = [("plant/x", b""), ("plant/x/y", b"")]
    with pytest.raises(StoreError, match="as a file and as a folder"):
        verify(forged(tmp_path / "b", both, [(tarfile.TarInfo(name), data) for name, data in both]))


def test_more_than_the_manifest_lists_is_refused(tmp_path):
    extra = [(tarfile.TarInfo("plant/x"), b"1"), (tarfile.TarInfo("plant/y"), b"2")]
    with pytest.raises(StoreError, match="more than its manifest"):
        verify(forged(tmp_path / "b", [("plant/x", b"1")], extra))
    with pytest.raises(StoreError, match="is missing"):
        verify(forged(tmp_path / "c", [("plant/x", b"1")], []))


def test_a_bomb_is_stopped_at_what_it_says(tmp_path):
    zeros = bytes(4 << 20)
    small = forged(tmp_path / "b", [("plant/x", b"1")], [(tarfile.TarInfo("plant/x"), zeros)])
    with pytest.raises(StoreError, match="is missing"):
        verify(small)
    (tmp_path / "out").mkdir()
    honest = forged(tmp_path / "c", [("plant/x", zeros)], [(tarfile.TarInfo("plant/x"), zeros)], size=1 << 49)
    with pytest.raises(StoreError, match="MiB free"):
        unpack(honest, tmp_path / "out")


def test_a_huge_header_is_not_read_into_memory(tmp_path):
    for kind in (tarfile.GNUTYPE_LONGNAME, tarfile.XHDTYPE):
        info = tarfile.TarInfo("manifest.json")
        info.type, info.size = kind, LARGEST * 16
        (tmp_path / "b").write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)))
        with pytest.raises(StoreError, match=r"too long|no plain file"):
            verify(tmp_path / "b")


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_with_a_size_below_nothing_is_refused(tmp_path, kind):
    info = tarfile.TarInfo("manifest.json")
    info.type, info.size = kind, -1
    (tmp_path / "b").write_bytes(gzip.compress(info.tobuf(tarfile.GNU_FORMAT) + bytes(4096)))
    with pytest.raises(StoreError, match="no size that can be"):
        verify(tmp_path / "b")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (b"", "cannot be read"),
        (b"\xff", "cannot be read"),
        (b'{"format": 1}', "cannot be read"),
        (b'{"format": 99}', "later Ironworks"),
        (b'{"format": "x"}', "cannot be read"),
        (b'{"format": 1, "x": ' + b"[" * 100_000, "cannot be read"),
        (
            b'{"format": 1, "ironworks": "", "plant": "", "file": "../x", "at_ns": 0, "files": []}',
            "names the plant file",
        ),
    ],
    ids=range(7),
)
def test_a_wrong_manifest_is_told(words, told):
    with pytest.raises(StoreError) as error:
        parse(words)
    assert told in str(error.value)


@pytest.mark.parametrize("data", [b"", b"hello", gzip.compress(b""), gzip.compress(bytes(2048))], ids=len)
def test_what_is_no_backup_is_told(tmp_path, data):
    (tmp_path / "b").write_bytes(data)
    with pytest.raises(StoreError) as error:
        verify(tmp_path / "b")
    assert str(tmp_path / "b") in error.value.text
    assert "b'" not in error.value.text


def test_a_full_disk_is_told_and_nothing_is_left(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(StoreError, match="cannot be written"):
            write_whole(tmp_path / "b", (bytes(30_000) for _ in range(10)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_is_never_overwritten(tmp_path):
    (tmp_path / "b").write_text("mine")
    with pytest.raises(StoreError, match="there already"):
        write_whole(tmp_path / "b", [b"yours"])
    assert (tmp_path / "b").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_changes_meanwhile_is_told(tmp_path):
    (tmp_path / "x").write_bytes(b"1")
    source = [Source("plant/x", tmp_path / "x")]
    manifest = Manifest(FORMAT, "1", "p", "plant.yaml", 0, entries(source))
    (tmp_path / "x").write_bytes(b"2")
    with pytest.raises(StoreError, match="changed while"):
        list(packed(manifest, source))
