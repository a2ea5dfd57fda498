"""Restoring: a backup becomes a plant folder. All is made ready beside it, then it is there at once.

A folder that was there before is kept under another name. A kill leaves the old plant or the new one.
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from runtime import statelock
from runtime.backup.make import note
from runtime.backup.manifest import PLANT, STATE, Manifest
from runtime.backup.pack import Tell, sync
from runtime.backup.unpack import look, unpack
from runtime.config import PlantFile, load_model
from runtime.config.plant import state_folder
from runtime.endpoint import running
from runtime.errors import ConfigError, PlantError, StoreError
from runtime.journal import AuditEntry

_AT_CWD = -100
_EXCHANGE = 2


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored.

    Attributes:
        kept: where the folder went that was there before, if any.
        noted: whether the audit trail has a row that tells of it.
    """

    manifest: Manifest
    target: Path
    kept: Path | None
    noted: bool


def restore(
    file: Path, target: Path, *, force: bool, entry: AuditEntry, tell: Tell = lambda *_: None
) -> Restored:
    """Make a plant folder of a backup.

    Args:
        file: the backup.
        target: folder to make; with `force` it may be a plant that does not run.
        force: replace what is there.
        entry: the audit row to keep in the restored journal.
        tell: is told bytes done and in all.

    Raises:
        PlantError: the backup is not whole, the folder is there or its plant runs, or there is no room.
            Nothing has changed then.
    """
    target = target.resolve()
    manifest = look(file)
    there = target.exists() and (not target.is_dir() or any(target.iterdir()))
    if there and not force:
        remedy = "name a new folder, or replace it with --force: what is there is kept beside it"
        raise PlantError(f"{target} is there already", remedy)
    if target.exists() and not target.is_dir():
        raise PlantError(f"{target} is no folder", "name a folder")
    _check_stopped(target)
    fresh = target.with_name(f".{target.name}.restoring")
    with ExitStack() as stack:
        try:
            if there:
                for state in _states(target, manifest.file):
                    stack.enter_context(statelock.held(state))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o755)
            stack.callback(shutil.rmtree, fresh, ignore_errors=True)
            (fresh / STATE).mkdir(mode=0o750)  # hashes of secrets are not for everyone, here as in a plant
            unpack(file, fresh, tell)
            new, outside = _laid_out(fresh, target, manifest)
            noted = note((outside[0] if outside else _state_of(new, manifest.file)) / "journal.sqlite", entry)
            if outside:
                _put(outside[0], outside[1], entry.at_ns)
            kept = _put(new, target, entry.at_ns)
        except OSError as exc:
            raise StoreError(
                f"{exc.filename or target} cannot be made: {exc.strerror or exc}",
                "see that its disk has room; a mount point cannot be replaced: name a folder in it",
            ) from exc
    return Restored(manifest, target, kept, noted)


def _check_stopped(target: Path) -> None:
    resolved = target.resolve()
    for each in running():
        if Path(each.file).parent == resolved:
            text = f"{each.plant} runs from {target} (pid {each.pid})"
            raise PlantError(text, "stop it first: a restore replaces its stores")


def _states(target: Path, name: str) -> list[Path]:
    """Return the state folders of the plant that is there, for their locks."""
    found = [target / ".ironworks"]
    found.append(_state_of(target, name))
    return [each for each in dict.fromkeys(found) if each.is_dir()]


def _state_of(folder: Path, name: str) -> Path:
    """Return where a plant folder keeps its stores; the usual place where its plant file cannot be read."""
    try:
        return state_folder(folder / name, load_model(PlantFile, folder / name)[0])
    except ConfigError:
        return folder / ".ironworks"


def _laid_out(fresh: Path, target: Path, manifest: Manifest) -> tuple[Path, tuple[Path, Path] | None]:
    """Put the stores where the plant file wants them.

    Returns:
        The new plant folder; and where its stores are and go, if that is outside of the plant folder.
    """
    plant, state = fresh / PLANT, fresh / STATE
    plant.mkdir(exist_ok=True)
    wanted = Path(os.path.normpath(_state_of(plant, manifest.file)))
    if plant in wanted.parents:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        state.rename(wanted)
        return plant, None
    head = load_model(PlantFile, plant / manifest.file)[0]
    there = Path(os.path.normpath(target / str(head.state)))
    beside = there.with_name(f".{there.name}.restoring")
    there.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(beside, ignore_errors=True)
    shutil.move(state, beside)
    return plant, (beside, there)


def _put(new: Path, target: Path, at_ns: int) -> Path | None:
    """Let a folder take the place of another at once; return where the other one is kept."""
    if os.geteuid() == 0:
        _give(new, target if target.exists() else target.parent)
    if not target.exists() or not any(target.iterdir()):
        new.rename(target)
        sync(target.parent)
        return None
    at_s = at_ns // 1_000_000_000
    while (kept := target.with_name(f"{target.name}.before-{at_s}")).exists():  # of a restore just before
        at_s += 1
    if not _exchange(new, target):  # a file system that cannot: two steps, and both folders stay whole
        target.rename(kept)
        new.rename(target)
    else:
        new.rename(kept)
    sync(target.parent)
    return kept


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders change places in one step; False where the system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_CWD, os.fsencode(one), _AT_CWD, os.fsencode(other), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def _give(folder: Path, like: Path) -> None:
    """Give what root made to the account that has the folder there."""
    owner = like.stat()
    for found, _, names in os.walk(folder):
        for path in (Path(found), *(Path(found) / name for name in names)):
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
