"""The API's wire format of configurations: versions, plans, and what became of them."""

from __future__ import annotations

from msgspec import Struct

from runtime.online import OnlineView


class VersionView(Struct, frozen=True):
    """A version that is kept.

    Attributes:
        digest: over its files; commands take its beginning too.
        actor, action, comment: who brought it into force last, and how; empty where nobody did.
        result, detail: what became of it.
        good: it is the last version that came up.
    """

    number: int
    digest: str
    at_ns: int
    size: int
    actor: str
    action: str
    comment: str
    result: str
    detail: str
    running: bool
    good: bool


class VersionList(Struct, frozen=True):
    """Versions, newest first, and how many are kept at most."""

    versions: tuple[VersionView, ...]
    most: int


class VersionFile(Struct, frozen=True):
    path: str
    size: int
    digest: str


class VersionFiles(Struct, frozen=True):
    """The files of a version; `text` is that of the one that was asked for."""

    version: int
    files: tuple[VersionFile, ...]
    text: str | None = None


class FailureView(Struct, frozen=True):
    """The configuration that does not run because it did not come up; `version` is None if it is gone."""

    version: int | None
    reason: str
    at_ns: int


class ConfigStatus(Struct, frozen=True):
    """Which configuration runs.

    Attributes:
        running, good: numbers of versions; None where there is none.
        settling: it was begun, and has not come up yet.
        folder: `same` as what runs, `changed`, `new` where nothing ran yet, or what is wrong with the folder.
        failure: why the last good version runs in place of the folder.
    """

    running: int | None
    good: int | None
    settling: bool
    folder: str
    failure: FailureView | None


class ConfigStep(Struct, frozen=True):
    """A row of the journal: what became of a version."""

    at_ns: int
    actor: str
    action: str
    version: int
    digest: str
    comment: str
    result: str
    detail: str


class ConfigLog(Struct, frozen=True):
    """Steps, newest first."""

    steps: tuple[ConfigStep, ...]


class FieldView(Struct, frozen=True):
    """One attribute before and after; empty where there is none."""

    name: str
    old: str
    new: str


class ChangeView(Struct, frozen=True):
    """One thing that differs.

    Attributes:
        kind: `tag`, `alarm`, `driver`, `app`, `section`, `setting` or `file`.
        what: `added`, `removed` or `changed`.
        effect: how it comes into force.
        text: for files, the lines that differ.
    """

    kind: str
    name: str
    what: str
    fields: tuple[FieldView, ...]
    effect: str
    text: str


class PlanView(Struct, frozen=True):
    """How one configuration becomes another.

    Attributes:
        restarts: components that start anew; all others go on.
        needs: of those, the ones that take `--restart`; `plant` is all.
        online: programs that change while they run, and those that cannot.
    """

    changes: tuple[ChangeView, ...]
    restarts: tuple[str, ...]
    needs: tuple[str, ...]
    online: tuple[OnlineView, ...] = ()


class ConfigApplied(Struct, frozen=True):
    """A change that was made; `before` is the version that keeps what the folder was before a rollback."""

    version: int
    plan: PlanView
    before: int | None = None
