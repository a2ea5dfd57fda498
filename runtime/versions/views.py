"""Versions as the API and the command line show them, of a plant that runs or not."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runtime.configview import (
    ChangeView,
    ConfigStatus,
    FailureView,
    PlanView,
    VersionFile,
    VersionFiles,
    VersionList,
    VersionView,
)
from runtime.errors import ConfigError, ForbiddenError, PlantError
from runtime.journal import ConfigRecord
from runtime.versions.difference import Plan, Side, compare
from runtime.versions.folder import digest_of
from runtime.versions.hidden import is_secret, without_hashes
from runtime.versions.start import assemble_version
from runtime.versions.store import KEPT, Version, VersionStore

LOG_ROWS = 1000
FOLDER = "folder"
_BY_PEOPLE = ("apply", "rollback")


def versions(store: VersionStore, log: Sequence[ConfigRecord], running: Version | None) -> VersionList:
    """Return all versions, newest first."""
    last: dict[str, ConfigRecord] = {}
    begun: dict[str, ConfigRecord] = {}
    chosen: dict[str, ConfigRecord] = {}
    for record in log:  # newest first
        last.setdefault(record.digest, record)
        if record.result == "applied":
            begun.setdefault(record.digest, record)
            if record.action in _BY_PEOPLE:
                chosen.setdefault(record.digest, record)
    standing = store.standing()
    views = []
    for each in reversed(store.versions()):
        step = last.get(each.digest)
        first = chosen.get(each.digest) or begun.get(each.digest, step)
        told = (
            (first.actor, first.action, first.comment, step.result, step.detail)
            if step and first
            else ("",) * 5
        )
        is_running = running is not None and running.digest == each.digest
        views.append(
            VersionView(
                each.number,
                each.digest,
                each.at_ns,
                each.size,
                *told,
                is_running,
                each.digest == standing.good,
            )
        )
    return VersionList(tuple(views), KEPT)


def files(store: VersionStore, name: str, file: str | None = None, *, secrets: bool = True) -> VersionFiles:
    """Return the files of a version, and the text of one of them; without `secrets` what is none in it.

    Raises:
        PlantError: there is no such version or file, or it is not text.
        ForbiddenError: all of it is secret.
    """
    version = store.find(name)
    content = store.content(version)
    text = None
    if file is not None:
        if file not in content.files:
            raise PlantError(f"version {version} has no file {file!r}", "`ironworks config show` lists them")
        if not secrets and is_secret(content, file):
            raise ForbiddenError(f"{file} is secret", "ask an admin")
        try:
            text = content.files[file].decode("utf-8-sig")
        except UnicodeDecodeError as exc:
            place = store.place(version) / file
            raise PlantError(f"{file} is not text", f"it lies in {place}") from exc
        text = text if secrets else without_hashes(text)
    listed = [VersionFile(path, len(data), digest_of(data)) for path, data in sorted(content.files.items())]
    return VersionFiles(version.number, tuple(listed), text)


def status(store: VersionStore, running: Version | None, settling: bool) -> ConfigStatus:
    """Return which version runs, and how the folder stands to it."""
    standing = store.standing()
    numbers = {each.digest: each.number for each in store.versions()}
    compared = running.digest if running else standing.trying or standing.good
    try:
        here = store.present().digest
        folder = "same" if here == compared else "changed" if compared else "new"
    except PlantError as exc:
        folder = exc.text
    failure = None
    if standing.failure:
        failed = standing.failure
        failure = FailureView(numbers.get(failed.digest), failed.reason, failed.at_ns)
    return ConfigStatus(
        running.number if running else None, numbers.get(standing.good), settling, folder, failure
    )


def side_of(store: VersionStore, name: str, file_name: str) -> Side:
    """Return a version, or the folder as it is; with what it means if it has no errors.

    Raises:
        PlantError: there is no such version.
    """
    from runtime.assembly import assemble

    plant_file = store.folder / file_name
    if name == FOLDER:
        content = store.present()
        try:
            return Side.of(content, assemble(plant_file))
        except ConfigError:
            return Side.of(content, None)
    version = store.find(name)
    content = store.content(version)
    try:
        return Side.of(content, assemble_version(store, version, plant_file))
    except ConfigError:
        return Side.of(content, None)


def difference(store: VersionStore, names: tuple[str, str], file_name: str) -> PlanView:
    """Return what differs between two versions, or a version and the folder.

    Raises:
        PlantError: there is no such version.
    """
    return plan_view(compare(*(side_of(store, name, file_name) for name in names)))


def plan_view(plan: Plan) -> PlanView:
    """Return a plan in the API's shape."""
    changes = msgspec.convert(plan.changes, tuple[ChangeView, ...], from_attributes=True)
    return PlanView(changes, plan.restarts, plan.needs, plan.online)
