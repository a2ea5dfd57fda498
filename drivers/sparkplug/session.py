"""The messages of one Sparkplug session: births, data, deaths, with their sequence numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from drivers.sparkplug.catalogue import MS_NS, Catalogue
from drivers.sparkplug.datatypes import BOOLEAN_TYPE, INT64, carried, quality_property
from drivers.sparkplug.payload import BOOLEAN, LONG, Carried, Metric, Payload, encode, encode_metric, framed
from drivers.sparkplug.spool import Piece
from drivers.sparkplug.topics import REBIRTH, Topic
from runtime.contract import Batch, Quality

_FRAME_BYTES = 32  # timestamp and sequence number of a message, amply
Sent = tuple[str, bytes]  # topic, payload


class Session:
    """What an edge node says between a birth and a death.

    Source: Sparkplug 3.0.0, 6.4.17 to 6.4.26: every message but NDEATH has a number one greater than the
    message before, 0 in the NBIRTH and after 255.
    """

    def __init__(self, group: str, node: str, bdseq: int, catalogue: Catalogue, most_bytes: int) -> None:
        self.bdseq = bdseq
        self._group, self._node = group, node
        self._catalogue = catalogue
        self._most_bytes = most_bytes
        self._seq = 0
        self._not_good: set[int] = set()

    def topic(self, verb: str, device: str = "") -> str:
        return str(Topic(("D" if device else "N") + verb, self._group, self._node, device))

    def death(self, now_ms: int) -> Sent:
        """Return the NDEATH, which is the will of the connection as well."""
        return self.topic("DEATH"), encode(Payload(now_ms, [self._bdseq_metric(now_ms)]))

    def births(self, present: Batch, writable: bool, alive: Sequence[str], now_ms: int) -> Iterator[Sent]:
        """Yield the NBIRTH and the DBIRTH of each device that is there."""
        self._seq = 0
        self._note_qualities("", present)
        control = Metric(REBIRTH, timestamp_ms=now_ms, datatype=BOOLEAN_TYPE, value=Carried(BOOLEAN, False))
        own = [self._bdseq_metric(now_ms), control]
        metrics = [*self._catalogue.births("", present, writable, now_ms), *own]
        yield self._message("BIRTH", "", [encode_metric(each) for each in metrics], now_ms)
        for device in alive:
            yield self.device_birth(device, present, writable, now_ms)

    def device_birth(self, device: str, present: Batch, writable: bool, now_ms: int) -> Sent:
        self._note_qualities(device, present)
        metrics = self._catalogue.births(device, present, writable, now_ms)
        return self._message("BIRTH", device, [encode_metric(each) for each in metrics], now_ms)

    def _note_qualities(self, device: str, present: Batch) -> None:
        rows = self._catalogue.rows_of[device]
        self._not_good.difference_update(rows.tolist())
        self._not_good.update(rows[present.quality[rows] >> 30 != 0].tolist())

    def device_death(self, device: str, now_ms: int) -> Sent:
        return self._message("DEATH", device, [], now_ms)

    def data(
        self, device: str, piece: Piece, rows: NDArray[np.intp], historical: bool, now_ms: int
    ) -> Iterator[Sent]:
        """Yield values of one device, `rows` of a piece, in order of their times; messages have bounded size.

        The number of a message is taken when it is yielded: all must be sent.
        """
        metrics: list[bytes] = []
        size = _FRAME_BYTES
        for row in rows[np.argsort(piece.source_ns[rows], kind="stable")].tolist():
            metric = self._datum(piece, row, historical)
            if metrics and size + len(metric) + 6 > self._most_bytes:
                yield self._message("DATA", device, metrics, now_ms)
                metrics, size = [], _FRAME_BYTES
            metrics.append(metric)
            size += len(metric) + 6
        if metrics:
            yield self._message("DATA", device, metrics, now_ms)

    def _datum(self, piece: Piece, row: int, historical: bool) -> bytes:
        alias, status = int(piece.alias[row]), int(piece.quality[row])
        at = self._catalogue.row_of_alias(alias)
        assert at is not None
        value = None
        if not Quality.is_bad(status):
            data_type = self._catalogue.entries[at].tag.data_type
            value = carried(data_type, int(piece.raw[row]), piece.text.get(row))
        good = Quality.is_good(status)
        properties = {} if good else {"Quality": quality_property(status)}
        if not historical:
            if not good:
                self._not_good.add(at)
            elif at in self._not_good:
                self._not_good.discard(at)
                properties = {"Quality": quality_property(status)}
        return encode_metric(
            Metric(
                alias=alias,
                timestamp_ms=max(0, int(piece.source_ns[row]) // MS_NS),
                is_historical=historical,
                is_null=value is None,
                value=value,
                properties=properties,
            )
        )

    def _message(self, verb: str, device: str, metrics: Sequence[bytes], now_ms: int) -> Sent:
        seq, self._seq = self._seq, (self._seq + 1) % 256
        return self.topic(verb, device), framed(now_ms, metrics, seq)

    def _bdseq_metric(self, now_ms: int) -> Metric:
        return Metric("bdSeq", timestamp_ms=now_ms, datatype=INT64, value=Carried(LONG, self.bdseq))
