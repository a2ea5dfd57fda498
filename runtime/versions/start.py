"""Which configuration a start runs: the folder's, or the last good one where that does not come up."""

from __future__ import annotations

import logging
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from runtime.assembly import Assembly, assemble, plant_file
from runtime.config import PlantFile, load_model
from runtime.config.plant import state_folder
from runtime.errors import ConfigError, PlantError
from runtime.versions.folder import Content
from runtime.versions.store import Failure, Standing, Version, VersionStore

log = logging.getLogger(__name__)
STARTS = 3
_READINGS = 10  # of a folder that changes meanwhile
_STATE = re.compile(r"^state:\s*[\"']?([^\"'#\n]+)", re.MULTILINE)


@dataclass(frozen=True)
class Beginning:
    """What a start runs.

    Attributes:
        content: the files of what runs.
        failure: why that is another version and not the folder as it is; `folder` is that folder then.
        error: what is wrong with the folder, where it has errors.
        fallback: whether the plant may return to the last good version later, too.
    """

    store: VersionStore
    content: Content
    folder: Content
    failure: Failure | None = None
    error: ConfigError | None = None
    fallback: bool = True


def store_of(file: Path) -> VersionStore:
    """Return the versions of a plant file, be it ever so wrong."""
    try:
        state = state_folder(file, load_model(PlantFile, file)[0])
    except ConfigError:
        text = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
        named = _STATE.search(text)
        head = PlantFile(plant="unknown", root="unknown", state=named[1].strip() if named else None)
        state = state_folder(file, head)
    return VersionStore(file.parent, state)


def choose(target: Path, now_ns: int, *, fallback: bool = True) -> tuple[Assembly, Beginning | None]:
    """Return what to run, checked if it is not the folder itself; a rack has no versions of its own.

    Nothing is recorded yet: another kernel may run the plant.

    Raises:
        ConfigError: the folder has errors, and there is no last good version to run.
        PlantError: there is no plant.
    """
    file = plant_file(target)
    store = store_of(file)
    if version := store.finish(now_ns):
        log.warning("a rollback that was interrupted: the folder is version %s now", version)
    for _ in range(_READINGS):
        try:
            content = store.present()
        except PlantError as exc:
            log.warning("no version is kept: %s", exc)
            return assemble(file), None
        try:
            found = _choose(file, store, content, now_ns, fallback)
        except ConfigError:
            if store.present().digest == content.digest:
                raise
        else:
            if found[1] is None or store.present().digest == content.digest:
                return found
    log.warning("the plant folder changes while it is read; what was read last runs")
    return _choose(file, store, store.present(), now_ns, fallback)


def _choose(
    file: Path, store: VersionStore, content: Content, now_ns: int, fallback: bool
) -> tuple[Assembly, Beginning | None]:
    """Return what to run where the folder holds this content."""
    standing = store.standing()
    others = _others(store, standing, content) if fallback else []
    failure = _failed_before(standing, content, now_ns) if others else None
    error: ConfigError | None = None
    if failure is None:
        try:
            assembly = assemble(file)
            if assembly.plant.head.rack:
                return assembly, None
            if others:
                _check(assembly)
            return assembly, Beginning(store, content, content, fallback=fallback)
        except ConfigError as exc:
            if not others:
                raise
            error = exc
            failure = Failure(content.digest, reason_of(exc), now_ns)
    for version in others[:-1]:
        try:
            assembly = assemble_version(store, version, file)
            return assembly, Beginning(store, store.content(version), content, failure, error)
        except PlantError as exc:
            log.warning("version %s does not run either: %s", version, exc)
    assembly = assemble_version(store, others[-1], file)
    return assembly, Beginning(store, store.content(others[-1]), content, failure, error)


def assemble_version(store: VersionStore, version: Version, file: Path) -> Assembly:
    """Return a version as it was kept, to run in the place of a plant file.

    Raises:
        PlantError: it is damaged, or has errors for this Ironworks.
    """
    store.content(version)
    place = store.place(version)
    assembly = assemble(place / file.name)
    assembly = replace(assembly, plant=replace(assembly.plant, file=file, content=place))
    _check(assembly)  # with the plant's own state folder: what it compiles is kept there
    return assembly


def _check(assembly: Assembly) -> None:
    errors = [each for each in assembly.check() if each.severity == "error"]
    if errors:
        raise ConfigError(errors)


def reason_of(error: ConfigError) -> str:
    """Return the first finding, and how many there are."""
    more = len(error.findings) - 1
    first = str(error.findings[0]).partition("\n")[0]
    return first + (f" (and {more} more)" if more else "")


def _others(store: VersionStore, standing: Standing, content: Content) -> list[Version]:
    """Return what may run in place of the folder: what was begun last, then what came up last."""
    digests = [standing.trying] if standing.starts < STARTS else []
    found = []
    for digest in dict.fromkeys((*digests, standing.good)):
        if digest and digest != content.digest:
            with suppress(PlantError):  # it is not there any more
                found.append(store.find(digest))
    return found


def _failed_before(standing: Standing, content: Content, now_ns: int) -> Failure | None:
    if standing.failure and standing.failure.digest == content.digest:
        return standing.failure
    if standing.trying == content.digest and standing.starts >= STARTS:
        reason = f"the kernel ended {standing.starts} times before it had come up"
        return Failure(content.digest, reason, now_ns)
    return None
