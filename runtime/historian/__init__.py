"""The historian: every change of every recorded tag, in DuckDB and Parquet; the only home of duckdb."""

from runtime.historian.archive import Archive, open_readonly
from runtime.historian.hot import Historian
from runtime.historian.house import ALARMS, TAGS
from runtime.historian.query import MODES, Points

__all__ = ["ALARMS", "MODES", "TAGS", "Archive", "Historian", "Points", "open_readonly"]
