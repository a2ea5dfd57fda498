"""The historian: every change of every recorded tag, in DuckDB; the only home of duckdb."""

from runtime.historian.archive import Archive, open_readonly
from runtime.historian.hot import Historian
from runtime.historian.house import ALARMS, TAGS

__all__ = ["ALARMS", "TAGS", "Archive", "Historian", "open_readonly"]
