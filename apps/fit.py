"""`ironworks app fit`: history from the running plant or from virtual time, a model from the app."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from apps.errors import FitError
from apps.fitting import Excluded, Fitted, History
from apps.installed import Installed
from apps.models.onnx import Model, open_session, verify
from apps.models.registry import Card, write_model
from apps.runner.loader import attribute, told
from apps.sdk import Context
from runtime.client import PlantClient
from runtime.clock import SECOND_NS
from runtime.config import Plant, TagList
from runtime.contract import Quality, Value
from runtime.errors import PlantError
from runtime.wire import AlarmView, JournalEntry

CHUNK_S = 600.0
LIMIT = 100_000
GOLDEN_RATIO = 0.6180339887498949
BEFORE_ALARM_NS = 30 * 60 * SECOND_NS
AFTER_ALARM_NS = 5 * 60 * SECOND_NS
LIBRARIES = ("ironworks", "numpy", "onnx", "onnxruntime")


@dataclass(frozen=True)
class Variation:
    """A tag that is set anew at times while the plant plays, so that its span is covered evenly."""

    path: str
    low: float
    high: float

    @classmethod
    def parse(cls, text: str) -> Variation:
        """Read `PATH=LOW..HIGH`.

        Raises:
            PlantError: it is not of that shape.
        """
        path, _, span = text.partition("=")
        low, _, high = span.partition("..")
        try:
            made = cls(path, float(low), float(high))
        except ValueError:
            made = cls(path, math.nan, math.nan)
        if not math.isfinite(made.high - made.low):
            remedy = "write it like line/speed_sp_bpm=24..40"
            raise PlantError(f"{text!r} is not PATH=LOW..HIGH", remedy)
        return made

    def value(self, turn: int) -> float:
        """Return the value of a turn: a low-discrepancy sequence, the same each time."""
        span = self.high - self.low
        digits = 1 - math.floor(math.log10(abs(span))) if span else 1
        return round(self.low + span * (turn * GOLDEN_RATIO % 1), max(1, 1 + digits))


def fit_app(installed: Installed, plant: str, reads: Sequence[str], history: History) -> tuple[Card, Fitted]:
    """Fit an app's model on history and write it.

    Raises:
        FitError: the app cannot be fitted, or not on this history; says why.
    """
    manifest = installed.manifest
    if manifest.fit is None or installed.model is None:
        raise FitError(f"{installed.name} has nothing to fit", "its manifest has no `fit:`")
    context = Context(
        installed.name, installed.parameters, manifest.budget.period, tuple(reads), installed.model
    )
    function = attribute(installed.folder, manifest.fit)
    try:
        made = function(history, context)
    except (PlantError, MemoryError):
        raise
    except Exception as exc:
        text = f"{manifest.fit} failed{told(exc, installed.folder)}"
        raise FitError(text, "correct the app's fit") from exc
    if not isinstance(made, Fitted):
        raise FitError(f"{manifest.fit} returned no apps.fitting.Fitted", "correct the app's fit")
    card = Card(
        app=manifest.name,
        app_version=manifest.version,
        plant=plant,
        source=history.source,
        start_ns=history.start_ns,
        end_ns=history.end_ns,
        samples=made.samples,
        parameters=dict(installed.parameters),
        facts=dict(made.facts),
        libraries={name: version(name) for name in LIBRARIES},
        sha256={},
    )
    verify(Model(card, open_session(made.model)), made.golden, f"the model of {manifest.fit}")
    return write_model(installed.model, made.model, made.golden, card), made


def reads_of(tags: TagList, root: str, installed: Installed) -> list[str]:
    """Return the paths, relative to the root, of the tags that an app reads."""
    found = tags.select(*installed.manifest.permissions.reads).tolist()
    return [tags[id_].path.removeprefix(f"{root}/") for id_ in found if tags[id_].source != installed.name]


def play(
    file: Path, installed: Installed, seconds: float, variations: Sequence[Variation] = ()
) -> Iterator[float | tuple[Plant, History]]:
    """Play a plant in virtual time; yields the seconds played, last the plant and its history."""
    from apps.section import plugin
    from runtime.testing.virtual import VirtualPlant

    with plugin.standing_by():
        virtual = VirtualPlant(file, record=False)
        plant = virtual.plant
        paths = reads_of(plant.tags, plant.root, installed)
        ids = np.array([plant.tags[path].id for path in paths], np.int32)
        journal = virtual.bus.journal(ids)
        points: dict[str, list[tuple[int, Value | None, int]]] = {path: [] for path in paths}
        for each in variations:
            if each.path not in plant.tags:
                raise PlantError(f"--vary: there is no tag {each.path!r}", plant.tags.close_to(each.path))
        by_id = dict(zip(ids.tolist(), paths, strict=True))
        turn = 0
        while virtual.seconds < seconds:
            for each in variations:
                whole = plant.tags[each.path].data_type.kind in "iu"
                virtual.write(each.path, round(each.value(turn)) if whole else each.value(turn))
            turn += 1
            virtual.run_for(min(CHUNK_S, seconds - virtual.seconds))
            while (batch := journal.take()) is not None:
                for sample in batch:
                    if sample.quality == Quality.BAD_WAITING_FOR_INITIAL_DATA:
                        continue
                    data_type = plant.tags[sample.id].data_type
                    bad = Quality.is_bad(sample.quality)
                    value = None if bad else data_type.decode(sample.raw, sample.text)
                    points[by_id[sample.id]].append((sample.source_ns, value, sample.quality))
            yield virtual.seconds
        end_ns = virtual.clock.now_ns()
        yield plant, History("virtual", virtual.start_ns, end_ns, points)


async def recall(
    client: PlantClient, installed: Installed, start_ns: int, end_ns: int
) -> tuple[str, list[str], History]:
    """Return the name, the read paths and the history of a running plant; alarmed times are left out."""
    info = await client.info()
    prefix = f"{info.root}/"
    found = await client.tags(*installed.manifest.permissions.reads)
    paths = [tag.path for tag in found if tag.source != installed.name]
    points: dict[str, list[tuple[int, Value | None, int]]] = {path.removeprefix(prefix): [] for path in paths}
    for series in await client.history(paths, 0, start_ns, 1):  # what has not changed since is not stored
        points[series.path.removeprefix(prefix)] += series.points
    step_ns = round(CHUNK_S * SECOND_NS)
    for at_ns in range(start_ns, end_ns, step_ns):
        for series in await client.history(paths, at_ns, min(at_ns + step_ns, end_ns), LIMIT):
            points[series.path.removeprefix(prefix)] += series.points
    folders = {path.rpartition("/")[0] for path in paths}
    watched = {
        alarm.name: alarm
        for alarm in await client.alarms(all=True)
        if alarm.tag.rpartition("/")[0] in folders
        and alarm.name not in {own.name for own in installed.manifest.alarms}
    }
    entries: list[JournalEntry] = []
    before: int | None = None
    while page := await client.alarm_journal(1000, before):
        entries += page
        before = page[-1].seq
        if page[-1].at_ns < start_ns:
            break
    excluded = tuple(alarmed(entries, watched, end_ns))
    return info.plant, list(points), History("history", start_ns, end_ns, points, excluded)


def alarmed(
    entries: Sequence[JournalEntry], watched: dict[str, AlarmView], end_ns: int
) -> Iterator[Excluded]:
    """Yield the times around alarms: what leads to one is not normal either.

    One that was raised before the entries begin has been there all the time.
    """
    raised: dict[str, int] = {}
    for entry in sorted(entries, key=lambda each: each.seq):
        if entry.alarm not in watched:
            continue
        if entry.transition == "raised":
            raised.setdefault(entry.alarm, entry.at_ns)
        elif entry.transition == "cleared":
            began = raised.pop(entry.alarm, 0)
            yield Excluded(began - BEFORE_ALARM_NS, entry.at_ns + AFTER_ALARM_NS, entry.alarm)
    for name, alarm in watched.items():
        if alarm.active:
            raised.setdefault(name, alarm.raised_ns or 0)
    for name, began in raised.items():
        yield Excluded(began - BEFORE_ALARM_NS, end_ns, name)
