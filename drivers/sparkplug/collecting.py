"""From the tag table into the queue: what changed and is worth telling, as pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.sparkplug.catalogue import Catalogue
from drivers.sparkplug.reporting import Reporter, newest_of_each_ms
from drivers.sparkplug.spool import Piece, Spool
from runtime.contract import Batch, Changes, Port, Quality, Tag

PIECE_ROWS = 5000


class Collector:
    """Takes what changed. All of it happens at once, so that a birth knows what was collected before it.

    `online` has a tag for each device that has one that tells whether it is there.
    """

    def __init__(
        self,
        port: Port,
        catalogue: Catalogue,
        reporter: Reporter,
        spool: Spool,
        online: dict[str, Tag],
        changes: Changes,
    ) -> None:
        self._port = port
        self._catalogue = catalogue
        self._reporter = reporter
        self._spool = spool
        self._online = online
        self._changes = changes

    def collect(self) -> None:
        """Queue what is news."""
        batches: list[Batch] = []
        while (batch := self._changes.take()) is not None:
            batches.append(batch)
        if not batches:
            return
        batch = Batch.joined(batches)
        batch = batch.take(batch.source_ns > 0)
        rows = self._catalogue.rows_of_ids(batch.ids)
        news = self._reporter.news(rows, batch)
        self._put(rows, batch, news[newest_of_each_ms(rows[news], batch.source_ns[news])])

    def tell_again(self, tags: Sequence[Tag]) -> None:
        """Queue the present values of tags as of now, news or not."""
        ids = np.array([tag.id for tag in tags], np.int32)
        present = self._port.tags.snapshot(ids)
        now = Batch.of(ids, present.raw, self._port.clock.now_ns(), present.quality, present.text)
        self._put(self._catalogue.rows_of_ids(ids), now, np.arange(len(ids), dtype=np.intp))

    def _put(self, rows: NDArray[np.int32], batch: Batch, at: NDArray[np.intp]) -> None:
        for begin in range(0, len(at), PIECE_ROWS):
            part = at[begin : begin + PIECE_ROWS]
            chosen = batch.take(part)
            self._spool.put(
                Piece(
                    self._spool.last_id + 1,
                    self._catalogue.alias[rows[part]],
                    chosen.raw,
                    chosen.quality,
                    chosen.source_ns,
                    chosen.text,
                )
            )

    def present(self) -> Batch:
        """Return the present values, a row for each entry of the catalogue."""
        return self._port.tags.snapshot(self._catalogue.ids)

    def alive(self) -> list[str]:
        """Return the devices that are there; one without a word on it always is."""
        table = self._port.tags
        gone = set()
        for device, tag in self._online.items():
            word = table.snapshot(np.array([tag.id], np.int32))
            if Quality.is_bad(int(word.quality[0])) or int(word.raw[0]) == 0:
                gone.add(device)
        return [each for each in self._catalogue.devices if each not in gone]
