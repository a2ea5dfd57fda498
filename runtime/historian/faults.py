"""What the store's library reports, turned into errors for people."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import duckdb

from runtime.errors import StoreError


class DamagedPartsError(StoreError):
    """Files of samples that cannot be read; the rest can."""

    def __init__(self, numbers: list[int], text: str) -> None:
        super().__init__(text, "start the plant: it sets the damaged files aside and serves the rest")
        self.numbers = numbers


class UnreadablePartError(StoreError):
    """A file of samples of which it cannot be told now whether it is whole."""

    def __init__(self, number: int, text: str) -> None:
        super().__init__(
            text, "see to the disk; where it stays so, the file is set aside and the rest served"
        )
        self.number = number


class ClosedError(StoreError):
    """The store was closed, or opened anew, while it was read."""

    def __init__(self) -> None:
        super().__init__("the history is not open", "it was closed just now: ask again")


@contextlib.contextmanager
def told(text: str, remedy: str = "") -> Iterator[None]:
    """Turn the library's errors into errors for people; `remedy` is for what is no file of the store.

    Raises:
        StoreError: says what could not be done, why, and what to do.
    """
    try:
        yield
    except OSError as exc:
        remedy = remedy or "check the state folder, its rights and its disk"
        raise StoreError(f"{text}: {exc.strerror}", remedy) from exc
    except duckdb.Error as exc:
        first = str(exc).splitlines()[0]
        if isinstance(exc, duckdb.ConnectionException) and "already closed" in first:
            raise ClosedError from exc
        remedy = remedy or "free space on the disk of the plant's state folder"
        if "set lock" in first:
            first = "another process has it open"
            remedy = "the plant runs: ask it through `ironworks history`, or stop it first"
        elif "max_temp_directory_size" in str(exc):  # names the limit of memory as well
            first = "what does not fit into memory finds no room on the disk"
        elif "memory_limit" in str(exc):
            remedy = "raise `history: memory_limit_mib` in plant.yaml; 64 carry two million samples a second"
        elif is_damage(exc):
            remedy = "start the plant: it sets the damaged file aside and begins a new one"
        raise StoreError(f"{text}: {first}", remedy) from exc


def tells_damage(exc: StoreError) -> bool:
    """Tell whether what could not be done may be for want of a whole store."""
    return isinstance(exc.__cause__, duckdb.Error) and is_damage(exc.__cause__)


def is_damage(exc: duckdb.Error) -> bool:
    """Tell a damaged file from a full disk, a lock or missing rights, by what the library says."""
    text = str(exc)
    return isinstance(exc, duckdb.SerializationException) or any(
        words in text
        for words in ("not a valid DuckDB", "Corrupt database", "Could not read enough bytes", "checksum")
    )
