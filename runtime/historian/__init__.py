"""The historian: every change of every recorded tag, in DuckDB and Parquet; the only home of duckdb."""

from runtime.historian.analyst import MOST_ROWS, Answer, SqlError
from runtime.historian.archive import Archive, open_readonly
from runtime.historian.export import write_parquet
from runtime.historian.hot import Historian
from runtime.historian.house import ALARMS, TAGS
from runtime.historian.query import MODES, Points

__all__ = [
    "ALARMS",
    "MODES",
    "MOST_ROWS",
    "TAGS",
    "Answer",
    "Archive",
    "Historian",
    "Points",
    "SqlError",
    "open_readonly",
    "write_parquet",
]
