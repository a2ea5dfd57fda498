"""Tags and batches as the API shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.api.answers import Refused
from runtime.config import TagList
from runtime.contract import Batch, DataType, Tag, Value
from runtime.wire import TagView, quality_text

_BOOL, _UNSIGNED, _SIGNED, _FLOAT, _TEXT = range(5)
_KINDS = {"u": _UNSIGNED, "i": _SIGNED, "f": _FLOAT, "s": _TEXT}
_PATTERNS = 32
_PATTERN_LENGTH = 256
_CROSSING = 2
_RUN = re.compile(r"[*?]{2,}")


class TagViews:
    """Decodes columns of values by type, and describes tags."""

    def __init__(
        self,
        tags: TagList,
        two_person: frozenset[int] = frozenset(),
        signed: Mapping[int, tuple[str, ...]] = MappingProxyType({}),
    ) -> None:
        self._tags = tags
        self._signed = signed
        self._two_person = two_person
        self._kinds = np.array(
            [_BOOL if tag.data_type is DataType.BOOL else _KINDS[tag.data_type.kind] for tag in tags],
            np.uint8,
        )

    def values(self, batch: Batch) -> list[Value | None]:
        """Return the value of each row, None where the quality is bad."""
        out: NDArray[Any] = np.empty(len(batch), object)
        kinds = self._kinds[batch.ids]
        raw = np.ascontiguousarray(batch.raw)
        for kind, column in (
            (_BOOL, raw != 0),
            (_UNSIGNED, raw),
            (_SIGNED, raw.view(np.int64)),
            (_FLOAT, raw.view(np.float64)),
        ):
            mask = kinds == kind
            if mask.any():
                out[mask] = column[mask].astype(object)
        for row in np.flatnonzero(kinds == _TEXT).tolist():
            out[row] = batch.text.get(row, "")
        out[batch.quality >> 31 == 1] = None
        values: list[Value | None] = out.tolist()
        return values

    def rows(self, batch: Batch) -> Iterator[tuple[int, Value | None, int, int]]:
        """Return (id, value, quality, source time ns) of each row."""
        columns = (batch.ids.tolist(), self.values(batch), batch.quality.tolist(), batch.source_ns.tolist())
        return zip(*columns, strict=True)

    def describe(self, batch: Batch) -> Iterator[TagView]:
        """Yield tag and present value of each row."""
        for id_, value, quality, source_ns in self.rows(batch):
            tag = self._tags[id_]
            yield TagView(
                id=tag.id,
                path=tag.path,
                type=tag.data_type.iec,
                unit=tag.unit,
                unit_text=tag.unit_text,
                low=tag.low,
                high=tag.high,
                description=tag.description,
                description_zh=tag.description_zh,
                access=tag.access.value,
                source=tag.source,
                device=tag.device,
                address=tag.address,
                variable=tag.variable,
                role=tag.role.name.lower(),
                interlock=tag.interlock,
                value=value,
                quality=quality,
                quality_text=quality_text(quality),
                source_ns=source_ns,
                two_person=id_ in self._two_person,
                signature=self._signed.get(id_, ()),
            )


def one(tags: TagList, path: str) -> Tag:
    """Return a tag by path.

    Raises:
        Refused: there is none; says which is like it.
    """
    if path not in tags:
        raise Refused(404, f"no tag is named {path!r}", tags.close_to(path))
    return tags[path]


def chosen(tags: TagList, patterns: Sequence[str]) -> NDArray[np.int32]:
    """Return the ids that match any pattern. Many tags take a while: call it in a thread.

    Raises:
        Refused: a path without wildcard is not there, or the patterns are too many or too costly.
    """
    if len(patterns) > _PATTERNS:
        raise Refused(422, f"{len(patterns)} patterns are too many", f"send up to {_PATTERNS}")
    for pattern in patterns:
        if len(pattern) > _PATTERN_LENGTH or pattern.count("**") > _CROSSING:
            raise Refused(
                422, "the pattern is too long or has too many **", "be more direct, or send several"
            )
        if "*" not in pattern and "?" not in pattern:
            one(tags, pattern)
    return tags.select(*(_RUN.sub(_simple, pattern) for pattern in patterns))


def _simple(run: re.Match[str]) -> str:
    """Write a run of wildcards so that matching need not try each division of it: `*?*?` is `??*`."""
    if "**" not in run[0]:
        return "?" * run[0].count("?") + "*" * ("*" in run[0])
    if len(run[0]) > 3:
        raise Refused(422, f"{run[0]!r} is too much at once", "** alone says it")
    return run[0]
