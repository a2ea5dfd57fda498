"""Which tags belong to a device, and what is said when an address is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from runtime.contract import Tag
from runtime.errors import Finding, Place


class AddressError(Exception):
    """An address that the protocol cannot mean, with a remedy."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.text = text
        self.remedy = remedy

    def finding(self, tag: Tag, place: Place) -> Finding:
        """Return it as a finding at the tag's place."""
        return Finding(f"tag {tag.path!r}: address {tag.address!r}: {self.text}", place, self.remedy)


def tags_of(tags: Iterable[Tag], device: str) -> Iterator[Tag]:
    """Yield the tags that have their place on a device; its own `sys/` tags have none."""
    return (tag for tag in tags if tag.device == device and not tag.path.startswith("sys/"))
