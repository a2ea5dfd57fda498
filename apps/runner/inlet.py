"""What an app gets: the tags it may read, decoded, by path."""

from __future__ import annotations

from collections.abc import Iterator

from apps.installed import Installed
from apps.sdk import Reading
from runtime.config import Plant
from runtime.contract import Batch, Quality


class Inlet:
    """Turns batches into readings of the permitted tags.

    Attributes:
        ids: tags that the app may read; its own are never among them.
        paths: their paths relative to the plant's root, in the same order.
    """

    def __init__(self, plant: Plant, installed: Installed) -> None:
        found = plant.tags.select(*installed.manifest.permissions.reads)
        self.ids = found[[plant.tags[id_].source != installed.name for id_ in found.tolist()]]
        self._tags = [plant.tags[id_] for id_ in self.ids.tolist()]
        self.paths = tuple(tag.path.removeprefix(f"{plant.root}/") for tag in self._tags)
        self._index = {tag.id: index for index, tag in enumerate(self._tags)}

    def rows(self, batch: Batch | None) -> Iterator[tuple[int, Reading]]:
        """Yield (index into `paths`, reading) of each row that the app may see."""
        for sample in batch or ():
            index = self._index.get(sample.id)
            if index is not None:
                value = None
                if not Quality.is_bad(sample.quality):
                    value = self._tags[index].data_type.decode(sample.raw, sample.text)
                yield index, Reading(value, sample.quality, sample.source_ns)

    def readings(self, batch: Batch | None) -> dict[str, Reading]:
        """Return readings by path."""
        return {self.paths[index]: reading for index, reading in self.rows(batch)}
