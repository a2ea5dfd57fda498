"""The historian: every change of every recorded tag, in DuckDB and Parquet; the only home of duckdb."""

from runtime.historian.analyst import MOST_ROWS, Answer, SqlError
from runtime.historian.archive import Archive, open_readonly
from runtime.historian.export import Put, arrow_of, parquet_of, write_arrow, write_parquet
from runtime.historian.hot import Historian
from runtime.historian.house import ALARMS, SINK_ALARMS, SINK_TAGS, TAGS
from runtime.historian.query import MODES, Points
from runtime.historian.sink import Sink

__all__ = [
    "ALARMS",
    "MODES",
    "MOST_ROWS",
    "SINK_ALARMS",
    "SINK_TAGS",
    "TAGS",
    "Answer",
    "Archive",
    "Historian",
    "Points",
    "Put",
    "Sink",
    "SqlError",
    "arrow_of",
    "open_readonly",
    "parquet_of",
    "write_arrow",
    "write_parquet",
]
